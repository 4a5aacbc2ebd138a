"""Days in the life of an operator and one Mirror, as input of promtool's unit tests.

Owns how a day becomes series. The conditions of a reason come from the operator's own table of verdicts, so that an
alert is tested against what the operator would really tell.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from peerdb_operator.api.reasons import Reason
from peerdb_operator.mirror.rules.conditions import AWAY, ConditionChange, Verdict, away, verdict

RULES = Path(__file__).parents[2] / "charts" / "peerdb-operator" / "files" / "alerts.yaml"
STEP = 30
"""Seconds between two scrapes."""
MINUTE = 60
COARSE = 300
"""The same for days that are long and in which nothing short happens."""
JOB = "peerdb-operator"
MIRROR = {"namespace": "data", "name": "orders"}


@dataclass(frozen=True, slots=True)
class Phase:
    """What the operator told of the Mirror for some minutes.

    ``stopped``: the mirror stood still for an edit; ``up``: PeerDB answered; ``scraped``: the operator was there.
    """

    minutes: float
    reason: Reason
    state: str = "Running"
    stopped: bool = False
    up: bool = True
    scraped: bool = True


@dataclass(frozen=True, slots=True)
class Life:
    """One pod of the operator, and the second in which it began. The next one has another address."""

    number: int
    began: int

    def series(self, metric: str, **labels: str) -> str:
        """The selector of a series that it serves; a label of the series' own comes first."""
        target = {"job": JOB, "instance": f"10.0.0.{self.number}:9090", "namespace": "system"}
        inside = ",".join(f'{key}="{value}"' for key, value in (target | labels).items())
        return f"{metric}{{{inside}}}"


def conditions_of(reason: Reason, ready_before: str = "True") -> dict[str, str]:
    """The conditions that go with a reason, those of an outage after its first minutes.

    ``ready_before``: the Ready of a Mirror that was settled stays what it was where a verdict keeps it.
    """
    reported: Verdict = away(reason, "", long=True) if reason in AWAY else verdict(reason, "")
    truths = {
        "Ready": reported.ready,
        "Synced": reported.synced,
        "Reconciling": reported.reconciling,
        "Stalled": reported.stalled,
    }
    shown = {kind: ready_before if truth is ConditionChange.KEEP else truth.value for kind, truth in truths.items()}
    return {kind: status for kind, status in shown.items() if kind in {"Ready", "Synced"} or status == "True"}


def a_day(name: str, phases: Iterable[Phase], expected: Mapping[str, str], *, step: int = STEP) -> dict[str, object]:
    """A test group: no alert ever fires in it but ``expected`` ones (alert to severity)."""
    moments = _moments(phases, step)
    length = len(moments)
    fired = f"max by (alertname, severity) (max_over_time(ALERTS{{alertstate='firing'}}[{length * step}s])) # {name}"
    return _group(name, moments, step, {"expr": fired, "exp_samples": _told(expected, value=1)})


def a_day_to_the_end(
    name: str, phases: Iterable[Phase], expected: Mapping[str, str], minutes: int
) -> dict[str, object]:
    """A test group by minutes: in its last ``minutes`` each of the alerts, and none else, fires all the time."""
    lasted = f"sum by (alertname, severity) (count_over_time(ALERTS{{alertstate='firing'}}[{minutes}m])) # {name}"
    asked: dict[str, object] = {"expr": lasted, "exp_samples": _told(expected, value=minutes)}
    return _group(name, _moments(phases, MINUTE), MINUTE, asked)


def run(promtool: Path, folder: Path, days: Iterable[dict[str, object]], *, step: int = STEP) -> str:
    """What promtool says about some days: empty when all went as expected."""
    file = folder / "days.yaml"
    tests = {"rule_files": [str(RULES)], "evaluation_interval": f"{step}s", "tests": list(days)}
    file.write_text(json.dumps(tests))
    reported = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, check=False)
    return "" if reported.returncode == 0 else reported.stdout + reported.stderr


def _moments(phases: Iterable[Phase], step: int) -> list[Phase]:
    return [phase for phase in phases for _ in range(int(phase.minutes * 60 / step))]


def _group(name: str, moments: list[Phase], step: int, asked: dict[str, object]) -> dict[str, object]:
    samples: dict[str, list[str]] = {}
    paused_since, life = 0, Life(0, 0)
    for tick, phase in enumerate(moments):
        if not (phase.stopped and tick and moments[tick - 1].stopped):
            paused_since = tick * step
        if phase.scraped and tick and not moments[tick - 1].scraped:
            life = Life(life.number + 1, tick * step)
        for series, value in _scrape(phase, life, tick * step, paused_since).items():
            _add(samples, series, tick, value)
    length = len(moments)
    return {
        "name": name,
        "interval": f"{step}s",
        "input_series": [
            {"series": series, "values": " ".join(_ended(values, length))} for series, values in samples.items()
        ],
        "promql_expr_test": [asked | {"eval_time": f"{(length - 1) * step}s"}],
    }


def _told(expected: Mapping[str, str], *, value: float) -> list[dict[str, object]]:
    return [
        {"labels": f'{{alertname="{alert}",severity="{level}"}}', "value": value} for alert, level in expected.items()
    ]


def _scrape(phase: Phase, life: Life, now: int, paused_since: int) -> dict[str, float]:
    """Everything that the operator serves at one moment and that an alert may look at."""
    if not phase.scraped:
        return {}

    def _series(metric: str, **labels: str) -> str:
        return life.series(f"peerdb_operator_{metric}", **labels)

    shown: dict[str, float] = {
        life.series("process_start_time_seconds"): life.began,
        _series("build_info", version="0.1.0"): 1,
        _series("workqueue_oldest_seconds", name="mirror"): 0,
        _series("reconcile_panics_total", controller="mirror"): 0,
        _series("peerdb_up"): phase.up,
        _series("mirrors", state=phase.state): 1,
        _series("watch_last_event_timestamp_seconds"): now // 3600 * 3600,
        _series("anti_entropy_last_success_timestamp_seconds"): now // 300 * 300,
        _series("anti_entropy_missed_total"): now // 86400,
        _series("kubernetes_writes_total", kind="mirror_status", code="200"): now // 3600,
        _series("mirror_info", **MIRROR, mirror="orders", state=phase.state, reason=phase.reason): 1,
    }
    for kind, status in conditions_of(phase.reason).items():
        shown[_series("mirror_condition", **MIRROR, type=kind, status=status)] = 1
    if phase.stopped:
        shown[_series("mirror_paused_by_operator_since_timestamp_seconds", **MIRROR)] = paused_since
    return shown


def _add(samples: dict[str, list[str]], series: str, tick: int, value: float) -> None:
    values = samples.setdefault(series, [])
    _ended(values, tick)
    values.append(f"{float(value):g}" if value < 1e5 else str(int(value)))


def _ended(values: list[str], tick: int) -> list[str]:
    """The samples up to ``tick``: a series that stops gets a stale mark, as Prometheus gives it."""
    if values and len(values) < tick:
        values.append("stale")
    values += ["_"] * (tick - len(values))
    return values
