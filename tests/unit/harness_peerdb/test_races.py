"""Signals that meet a workflow on its way: lost, armed, overriding."""

from __future__ import annotations

import pytest

from tests.harness.peerdb.values import Status
from tests.unit.harness_peerdb.building import (
    NAME,
    a_mirror,
    an_engine,
    changed,
    paused,
    watch,
)  # fmt: skip

PAUSE = ["PAUSING", "PAUSED"]


def test_queued_update_survives_when_the_sync_is_restarted() -> None:
    engine = an_engine()
    a_mirror(engine)
    changed(engine, "RUNNING", {"batchSize": 5})

    changed(engine, "TERMINATED")
    assert watch(engine) == []
    changed(engine, "PAUSED")

    assert watch(engine) == [*PAUSE, "RUNNING"]


@pytest.mark.parametrize("wait", [0.0, 0.05, 0.2, 0.5])
def test_resume_is_not_remembered_when_the_mirror_is_still_pausing(wait: float) -> None:
    engine = an_engine()
    a_mirror(engine)
    changed(engine, "PAUSED")

    engine.run_until(engine.now + wait)
    changed(engine, "RUNNING")

    assert watch(engine)[-1] == "PAUSED"


def test_pause_waits_for_the_new_run_when_it_comes_right_after_a_resume() -> None:
    engine = an_engine(t_boot=1.0, t_react=0.1)
    paused(engine)
    changed(engine, "RUNNING")
    engine.run_until(engine.now + 0.4)
    assert engine.state(NAME) is Status.RUNNING
    asked = engine.now

    changed(engine, "PAUSED")
    engine.run_until(asked + 0.8)
    early = engine.state(NAME)
    engine.run_until(asked + 1.3)

    assert (early, engine.state(NAME)) == (Status.RUNNING, Status.PAUSING)


def test_row_goes_before_the_workflow_when_a_mirror_is_dropped() -> None:
    engine = an_engine(t_close=1.0)
    a_mirror(engine)
    changed(engine, "TERMINATING")
    engine.run_until(engine.now + 1.5)

    mirror = engine.mirror(NAME)
    assert mirror is not None
    assert (mirror.row, mirror.workflow is not None and mirror.workflow.closed) == (None, False)
    engine.run_until(engine.now + 5)
    assert engine.mirror(NAME) is None
