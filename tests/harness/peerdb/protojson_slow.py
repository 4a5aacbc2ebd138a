"""protojson's decoder token by token, for its exact refusals (protobuf-go v1.36 encoding/protojson/decode.go).

Errors name line and column (in characters, from 1) of the offending token; the text between ``proto:`` and what
follows is a no-break space or a blank, depending on the build: here a no-break space.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import NamedTuple, NoReturn, cast

from tests.harness.peerdb.gojson import BLANKS, CodecError, first_value
from tests.harness.peerdb.schema import Field, Message

Decoded = dict[str, object]

NUMBER = re.compile(rb"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
WORD = re.compile(rb"true|false|null")
STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
EXACT_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
BITS = {"int32": 31, "uint32": 32, "int64": 63, "uint64": 64}
LONGEST_EXPONENT = 30


class Token(NamedTuple):
    """A token: its first character tells the kind; ``at`` is its offset."""

    at: int
    raw: bytes

    @property
    def kind(self) -> str:
        """``{``, ``}``, ``[``, ``]``, ``"``, ``0`` for a number, else the word."""
        head = self.raw[:1].decode("latin-1")
        if head in '{}[]"':
            return head
        return self.raw.decode() if head.isalpha() else "0"


class _Reader:
    def __init__(self, text: bytes) -> None:
        self.text = text
        self.at = 0

    def position(self, at: int) -> str:
        before = self.text[:at]
        line = before.count(b"\n") + 1
        column = len(before.rpartition(b"\n")[2].decode("utf-8", "replace")) + 1
        return f"(line {line}:{column})"

    def refuse(self, token: Token, text: str) -> NoReturn:
        raise CodecError(f"proto:\u00a0{self.position(token.at)}: {text}")

    def syntax(self, at: int, text: str) -> NoReturn:
        raise CodecError(f"proto:\u00a0syntax error {self.position(at)}: {text}")

    def unexpected(self, token: Token) -> NoReturn:
        self.syntax(token.at, f"unexpected token {self.raw(token)}")

    def raw(self, token: Token) -> str:
        return token.raw.decode("utf-8", "replace")

    def peek(self) -> Token:
        at = self.at
        while self.text[at] in BLANKS or self.text[at] in b",:":
            at += 1
        char = self.text[at : at + 1]
        if char in {b"{", b"}", b"[", b"]"}:
            return Token(at, char)
        found = (STRING if char == b'"' else WORD if char.isalpha() else NUMBER).match(self.text, at)
        if found is None:
            self.syntax(at, f"invalid value {char.decode('latin-1')}")
        if char == b'"':
            self.check_utf8(at, found.group())
        return Token(at, found.group())

    def check_utf8(self, at: int, raw: bytes) -> None:
        try:
            raw.decode()
        except UnicodeDecodeError:
            self.syntax(at, "invalid UTF-8 in string")

    def read(self) -> Token:
        token = self.peek()
        self.at = token.at + len(token.raw)
        if token.kind == '"':
            self.text_of(token)
        return token

    def text_of(self, token: Token) -> str:
        """The value of a string token; a broken surrogate pair is refused in protojson's way."""
        out, inner, at = [], token.raw[1:-1], 0
        while at < len(inner):
            if inner[at : at + 1] != b"\\":
                end = inner.find(b"\\", at)
                end = len(inner) if end < 0 else end
                out.append(inner[at:end].decode())
                at = end
            elif inner[at + 1 : at + 2] == b"u":
                char, at = self.escaped(token, inner, at)
                out.append(char)
            else:
                out.append({"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}.get(
                    chr(inner[at + 1]), chr(inner[at + 1])))  # fmt: skip
                at += 2
        return "".join(out)

    def escaped(self, token: Token, inner: bytes, at: int) -> tuple[str, int]:
        first = int(inner[at + 2 : at + 6], 16)
        at += 6
        if not 0xD800 <= first <= 0xDFFF:
            return chr(first), at
        rest = self.text[token.at + 1 + at :]
        if len(rest) < 6:
            msg = "proto:\u00a0unexpected EOF"
            raise CodecError(msg)
        second = int(rest[2:6], 16) if re.fullmatch(rb"\\u[0-9a-fA-F]{4}", rest[:6]) else 0
        if first > 0xDBFF or not 0xDC00 <= second <= 0xDFFF:
            escape = rest[:6].decode("latin-1").replace("\\", "\\\\").replace('"', '\\"')
            self.syntax(token.at, f'invalid escape code "{escape}" in string')
        return chr(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)), at + 6

    def skip(self) -> None:
        token = self.read()
        if token.kind in "{[":
            closing = {"{": "}", "[": "]"}[token.kind]
            while self.peek().kind != closing:
                self.skip()
            self.read()

    # -- values --------------------------------------------------------------------------------------------------

    def message(self, message: Message) -> Decoded:
        opening = self.read()
        if opening.kind != "{":
            self.unexpected(opening)
        found: Decoded = {}
        seen: set[str] = set()
        oneofs: set[str] = set()
        while (name := self.read()).kind != "}":
            field = message.fields.get(self.text_of(name))
            if field is None:
                self.skip()
                continue
            if field.json in seen:
                self.refuse(name, f"duplicate field {self.raw(name)}")
            seen.add(field.json)
            if self.peek().kind == "null":
                self.read()
                continue
            if field.oneof is not None and field.oneof in oneofs:
                self.refuse(name, f"error parsing {self.raw(name)}, oneof {field.oneof} is already set")
            oneofs.add(field.oneof or "")
            value = self.field(field)
            if value not in (None, [], {}) or (field.kind == "message" and not field.repeated):
                found[field.json] = value
        return found

    def field(self, field: Field) -> object:
        if field.repeated:
            return self.items(field)
        if field.kind == "map":
            return self.map()
        return self.single(field)

    def single(self, field: Field) -> object:
        return self.message(cast("Message", field.message)) if field.kind == "message" else self.scalar(field)

    def items(self, field: Field) -> object:
        opening = self.read()
        if opening.kind != "[":
            self.unexpected(opening)
        found = []
        while self.peek().kind != "]":
            value = self.single(field)
            if value is not None:
                found.append(value)
        self.read()
        return found

    def map(self) -> object:
        opening = self.read()
        if opening.kind != "{":
            self.unexpected(opening)
        found: dict[str, str] = {}
        while (name := self.read()).kind != "}":
            key = self.text_of(name)
            if key in found:
                self.refuse(name, f"duplicate map key {self.raw(name)}")
            found[key] = cast("str", self.scalar(Field("value", "string")))
        return found

    def scalar(self, field: Field) -> object:
        token = self.read()
        value: object = None
        if field.kind == "string" and token.kind == '"':
            return self.text_of(token)
        if field.kind == "bool" and token.kind in {"true", "false"}:
            return token.kind == "true"
        if field.kind == "enum":
            if token.kind == '"':
                return field.enum.get(self.text_of(token))
            value = integer(self.raw(token), "int32") if token.kind == "0" else None
        elif field.kind in BITS and token.kind in {"0", '"'}:
            value = integer(self.text_of(token) if token.kind == '"' else self.raw(token), field.kind)
        if value is None:
            self.refuse(token, f"invalid value for {field.kind} field {field.json}: {self.raw(token)}")
        return value


def integer(text: str, kind: str) -> int | None:
    """A JSON number (``1``, ``1.0``, ``1e3``) as an integer of that kind, or None."""
    if EXACT_NUMBER.fullmatch(text) is None:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    if abs(number.adjusted()) > LONGEST_EXPONENT or number != number.to_integral_value():
        return None
    value = int(number)
    low = 0 if kind.startswith("u") else -(2 ** BITS[kind])
    return value if low <= value < 2 ** BITS[kind] else None


def decode(body: bytes, message: Message) -> Decoded:
    """Read the first JSON value of a body; raises CodecError."""
    text = first_value(body)
    return {} if text is None else _Reader(text).message(message)
