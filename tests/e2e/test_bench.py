"""``make bench`` in miniature: whether it measures and ends, not how fast anything is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.report import BEGIN, END

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
PATIENCE = 800


def test_every_table_is_filled_and_what_stands_around_it_stays_when_the_bench_runs(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"by hand\n{BEGIN}\n{END}\nand below\n")
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--quick", "--page", str(page)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["operator", "."])},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    text = page.read_text()
    assert text.startswith("by hand\n")
    assert text.endswith("and below\n")
    for row in (
        "latency p50",
        "bare watch loop",
        "| 5 |",
        "processor time of a scrape every 30 s at 5 Mirrors",
        "state_change calls per edit | 2.00 |",
        "| edits sent | 5 |",
    ):
        assert row in text
