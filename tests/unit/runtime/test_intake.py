"""The way of objects into the process."""

import pytest

from peerdb_operator.runtime.anti_entropy import WatchHandler
from peerdb_operator.runtime.queue import Urgency
from tests.unit.runtime.fakes import FakeController, a_body


def an_intake() -> tuple[WatchHandler, FakeController, list[tuple[str, Urgency]]]:
    woken: list[tuple[str, Urgency]] = []
    controller = FakeController()
    return WatchHandler(controller, lambda uid, urgency: woken.append((uid, urgency))), controller, woken


def test_what_the_first_list_holds_waits_behind_users_who_edit() -> None:
    watch_handler, controller, woken = an_intake()
    watch_handler.observed(None, a_body("u1", 1))
    watch_handler.listed()
    watch_handler.watched("MODIFIED", a_body("u2", 2))
    watch_handler.watched(None, a_body("u3", 3))
    assert woken == [("u1", Urgency.OBSERVE), ("u2", Urgency.EDIT), ("u3", Urgency.EDIT)]
    assert controller.was_listed


def test_only_what_the_watch_showed_counts_as_delivered() -> None:
    watch_handler, _, _ = an_intake()
    watch_handler.observed(None, a_body("u1", 9))
    assert watch_handler.delivered("u1") == 0
    watch_handler.watched("MODIFIED", a_body("u1", 8))
    assert watch_handler.delivered("u1") == 8


def test_nobody_comes_back_when_a_read_overtook_the_deletion() -> None:
    watch_handler, controller, woken = an_intake()
    watch_handler.watched("ADDED", a_body("u1", 5))
    watch_handler.watched("DELETED", a_body("u1", 6))
    woken.clear()
    watch_handler.observed(None, a_body("u1", 5))
    assert controller.versions == {}
    assert woken == []


def test_deletions_are_not_remembered_without_end() -> None:
    controller = FakeController()
    watch_handler = WatchHandler(controller, lambda *_: None, remembered_deletions=2)
    for uid in ("u1", "u2", "u3"):
        watch_handler.watched("DELETED", a_body(uid, 5))
        watch_handler.observed(None, a_body(uid, 4))
    watch_handler.observed(None, a_body("u1", 4))
    assert list(controller.versions) == ["u1"]


@pytest.mark.parametrize("how", ["deleted", "forgotten"])
def test_nothing_is_remembered_of_an_object_that_is_gone(how: str) -> None:
    watch_handler, _, _ = an_intake()
    watch_handler.watched("ADDED", a_body("u1", 5))
    if how == "deleted":
        watch_handler.watched("DELETED", a_body("u1", 6))
    else:
        watch_handler.forget("u1")
    assert watch_handler.delivered("u1") == 0
