"""The error tree: as drawn, and with an answer for each class to "what now?"."""

import re
from collections.abc import Iterator

import pytest

from peerdb_operator import errors
from peerdb_operator.api.reasons import Reason
from peerdb_operator.errors import (
    InvalidSpec,
    KubeError,
    OperatorError,
    PeerDBError,
    PeerDBRejected,
    PeerDBUnavailable,
)


def every_class(root: type[OperatorError] = OperatorError) -> Iterator[type[OperatorError]]:
    """The tree as it is, in the order in which it is written down."""
    yield root
    for child in root.__subclasses__():
        yield from every_class(child)


def drawn_tree() -> dict[str, str | None]:
    """Class to parent, read from the drawing in the module's docstring."""
    parents: dict[str, str | None] = {}
    above: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    ((?:[│ ]   )*(?:├── |└── )?)([A-Z]\w+)  ", line)
        if found:
            depth = len(found[1]) // 4
            above[depth] = found[2]
            parents[found[2]] = above[depth - 1] if depth else None
    return parents


def test_the_drawing_shows_the_tree_when_a_class_is_added_or_moved() -> None:
    actual = {cls.__name__: cls.__base__.__name__ if cls.__base__ else "" for cls in every_class()}
    assert drawn_tree() == {**actual, "OperatorError": None}


def test_every_class_has_its_own_answer_when_it_is_a_leaf() -> None:
    leaves = [cls for cls in every_class() if not cls.__subclasses__()]
    assert len(leaves) > 10
    for cls in leaves:
        assert cls.__doc__
        assert cls.reason not in {OperatorError.reason, KubeError.reason}


@pytest.mark.parametrize(
    "error",
    [
        *(cls("x") for cls in every_class(PeerDBError) if cls is not PeerDBUnavailable),
        PeerDBUnavailable("x", sent=True),
        PeerDBUnavailable("x", sent=False, maintenance=True),
        PeerDBRejected("x", too_large=True),
        InvalidSpec("spec", "x"),
        OperatorError("x"),
    ],
    ids=lambda error: f"{type(error).__name__}-{error.reason}",
)
def test_the_reason_is_one_of_the_documented_when_it_can_reach_a_condition(error: OperatorError) -> None:
    assert error.reason in set(Reason)


def test_a_spec_error_names_field_problem_and_the_rest_when_it_is_shown() -> None:
    assert str(InvalidSpec("spec.state", "must be given")) == "spec.state: must be given"
    assert str(InvalidSpec("spec.state", "must be given", more=1)) == "spec.state: must be given (and 1 more problem)"
    error = InvalidSpec("spec.state", "must be given", more=2)
    assert error.message == "spec.state: must be given (and 2 more problems)"
    assert (error.field, error.problem, error.more) == ("spec.state", "must be given", 2)


def test_maintenance_is_told_apart_when_peerdb_cannot_be_asked() -> None:
    away = PeerDBUnavailable("connection refused", sent=False)
    assert (away.reason, away.slow, away.maintenance, away.sent) == ("PeerDBUnavailable", False, False, False)
    upgrade = PeerDBUnavailable("maintenance", sent=False, maintenance=True)
    assert (upgrade.reason, upgrade.slow, upgrade.maintenance) == ("Maintenance", True, True)


def test_a_refusal_for_size_has_its_own_reason_when_peerdb_says_so() -> None:
    assert PeerDBRejected("x", too_large=True).reason == "EditTooLarge"
    assert PeerDBRejected("x", too_large=True).too_large


def test_a_command_may_have_taken_effect_unless_a_class_rules_it_out() -> None:
    ruled_out = {cls.__name__ for cls in every_class(PeerDBError) if issubclass(cls, PeerDBError) and not cls.sent}
    assert ruled_out == {
        "PeerDBUnauthorized",
        "PeerDBMisconfigured",
        "PeerDBRejected",
        "PeerDBPreconditionFailed",
        "PeerDBNotFound",
    }
