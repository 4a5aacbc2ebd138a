"""One look: which reads it makes, in which order, and what a failed one means."""

import pytest

from peerdb_operator.api.reasons import Reason
from peerdb_operator.errors import (
    PeerDBError,
    PeerDBInternal,
    PeerDBMisconfigured,
    PeerDBRejected,
    PeerDBUnauthorized,
    PeerDBUnavailable,
    UnexpectedReply,
    UnsupportedPeerDB,
)
from peerdb_operator.mirror.observe import Identity, Manner, Observed, Observer, Reads
from peerdb_operator.mirror.rules.observation import ConfigGap, Found, NotFound, OwnerKind, Unknown, Unreadable
from peerdb_operator.peerdb.client import PeerDBClient
from peerdb_operator.peerdb.models import MirrorConfig, encode_json
from peerdb_operator.peerdb.transport import Reply
from tests.unit.controllers.stage import STATUS, TAGS, VERSION, Stage, Tap, a_stage, tables

WHO = Identity("cluster", "data", "orders", "u1")


def a_place(**mirror: object) -> tuple[Stage, Observer]:
    """A PeerDB with one mirror, and an observer of it."""
    stage = a_stage()
    stage.engine.put_mirror("orders", **{"tables": tables("a"), **mirror})  # type: ignore[arg-type]  # as the test says
    return stage, Observer(PeerDBClient(stage.peerdb), stage.clock)


def look(
    stage: Stage, observer: Observer, reads: Reads = Reads.FULL, *, copying: bool = False, created_at: str = ""
) -> Observed:
    return stage.do(observer.look("orders", WHO, Manner(reads, copying=copying, created_at=created_at)))


def paths(stage: Stage) -> list[str]:
    return [one.path for one in stage.peerdb.asked]


def test_a_full_look_reads_version_status_and_tag_in_this_order() -> None:
    stage, observer = a_place(tags={"peerdb.io/owner": WHO.tag, "team": "sales"})
    began = stage.now
    sight = look(stage, observer)
    assert isinstance(sight.look, Found)
    assert (sight.look.word, sight.look.at, sight.look.owner.kind) == ("RUNNING", began, OwnerKind.OURS)
    assert isinstance(sight.look.config, MirrorConfig)
    assert sight.config is not None
    assert sight.tags == {"peerdb.io/owner": WHO.tag, "team": "sales"}
    assert paths(stage) == ["version", "mirrors/status", "flows/tags/orders"]
    look(stage, observer)
    assert paths(stage)[3:] == ["mirrors/status", "flows/tags/orders"]


def test_the_state_is_known_when_no_worker_shows_the_config() -> None:
    stage, observer = a_place()
    stage.engine.turn(workers_down=True)
    sight = look(stage, observer)
    assert isinstance(sight.look, Found)
    assert sight.look.word == "RUNNING"
    assert isinstance(sight.look.config, Unreadable)
    assert "code 13" in sight.look.config.message
    assert sight.config is None
    assert sight.look.owner.kind is OwnerKind.NONE


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PeerDBInternal("failed to get workflow status"), Reason.PEERDB_ERROR),
        (PeerDBUnavailable("PeerDB did not answer in time", sent=True), Reason.PEERDB_UNAVAILABLE),
        (PeerDBRejected("the answer is too large", too_large=True), Reason.PEERDB_ERROR),
        (UnexpectedReply("no cdcStatus"), Reason.UNEXPECTED_REPLY),
    ],
)
def test_a_config_that_cannot_be_read_falls_back_to_the_plain_status_and_says_why(
    error: PeerDBError, reason: Reason
) -> None:
    stage, observer = a_place()
    stage.peerdb.taps.put(STATUS, Tap(instead=error))
    sight = look(stage, observer)
    assert isinstance(sight.look, Found)
    assert sight.look.config == Unreadable(reason, error.message)
    assert [one.body.get("includeFlowInfo") for one in stage.peerdb.asked if one.path == STATUS] == [True, None]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PeerDBUnauthorized("wrong password"), Reason.UNAUTHORIZED),
        (PeerDBMisconfigured("not PeerDB"), Reason.CONNECTION_MISCONFIGURED),
        (UnsupportedPeerDB("too old"), Reason.UNSUPPORTED_PEERDB),
        (PeerDBUnavailable("could not be reached", sent=False), Reason.PEERDB_UNAVAILABLE),
    ],
)
def test_a_failure_that_the_plain_status_would_meet_too_is_not_asked_again(error: Exception, reason: Reason) -> None:
    stage, observer = a_place()
    stage.peerdb.taps.put(STATUS, Tap(instead=error))
    sight = look(stage, observer)
    assert isinstance(sight.look, Unknown)
    assert sight.look.reason is reason
    assert paths(stage).count(STATUS) == 1


