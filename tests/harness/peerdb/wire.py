"""How large a message is on the wire between gateway and server (protobuf encoding), for the 4 MiB limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

MESSAGE_LIMIT = 4 * 1024 * 1024


def size(value: object) -> int:
    """Encoded bytes of a decoded message. Every field number of these messages fits a one-byte tag or nearly so."""
    total = 0
    for item in cast("Mapping[str, object]", value).values():
        for one in item if isinstance(item, list) else [item]:
            total += _field(one)
    return total


def _field(item: object) -> int:
    match item:
        case bool():
            return 2 if item else 0
        case int():
            return 1 + varint(item) if item else 0
        case str():
            length = len(item.encode())
            return 1 + varint(length) + length if length else 0
        case Mapping():
            length = size(item)
            return 1 + varint(length) + length
        case _:
            return 0


def varint(number: int) -> int:
    """Bytes of a base-128 varint; negative numbers take ten."""
    return 10 if number < 0 else max((number.bit_length() + 6) // 7, 1)
