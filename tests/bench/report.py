"""The measurements as Markdown, ratios first, and their place in ``docs/performance.md``. Pure but for the file.

Owns wording and rounding. The text between the two markers is replaced by every run; what stands around it is written
by hand and stays.
"""

import datetime as dt
import os
import platform
from pathlib import Path
from statistics import median

from tests.bench.analysis import percentile
from tests.bench.burst import Burst
from tests.bench.latency import Latency
from tests.bench.memory import Weight

BEGIN = "<!-- bench: begin, written by make bench -->"
END = "<!-- bench: end -->"

SCRAPE_EVERY = 30.0

Rows = list[tuple[str, ...]]


def render(
    latency: Latency,
    weights: list[Weight],
    burst: Burst,
    *,
    minutes: float,
    loads: tuple[float, float],
    moment: dt.datetime,
) -> str:
    """The whole section; ``loads`` are the machine's load averages before the run and at its end."""
    machine = f"{os.cpu_count()} cores ({platform.machine()}, {platform.system()}), Python {platform.python_version()}"
    circumstances = (
        f"Measured on {moment:%Y-%m-%d} in one run of {minutes:.0f} minutes on {machine}; API server, etcd, simulated\n"
        "PeerDB, operator and the bench itself share these cores.\n"
        f"The machine's load was {loads[0]:.1f} before the run and {loads[1]:.1f} at its end."
    )
    return "\n\n".join(
        [
            circumstances,
            "### Ratios",
            _table(("ratio", "value"), _ratios(latency, weights, burst)),
            "### From a spec change to the state_change that PeerDB receives",
            _table(("forwarder", "edits", "p50", "p99"), _latency_rows(latency)),
            "### Memory (resident)",
            _table(
                ("Mirrors", "operator, restarted", "operator, after take-over", "bare loop", "take-over"),
                _memory(weights),
            ),
            "### A scrape of the metrics",
            _table(("Mirrors", "series", "of them of Mirrors", "text", "processor time"), _scrapes(weights)),
            f"### {burst.edits} edits at once, one table added to each",
            _table(("what", "value"), _burst_rows(burst)),
        ]
    )


def _ratios(latency: Latency, weights: list[Weight], burst: Burst) -> Rows:
    small, large = weights[0], weights[-1]
    p50, p99 = (percentile(latency.operator, at) / percentile(latency.floor, at) for at in (50, 99))
    whole, own = (sum(getattr(stop, part) for stop in burst.stops) for part in ("whole", "simulator"))
    slowest = max(stop.simulator for stop in burst.stops)
    return [
        ("latency p50, operator to bare loop", f"{p50:.1f}"),
        ("latency p99, operator to bare loop", f"{p99:.1f}"),
        (f"memory, {large.mirrors:,} Mirrors to {small.mirrors:,}", f"{large.after_restart / small.after_restart:.2f}"),
        (f"memory at {large.mirrors:,} Mirrors, operator to bare loop", f"{large.after_restart / large.floor:.1f}"),
        (
            f"processor time of a scrape every 30 s at {large.mirrors:,} Mirrors, to one core",
            f"{large.scraped.seconds / SCRAPE_EVERY:.3f}",
        ),
        (f"{burst.edits} edits: time stood still to what PeerDB itself took, all mirrors", f"{whole / own:.2f}"),
        (f"{burst.edits} edits: time to converge to PeerDB's slowest single stop", f"{burst.converged / slowest:.1f}"),
        (f"{burst.edits} edits: state_change calls per edit", f"{(burst.pauses + burst.updates) / burst.edits:.2f}"),
    ]


def _latency_rows(latency: Latency) -> Rows:
    return [
        (who, str(len(found)), _milliseconds(percentile(found, 50)), _milliseconds(percentile(found, 99)))
        for who, found in (("bare watch loop (the floor)", latency.floor), ("operator", latency.operator))
    ]


def _memory(weights: list[Weight]) -> Rows:
    return [
        (
            f"{one.mirrors:,}",
            f"{one.after_restart:.0f} MiB",
            f"{one.after_take_over:.0f} MiB",
            f"{one.floor:.0f} MiB",
            f"{one.new:,} in {one.take_over:.0f} s",
        )
        for one in weights
    ]


def _scrapes(weights: list[Weight]) -> Rows:
    return [
        (
            f"{one.mirrors:,}",
            f"{one.scraped.series:,}",
            f"{one.scraped.of_mirrors:,}",
            f"{one.scraped.size / 1024:,.0f} KiB",
            _milliseconds(one.scraped.seconds),
        )
        for one in weights
    ]


def _burst_rows(burst: Burst) -> Rows:
    added, alone = ([stop.operator for stop in which] for which in (burst.stops, burst.alone))
    return [
        ("all objects Ready again", f"{burst.converged:.1f} s"),
        ("last mirror RUNNING again in PeerDB", f"{burst.resumed:.1f} s"),
        ("one mirror's stop, PeerDB's own part (median)", f"{median(stop.simulator for stop in burst.stops):.1f} s"),
        ("paused beyond that, p50", f"{percentile(added, 50):.2f} s"),
        ("paused beyond that, p99", f"{percentile(added, 99):.2f} s"),
        ("paused beyond that, longest", f"{max(added):.2f} s"),
        (f"the same when an edit is alone, median of {len(alone)}", f"{median(alone):.2f} s"),
        ("pauses sent", f"{burst.pauses:,}"),
        ("edits sent", f"{burst.updates:,}"),
        *((f"calls of {path}", f"{count:,}") for path, count in burst.calls.items()),
    ]


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def _table(head: tuple[str, ...], rows: Rows) -> str:
    lines = [head, tuple("---" if number == 0 else "---:" for number in range(len(head))), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def put_between_markers(text: str, section: str) -> str:
    """The page with the section in its place; raises ValueError when the page lacks a marker."""
    before, began, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (began and ended):
        raise ValueError(f"the page needs a line {BEGIN} and, below, a line {END}")
    return f"{before}{BEGIN}\n\n{section}\n\n{END}{after}"


def write(page: Path, section: str) -> None:
    """Replace the section of the page."""
    page.write_text(put_between_markers(page.read_text(encoding="utf-8"), section), encoding="utf-8")
