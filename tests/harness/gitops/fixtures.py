"""The objects in ``testdata``: how a live Mirror becomes one of them, and how they are read and written.

Owns what is masked, so that two dumps of the same state are equal: times, uids, versions, the namespace, addresses,
fingerprints and seconds told in a message. The states and how a mirror gets into them are in the end-to-end tests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml

Object = dict[str, Any]

HEADER = "# Dumped from a run against a real API server; do not edit.\n# Renew with: make fixtures\n"
TIME = "2026-01-01T00:00:00Z"
UID = "00000000-0000-4000-8000-000000000001"
NAMESPACE = "data"
ADDRESS = "http://peerdb.data.svc:8113"

_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ADDRESS = re.compile(r"https?://127\.0\.0\.1:\d+[^\s\"',;)]*")
_SECONDS = re.compile(r"\b\d+(\.\d+)? s\b")
_NUMBER = re.compile(r"\d+")
_FINGERPRINTS = {"id": "0001", "from": "0" * 16, "to": "f" * 16}


def normalised(obj: Mapping[str, Any], namespace: str) -> Object:
    """A live object with everything masked that another run would show otherwise."""
    metadata = {key: value for key, value in obj["metadata"].items() if key not in ("managedFields", "resourceVersion")}
    whole = {**obj, "metadata": {**metadata, "resourceVersion": "1", "uid": UID}}
    masked = cast("Object", _masked(whole, re.compile(rf"\b{re.escape(namespace)}\b")))
    operation = masked.get("status", {}).get("operation")
    if operation is not None:
        operation.update({key: mask for key, mask in _FINGERPRINTS.items() if key in operation})
    return masked


def shape(obj: Mapping[str, Any]) -> Object:
    """What a state is known by: identity, wish and conditions; numbers in messages and the journal left out."""
    status = {
        **obj["status"],
        "conditions": [
            {**each, "message": _NUMBER.sub("0", each["message"])} for each in obj["status"].get("conditions", [])
        ],
    }
    kept = ("observedGeneration", "mirrorName", "state", "conditions")
    metadata = {key: obj["metadata"].get(key) for key in ("name", "generation", "deletionTimestamp", "finalizers")}
    return {"metadata": metadata, "spec": obj["spec"], "status": {key: status.get(key) for key in kept}}


def read(path: Path) -> Object:
    """An object of ``testdata``."""
    found: Object = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def write(path: Path, obj: Mapping[str, Any]) -> None:
    """Make or renew an object of ``testdata``."""
    body = yaml.safe_dump(dict(obj), sort_keys=True, width=120, allow_unicode=True)
    path.write_text(HEADER + body, encoding="utf-8")


def _masked(value: object, namespace: re.Pattern[str]) -> object:
    if isinstance(value, Mapping):
        return {key: _masked(inner, namespace) for key, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner, namespace) for inner in value]
    if not isinstance(value, str):
        return value
    text = _ADDRESS.sub(ADDRESS, _UID.sub(UID, _TIME.sub(TIME, value)))
    return namespace.sub(NAMESPACE, _SECONDS.sub("1 s", text))


def is_time(text: str) -> bool:
    """Whether it is a time as Kubernetes writes them."""
    return _TIME.fullmatch(text) is not None
