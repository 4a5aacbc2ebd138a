"""Reads the API server's audit log: who asked for what, so that tests can count reads and writes.

The log is written before a reply ends (blocking mode), so what a client has an answer for is in it. Owns also that the
logs outlive their control plane when somebody wants to judge them afterwards.
"""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

KEPT_VARIABLE = "CONTROL_PLANE_AUDIT_FOLDER"
"""Names a folder: every control plane that is started has an audit log, and leaves it there at its end."""

WRITE_VERBS = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclasses.dataclass(frozen=True, slots=True)
class AuditEvent:
    """One request; a field that does not apply is an empty string, `code` 0 while there is no reply yet."""

    at: str
    stage: str
    user: str
    user_agent: str
    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    uri: str

    @property
    def is_write(self) -> bool:
        """Whether the request asked for a change."""
        return self.verb in WRITE_VERBS


def parse_event(raw: dict[str, Any]) -> AuditEvent:
    """One line of the log (audit.k8s.io/v1 Event) as a value."""
    target = raw.get("objectRef") or {}
    return AuditEvent(
        at=raw.get("requestReceivedTimestamp", ""),
        stage=raw.get("stage", ""),
        user=(raw.get("user") or {}).get("username", ""),
        user_agent=raw.get("userAgent", ""),
        verb=raw.get("verb", ""),
        group=target.get("apiGroup", ""),
        resource=target.get("resource", ""),
        subresource=target.get("subresource", ""),
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        code=(raw.get("responseStatus") or {}).get("code", 0),
        uri=raw.get("requestURI", ""),
    )


def log_size(log: Path) -> int:
    """Bytes in the log; 0 when there is none."""
    return log.stat().st_size if log.exists() else 0


def keep_logs(directory: Path, folder: Path) -> None:
    """Move the audit logs of a control plane's directory, those continued in a new file too, to a place of their own.

    Before its end, which removes the directory.
    """
    for log in sorted(directory.glob("audit*.log")):
        place = folder / directory.name
        place.mkdir(parents=True, exist_ok=True)
        shutil.move(log, place / log.name)


def read_events(log: Path, since: int = 0) -> list[AuditEvent]:
    """One event per request, in order of arrival, each at the latest stage it has reached.

    A watch that is still open stands at `ResponseStarted`, everything answered at `ResponseComplete`. What the log held
    at size `since` is left out.
    """
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(since)
        complete, _, _ = file.read().rpartition(b"\n")
    latest: dict[str, AuditEvent] = {}
    for line in complete.splitlines():
        raw = json.loads(line)
        latest[raw["auditID"]] = parse_event(raw)
    return sorted(latest.values(), key=lambda event: event.at)
