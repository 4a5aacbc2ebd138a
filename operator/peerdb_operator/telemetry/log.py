"""Log lines: one JSON object or one line of text per record, to standard error; kopf's lines too.

The message says what happened, ``extra`` has the facts: ``{"object": {"namespace": …, "name": …, "uid": …},
"generation": …}``. The caller makes sure that no fact is a secret.
"""

import logging
import sys
from typing import Any, TextIO

from pythonjsonlogger.json import JsonFormatter

from peerdb_operator.api.text import on_one_line
from peerdb_operator.settings import LogFormat, LogLevel
from peerdb_operator.telemetry.trace import Tracer

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_QUIET = {
    "kopf": logging.WARNING,  # its starts and stops; what goes wrong stays visible
    "kopf.objects": logging.WARNING,  # a line "Handler … succeeded" for each event
    "kopf._core.reactor.running": logging.CRITICAL,  # tracebacks of an end that the process reports itself
    "kopf._core.reactor.orchestration": logging.CRITICAL,
    "aiohttp.access": logging.WARNING,
    "httpx": logging.WARNING,  # a line for each request
    "httpcore": logging.WARNING,
    "asyncio": logging.WARNING,
    "opentelemetry.exporter": logging.ERROR,  # a line for each try to send a batch; that it is lost stays visible
}

REPEAT_SECONDS = 600.0
"""A line of OpenTelemetry that is repeated within so long is dropped."""


class KopfFacts(logging.Filter):
    """Turns the extra fields of kopf's records into the fields that our records have."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always True; changes the record."""
        facts = vars(record)
        for name in ("k8s_skip", "settings"):
            facts.pop(name, None)
        reference = facts.pop("k8s_ref", None)
        if isinstance(reference, dict):
            facts["object"] = {key: reference[key] for key in ("namespace", "name", "uid") if key in reference}
        return True


class SdkLines(logging.Filter):
    """Drops repeated lines of OpenTelemetry, and hides the headers to the collector."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, str], float] = {}

    @property
    def remembered(self) -> int:
        """How many lines it knows."""
        return len(self._said)

    def filter(self, record: logging.LogRecord) -> bool:
        """False for a repetition; changes a record that shows a header, which may hold a key."""
        if not record.name.startswith("opentelemetry.") or record.levelno <= logging.DEBUG:
            return True
        if record.name == "opentelemetry.util.re":
            record.args = ("(not shown)",)
        line, now = (record.name, str(record.msg)), record.created
        self._said = {each: at for each, at in self._said.items() if now - at <= REPEAT_SECONDS}
        is_new = line not in self._said
        self._said[line] = now
        return is_new


class OneLine(logging.Filter):
    """Escapes unprintable characters: text of PeerDB or of a spec can neither forge a line nor control a terminal."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always True; changes the record."""
        facts = {key: on_one_line(text) for key, text in vars(record).items() if _is_text(key, text)}
        vars(record).update(facts, msg=on_one_line(record.getMessage()), args=())
        return True


def _is_text(key: str, value: object) -> bool:
    return isinstance(value, str) and key not in _STANDARD


class TraceIds(logging.Filter):
    """Adds ``trace_id`` and ``span_id`` to a record that is made within a trace."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()
        self._tracer = tracer

    def filter(self, record: logging.LogRecord) -> bool:
        """Always True; changes the record."""
        vars(record).update(self._tracer.ids())
        return True


def log_traces(tracer: Tracer) -> None:
    """From now on every line within a trace carries ``trace_id`` and ``span_id``."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(TraceIds(tracer))


def configure_logging(shape: LogFormat, level: LogLevel, stream: TextIO | None = None) -> None:
    """Replace all handlers of the root logger; kopf's chatter shows at level debug only."""
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(_json_formatter() if shape is LogFormat.JSON else TextFormatter())
    handler.addFilter(KopfFacts())
    handler.addFilter(SdkLines())
    handler.addFilter(OneLine())
    logging.basicConfig(handlers=[handler], level=level.value.upper(), force=True)
    for name, quiet in _QUIET.items():
        logging.getLogger(name).setLevel(logging.NOTSET if level is LogLevel.DEBUG else quiet)


def _json_formatter() -> JsonFormatter:
    return JsonFormatter(
        "{message}{levelname}{name}",
        style="{",
        rename_fields={"levelname": "level", "name": "logger"},
        timestamp=True,
        json_ensure_ascii=False,
    )


class TextFormatter(logging.Formatter):
    """``12:00:01 INFO  data/orders: paused the mirror (generation=3)``: for people who watch a terminal."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S")

    def formatException(self, ei: Any) -> str:  # noqa: ANN401, N802 - the signature of the method it refines
        """The traceback, indented, with unprintable characters escaped."""
        return "\n".join(f"  {on_one_line(line)}" for line in super().formatException(ei).split("\n"))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name of the method it refines
        """The object, the message, then the other fields in parentheses."""
        facts: dict[str, Any] = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        subject = facts.pop("object", {})
        shown = logging.makeLogRecord(vars(record))
        where = "/".join(str(subject[key]) for key in ("namespace", "name") if key in subject) or subject.get("uid")
        behind = " ".join(f"{key}={value}" for key, value in facts.items())
        shown.message = (f"{where}: " if where else "") + record.getMessage() + (f" ({behind})" if behind else "")
        return super().formatMessage(shown)
