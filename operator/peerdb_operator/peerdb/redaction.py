"""Secrets in text that others wrote: messages and log rows of PeerDB, of its databases and of what is in front of it.

Recognises a secret by what is around it: the name of a field (``PGPASSWORD=``, ``"secret_key":``), the user part of a
URL, the header ``Authorization``, a ClickHouse function that takes credentials, the frame of a private key. A bare
value with none of these passes. In doubt a word too many is hidden, but ``key`` alone is no secret: users have to read
``Key (id)=(5) already exists``.
"""

import re
from collections.abc import Collection, Mapping
from typing import Final

HIDDEN: Final = "***"
LONGEST_READ: Final = 8192
"""Characters of a text that are searched; the remainder is dropped."""

_SHORTEST_VALUE: Final = 4
_LONG_VALUE: Final = 12
"""A value of this length is no part of an ordinary word."""

_WORDS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
_SECRET_NAME: Final = re.compile(
    r"""(?x)
    (?: (?: password | passwd | passphrase | secret | credential ) s? | pwd
      | (?: ^ | _ ) (?: pass | pw | token | jwt | sig | signature )
      | (?: access | auth | bearer | id | refresh | sas | security | session ) token
      | (?: access | account | api | auth | enc | encryption | master | private | secret | shared | signing ) _? keys?
    ) (?: _? (?: value | hash | new | old | text | base64 | \d+ ) )? $"""
)

_QUOTED: Final = r"""(?P<quote>\\*["'`])(?:(?P=quote){2}|(?!(?<!\\)(?P=quote)).)*(?:(?P=quote)|\Z)"""
"""To the closing quote, both of which may be escaped (JSON in JSON), or to the end of a text that was cut."""

_RULES: Final = tuple(
    (trigger, re.compile(pattern), shown)
    for trigger, pattern, shown in (
        ("private key", r"(?s)-----BEGIN [^-]*PRIVATE KEY[^-]*-----.*?(?:-----END [^-]*-----|\Z)", HIDDEN),
        # Go quotes a URL that it cannot parse.
        ("://", r"""(?s)(?<=["'`])([A-Za-z][\w+.-]*://)[^"'`]*@""", rf"\1{HIDDEN}@"),
        ("://", r"(://)\S{0,4000}[?&][\w.%-]+=[^\s&]*@[^\s&]*", rf"\1{HIDDEN}"),  # the @ may be a parameter's
        ("://", r"(://)\S{0,4000}@", rf"\1{HIDDEN}@"),
        # MySQL's own notation.
        ("@", r"""(?<![^\s/"'`=])[^\s:@/"'`=]+:\S{0,500}@(?=(?:tcp|unix)\()""", f"{HIDDEN}@"),
        ("cookie", r"(?i)\b((?:set-)?cookie[\"']?\s*[=:]\s*)[^\r\n]+", rf"\1{HIDDEN}"),
        (
            "authorization",
            rf"""(?isx) (\b authorization (?:\ header)? \\*["']? \]? \s*[=:]\s*)
            (?: {_QUOTED} | digest\b[^\r\n]* | (?:[a-z][\w-]*\s+)? \S+ )""",
            rf"\1{HIDDEN}",
        ),
        ("bearer", r"(?i)\b(bearer\s+)(?=[\w.~+/=-]*\d)[\w.~+/=-]{8,}", rf"\1{HIDDEN}"),
        ("eyj", r"\beyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)?", HIDDEN),  # a JSON web token
        # CREATE USER
        ("password", rf"(?is)\b(password\s+){_QUOTED}", rf"\1{HIDDEN}"),
        ("identified", rf"(?is)\b(identified\s+(?:with\s+\w+\s+)?by\s+){_QUOTED}", rf"\1{HIDDEN}"),
        (
            "(",
            r"""(?isx) \b
            ( (?: s3(?:cluster)? | gcs | azureblobstorage | mysql | postgresql | mongodb | remote(?:secure)? )
              \s* \( \s* '[^']*' \s* , \s*
            ) [^)]*""",
            rf"\1{HIDDEN}",
        ),
    )
)
"""Text in lower case without which a pattern is not tried (most messages hold no secret), pattern, replacement."""

_FIELD: Final = re.compile(
    r"""(?ix) (?<![\w.-]) (?: (?P<name> (?:api|access|secret)\ key | [\w.-]+ ) \\*["'`]? \]?
    \s* (?: => | := | == | [=:] | %3[ad] ) \s*
    | (?P<option> --?[a-z][\w-]* ) \s+ (?!-) )"""
)
_VALUE: Final = re.compile(
    rf"""(?isx) {_QUOTED} [^\s,;&)\]}}]*
    | [\[{{(] [^\]}})]* [\]}})]?
    | (?: (?:basic|bearer|token) \s+ )? \S+ (?: [^;=\r\n"']{{1,200}} (?= ; \s* \w [\w ]* = ) )?"""
)
_FIELD_TRIGGER: Final = re.compile("pass|pw|secret|credential|token|jwt|sig|key")
_CUT_OFF: Final = re.compile(r"""(?<!\S)\S*[:=@"'`]\S*\Z""")
"""A last word that may be a URL without its end: it would not be recognised as one with a password."""
_VALUE_AFTER: Final = {"?": re.compile(r"[^\s&]+"), "&": re.compile(r"[^\s&]+"), ";": re.compile(r"[^;]+")}


def names_a_secret(name: str) -> bool:
    """Whether a field, setting or variable of this name holds a secret; the end of the name decides."""
    return _SECRET_NAME.search("_".join(_WORDS.split(name)).lower()) is not None


def secret_values(settings: Mapping[str, str]) -> frozenset[str]:
    """The values of those settings whose names say that they are secrets."""
    return frozenset(value for key, value in settings.items() if names_a_secret(key) and len(value) >= _SHORTEST_VALUE)


def without(text: str, values: Collection[str]) -> str:
    """``text`` with each of these values hidden: a long one anywhere, a short one where it is a word of its own."""
    for value in sorted(values, key=lambda value: (-len(value), value)):
        if len(value) >= _LONG_VALUE:
            text = text.replace(value, HIDDEN)
        elif value in text:
            text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", HIDDEN, text)
    return text


def redacted(text: str) -> str:
    """``text`` with what looks like a secret replaced by ``***``."""
    if len(text) > LONGEST_READ:
        text = _CUT_OFF.sub("", text[:LONGEST_READ])
    lower = text.lower()
    for trigger, pattern, shown in _RULES:
        if trigger in lower:
            text = pattern.sub(shown, text)
    return _without_fields(text) if _FIELD_TRIGGER.search(lower) else text


def _without_fields(text: str) -> str:
    shown, done = [], 0
    found = _FIELD.search(text)
    while found is not None:
        end = found.end()
        if names_a_secret(found["name"] or found["option"]):
            before = "" if text.startswith(("'", '"', "`"), end) else text[found.start() - 1 : found.start()]
            value = _VALUE_AFTER.get(before, _VALUE).match(text, end)
            if value is not None:
                shown += [text[done:end], HIDDEN]
                done = end = value.end()
        found = _FIELD.search(text, end)
    return "".join([*shown, text[done:]])


def one_line(text: str, limit: int = 300) -> str:
    """A foreign text, fit to be shown: one line, at most ``limit`` characters, scrubbed of apparent secrets."""
    shown = " ".join("".join(c if c.isprintable() else " " for c in redacted(text)).split())
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"
