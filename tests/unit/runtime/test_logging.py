"""The shape of log lines."""

import io
import json
import logging
from collections.abc import Iterator

import kopf
import pytest

from peerdb_operator.runtime.logging import configure_logging
from peerdb_operator.settings import LogFormat, LogLevel

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


def test_lines_below_the_level_are_not_written() -> None:
    stream = lines(LogFormat.TEXT, LogLevel.WARNING)
    logging.getLogger("peerdb_operator.x").info("quiet")
    logging.getLogger("peerdb_operator.x").warning("loud")
    assert "quiet" not in stream.getvalue()
    assert "loud" in stream.getvalue()
