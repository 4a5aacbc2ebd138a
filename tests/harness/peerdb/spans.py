"""How long things take: the named spans of simulated time and their ranges.

The ranges are those measured on a real PeerDB with small tables and local databases (95 % range); a knob replaces each.
Owns the table and the draw; who waits for a span is the affair of ``workflow`` and its neighbours.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from random import Random
from typing import Final


class Span(enum.Enum):
    """A stretch of simulated time; the value is the name of the knob that fixes it."""

    LAG = "t_lag"
    REACT = "t_react"
    STOP = "t_stop"
    RESUME = "t_resume"
    BOOT = "t_boot"
    PREPARE = "t_prepare"
    ADD = "t_add"
    ADD_WITHOUT_COPY = "t_add_without_copy"
    REMOVE = "t_remove"
    WRITE = "t_write"
    DROP = "t_drop"
    CLOSE = "t_close"
    FLASH = "t_flash"
    SETUP = "t_setup"
    SNAPSHOT = "t_snapshot"
    RESYNC_DROP = "t_resync_drop"
    SWAP = "t_swap"
    VALIDATE = "t_validate"
    SYNC_DROP = "t_sync_drop"
    RECREATE = "t_recreate"
    RETAG = "t_retag"
    RETRY = "t_retry"


DEFAULTS: Final[Mapping[Span, tuple[float, float]]] = {
    Span.LAG: (0.015, 0.12),
    Span.REACT: (0.04, 0.25),
    Span.STOP: (0.1, 9.7),
    Span.RESUME: (0.04, 0.15),
    Span.BOOT: (0.8, 1.1),
    Span.PREPARE: (0.02, 0.1),
    Span.ADD: (4.0, 5.5),
    Span.ADD_WITHOUT_COPY: (1.4, 2.0),
    Span.REMOVE: (0.18, 0.7),
    Span.WRITE: (0.01, 0.06),
    Span.DROP: (0.1, 0.65),
    Span.CLOSE: (0.0, 0.05),
    Span.FLASH: (0.06, 1.0),
    Span.SETUP: (0.5, 1.5),
    Span.SNAPSHOT: (3.5, 5.5),
    Span.RESYNC_DROP: (1.2, 1.8),
    Span.SWAP: (0.06, 0.14),
    Span.VALIDATE: (0.06, 0.27),
    Span.SYNC_DROP: (0.14, 0.45),
    Span.RECREATE: (0.04, 0.07),
    Span.RETAG: (0.01, 0.04),
    Span.RETRY: (15.0, 25.0),
}

FAILING_SYNC_STOP: Final = (0.04, 0.9)
"""A stop while the sync is in its error backoff: nothing has to be cancelled."""

RESTARTED_STOP: Final = (35.0, 56.0)
"""The first stop after a worker came back: the old sync's heartbeat has to time out first."""

STOP_MODE: Final = 7.6
"""Makes the triangular draw of STOP have the measured median of 6 s."""


def draw(span: Span, fixed: float | tuple[float, float] | None, rng: Random) -> float:
    """Seconds for this span: what the knob says (a number or a range), else the measured range."""
    if fixed is None:
        low, high = DEFAULTS[span]
        return rng.triangular(low, high, STOP_MODE) if span is Span.STOP else rng.uniform(low, high)
    if isinstance(fixed, tuple):
        return rng.uniform(*fixed)
    return fixed
