"""What Prometheus gets from one operator, and what a scrape costs it.

Owns the request and the counting. The cost is the processor time of the operator's own process, so that what runs
beside it does not count; scrapes come one after another, and what the operator does meanwhile is a part of it.
"""

import os
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.harness.controlplane.ports import LOOPBACK

TIMES = 10
ANSWER_SECONDS = 60.0
OF_A_MIRROR = 'namespace="'
_USER_TIME = 11
"""Place of ``utime`` in ``/proc/<pid>/stat`` behind the name of the program; ``stime`` follows."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """One scrape: how many series, how many of them of single Mirrors, bytes of text, seconds of processor time."""

    series: int
    of_mirrors: int
    size: int
    seconds: float


def measure(pid: int, port: int, times: int = TIMES) -> Scrape:
    """Scrape several times and take the mean of the cost; raises OSError when nobody answers."""
    _read(port)
    before = _processor_seconds(pid)
    text = [_read(port) for _ in range(times)][-1]
    spent = _processor_seconds(pid) - before
    series, of_mirrors = count(text.splitlines())
    return Scrape(series, of_mirrors, len(text), spent / times)


def count(lines: Sequence[str]) -> tuple[int, int]:
    """The series in a scrape, and those of them that belong to one Mirror."""
    series = [line for line in lines if line and not line.startswith("#")]
    return len(series), sum(OF_A_MIRROR in line for line in series)


def _read(port: int) -> str:
    with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/metrics", timeout=ANSWER_SECONDS) as reply:
        text: bytes = reply.read()
    return text.decode()


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return sum(map(int, fields[_USER_TIME : _USER_TIME + 2])) / os.sysconf("SC_CLK_TCK")
