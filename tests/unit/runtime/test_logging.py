"""The shape of log lines."""

import io
import json
import logging
from collections.abc import Iterator

import kopf
import pytest

from peerdb_operator.settings import LogFormat, LogLevel
from peerdb_operator.telemetry.log import REPEAT_SECONDS, SdkLines, configure_logging
from peerdb_operator.telemetry.trace import open_tracer

OBJECT = {"namespace": "data", "name": "orders", "uid": "u1"}


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in list(logging.root.manager.loggerDict)}
    yield
    root.handlers[:], root.level = handlers, level
    for name in list(logging.root.manager.loggerDict):
        logging.getLogger(name).setLevel(levels.get(name, logging.NOTSET))


def lines(shape: LogFormat, level: LogLevel = LogLevel.INFO) -> io.StringIO:
    stream = io.StringIO()
    configure_logging(shape, level, stream)
    return stream


def test_facts_and_object_are_fields_when_lines_are_json() -> None:
    stream = lines(LogFormat.JSON)
    logging.getLogger("peerdb_operator.x").info("Paused %s", "it", extra={"object": OBJECT, "generation": 3})
    line = json.loads(stream.getvalue())
    assert line.pop("timestamp").endswith("+00:00")
    assert line == {
        "message": "Paused it",
        "level": "INFO",
        "logger": "peerdb_operator.x",
        "object": OBJECT,
        "generation": 3,
    }


def test_a_traceback_stays_on_one_line_when_lines_are_json() -> None:
    stream = lines(LogFormat.JSON)
    try:
        int("bug")
    except ValueError:
        logging.getLogger("peerdb_operator.x").exception("Oh")
    (line,) = stream.getvalue().splitlines()
    assert "ValueError: invalid literal" in json.loads(line)["exc_info"]


def test_the_object_comes_first_and_facts_last_when_lines_are_text() -> None:
    stream = lines(LogFormat.TEXT)
    logger = logging.getLogger("peerdb_operator.x")
    logger.info("Paused %s", "it", extra={"object": OBJECT, "generation": 3})
    logger.info("Gone", extra={"object": {"uid": "u1"}})
    logger.info("Started")
    ends = [line.split(maxsplit=2)[2] for line in stream.getvalue().splitlines()]
    assert ends == ["data/orders: Paused it (generation=3)", "u1: Gone", "Started"]


def test_kopf_s_chatter_is_silent_unless_level_is_debug() -> None:
    stream = lines(LogFormat.TEXT)
    logging.getLogger("kopf.objects").info("Handler 'see' succeeded.")
    logging.getLogger("httpx").info("HTTP Request: GET")
    assert stream.getvalue() == ""
    stream = lines(LogFormat.TEXT, LogLevel.DEBUG)
    logging.getLogger("kopf.objects").info("Handler 'see' succeeded.")
    assert "succeeded" in stream.getvalue()


def test_kopf_s_reference_becomes_our_object() -> None:
    stream = lines(LogFormat.JSON)
    reference = {"apiVersion": "peerdb.io/v1alpha1", "kind": "Mirror", **OBJECT}
    logging.getLogger("kopf.objects").warning(
        "Oh", extra={"k8s_ref": reference, "k8s_skip": True, "settings": kopf.OperatorSettings()}
    )
    line = json.loads(stream.getvalue())
    assert line["object"] == OBJECT
    assert set(line) == {"message", "level", "logger", "object", "timestamp"}


# -- OpenTelemetry ---------------------------------------------------------------------------------------------------

EXPORTER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"


def say(name: str, level: int, text: str, *args: object, at: float = 1000.0) -> None:
    """A line of a library at this time."""
    logger = logging.getLogger(name)
    if logger.isEnabledFor(level):
        record = logger.makeRecord(name, level, "it.py", 1, text, args, None)
        record.created = at
        logger.handle(record)


def an_outage(begin: float, seconds: int) -> None:
    """A collector that is away, as the exporter tells of it: each batch is tried for seven seconds."""
    for at in range(0, seconds, 12):
        for _ in range(3):
            say(EXPORTER, logging.WARNING, "Transient error %s, retrying in %.2fs.", "refused", 1.0, at=begin + at)
        say(EXPORTER, logging.ERROR, "Failed to export %s batch due to timeout.", "spans", at=begin + at)
        say("opentelemetry.sdk.trace", logging.WARNING, "Queue full, dropping %s.", "Span", at=begin + at)


@pytest.mark.parametrize("level", LogLevel)
def test_an_outage_of_the_trace_collector_says_itself_once(level: LogLevel) -> None:
    stream = lines(LogFormat.TEXT, level)
    an_outage(1000.0, 7200)
    said = stream.getvalue()
    assert said.count("Failed to export spans batch") == 1
    assert said.count("Queue full") == (level is not LogLevel.ERROR)
    assert said.count("Transient") == (level is LogLevel.DEBUG)


def test_the_next_outage_of_the_trace_collector_says_itself_again() -> None:
    stream = lines(LogFormat.TEXT)
    an_outage(1000.0, 600)
    an_outage(9000.0, 600)
    assert stream.getvalue().count("Failed to export spans batch") == 2


@pytest.mark.parametrize("level", [LogLevel.INFO, LogLevel.DEBUG])
def test_a_header_to_the_trace_collector_is_shown_at_no_level(level: LogLevel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "Bearer s3cret-value")
    stream = lines(LogFormat.TEXT, level)
    open_tracer("1.2.3").close()
    assert "Header format invalid" in stream.getvalue()
    assert "s3cret" not in stream.getvalue()


def test_what_the_trace_libraries_have_said_is_not_remembered_without_end() -> None:
    once = SdkLines()
    for at in range(0, 100_000, 100):
        record = logging.LogRecord(EXPORTER, logging.WARNING, "it.py", 1, f"trouble {at}", (), None)
        record.created = float(at)
        assert once.filter(record)
    assert once.remembered <= REPEAT_SECONDS / 100 + 1


@pytest.mark.parametrize("shape", LogFormat)
def test_a_message_cannot_forge_a_line_nor_paint_the_terminal(shape: LogFormat) -> None:
    stream = lines(shape)
    evil = "a\n12:00:00 ERROR   \x1b[31mall is lost\r\u2028b"
    logging.getLogger("peerdb_operator.x").info("PeerDB says: %s", evil, extra={"object": OBJECT, "said": evil})
    (line,) = stream.getvalue().splitlines()
    shown = "PeerDB says: a\\n12:00:00 ERROR   \\x1b[31mall is lost\\r\\u2028b"
    assert shown in (json.loads(line)["message"] if shape is LogFormat.JSON else line)
    assert line.isprintable()


def test_the_lines_of_a_traceback_cannot_be_taken_for_lines_of_the_log_when_lines_are_text() -> None:
    def fail() -> None:
        raise ValueError("oh\n12:00:00 ERROR   \x1b[31mall is lost")

    stream = lines(LogFormat.TEXT)
    try:
        fail()
    except ValueError:
        logging.getLogger("peerdb_operator.x").exception("Oh")
    first, *others = stream.getvalue().split("\n")
    assert first.endswith("ERROR   Oh")
    assert all(line.startswith("  ") for line in others if line)
    assert "  12:00:00 ERROR   \\x1b[31mall is lost" in others
