"""The brake: so many drops in so many seconds."""

from peerdb_operator.controllers.brake import Brake


def test_the_next_drop_waits_until_the_oldest_counted_one_leaves_the_window() -> None:
    brake = Brake(2, 600.0)
    assert brake.wait("a", 0.0) == 0.0
    brake.record("a", 0.0)
    brake.record("b", 100.0)
    assert brake.wait("c", 150.0) == 450.0
    assert brake.wait("c", 600.0) == 0.0


def test_a_drop_that_was_sent_before_is_never_held() -> None:
    brake = Brake(1, 600.0)
    brake.record("a", 0.0)
    assert brake.wait("a", 1.0) == 0.0
    assert brake.wait("b", 1.0) == 599.0


def test_more_drops_than_allowed_are_waited_out_one_by_one() -> None:
    brake = Brake(1, 600.0)
    for at, uid in enumerate("abc"):
        brake.record(uid, float(at))
    assert brake.wait("d", 10.0) == 592.0


def test_a_brake_of_none_holds_everything() -> None:
    assert Brake(0, 600.0).wait("a", 0.0) == 600.0


def test_a_drop_that_was_not_taken_is_forgiven() -> None:
    brake = Brake(1, 600.0)
    brake.record("a", 0.0)
    brake.forgive("a")
    brake.forgive("nobody")
    assert brake.wait("b", 1.0) == 0.0


def test_a_wait_that_is_nearly_over_is_a_second() -> None:
    brake = Brake(1, 600.0)
    brake.record("a", 0.0)
    assert brake.wait("b", 599.9) == 1.0


def test_old_drops_are_let_go() -> None:
    brake = Brake(1, 600.0)
    brake.record("a", 0.0)
    brake.record("b", 700.0)
    assert brake.wait("c", 700.0) == 600.0
    assert brake.wait("c", 1300.0) == 0.0
