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
from peerdb_operator.mirror.observe import MirrorReader
from peerdb_operator.mirror.rules.observation import (
    ConfigGap,
    Found,
    Identity,
    NotFound,
    OwnerKind,
    Unknown,
    Unreadable,
)
from peerdb_operator.mirror.work import Observed, Reads
from peerdb_operator.peerdb.client import PeerDBClient
from peerdb_operator.peerdb.models import MirrorConfig, encode_json
from peerdb_operator.peerdb.transport import Reply
from tests.unit.controllers.stage import STATUS, TAGS, VERSION, Stage, Tap, a_stage, tables

WHO = Identity("cluster", "data", "orders", "u1")


def a_place(**mirror: object) -> tuple[Stage, PeerDBClient]:
    """A PeerDB with one mirror, and a client."""
    stage = a_stage()
    stage.engine.put_mirror("orders", **{"tables": tables("a"), **mirror})  # type: ignore[arg-type]  # as the test says
    return stage, PeerDBClient(stage.peerdb)


def read(
    stage: Stage, client: PeerDBClient, reads: Reads = Reads.FULL, *, copying: bool = False, created_at: str = ""
) -> Observed:
    reader = MirrorReader(
        peerdb=client, clock=stage.clock, mirror="orders", reads=reads, copying=copying, created_at=created_at
    )
    return stage.do(reader.read(WHO))


def paths(stage: Stage) -> list[str]:
    return [one.path for one in stage.peerdb.asked]


def test_a_full_look_reads_version_status_and_tag_in_this_order() -> None:
    stage, client = a_place(tags={"peerdb.io/owner": WHO.tag, "team": "sales"})
    began = stage.now
    observed = read(stage, client)
    assert isinstance(observed.reading, Found)
    assert (observed.reading.word, observed.reading.at) == ("RUNNING", began)
    assert observed.reading.owner.kind is OwnerKind.OURS
    assert isinstance(observed.reading.config, MirrorConfig)
    assert observed.config is not None
    assert observed.tags == {"peerdb.io/owner": WHO.tag, "team": "sales"}
    assert paths(stage) == ["version", "mirrors/status", "flows/tags/orders"]
    read(stage, client)
    assert paths(stage)[3:] == ["mirrors/status", "flows/tags/orders"]


def test_the_state_is_known_when_no_worker_shows_the_config() -> None:
    stage, client = a_place()
    stage.engine.turn(workers_down=True)
    observed = read(stage, client)
    assert isinstance(observed.reading, Found)
    assert observed.reading.word == "RUNNING"
    assert isinstance(observed.reading.config, Unreadable)
    assert "code 13" in observed.reading.config.message
    assert observed.config is None
    assert observed.reading.owner.kind is OwnerKind.NONE


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
    stage, client = a_place()
    stage.peerdb.taps.put(STATUS, Tap(instead=error))
    observed = read(stage, client)
    assert isinstance(observed.reading, Found)
    assert observed.reading.config == Unreadable(reason, error.message)
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
    stage, client = a_place()
    stage.peerdb.taps.put(STATUS, Tap(instead=error))
    observed = read(stage, client)
    assert isinstance(observed.reading, Unknown)
    assert observed.reading.reason is reason
    assert paths(stage).count(STATUS) == 1


def test_nothing_is_known_when_the_tag_cannot_be_read() -> None:
    stage, client = a_place()
    stage.peerdb.taps.put(TAGS, Tap(instead=PeerDBInternal("broken")))
    assert isinstance(read(stage, client).reading, Unknown)


def test_a_mirror_that_is_not_there_is_gone_and_when_that_was_heard_is_noted() -> None:
    stage, client = a_place()
    stage.engine.remove_mirror("orders")
    began = stage.now
    gone = read(stage, client).reading
    assert isinstance(gone, NotFound)
    assert (gone.at, gone.heard_at > began) == (began, True)


def test_a_mirror_that_vanishes_between_status_and_tag_is_gone() -> None:
    stage, client = a_place()
    stage.peerdb.taps.put(STATUS, Tap(after=lambda: stage.engine.remove_mirror("orders")))
    assert isinstance(read(stage, client).reading, NotFound)


def test_a_missing_route_is_not_a_missing_mirror() -> None:
    stage, client = a_place()
    reply = Reply(404, "application/json", encode_json({"code": 5, "message": "Not Found", "details": []}))
    stage.peerdb.taps.put(STATUS, Tap(instead=reply))
    observed = read(stage, client)
    assert isinstance(observed.reading, Unknown)
    assert observed.reading.reason is Reason.CONNECTION_MISCONFIGURED


def test_the_tag_is_that_of_the_mirror_which_a_command_would_reach_when_another_takes_its_place() -> None:
    stage, client = a_place(tags={"peerdb.io/owner": WHO.tag})

    def recreate() -> None:
        stage.engine.put_mirror("orders", tables=tables("a"), tags={"peerdb.io/owner": "somebody/else/x/1"})

    stage.peerdb.taps.put(STATUS, Tap(after=recreate))
    observed = read(stage, client)
    assert isinstance(observed.reading, Found)
    assert observed.reading.owner.kind is OwnerKind.OTHER


