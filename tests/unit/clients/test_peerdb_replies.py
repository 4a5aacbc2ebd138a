"""Every answer of a gateway, of a web UI and of whatever stands in front of them becomes the right error."""

from typing import Any

import pytest

from peerdb_operator.errors import (
    PeerDBError,
    PeerDBInternal,
    PeerDBMisconfigured,
    PeerDBNotFound,
    PeerDBPreconditionFailed,
    PeerDBRejected,
    PeerDBUnauthorized,
    PeerDBUnavailable,
    UnexpectedReply,
    UnsupportedPeerDB,
    Violation,
)
from peerdb_operator.peerdb.errors import Target, body_of
from peerdb_operator.peerdb.transport import Reply
from tests.unit.clients.peerdb_fakes import a_refusal, a_reply

CHANGE = Target("mirrors/state_change", "orders_cdc")
STATUS = Target("mirrors/status", "orders_cdc")
TAGS = Target("flows/tags/orders_cdc", "orders_cdc")
CHECK = Target("mirrors/cdc/validate")
LIST = Target("mirrors/list")

BUSY = "PeerDB is under maintenance. Please retry in a few minutes"
NO_SIGNAL = "unable to signal workflow"
OLD_GONE = "unable to get workflowID for flow job orders_cdc: unable to scan: no rows in result set"


def the_error(reply: Reply, asked: Target) -> PeerDBError:
    with pytest.raises(PeerDBError) as caught:
        body_of(reply, asked)
    return caught.value


