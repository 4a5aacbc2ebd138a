"""A mirror with many tables is observed again and again without work for each of its tables."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType

from peerdb_operator.errors import PeerDBUnavailable
from tests.harness.peerdb.values import Status
from tests.unit.controllers.stage import STATE_CHANGE, Stage, Tap, a_settled_stage, a_spec

NAMES = [f"t{number:04}" for number in range(400)]
AWAY = PeerDBUnavailable("PeerDB could not be reached", sent=False)


@contextmanager
def counted_calls() -> Iterator[Counter[CodeType]]:
    """How often each function of the product is called meanwhile."""
    calls: Counter[CodeType] = Counter()

    def profile(frame: FrameType, event: str, _arg: object) -> None:
        if event == "call" and "peerdb_operator" in frame.f_code.co_filename:
            calls[frame.f_code] += 1

    sys.setprofile(profile)
    try:
        yield calls
    finally:
        sys.setprofile(None)


def named(calls: Counter[CodeType]) -> list[str]:
    """The functions that were called at least once a table."""
    return [code.co_qualname for code, times in calls.items() if times >= len(NAMES)]


def observed_fully(stage: Stage) -> int:
    return sum(bool(one.body.get("includeFlowInfo")) for one in stage.peerdb.asked)


def a_stage_that_is_paused_for_an_edit() -> Stage:
    """PeerDB cannot be reached by the edit, so the mirror is observed until it can."""
    stage = a_settled_stage(*NAMES)
    stage.cluster.edit("orders", {"spec": a_spec(*NAMES, "new")})
    stage.run()
    stage.wait(2.0)
    assert stage.state() is Status.PAUSED
    for _ in range(9):
        stage.peerdb.taps.put(STATE_CHANGE, Tap(instead=AWAY))
    stage.run()
    return stage


def test_a_paused_mirror_that_stays_the_same_is_read_and_compared_once() -> None:
    stage = a_stage_that_is_paused_for_an_edit()
    before = observed_fully(stage)
    with counted_calls() as calls:
        for _ in range(3):
            stage.run_once()
    assert observed_fully(stage) - before >= 3
    assert named(calls) == []


def test_a_changed_config_is_read_and_compared_again() -> None:
    stage = a_stage_that_is_paused_for_an_edit()
    mirror = stage.engine.mirror("orders")
    assert mirror is not None
    assert mirror.workflow is not None
    mirror.workflow.live.env["PEERDB_NULLABLE"] = "true"
    with counted_calls() as calls:
        stage.run_once()
    assert "TableMapping.key" in named(calls)
