"""What the operator wrote of one Mirror and what for: held to what is promised of it, however slow the machine is.

One write for each step, one more for a phase that lasts longer than two seconds, progress every half a minute at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from itertools import pairwise
from typing import Self

from peerdb_operator.api.times import parse_time
from peerdb_operator.settings import Settings
from tests.e2e.gitops_tool import history
from tests.e2e.world import Object, Subject

LASTS: float = Settings.model_fields["phase_quiet_seconds"].default
PROGRESS: float = Settings.model_fields["progress_write_seconds"].default


@dataclass(frozen=True, slots=True)
class Written:
    """One status as it was written: the reason of Ready, when it was sent, PeerDB's state and since when."""

    reason: str
    at: float
    state: str
    since: float


@dataclass(frozen=True, slots=True)
class Writes:
    """Counts from the moment on when it is made, right before somebody changes the spec once."""

    subject: Subject
    version: str
    mark: int

    @classmethod
    def of(cls, subject: Subject) -> Self:
        """Begin."""
        version = str(subject.read()["metadata"]["resourceVersion"])
        return cls(subject, version, subject.world.cluster.audit_mark())

    def assert_few(self, *steps: str) -> None:
        """Each step was written, in this order; beside them each phase that lasted, once, and its progress."""
        found, left, phases = self.found(), list(steps), set[tuple[str, float]]()
        for before, each in pairwise([Written("", 0.0, "", 0.0), *found]):
            if left and each.reason == left[0]:
                left.pop(0)
            elif each.at - before.at < PROGRESS:
                assert each.at - each.since >= LASTS, found
                assert (each.state, each.since) not in phases, found
                phases.add((each.state, each.since))
        assert not left, found

    def found(self) -> list[Written]:
        """Every status that was written; the first version is the change that somebody made."""
        _, *versions = history(self.subject, self.version)
        writes = [
            each for each in self.subject.world.writes(self.mark, self.subject.name) if each.code == HTTPStatus.OK
        ]
        return [_written(version, each.at) for version, each in zip(versions, writes, strict=True)]


def _written(version: Object, at: str) -> Written:
    status = version["status"]
    reason = next(str(each["reason"]) for each in status["conditions"] if each["type"] == "Ready")
    return Written(reason, datetime.fromisoformat(at).timestamp(), status["state"], parse_time(status["stateSince"]))