def test_nothing_is_known_when_the_tag_cannot_be_read() -> None:
    stage, observer = a_place()
    stage.peerdb.taps.put(TAGS, Tap(instead=PeerDBInternal("broken")))
    assert isinstance(look(stage, observer).look, Unknown)


def test_a_mirror_that_is_not_there_is_gone_and_when_that_was_heard_is_noted() -> None:
    stage, observer = a_place()
    stage.engine.remove_mirror("orders")
    began = stage.now
    gone = look(stage, observer).look
    assert isinstance(gone, NotFound)
    assert (gone.at, gone.heard_at > began) == (began, True)


def test_a_mirror_that_vanishes_between_status_and_tag_is_gone() -> None:
    stage, observer = a_place()
    stage.peerdb.taps.put(STATUS, Tap(after=lambda: stage.engine.remove_mirror("orders")))
    assert isinstance(look(stage, observer).look, NotFound)


def test_a_missing_route_is_not_a_missing_mirror() -> None:
    stage, observer = a_place()
    reply = Reply(404, "application/json", encode_json({"code": 5, "message": "Not Found", "details": []}))
    stage.peerdb.taps.put(STATUS, Tap(instead=reply))
    sight = look(stage, observer)
    assert isinstance(sight.look, Unknown)
    assert sight.look.reason is Reason.CONNECTION_MISCONFIGURED


def test_the_tag_is_that_of_the_mirror_which_a_command_would_reach_when_another_takes_its_place() -> None:
    stage, observer = a_place(tags={"peerdb.io/owner": WHO.tag})

    def recreate() -> None:
        stage.engine.put_mirror("orders", tables=tables("a"), tags={"peerdb.io/owner": "somebody/else/x/1"})

    stage.peerdb.taps.put(STATUS, Tap(after=recreate))
    sight = look(stage, observer)
    assert isinstance(sight.look, Found)
    assert sight.look.owner.kind is OwnerKind.OTHER


OURS = {"peerdb.io/owner": WHO.tag}


def test_status_and_tags_are_asked_side_by_side_once_the_mirror_is_known() -> None:
    stage, observer = a_place(tags=OURS)
    known = look(stage, observer).look
    assert isinstance(known, Found)
    stage.engine.turn(latency=3.0)
    began = stage.now
    seen = look(stage, observer, created_at=known.created_at).look
    assert isinstance(seen, Found)
    assert (seen.at, seen.owner.kind) == (began, OwnerKind.OURS)
    assert began + 3.0 <= seen.heard_at < began + 3.1


@pytest.mark.parametrize("known", [True, False])
def test_a_tag_that_was_read_before_another_mirror_took_the_place_does_not_count_for_it(*, known: bool) -> None:
    stage, observer = a_place(tags=OURS)
    before = look(stage, observer).look
    assert isinstance(before, Found)
    recreated = Tap(takes=0.5, before=lambda: stage.engine.put_mirror("orders", tables=tables("a")))
    stage.peerdb.taps.put(STATUS, recreated)
    seen = look(stage, observer, created_at=before.created_at if known else "").look
    assert isinstance(seen, Found)
    assert (seen.created_at != before.created_at, seen.owner.kind) == (True, OwnerKind.NONE)