OURS = {"peerdb.io/owner": WHO.tag}


def test_status_and_tags_are_asked_side_by_side_once_the_mirror_is_known() -> None:
    stage, client = a_place(tags=OURS)
    known = read(stage, client).reading
    assert isinstance(known, Found)
    stage.engine.turn(latency=3.0)
    began = stage.now
    seen = read(stage, client, created_at=known.created_at).reading
    assert isinstance(seen, Found)
    assert (seen.at, seen.owner.kind) == (began, OwnerKind.OURS)
    assert began + 3.0 <= seen.heard_at < began + 3.1


@pytest.mark.parametrize("known", [True, False])
def test_a_tag_that_was_read_before_another_mirror_took_the_place_does_not_count_for_it(*, known: bool) -> None:
    stage, client = a_place(tags=OURS)
    before = read(stage, client).reading
    assert isinstance(before, Found)
    recreated = Tap(takes=0.5, before=lambda: stage.engine.put_mirror("orders", tables=tables("a")))
    stage.peerdb.taps.put(STATUS, recreated)
    seen = read(stage, client, created_at=before.created_at if known else "").reading
    assert isinstance(seen, Found)
    assert (seen.created_at != before.created_at, seen.owner.kind) == (True, OwnerKind.NONE)


def test_tags_are_read_again_when_the_config_took_long() -> None:
    stage, client = a_place(tags=OURS)
    known = read(stage, client).reading
    assert isinstance(known, Found)
    stage.engine.turn(workers_down=True)
    seen = read(stage, client, created_at=known.created_at).reading
    assert isinstance(seen, Found)
    assert (type(seen.config), seen.owner.kind) == (Unreadable, OwnerKind.OURS)
    assert stage.now - seen.heard_at < 0.1


def test_an_observation_is_as_old_as_its_first_answer_when_the_mirror_changes_between_its_answers() -> None:
    stage, client = a_place(tags=OURS)
    known = read(stage, client).reading
    assert isinstance(known, Found)
    stage.peerdb.taps.put(TAGS, Tap(takes=9.0))
    stage.peerdb.taps.put(STATUS, Tap(after=lambda: stage.engine.put_mirror("orders", tables=tables("a"), tags=OURS)))
    began = stage.now
    seen = read(stage, client, created_at=known.created_at).reading
    assert isinstance(seen, Found)
    assert seen.heard_at - began < 1.0


def test_a_pause_needs_no_config() -> None:
    stage, client = a_place(tags=OURS)
    stage.engine.turn(workers_down=True)
    seen = read(stage, client, Reads.OWNER, copying=True).reading
    assert isinstance(seen, Found)
    assert (seen.config, seen.owner.kind) == (ConfigGap.NOT_ASKED, OwnerKind.OURS)
    assert [one.body for one in stage.peerdb.asked if one.path == STATUS] == [{"flowJobName": "orders"}]


def test_no_request_is_left_on_its_way_when_the_other_one_fails() -> None:
    stage, client = a_place(tags=OURS)
    known = read(stage, client).reading
    assert isinstance(known, Found)
    stage.peerdb.taps.put(STATUS, Tap(instead=PeerDBUnavailable("could not be reached", sent=False)))
    stage.peerdb.taps.put(TAGS, Tap(takes=3.0))
    began = stage.now
    assert isinstance(read(stage, client, created_at=known.created_at).reading, Unknown)
    assert stage.now - began >= 3.0


# -- versions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["stable-v0.34.5", "v0.34.5", "0.9.99"])
def test_a_peerdb_that_is_too_old_is_not_looked_at(version: str) -> None:
    stage, client = a_place()
    stage.engine.turn(version=version)
    observed = read(stage, client)
    assert isinstance(observed.reading, Unknown)
    assert (observed.reading.reason, observed.reading.slow) == (Reason.UNSUPPORTED_PEERDB, True)
    assert version in observed.reading.message
    assert paths(stage) == ["version"]


@pytest.mark.parametrize(
    "version", ["stable-v0.34.6", "v0.37.4", "1.0.0", "local-abc", "unknown", "v0.34", "0.34.6-rc1"]
)
def test_a_peerdb_that_is_new_enough_or_does_not_tell_is_looked_at(version: str) -> None:
    stage, client = a_place()
    stage.engine.turn(version=version)
    assert isinstance(read(stage, client).reading, Found)


def test_the_version_is_asked_anew_after_ten_minutes() -> None:
    stage, client = a_place()
    stage.engine.turn(version="v0.1.0")
    read(stage, client)
    stage.engine.turn(version="v0.37.4")
    stage.wait(590.0)
    assert isinstance(read(stage, client).reading, Unknown)
    stage.wait(10.0)
    assert isinstance(read(stage, client).reading, Found)
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
