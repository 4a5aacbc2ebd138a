"""The knobs: every way in which a test makes PeerDB slow, broken or old.

Owns names, types and meaning (``docs/simulator.md`` explains them for users); the modules that read a knob give it its
effect. A knob set is a value: ``patched`` makes the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

Seconds = float | tuple[float, float] | None
"""A fixed number of seconds, a range to draw from, or None for the measured range."""

Scope = bool | tuple[str, ...]
"""For every mirror (true), for none (false), or for the mirrors named."""

Times = bool | NonNegativeInt
"""For every request (true), for none (false), or for the next n requests."""


Share = Annotated[float, Field(ge=0.0, le=1.0)]
"""The share of the requests, 0 to 1, each drawn by itself."""


class Knobs(BaseModel):
    """All knobs at once. Unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    t_lag: Seconds = None
    t_react: Seconds = None
    t_stop: Seconds = None
    t_resume: Seconds = None
    t_boot: Seconds = None
    t_prepare: Seconds = None
    t_add: Seconds = None
    t_add_without_copy: Seconds = None
    t_remove: Seconds = None
    t_write: Seconds = None
    t_drop: Seconds = None
    t_close: Seconds = None
    t_flash: Seconds = None
    t_setup: Seconds = None
    t_snapshot: Seconds = None
    t_resync_drop: Seconds = None
    t_swap: Seconds = None
    t_validate: Seconds = None
    t_sync_drop: Seconds = None
    t_recreate: Seconds = None
    t_retag: Seconds = None
    t_retry: Seconds = None

    lose_next_signals: NonNegativeInt = 0
    update_race: Literal["random", "queue", "lose"] = "random"
    workers_down: bool = False
    temporal_down: bool = False
    maintenance: bool = False
    maintenance_run: bool = False
    failing_sync: bool = False
    traffic: Scope = False
    batch_seconds: PositiveFloat = 10.0
    failing_normalize: Scope = False
    partitions: PositiveInt = 1
    rows: NonNegativeInt = 50

    orphan: Scope = False
    wedged: Scope = False
    stuck_addition: Scope = False
    failing_addition: Scope = False
    stuck_removal: Scope = False
    stuck_drop: Scope = False
    peers_unreachable: Literal["none", "source", "destination"] = "none"
    normalise: dict[str, object] = {}

    reply_shape: Literal["empty", "ok"] = "empty"
    not_found_shape: Literal["404", "500"] = "404"
    version: str = "stable-v0.37.4"

    fault_path: str = ""
    oversize: Times = False
    bad_gateway: Times = False
    unavailable: Share = 0.0
    reset_before: Times = False
    reset_after: Times = False
    latency: float = 0.0
    ui_upstream_down: bool = False
    ui_secret: bool = True

    @model_validator(mode="after")
    def _ranges_are_ordered(self) -> Knobs:
        for name in type(self).model_fields:
            value = getattr(self, name)
            if name.startswith("t_") and value is not None:
                low, high = value if isinstance(value, tuple) else (value, value)
                if not 0 <= low <= high:
                    msg = f"{name} is {value}: give seconds >= 0, or a range [low, high]"
                    raise ValueError(msg)
        return self

    def patched(self, patch: Mapping[str, object]) -> Knobs:
        """These knobs with some of them replaced; raises pydantic.ValidationError naming a bad one."""
        return type(self).model_validate({**self.model_dump(), **patch})


def in_scope(scope: Scope, mirror: str) -> bool:
    """Whether a scoped knob is meant for this mirror."""
    return scope if isinstance(scope, bool) else mirror in scope
