"""Every number that can be set reaches the decisions that rest on it."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from peerdb_operator.mirror.rules.limits import Limits
from peerdb_operator.mirror.tuning import limits_of
from peerdb_operator.settings import Settings
from tests.unit.controllers.stage import Stage, a_settled_stage, a_spec

LIMITS = {
    "tick_seconds": "tick",
    "pausing_look_seconds": "requeue_short",
    "transition_look_seconds": "requeue_first",
    "config_sample_seconds": "sample",
    "outage_quiet_seconds": "outage_quiet",
    "outage_unknown_seconds": "outage_unknown",
    "deadline_pausing_seconds": "deadline_pausing",
    "deadline_setup_seconds": "deadline_setup",
    "deadline_modifying_seconds": "deadline_modifying",
    "deadline_terminating_seconds": "deadline_terminating",
    "deadline_snapshot_seconds": "deadline_snapshot",
    "brake_drops": "brake_drops",
    "brake_seconds": "brake_window",
}
ELSEWHERE = {
    "concurrency",
    "long_concurrency",
    "precheck_concurrency",
    "anti_entropy_seconds",
    "phase_quiet_seconds",
    "progress_write_seconds",
    "drain_seconds",
    "health_port",
    "metrics_port",
}
"""Numbers that are used by the process, or by the writer of status."""


def the_settings(**numbers: float) -> Settings:
    return Settings(peerdb_url="http://peerdb.test", **numbers)  # type: ignore[arg-type]  # by name, as users do


@pytest.mark.parametrize(("setting", "limit"), LIMITS.items())
def test_a_limit_is_what_its_setting_says_when_it_is_set(setting: str, limit: str) -> None:
    usual = limits_of(the_settings())

    changed = limits_of(the_settings(**{setting: 42}))

    assert changed == replace(usual, **{limit: 42})
    assert changed != usual


def test_the_settings_defaults_are_those_of_the_limits_when_nothing_is_set() -> None:
    assert limits_of(the_settings()) == Limits()


def test_no_number_is_forgotten_when_a_setting_is_added() -> None:
    numbers = {name for name, field in Settings.model_fields.items() if type(field.default) in {int, float}}

    assert numbers == LIMITS.keys() | ELSEWHERE
    assert set(LIMITS.values()) <= {field.name for field in fields(Limits)}


def a_long_copy(seconds: float, *, phase_quiet: float = 2.0, progress_write: float = 30.0) -> Stage:
    """A stage whose mirror has been copying an added table for so long."""
    stage = a_settled_stage(
        "a",
        knobs={"t_add": 100.0, "partitions": 50},
        phase_quiet_seconds=phase_quiet,
        progress_write_seconds=progress_write,
    )
    stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    stage.follow(5.0)
    stage.cluster.record.clear()
    stage.follow(seconds)
    return stage


@pytest.mark.parametrize(("seconds", "reason"), [(2.0, "AddingTables"), (50.0, "Editing")])
def test_a_phase_is_told_when_it_has_lasted_as_long_as_was_set(seconds: float, reason: str) -> None:
    stage = a_long_copy(5.0, phase_quiet=seconds)

    assert stage.condition() == ("Unknown", reason)


@pytest.mark.parametrize(("seconds", "least", "most"), [(5.0, 8, 13), (30.0, 1, 3)])
def test_progress_is_told_as_often_as_was_set(seconds: float, least: int, most: int) -> None:
    stage = a_long_copy(60.0, progress_write=seconds)

    assert least <= len(stage.writes()) <= most