# HTTP status, code, message, endpoint, class, whether the request may have taken effect
Says = tuple[int, int, str, Target, type[PeerDBError], bool]
PEERDB_SAYS: list[Says] = [
    # state_change
    (503, 14, BUSY, CHANGE, PeerDBUnavailable, False),
    (503, 14, "connection refused", CHANGE, PeerDBUnavailable, True),
    (404, 5, "flow orders_cdc not found", CHANGE, PeerDBNotFound, False),
    (404, 5, "Not Found", CHANGE, PeerDBMisconfigured, False),
    (400, 3, "illegal state change requested: 99, current state is: STATUS_RUNNING", CHANGE, PeerDBRejected, True),
    (400, 3, "resync is only supported for CDC mirrors", CHANGE, PeerDBRejected, False),
    (400, 3, "proto:\u00a0(line 1:16): invalid value for string field flowJobName: 1", CHANGE, PeerDBRejected, False),
    (400, 9, "source tables do not exist: public.nope", CHANGE, PeerDBPreconditionFailed, False),
    (500, 13, f"{NO_SIGNAL} update: connection reset by peer", CHANGE, PeerDBInternal, True),
    (500, 13, f"{NO_SIGNAL}: something new", CHANGE, PeerDBInternal, True),
    (500, 13, f"{NO_SIGNAL} update: workflow execution already completed", CHANGE, PeerDBInternal, True),
    (500, 13, f"{NO_SIGNAL}: workflow not found for ID: orders_cdc-peerflow", CHANGE, PeerDBInternal, True),
    (500, 13, f"{NO_SIGNAL}: context deadline exceeded", CHANGE, PeerDBInternal, True),
    (500, 13, f"{NO_SIGNAL} update: Blob data size exceeds limit.", CHANGE, PeerDBRejected, False),
    (500, 13, "workflowId not found in catalog", CHANGE, PeerDBInternal, True),
    (500, 13, "DropFlow workflow did not execute successfully", CHANGE, PeerDBInternal, True),
    (500, 13, "unable to wait for DropFlow workflow to close", CHANGE, PeerDBInternal, True),
    (500, 13, "unable to check maintenance mode: no route to host", CHANGE, PeerDBInternal, True),
    (500, 13, "internal server error", CHANGE, PeerDBInternal, True),
    (500, 2, OLD_GONE, CHANGE, PeerDBNotFound, False),
    (404, 5, "rpc error: code = NotFound desc = flow orders_cdc not found", CHANGE, PeerDBNotFound, False),
    (500, 2, BUSY, CHANGE, PeerDBUnavailable, False),
    (500, 2, "something older", CHANGE, PeerDBInternal, True),
    (429, 8, "grpc: received message larger than max (5000005 vs. 4194304)", CHANGE, PeerDBRejected, False),
    (429, 8, "namespace rate limit exceeded", CHANGE, PeerDBUnavailable, False),
    # status and other reads
    (404, 5, "flow orders_cdc not found", STATUS, PeerDBNotFound, False),
    (404, 5, "flow orders_cdc does not exist", TAGS, PeerDBNotFound, False),
    (404, 5, "NotFoundError: peers not found: [src]", STATUS, PeerDBMisconfigured, False),
    (
        500,
        13,
        "unable to obtain CDC information for mirror orders_cdc: failed to get state",
        STATUS,
        PeerDBInternal,
        True,
    ),
    (500, 13, "unable to query flow orders_cdc: no rows in result set", STATUS, PeerDBInternal, True),
    (500, 13, "failed to collect mirror logs: LIMIT must not be negative", LIST, PeerDBInternal, True),
    (429, 8, "grpc: received message larger than max (1 vs. 0)", STATUS, PeerDBRejected, False),
    (504, 4, "context deadline exceeded", STATUS, PeerDBUnavailable, True),
    (499, 1, "context canceled", STATUS, PeerDBUnavailable, True),
    # validate
    (503, 14, BUSY, CHECK, PeerDBUnavailable, False),
    (409, 6, "mirror with name orders_cdc already exists", CHECK, PeerDBRejected, False),
    (
        400,
        3,
        "invalid config: initial_snapshot_only is true but do_initial_snapshot is false",
        CHECK,
        PeerDBRejected,
        False,
    ),
    (400, 3, "invalid custom column type", CHECK, PeerDBRejected, False),
    (400, 9, 'tables not in publication "p": public.a', CHECK, PeerDBPreconditionFailed, False),
    (
        400,
        9,
        "failed to validate source connector src: publication does not exist: p",
        CHECK,
        PeerDBPreconditionFailed,
        False,
    ),
    (400, 9, "failed to create destination connector: peers not found: [x]", CHECK, PeerDBPreconditionFailed, False),
    (400, 9, "failed to get source table schema", CHECK, PeerDBPreconditionFailed, False),
    (400, 9, "destination table t already has existing rows", CHECK, PeerDBPreconditionFailed, False),
    (501, 12, "connector is not a supported source type", CHECK, PeerDBRejected, False),
    (500, 13, "failed to load source peer src: peers not found", CHECK, PeerDBInternal, True),
    (404, 5, "flow orders_cdc not found", CHECK, PeerDBMisconfigured, False),
    # both bases
    (401, 16, "failed to parse authorization header: Basic OnNlY3JldA==", LIST, PeerDBUnauthorized, False),
    (401, 13, "echo 401", LIST, PeerDBUnauthorized, False),
    (403, 7, "no", LIST, PeerDBUnauthorized, False),
    (400, 16, "no", LIST, PeerDBUnauthorized, False),
    (501, 12, "Method Not Allowed", LIST, PeerDBMisconfigured, False),
    (400, 3, "unexpected EOF", CHANGE, PeerDBRejected, False),
    (400, 11, "out of range", CHANGE, PeerDBRejected, False),
    (409, 10, "aborted", CHANGE, PeerDBInternal, True),
    (500, 15, "data loss", CHANGE, PeerDBInternal, True),
    (500, 99, "a code of the future", CHANGE, PeerDBInternal, True),
    (500, 5, "flow orders_cdc not found", CHANGE, PeerDBMisconfigured, False),
    (500, 13, "failed to marshal error message", STATUS, PeerDBInternal, True),
]


