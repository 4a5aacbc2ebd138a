"""Since when a mirror stands still for an edit, told by a process that has taken the edit over."""

from __future__ import annotations

from peerdb_operator.api.status import Step
from peerdb_operator.errors import PeerDBUnavailable
from peerdb_operator.mirror.gauges import mirror_samples
from tests.harness.peerdb.values import Status
from tests.unit.controllers.stage import STATE_CHANGE, Stage, Tap, a_settled_stage, a_spec


def standing(stage: Stage) -> float | None:
    """What a scrape tells of the mirror."""
    (sample,) = mirror_samples(stage.controller._store, stage.controller._measured)
    return sample.paused_since


def stops(stage: Stage) -> float:
    """How many stops this process has counted."""
    return stage.controller._metrics.registry.get_sample_value("peerdb_operator_mirror_paused_seconds_count") or 0.0


def killed_after_recording_the_edit(*, arrives: bool) -> Stage:
    """The journal says Edit, PeerDB is away, and the mirror is paused; ``arrives``: or was, until the edit arrived."""
    stage = a_settled_stage("a", knobs={"t_add": 600.0})
    lost = PeerDBUnavailable("the connection broke", sent=True)
    tap = Tap(skip=1) if arrives else Tap(skip=1, instead=lost)
    tap.after = lambda: setattr(stage.network, "away", True)
    stage.peerdb.taps.put(STATE_CHANGE, tap)
    stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    while len(stage.commands()) < 2:
        stage.follow(0.5)
    operation = stage.entry().current_journal().operation
    assert operation is not None
    assert operation.step is Step.EDIT
    stage.network.away = True
    stage.restart()
    return stage


def test_a_stop_is_told_of_by_the_next_process_while_peerdb_is_away_and_until_the_mirror_flows() -> None:
    stage = killed_after_recording_the_edit(arrives=False)
    began = stage.now
    stage.follow(60.0)
    assert stage.state() is Status.PAUSED
    away = standing(stage)
    assert away is not None
    assert abs(away - began) < 5
    stage.network.away = False
    stage.run()
    assert standing(stage) == away
    stage.follow(120.0)
    assert stage.state() is not Status.PAUSED
    assert standing(stage) is None
    assert stops(stage) == 1


def test_a_stop_that_ended_while_nobody_looked_is_over_with_the_first_look() -> None:
    stage = killed_after_recording_the_edit(arrives=True)
    stage.wait(60.0)
    assert stage.state() is not Status.PAUSED
    stage.network.away = False
    stage.run()
    assert standing(stage) is None


def test_a_stop_is_over_when_the_mirror_is_gone() -> None:
    stage = killed_after_recording_the_edit(arrives=False)
    stage.follow(10.0)
    assert standing(stage) is not None
    stage.engine.remove_mirror("orders")
    stage.network.away = False
    stage.follow(60.0)
    assert stage.condition() == ("False", "MirrorNotFound")
    assert standing(stage) is None
