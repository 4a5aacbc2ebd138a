"""Times as the API shows them (RFC 3339 in UTC) and as the product computes with them (seconds since the epoch).

Reads no clock. Two precisions: whole seconds where people and tools compare (``lastTransitionTime``), microseconds
where an age of seconds decides (the journal).
"""

from datetime import UTC, datetime, timedelta
from math import floor
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

_SECOND: Final = timedelta(seconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SCHEMA: Final = {"type": "string", "format": "date-time"}
_YEAR_1: Final = -62_135_596_800
_YEAR_9999: Final = 253_402_300_799


def parse_time(text: str) -> float:
    """Seconds since the epoch; raises ``ValueError`` for what is no RFC 3339 time with a zone.

    Fractions beyond microseconds are cut off.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time needs a zone, as in 2026-01-31T12:00:00Z")
    return (moment - _EPOCH) / timedelta(seconds=1)


def format_seconds(seconds: float) -> str:
    """``2026-01-31T12:00:00Z``: the second that is running at that time."""
    return _format(seconds // 1, "seconds")


def format_micros(seconds: float) -> str:
    """``2026-01-31T12:00:00.250000Z``; ``parse_time`` gives the same time back, to the microsecond."""
    return _format(seconds, "microseconds")


def _as_written(seconds: float) -> str:
    return format_micros(seconds) if seconds % 1 else format_seconds(seconds)


def _format(seconds: float, precision: str) -> str:
    moment = _EPOCH + timedelta(seconds=seconds)
    return moment.isoformat(timespec=precision).removesuffix("+00:00") + "Z"


def _to_micros(seconds: float) -> float:
    """As it comes back from the API server, so that what is written equals what is read; never later than given."""
    micros = floor(seconds * 1e6)
    rounded = timedelta(microseconds=micros) / _SECOND
    return rounded if rounded <= seconds else timedelta(microseconds=micros - 1) / _SECOND


def _from_wire(value: object) -> object:
    return parse_time(value) if isinstance(value, str) else value


_Time = Annotated[
    float, BeforeValidator(_from_wire), Field(strict=True, ge=_YEAR_1, le=_YEAR_9999), WithJsonSchema(_SCHEMA)
]
Seconds = Annotated[_Time, AfterValidator(floor), PlainSerializer(format_seconds)]
Micros = Annotated[_Time, AfterValidator(_to_micros), PlainSerializer(format_micros)]
AsWritten = Annotated[_Time, PlainSerializer(_as_written)]
"""Whole seconds, with a fraction only where another writer gave one."""
