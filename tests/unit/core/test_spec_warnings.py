"""What a Mirror says without effect, in words that say what to do."""

from __future__ import annotations

from peerdb_operator.api.reasons import WarningReason
from peerdb_operator.mirror.rules.spec_warnings import spec_warnings


def test_a_value_of_the_annotation_that_means_nothing_is_named_with_the_one_that_does() -> None:
    for value in ("Disabled", "", "true"):
        [found] = spec_warnings(value, ())
        assert found.reason is WarningReason.UNKNOWN_ANNOTATION_VALUE
        assert f'peerdb.io/reconcile is "{value}", which changes nothing' in found.message
        assert 'write "disabled" to stop that' in found.message


def test_a_long_value_is_cut() -> None:
    [found] = spec_warnings("x" * 250_000, ())
    assert len(found.message) < 400


def test_settings_that_peerdb_does_not_list_are_named() -> None:
    names = [f"PEERDB_{number}" for number in range(7)]
    [found] = spec_warnings(None, names)
    assert found.reason is WarningReason.UNKNOWN_SETTING
    assert "PEERDB_0, PEERDB_1, PEERDB_2, PEERDB_3, PEERDB_4 and 2 more" in found.message