@pytest.mark.parametrize("says", PEERDB_SAYS, ids=lambda says: f"{says[0]}-{says[1]}-{says[2]}")
def test_each_error_body_of_peerdb_has_its_class(says: Says) -> None:
    status, code, message, asked, kind, sent = says
    error = the_error(a_refusal(status, code, message), asked)

    assert (type(error), error.sent) == (kind, sent)
    assert asked.path in str(error)


HTML = b"<!DOCTYPE html><html lang='en'><head><title>PeerDB secret-in-a-page</title></head></html>"

# HTTP status, content type, body, class, whether the request may have taken effect
OTHERS_SAY: list[tuple[int, str | None, bytes, type[PeerDBError], bool]] = [
    # the web UI
    (307, None, b"/api/auth/signin?callbackUrl=%2Fapi%2Fv1%2Fversion", PeerDBUnauthorized, False),
    (302, "text/html", HTML, PeerDBUnauthorized, False),
    (308, None, b"/api/v1/version", PeerDBMisconfigured, False),
    (403, None, b"", PeerDBUnauthorized, False),
    (405, None, b"", PeerDBMisconfigured, False),
    (404, "text/html; charset=utf-8", HTML, PeerDBMisconfigured, False),
    (500, None, b"", PeerDBUnavailable, True),
    (500, "text/plain", b"Internal Server Error", PeerDBInternal, True),
    (431, None, b"", PeerDBMisconfigured, False),
    # a followed redirect, a login form of something in between, a wrong server
    (200, "text/html", HTML, PeerDBMisconfigured, False),
    (200, None, b"\n <html>", PeerDBMisconfigured, False),
    (200, "text/plain", b"hello", UnexpectedReply, True),
    (200, "application/json", b"", UnexpectedReply, True),
    (200, "application/json", b"[]", UnexpectedReply, True),
    (200, "application/json", b"null", UnexpectedReply, True),
    (200, "application/json", b"[" * 200_000, UnexpectedReply, True),
    (200, "application/json", b"\xff\xfe", UnexpectedReply, True),
    (204, None, b"", UnexpectedReply, True),
    (202, "application/json", b"{}", UnexpectedReply, True),
    (999, None, b"", UnexpectedReply, True),
    # ingress and mesh
    (400, "text/plain", b"Client sent an HTTP request to an HTTPS server.", PeerDBMisconfigured, False),
    (401, None, b"", PeerDBUnauthorized, False),
    (401, "application/json", b'{"message": 7}', PeerDBUnauthorized, False),
    (404, "text/plain", b"default backend - 404", PeerDBMisconfigured, False),
    (404, "application/json", b'{"code": "5", "message": "flow orders_cdc not found"}', PeerDBMisconfigured, False),
    (404, "application/json", b'{"code": true, "message": "flow orders_cdc not found"}', PeerDBMisconfigured, False),
    (407, "text/html", HTML, PeerDBMisconfigured, False),
    (408, None, b"", PeerDBUnavailable, True),
    (413, "text/html", HTML, PeerDBRejected, False),
    (425, None, b"", PeerDBUnavailable, False),
    (429, "text/plain", b"slow down", PeerDBUnavailable, False),
    (499, None, b"", PeerDBUnavailable, True),
    (501, "text/plain", b"", PeerDBMisconfigured, False),
    (502, "text/html", b"<html>bad gateway</html>", PeerDBUnavailable, True),
    (503, "text/plain", b"no healthy upstream", PeerDBUnavailable, True),
    (504, "text/html", HTML, PeerDBUnavailable, True),
    (507, None, b"", PeerDBUnavailable, True),
    (520, "text/html", HTML, PeerDBInternal, True),
]


@pytest.mark.parametrize(("status", "content_type", "body", "kind", "sent"), OTHERS_SAY)
def test_each_answer_that_is_not_peerdbs_has_its_class(
    status: int, content_type: str | None, body: bytes, kind: type[PeerDBError], sent: bool
) -> None:
    error = the_error(Reply(status, content_type, body), CHANGE)

    assert (type(error), error.sent) == (kind, sent)
    assert "secret-in-a-page" not in str(error)


