"""Seeded defects: proof that the tests catch what they are there to catch.

``python -m tests.properties.mutants [--only WORD] [--programs N]`` plants one defect at a time into a copy of the
package and runs the tests of core against it, then, if those stay green, the random programs. A defect that nobody
notices, or whose place in the source is gone, fails the run. Two run at a time; all of them take some ten minutes on
two idle cores. ``--programs-only`` leaves the unit tests out, to see what the random programs catch by themselves.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.properties.defect import Defect
from tests.properties.defects import DEFECTS

ROOT = Path(__file__).parents[2]
AT_ONCE = 2
TIME_LIMIT = 600.0
FAILED = 1  # pytest's exit code for failing tests; anything else is no verdict on the defect
UNIT = ("tests/unit/core", "tests/unit/controllers")
PROGRAMS = tuple(f"tests/properties/test_{name}.py" for name in ("scripts", "queued_edits", "programs"))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who noticed a defect: "unit", "programs", or nobody; ``problem`` when it could not be judged."""

    defect: Defect
    caught_by: str | None
    seconds: float
    problem: str = ""


def main() -> int:
    """Judge every defect; 0 when all are caught."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="only defects whose name or rule contains this word")
    parser.add_argument("--programs", type=int, default=300, help="random programs per defect (default 300)")
    parser.add_argument("--programs-only", action="store_true", help="leave the unit tests out")
    options = parser.parse_args()
    chosen = [defect for defect in DEFECTS if options.only in defect.name or options.only in defect.guards]
    suites = [("programs", PROGRAMS)] if options.programs_only else [("unit", UNIT), ("programs", PROGRAMS)]
    for name, paths in suites:
        if run(ROOT / "operator", paths, options.programs) != 0:
            print(f"the suite {name} fails without any defect: mend that first")
            return 1
    survivors = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for verdict in pool.map(lambda defect: judge(defect, suites, options.programs), chosen):
            survivors += verdict.caught_by is None
            reported = verdict.caught_by or verdict.problem or "SURVIVED"
            print(
                f"{reported:<10} {verdict.seconds:5.0f} s  {verdict.defect.guards:<22} {verdict.defect.name}",
                flush=True,
            )
    print(f"{len(chosen) - survivors} of {len(chosen)} seeded defects caught")
    return 1 if survivors or not chosen else 0


def judge(defect: Defect, suites: Sequence[tuple[str, tuple[str, ...]]], programs: int) -> Verdict:
    """Plant one defect into a copy of the package and run the suites until one notices."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        package = Path(folder) / "operator" / "peerdb_operator"
        shutil.copytree(ROOT / "operator" / "peerdb_operator", package, ignore=shutil.ignore_patterns("__pycache__"))
        source = package / defect.file
        text = source.read_text(encoding="utf-8")
        if text.count(defect.old) != 1:
            return Verdict(defect, None, 0.0, f"stale: found {text.count(defect.old)} times in {defect.file}")
        source.write_text(text.replace(defect.old, defect.new), encoding="utf-8")
        for name, paths in suites:
            code = run(package.parent, paths, programs)
            if code == FAILED:
                return Verdict(defect, name, time.monotonic() - began)
            if code != 0:
                return Verdict(defect, None, time.monotonic() - began, f"pytest ended with {code}")
    return Verdict(defect, None, time.monotonic() - began)


def run(package_parent: Path, paths: tuple[str, ...], programs: int) -> int:
    """Run pytest on the copy; a run that does not end in time counts as failed: a defect may make the world spin."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider"]
    command += ["-o", f"pythonpath={package_parent} .", "--timeout", str(TIME_LIMIT), *paths]
    environment = {
        **os.environ,
        "PEERDB_PROGRAMS": str(programs),
        "PEERDB_SHRINK": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PEERDB_TRANSCRIPTS": "",
    }
    environment["PYTHONPATH"] = os.pathsep.join([str(package_parent), str(ROOT)])
    quiet = subprocess.DEVNULL
    try:
        return subprocess.run(
            command, cwd=ROOT, env=environment, stdout=quiet, stderr=quiet, stdin=quiet, timeout=TIME_LIMIT, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
