"""``python -m tests.harness.replay FILE...``: plays recordings of a real PeerDB against the simulator.

One line per scenario; exit status 0 when none differs, 1 when one does, 2 when a file cannot be read. Calls to
endpoints that the simulator does not have are counted and named.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.harness.replay.outcome import Outcome
from tests.harness.replay.recording import Scenario, load
from tests.harness.replay.search import play

SHOWN = 20


def report(scenario: Scenario, outcome: Outcome) -> str:
    """One line, and one more for each difference."""
    verdict = "ok  " if not outcome.differences else "FAIL"
    parts = [f"{outcome.compared} calls compared", f"{outcome.watches} watches"]
    if outcome.not_simulated:
        named = ", ".join(f"{name} x{count}" for name, count in sorted(outcome.not_simulated.items()))
        parts.append(f"{outcome.not_simulated.total()} calls to endpoints not simulated ({named})")
    parts += [f"{count} {what} skipped" for what, count in sorted(outcome.skipped.items())]
    if outcome.facts:
        parts.append(f"facts about the databases: {'; '.join(outcome.facts)}")
    lines = [f"{verdict} {scenario.name}: {', '.join(parts)}"]
    for index, words in outcome.differences[:SHOWN]:
        step = getattr(scenario.steps[index], "step", index)
        lines.append(f"     step {step}: {words}")
    if len(outcome.differences) > SHOWN:
        lines.append(f"     and {len(outcome.differences) - SHOWN} more")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Play every file; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.harness.replay", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a recording, JSON lines")
    failed = False
    for path in parser.parse_args(arguments).files:
        try:
            scenario = load(path)
        except (OSError, ValueError, KeyError) as trouble:
            print(f"{path}: cannot be read as a recording: {trouble}", file=sys.stderr)
            return 2
        try:
            outcome = play(scenario)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as trouble:
            print(f"FAIL {scenario.name}: cannot be played: {trouble!r}", flush=True)
            failed = True
            continue
        failed = failed or bool(outcome.differences)
        print(report(scenario, outcome), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