@pytest.mark.parametrize(
    "message",
    [
        "flow  not found",
        "flow orders_cdc_2 not found",
        "flow my_orders_cdc not found",
        "flow orders not found",
        "Not Found",
        "orders_cdc",
        "",
    ],
)
def test_no_404_counts_as_gone_when_it_does_not_name_the_very_mirror(message: str) -> None:
    assert type(the_error(a_refusal(404, 5, message), STATUS)) is PeerDBMisconfigured


@pytest.mark.parametrize(
    "message",
    [
        "unable to get workflowID for flow job orders_cdc_2: no rows in result set",
        "unable to get workflowID for flow job : no rows in result set",
        "unable to get workflowID for flow job orders_cdc: connection refused",
    ],
)
def test_an_older_500_does_not_count_as_gone_when_name_or_cause_differ(message: str) -> None:
    assert type(the_error(a_refusal(500, 2, message), STATUS)) is PeerDBInternal


def test_nothing_counts_as_gone_when_no_mirror_was_asked_about() -> None:
    assert type(the_error(a_refusal(404, 5, "flow  not found"), Target("mirrors/status", ""))) is PeerDBMisconfigured
    assert type(the_error(a_refusal(500, 2, OLD_GONE), LIST)) is PeerDBInternal


@pytest.mark.parametrize("body", [{}, {"ok": True}, {"ok": True, "errorMessage": ""}, {"new": [1]}])
def test_a_200_with_an_object_is_a_success_in_old_and_new_shape(body: dict[str, Any]) -> None:
    assert body_of(a_reply(body), CHANGE) == body


@pytest.mark.parametrize("ok", [False, None, "true", 1])
def test_a_200_that_is_not_ok_is_a_failure_that_may_have_taken_effect(ok: object) -> None:
    error = the_error(a_reply({"ok": ok, "errorMessage": "signal\nlost"}), CHANGE)

    assert (type(error), error.sent) == (PeerDBInternal, True)
    assert str(error).endswith("not ok: signal lost")


@pytest.mark.parametrize(
    "body",
    [
        {"flowJobName": "orders_cdc", "currentFlowState": "STATUS_UNKNOWN", "ok": True, "errorMessage": ""},
        {"flowJobName": "orders_cdc", "currentFlowState": "STATUS_RUNNING", "errorMessage": ""},
        {"ok": False, "errorMessage": "no rows"},
    ],
)
def test_a_status_in_the_oldest_shape_is_refused_with_the_release_that_is_needed(body: dict[str, Any]) -> None:
    error = the_error(a_reply(body), STATUS)

    assert type(error) is UnsupportedPeerDB
    assert "v0.34.6" in str(error)


def test_maintenance_is_told_apart_from_an_outage() -> None:
    announced = the_error(a_refusal(503, 14, BUSY), CHANGE)
    outage = the_error(a_refusal(503, 14, "EOF"), CHANGE)

    assert isinstance(announced, PeerDBUnavailable)
    assert isinstance(outage, PeerDBUnavailable)
    assert (announced.maintenance, announced.reason) == (True, "Maintenance")
    assert (outage.maintenance, outage.reason) == (False, "PeerDBUnavailable")


@pytest.mark.parametrize(
    "reply",
    [
        a_refusal(429, 8, "grpc: trying to send message larger than max (9 vs. 4)"),
        a_refusal(500, 13, f"{NO_SIGNAL} update: Blob data size exceeds limit."),
        a_refusal(500, 2, "Blob data size exceeds limit."),
        Reply(413, "text/html", HTML),
    ],
)
def test_size_is_told_apart_from_other_refusals(reply: Reply) -> None:
    error = the_error(reply, CHANGE)

    assert isinstance(error, PeerDBRejected)
    assert (error.too_large, error.reason) == (True, "EditTooLarge")


