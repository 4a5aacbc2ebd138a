"""Our models read everything a real PeerDB was recorded saying. Collected only where the recordings are."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from peerdb_operator.errors import PeerDBError, PeerDBNotFound
from peerdb_operator.peerdb.errors import Target, body_of
from peerdb_operator.peerdb.replies import (
    BatchesBody,
    InstanceBody,
    ListBody,
    LogsBody,
    StatusBody,
    TagsBody,
    VersionBody,
    Wire,
)
from peerdb_operator.peerdb.transport import Reply

FILES = sorted(Path(os.environ["PEERDB_TRANSCRIPTS"]).glob("*.jsonl"))
MODELS: dict[tuple[str, str], type[Wire]] = {
    ("POST", "mirrors/status"): StatusBody,
    ("GET", "mirrors/list"): ListBody,
    ("POST", "mirrors/logs"): LogsBody,
    ("POST", "mirrors/cdc/batches"): BatchesBody,
    ("GET", "flows/tags"): TagsBody,
    ("GET", "version"): VersionBody,
    ("GET", "instance/info"): InstanceBody,
}


def calls(file: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for line in file.read_text("utf-8").splitlines():
        row = json.loads(line)
        if row["kind"] == "call" and row["response"]["status"]:
            yield row["request"], row["response"]


def endpoint(request: dict[str, Any]) -> str:
    path: str = request["path"].partition("/v1/")[2].partition("?")[0]
    return "flows/tags" if path.startswith("flows/tags/") else path


def a_recorded_reply(response: dict[str, Any]) -> Reply:
    if "json" in response:
        return Reply(response["status"], "application/json", json.dumps(response["json"]).encode())
    return Reply(response["status"], response.get("content_type"), response["text"].encode())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_recorded_success_is_read_to_the_letter(file: Path) -> None:
    for request, response in calls(file):
        model = MODELS.get((request["method"], endpoint(request)))
        if model is None or response["status"] != 200 or "json" not in response:
            continue
        body = model.model_validate(body_of(a_recorded_reply(response), Target(endpoint(request))))
        if isinstance(body, StatusBody) and body.cdc_status is not None:
            recorded = response["json"]["cdcStatus"]["config"]
            assert body.cdc_status.config.raw == recorded
            assert [m.to_json() for m in body.cdc_status.config.tables] == recorded["tableMappings"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_recorded_refusal_becomes_an_error(file: Path) -> None:
    for request, response in calls(file):
        asked = request.get("json")
        name = asked.get("flowJobName") if isinstance(asked, dict) else None
        if response["status"] == 200:
            continue
        with pytest.raises(PeerDBError) as caught:
            body_of(a_recorded_reply(response), Target(endpoint(request), name))
        message = str(response.get("json", {}).get("message", ""))
        gone = response["status"] == 404 and bool(name) and message == f"flow {name} not found"
        assert (type(caught.value) is PeerDBNotFound) is gone


def test_the_recordings_hold_all_that_we_read() -> None:
    seen = {(request["method"], endpoint(request)) for file in FILES for request, _ in calls(file)}

    assert seen >= MODELS.keys()
