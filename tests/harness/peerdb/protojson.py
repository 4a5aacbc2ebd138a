"""Reading a request body as grpc-gateway does: protobuf's JSON mapping with unknown fields discarded.

``decode`` has a quick way for the ordinary body and an exact one (``protojson_slow``) for everything else: whatever the
quick way does not understand is read again by the exact one, which alone finds the words of a refusal.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final, cast

from tests.harness.peerdb import protojson_slow
from tests.harness.peerdb.schema import Field, Message

Decoded = dict[str, object]

LIMITS: Final[Mapping[str, tuple[int, int]]] = {
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
}


class _NotPlain(Exception):  # noqa: N818  # it is a signal between two ways of reading, not an error
    """The quick way gives up."""


class _Pairs(list[tuple[str, object]]):
    """A JSON object with its order and its doubles."""


def _give_up(_text: str) -> object:
    raise _NotPlain


_READER: Final = json.JSONDecoder(object_pairs_hook=_Pairs, parse_float=_give_up, parse_constant=_give_up)


def decode(body: bytes, message: Message) -> Decoded:
    """The set fields of a body under their camelCase names; enums as numbers, unset fields absent.

    Raises gojson.CodecError with the text that the gateway would put in its 400 code 3.
    """
    if not body:
        return {}
    try:
        text = body.decode()
        if "\\u" in text:
            return protojson_slow.decode(body, message)
        value, _end = _READER.raw_decode(text.lstrip(" \t\r\n"))
        return _message(value, message)
    except (ValueError, RecursionError, _NotPlain):
        return protojson_slow.decode(body, message)


def _message(value: object, message: Message) -> Decoded:
    if not isinstance(value, _Pairs):
        raise _NotPlain
    found: Decoded = {}
    seen: set[str] = set()
    oneofs: set[str] = set()
    for name, item in value:
        if name.startswith("["):
            raise _NotPlain
        field = message.fields.get(name)
        if field is None:
            continue
        if field.json in seen:
            raise _NotPlain
        seen.add(field.json)
        if item is None:
            continue
        if field.oneof is not None:
            if field.oneof in oneofs:
                raise _NotPlain
            oneofs.add(field.oneof)
        read = _field(item, field)
        if read is not None:
            found[field.json] = read
    return found


def _field(item: object, field: Field) -> object:
    if field.repeated:
        if type(item) is not list:
            raise _NotPlain
        read = [_single(one, field) for one in item]
        return [one for one in read if one is not None] or None
    if field.kind == "map":
        return _map(item)
    return _single(item, field)


def _map(item: object) -> object:
    if not isinstance(item, _Pairs):
        raise _NotPlain
    found = dict(item)
    if len(found) != len(item) or not all(type(one) is str for one in found.values()):
        raise _NotPlain
    return found or None


def _single(item: object, field: Field) -> object:
    return (
        _message(item, cast("Message", field.message)) if field.kind == "message" else _SCALARS[field.kind](item, field)
    )


def _string(item: object, _field: Field) -> object:
    if type(item) is not str:
        raise _NotPlain
    return item


def _bool(item: object, _field: Field) -> object:
    if type(item) is not bool:
        raise _NotPlain
    return item


def _integer(item: object, field: Field) -> object:
    if type(item) is str and item.isascii() and item.isdigit() and (item[0] != "0" or item == "0"):
        item = int(item)
    low, high = LIMITS[field.kind]
    if type(item) is not int or not low <= item <= high:
        raise _NotPlain
    return item


def _enum(item: object, field: Field) -> object:
    if type(item) is str:
        return field.enum.get(item)
    if type(item) is not int or not LIMITS["int32"][0] <= item <= LIMITS["int32"][1]:
        raise _NotPlain
    return item


_SCALARS: Final[Mapping[str, Callable[[object, Field], object]]] = {
    "string": _string,
    "bool": _bool,
    "enum": _enum,
    **dict.fromkeys(LIMITS, _integer),
}