def test_tags_are_read_again_when_the_config_took_long() -> None:
    stage, observer = a_place(tags=OURS)
    known = look(stage, observer).look
    assert isinstance(known, Found)
    stage.engine.turn(workers_down=True)
    seen = look(stage, observer, created_at=known.created_at).look
    assert isinstance(seen, Found)
    assert (type(seen.config), seen.owner.kind) == (Unreadable, OwnerKind.OURS)
    assert stage.now - seen.heard_at < 0.1


def test_an_observation_is_as_old_as_its_first_answer_when_the_mirror_changes_between_its_answers() -> None:
    stage, observer = a_place(tags=OURS)
    known = look(stage, observer).look
    assert isinstance(known, Found)
    stage.peerdb.taps.put(TAGS, Tap(takes=9.0))
    stage.peerdb.taps.put(STATUS, Tap(after=lambda: stage.engine.put_mirror("orders", tables=tables("a"), tags=OURS)))
    began = stage.now
    seen = look(stage, observer, created_at=known.created_at).look
    assert isinstance(seen, Found)
    assert seen.heard_at - began < 1.0


def test_a_pause_needs_no_config() -> None:
    stage, observer = a_place(tags=OURS)
    stage.engine.turn(workers_down=True)
    seen = look(stage, observer, Reads.OWNER, copying=True).look
    assert isinstance(seen, Found)
    assert (seen.config, seen.owner.kind) == (ConfigGap.NOT_ASKED, OwnerKind.OURS)
    assert [one.body for one in stage.peerdb.asked if one.path == STATUS] == [{"flowJobName": "orders"}]


def test_no_request_is_left_on_its_way_when_the_other_one_fails() -> None:
    stage, observer = a_place(tags=OURS)
    known = look(stage, observer).look
    assert isinstance(known, Found)
    stage.peerdb.taps.put(STATUS, Tap(instead=PeerDBUnavailable("could not be reached", sent=False)))
    stage.peerdb.taps.put(TAGS, Tap(takes=3.0))
    began = stage.now
    assert isinstance(look(stage, observer, created_at=known.created_at).look, Unknown)
    assert stage.now - began >= 3.0


# -- versions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["stable-v0.34.5", "v0.34.5", "0.9.99"])
def test_a_peerdb_that_is_too_old_is_not_looked_at(version: str) -> None:
    stage, observer = a_place()
    stage.engine.turn(version=version)
    sight = look(stage, observer)
    assert isinstance(sight.look, Unknown)
    assert (sight.look.reason, sight.look.slow) == (Reason.UNSUPPORTED_PEERDB, True)
    assert version in sight.look.message
    assert paths(stage) == ["version"]


@pytest.mark.parametrize(
    "version", ["stable-v0.34.6", "v0.37.4", "1.0.0", "local-abc", "unknown", "v0.34", "0.34.6-rc1"]
)
def test_a_peerdb_that_is_new_enough_or_does_not_tell_is_looked_at(version: str) -> None:
    stage, observer = a_place()
    stage.engine.turn(version=version)
    assert isinstance(look(stage, observer).look, Found)


def test_the_version_is_asked_anew_after_ten_minutes() -> None:
    stage, observer = a_place()
    stage.engine.turn(version="v0.1.0")
    look(stage, observer)
    stage.engine.turn(version="v0.37.4")
    stage.wait(590.0)
    assert isinstance(look(stage, observer).look, Unknown)
    stage.wait(10.0)
    assert isinstance(look(stage, observer).look, Found)
    assert paths(stage).count(VERSION) == 2


# -- identity and reasons --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, OwnerKind.NONE),
        ("", OwnerKind.NONE),
        ("released", OwnerKind.RELEASED),
        ("cluster/data/orders/u1", OwnerKind.OURS),
        ("cluster/data/orders/restored", OwnerKind.OURS),
        ("cluster/data/orders2/u1", OwnerKind.OTHER),
        ("elsewhere/data/orders/u1", OwnerKind.OTHER),
        ("nonsense", OwnerKind.OTHER),
    ],
)
def test_cluster_namespace_and_name_decide_whose_a_tag_is(value: str | None, kind: OwnerKind) -> None:
    assert WHO.owner(value).kind is kind
