"""Go's encoding/json scanner: where a first JSON value ends, and in which words a malformed one is refused.

The gateway reads a body with ``json.Decoder`` before protojson sees it: text after the first value is ignored, a
syntax error is reported in encoding/json's words (Go 1.24 src/encoding/json/scanner.go).
"""

from __future__ import annotations

from collections.abc import Callable

BLANKS = b" \t\r\n"
DIGITS = b"0123456789"
HEX = b"0123456789abcdefABCDEF"
ESCAPES = b'bfnrt\\/"'
MAX_DEPTH = 10_000


class CodecError(Exception):
    """The text of a 400 code 3 for a body that cannot be read."""


class _Scanner:
    def __init__(self, body: bytes) -> None:
        self.body = body
        self.at = 0
        self.depth = 0

    def value(self) -> None:
        self.blanks()
        char = self.peek()
        if char == ord("{"):
            self.nested(self.object)
        elif char == ord("["):
            self.nested(self.array)
        elif char == ord('"'):
            self.string()
        elif char == ord("-") or char in DIGITS:
            self.number()
        elif char in b"tfn":
            self.literal({ord("t"): b"true", ord("f"): b"false", ord("n"): b"null"}[char])
        else:
            self.refuse("looking for beginning of value")

    def peek(self) -> int:
        if self.at >= len(self.body):
            msg = "unexpected EOF"
            raise CodecError(msg)
        return self.body[self.at]

    def blanks(self) -> None:
        while self.at < len(self.body) and self.body[self.at] in BLANKS:
            self.at += 1

    def refuse(self, context: str) -> None:
        raise CodecError(f"invalid character {quoted(self.peek())} {context}")

    def nested(self, inner: Callable[[], None]) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            msg = "exceeded max depth"
            raise CodecError(msg)
        self.at += 1
        inner()
        self.depth -= 1

    def object(self) -> None:
        self.blanks()
        if self.peek() == ord("}"):
            self.at += 1
            return
        while True:
            self.blanks()
            if self.peek() != ord('"'):
                self.refuse("looking for beginning of object key string")
            self.string()
            self.blanks()
            if self.peek() != ord(":"):
                self.refuse("after object key")
            self.at += 1
            self.value()
            if self.ends(ord("}"), "after object key:value pair"):
                return

    def array(self) -> None:
        self.blanks()
        if self.peek() == ord("]"):
            self.at += 1
            return
        while True:
            self.value()
            if self.ends(ord("]"), "after array element"):
                return

    def ends(self, closing: int, context: str) -> bool:
        self.blanks()
        char = self.peek()
        if char != closing and char != ord(","):
            self.refuse(context)
        self.at += 1
        return char == closing

    def string(self) -> None:
        self.at += 1
        while (char := self.peek()) != ord('"'):
            if char < 0x20:
                self.refuse("in string literal")
            self.at += 1
            if char == ord("\\"):
                self.escape()
        self.at += 1

    def escape(self) -> None:
        char = self.peek()
        if char == ord("u"):
            self.at += 1
            for _ in range(4):
                if self.peek() not in HEX:
                    self.refuse("in \\u hexadecimal character escape")
                self.at += 1
        elif char in ESCAPES:
            self.at += 1
        else:
            self.refuse("in string escape code")

    def digits(self, context: str) -> None:
        if self.peek() not in DIGITS:
            self.refuse(context)
        while self.at < len(self.body) and self.body[self.at] in DIGITS:
            self.at += 1

    def following(self, chars: bytes) -> bool:
        if self.at < len(self.body) and self.body[self.at] in chars:
            self.at += 1
            return True
        return False

    def number(self) -> None:
        self.following(b"-")
        if not self.following(b"0"):
            self.digits("in numeric literal")
        if self.following(b"."):
            self.digits("after decimal point in numeric literal")
        if self.following(b"eE"):
            self.following(b"+-")
            self.digits("in exponent of numeric literal")

    def literal(self, word: bytes) -> None:
        for char in word:
            if self.peek() != char:
                self.refuse(f"in literal {word.decode()} (expecting '{chr(char)}')")
            self.at += 1


def quoted(char: int) -> str:
    """A byte as Go's quoteChar prints it."""
    if char == ord("'"):
        return "'\\''"
    if char == ord('"'):
        return "'\"'"
    short = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 92: "\\\\"}
    if char in short:
        return f"'{short[char]}'"
    return f"'\\x{char:02x}'" if char < 0x20 or char == 0x7F else f"'{chr(char)}'"


def first_value(body: bytes) -> bytes | None:
    """The bytes of the first JSON value, or None where there are only blanks; raises CodecError."""
    scanner = _Scanner(body)
    scanner.blanks()
    start = scanner.at
    if start == len(body):
        return None
    try:
        scanner.value()
    except RecursionError:
        msg = "exceeded max depth"
        raise CodecError(msg) from None
    return body[start : scanner.at]
