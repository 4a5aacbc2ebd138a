"""PeerDB does not answer for one Mirror: an Event of its own, once PeerDB is known to answer others."""

from __future__ import annotations

from peerdb_operator.errors import PeerDBUnavailable
from tests.unit.controllers.stage import STATUS, Stage, Tap, a_settled_stage, a_spec, forget

DOWN = PeerDBUnavailable("PeerDB could not be reached", sent=False)
AWAY, BACK = ("Warning", "PeerDBUnavailable"), ("Normal", "Recovered")


def a_stage_without_answers() -> Stage:
    """A Mirror for which PeerDB has not answered for a while, which is written but not told of."""
    stage = a_settled_stage("a")
    for _ in range(10_000):
        stage.peerdb.taps.put(STATUS, Tap(instead=DOWN))
    stage.follow(60.0)
    assert stage.condition("Synced") == ("Unknown", "PeerDBUnavailable")
    assert stage.reported() == []
    return stage


def test_an_outage_of_one_mirror_is_an_event_when_peerdb_answers_the_list() -> None:
    stage = a_stage_without_answers()
    stage.tick()
    stage.follow(30.0)
    assert stage.reported() == [AWAY]
    stage.follow(60.0)
    assert stage.reported() == [AWAY]
    stage.peerdb.taps.clear()
    stage.follow(60.0)
    assert stage.reported() == [AWAY, BACK]


def test_an_outage_is_no_event_while_peerdb_does_not_answer_the_list() -> None:
    stage = a_stage_without_answers()
    for _ in range(10):
        stage.tick(error=DOWN)
        stage.follow(10.0)
    stage.peerdb.taps.clear()
    stage.follow(60.0)
    assert (stage.reported(), stage.condition()) == ([], ("True", "Running"))


def test_a_list_that_was_answered_before_the_outage_proves_nothing() -> None:
    stage = a_settled_stage("a")
    stage.tick()
    for _ in range(10_000):
        stage.peerdb.taps.put(STATUS, Tap(instead=DOWN))
    stage.follow(200.0)
    assert stage.condition("Synced") == ("Unknown", "PeerDBUnavailable")
    assert stage.reported() == []


def test_an_outage_that_ends_between_the_list_and_the_next_pass_is_no_event() -> None:
    stage = a_stage_without_answers()
    stage.tick()
    stage.peerdb.taps.clear()
    stage.follow(60.0)
    assert (stage.reported(), stage.condition()) == ([], ("True", "Running"))


def test_a_trouble_that_was_told_before_an_outage_is_over_after_it() -> None:
    stage = a_settled_stage("a")
    stage.cluster.replace_spec("orders", {"tables": [{"source": "nodot", "destination": "x"}]})
    stage.follow(10.0)
    assert stage.reported() == [("Warning", "InvalidSpec")]
    for _ in range(10_000):
        stage.peerdb.taps.put(STATUS, Tap(instead=DOWN))
    stage.cluster.replace_spec("orders", a_spec("a"))
    stage.follow(60.0)
    assert stage.condition()[1] == "PeerDBUnavailable"
    forget(stage)
    stage.peerdb.taps.clear()
    stage.follow(30.0)
    assert stage.reported() == [BACK]
    (event,) = stage.cluster.events()
    assert str(event.patch["message"]).endswith("again, after InvalidSpec")
