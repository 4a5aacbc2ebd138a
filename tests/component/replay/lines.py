"""Builders for hand-written recordings: a pencil that keeps time and writes the lines of a scenario."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.harness.replay.recording import Scenario, load

Json = Mapping[str, object]
STATUS = {3: 400, 4: 504, 5: 404, 6: 409, 8: 429, 9: 400, 12: 501, 13: 500, 14: 503}


def a_table(source: str, destination: str | None = None) -> dict[str, object]:
    """A mapping as a request names it."""
    return {
        "sourceTableIdentifier": f"public.{source}",
        "destinationTableIdentifier": destination or f"public.d_{source}",
    }


class Pencil:
    """Writes a scenario about one mirror; ``clock`` is the scenario's time in seconds."""

    def __init__(self, name: str, mirror: str = "m") -> None:
        self.name = name
        self.mirror = mirror
        self.lines: list[dict[str, object]] = []
        self.clock = 0.0

    def wait(self, seconds: float) -> None:
        self.clock += seconds

    def _write(self, kind: str, **fields: object) -> None:
        self.lines.append({"scenario": self.name, "step": len(self.lines) + 1, "kind": kind, **fields})

    def call(
        self, path: str, body: object, *, before: str | None = None, answer: object = None, ms: float = 20.0,
        method: str = "POST", code: int | None = None, at: float | None = None, **extra: object,
    ) -> None:  # fmt: skip
        """A call. ``answer``: the JSON of a 200; with ``code`` the message of a refusal."""
        reply: dict[str, object] = {"status": 200, "ms": ms, "json": {} if answer is None else answer}
        if code is not None:
            reported = {"code": code, "message": answer, "details": extra.pop("details", [])}
            reply = {"status": STATUS[code], "ms": ms, "json": reported}
        request: dict[str, object] = {"method": method, "path": f"/v1/{path}"}
        if body is not None:
            request["json"] = body
        seen = None if before is None else {self.mirror: before}
        self._write("call", at=self.clock if at is None else at, before=seen, request=request, response=reply, **extra)
        self.clock += ms / 1000 + 0.02

    def gave_up(self, path: str, body: object, *, before: str, ms: float) -> None:
        request = {"method": "POST", "path": f"/v1/{path}", "json": body}
        reply = {"status": 0, "ms": ms, "text": "ReadTimeout: timed out"}
        self._write("call", at=self.clock, before={self.mirror: before}, request=request, response=reply)
        self.clock += ms / 1000 + 0.02

    def ask(self, state: str | int | None, before: str | None, update: Json | None = None, **more: object) -> None:
        """A state_change; ``code`` and ``answer`` in ``more`` go to the reply, the rest into the body."""
        reply = {key: more.pop(key) for key in ("code", "answer", "ms", "note", "at") if key in more}
        body: dict[str, object] = {"flowJobName": self.mirror, **more}
        if state is not None:
            body["requestedFlowState"] = f"STATUS_{state}" if isinstance(state, str) else state
        if update is not None:
            body["flowConfigUpdate"] = {"cdcFlowConfigUpdate": dict(update)}
        self.call("mirrors/state_change", body, before=before, **reply)  # type: ignore[arg-type]  # picked by name above

    def create(self, tables: Sequence[Json], **config: object) -> None:
        """A create that was answered 200, and time for the mirror to get going."""
        body = {
            "flowJobName": self.mirror,
            "sourceName": "src",
            "destinationName": "dst",
            "tableMappings": list(tables),
            "idleTimeoutSeconds": 10,
            "maxBatchSize": 1000,
            "doInitialSnapshot": True,
            **config,
        }
        answer = {"workflowId": f"{self.mirror}-peerflow"}
        self.call("flows/cdc/create", {"connectionConfigs": body}, before="ABSENT", answer=answer, ms=180)
        self.clock += 7.0

    def watch(
        self, label: str, polled: Sequence[tuple[str, int]], catalog: Sequence[tuple[object, ...]], seconds: float,
        calls: int = 1,
    ) -> None:  # fmt: skip
        """A watch of ``seconds`` that began ``calls`` calls ago."""
        self._write("watch", label=label, mirror=self.mirror, polled=[list(one) for one in polled],
                    catalog=[list(one) for one in catalog], polls=9, total_ms=seconds * 1000)  # fmt: skip
        began = [line["at"] for line in self.lines if line["kind"] == "call"][-calls]
        self.clock = max(self.clock, float(str(began)) + seconds)

    def note(self, text: str, **data: object) -> None:
        """A look at the mirror, or a remark."""
        self._write("note", text=text, mirror=self.mirror, **data)

    def look(self, state: str, maps: Sequence[str], **data: object) -> None:
        """A look at state and mappings (``t1>public.d_t1``)."""
        self.note("look", state=f"STATUS_{state}", maps=list(maps), **data)

    def written(self, folder: Path) -> Scenario:
        path = folder / f"{self.name}.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in self.lines), encoding="utf-8")
        return load(path)