@pytest.mark.parametrize(
    ("message", "orphaned"),
    [
        (f"{NO_SIGNAL}: workflow execution already completed", True),
        (f"{NO_SIGNAL} update: workflow not found for ID: x", True),
        (f"{NO_SIGNAL}: context deadline exceeded", False),
        ("workflow execution already completed", False),
    ],
)
def test_an_orphaned_row_is_told_apart_from_other_failures(message: str, orphaned: bool) -> None:
    error = the_error(a_refusal(500, 13, message), CHANGE)

    assert isinstance(error, PeerDBInternal)
    assert error.orphaned is orphaned


INFO = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SOURCE_TABLE_MISSING", "domain": "peerdb.io"}


def a_violation_list(listed: object) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.PreconditionFailure", "violations": listed}


def test_a_failed_check_names_its_reason_and_every_table() -> None:
    listed = [
        {"type": "SOURCE_TABLE_MISSING", "subject": "public.nope", "description": "no\nsuch table"},
        {"type": "SOURCE_TABLE_MISSING", "subject": "public.gone", "description": None},
    ]
    error = the_error(a_refusal(400, 9, "source tables do not exist", INFO, a_violation_list(listed)), CHECK)

    assert isinstance(error, PeerDBPreconditionFailed)
    assert error.violations == (
        Violation("SOURCE_TABLE_MISSING", "public.nope", "no such table"),
        Violation("SOURCE_TABLE_MISSING", "public.gone", ""),
    )
    assert "SOURCE_TABLE_MISSING" in str(error)


@pytest.mark.parametrize("listed", [None, "x", 7, ["x", None], {}])
def test_a_failed_check_stays_one_when_its_details_are_not_as_known(listed: object) -> None:
    error = the_error(a_refusal(400, 9, "no", {"@type": 1}, a_violation_list(listed)), CHECK)

    assert isinstance(error, PeerDBPreconditionFailed)
    assert error.violations == ()


@pytest.mark.parametrize("details", [None, "x", [None, 3]])
def test_a_failed_check_stays_one_when_details_are_no_objects(details: object) -> None:
    error = the_error(a_reply({"code": 9, "message": None, "details": details}, 400), CHECK)

    assert isinstance(error, PeerDBPreconditionFailed)
    assert error.violations == ()


@pytest.mark.parametrize(
    "reply",
    [
        a_refusal(404, 5, "Not Found"),
        a_refusal(501, 12, "Method Not Allowed"),
        Reply(404, "text/html", HTML),
        Reply(200, "text/html", HTML),
        Reply(308, None, b"/x"),
        Reply(405, None, b""),
    ],
)
def test_a_wrong_address_comes_with_a_hint_on_the_right_one(reply: Reply) -> None:
    words = str(the_error(reply, LIST))

    assert "PEERDB_URL" in words
    assert "/api" in words


@pytest.mark.parametrize("reply", [Reply(307, None, b"/x"), Reply(403, None, b""), a_refusal(401, 16, "no identity")])
def test_a_wrong_password_comes_with_a_hint_where_to_set_it(reply: Reply) -> None:
    assert "PEERDB_PASSWORD_FILE" in str(the_error(reply, LIST))


def test_a_refused_login_is_quoted_only_up_to_what_may_repeat_the_header() -> None:
    words = str(the_error(a_refusal(401, 16, "failed to parse authorization header: Basic OnNlY3JldA=="), LIST))

    assert "failed to parse authorization header" in words
    assert "OnNlY3JldA" not in words


def test_words_of_peerdb_are_quoted_on_one_line_and_trimmed() -> None:
    words = str(the_error(a_refusal(500, 13, "first\nsecond\u00a0third\x1b[0m " + "x" * 10_000), CHANGE))

    assert "first second third [0m xxx" in words
    assert "\n" not in words
    assert len(words) < 500
