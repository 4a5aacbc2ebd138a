"""The control API under ``/_sim``: how a test outside the process plays the human and the disaster.

Pure request in, value out; ``server`` gives it a port, ``docs/simulator.md`` describes it. It has no password and no
place in PeerDB.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs, unquote

from pydantic import BaseModel, ValidationError

from tests.harness.peerdb.catalog import ANY_PUBLICATION
from tests.harness.peerdb.control_models import AdvanceIn, DatabasesIn, LogIn, MirrorIn, truth
from tests.harness.peerdb.engine import Engine
from tests.harness.peerdb.values import Reply, json_reply

MIRRORS: Final = "mirrors/"
PAGE: Final = 10_000

Model = TypeVar("Model", bound=BaseModel)


class Control:
    """Answers ``/_sim`` requests. ``advance`` moves the clock by seconds; its owner knows what the clock is."""

    def __init__(self, engine: Engine, advance: Callable[[float], None], clock: str) -> None:
        self.engine = engine
        self.advance = advance
        self.clock = clock

    def handle(self, method: str, path: str, query: str, body: bytes) -> Reply:
        """One request; ``path`` is what follows ``/_sim/``. Bad input is a 400 that says what is wrong with it."""
        try:
            if path.startswith(MIRRORS):
                return self._mirror(method, unquote(path.removeprefix(MIRRORS)), body)
            action = self._actions().get((method, path))
            if action is None:
                return json_reply({"error": f"no {method} /_sim/{path}; docs/simulator.md lists what there is"}, 404)
            return action(query, body)
        except ValidationError as trouble:
            found = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in trouble.errors()]
            return json_reply({"error": "; ".join(found)}, 400)
        except ValueError as trouble:
            return json_reply({"error": str(trouble)}, 400)

    def _actions(self) -> Mapping[tuple[str, str], Callable[[str, bytes], Reply]]:
        return {
            ("GET", "mirrors"): self._list,
            ("GET", "knobs"): self._knobs,
            ("PATCH", "knobs"): self._turn,
            ("GET", "clock"): self._time,
            ("POST", "clock/advance"): self._advance,
            ("PUT", "databases"): self._databases,
            ("POST", "logs"): self._logs,
            ("GET", "log"): self._log,
        }

    # -- mirrors -------------------------------------------------------------------------------------------------

    def _mirror(self, method: str, name: str, body: bytes) -> Reply:
        if method == "PUT":
            arguments: dict[str, Any] = _read(MirrorIn, body).arguments()
            return json_reply(truth(self.engine.put_mirror(name, **arguments)))
        if method == "GET":
            mirror = self.engine.mirror(name)
            return json_reply({"error": f"no mirror {name}"}, 404) if mirror is None else json_reply(truth(mirror))
        if method == "DELETE":
            return json_reply({"removed": self.engine.remove_mirror(name)})
        return json_reply({"error": f"{method} is not one of PUT, GET, DELETE"}, 405)

    def _list(self, _query: str, _body: bytes) -> Reply:
        return json_reply({"mirrors": [truth(mirror) for mirror in self.engine.world.mirrors.values()]})

    # -- the world -----------------------------------------------------------------------------------------------

    def _knobs(self, _query: str, _body: bytes) -> Reply:
        return json_reply(self.engine.knobs.model_dump(mode="json"))

    def _turn(self, query: str, body: bytes) -> Reply:
        patch = json.loads(body or b"{}")
        if not isinstance(patch, dict):
            msg = "give a JSON object of knobs"
            raise ValueError(msg)  # noqa: TRY004  # the caller's input, answered as a 400 like every other
        self.engine.turn(**patch)
        return self._knobs(query, body)

    def _time(self, _query: str, _body: bytes) -> Reply:
        return json_reply({"now": self.engine.now, "clock": self.clock, "nextDue": self.engine.next_due()})

    def _advance(self, query: str, body: bytes) -> Reply:
        self.advance(_read(AdvanceIn, body).seconds)
        return self._time(query, body)

    def _databases(self, _query: str, body: bytes) -> Reply:
        given = _read(DatabasesIn, body)
        publication = given.publication
        held = {ANY_PUBLICATION: publication} if isinstance(publication, list) else publication
        self.engine.put_databases(
            source_tables=given.source_tables, publications=held, filled=given.filled_destinations,
            missing_columns=given.missing_columns,
        )  # fmt: skip
        self.engine.world.peers.update(given.peers)
        databases = self.engine.world.databases
        return json_reply(
            {
                "sourceTables": None if databases.source_tables is None else sorted(databases.source_tables),
                "filledDestinations": sorted(databases.filled),
                "peers": self.engine.world.peers,
            }
        )

    def _logs(self, _query: str, body: bytes) -> Reply:
        line = _read(LogIn, body)
        self.engine.world.say(line.flow_name, line.error_message, line.error_type)
        return json_reply({"lines": len(self.engine.world.journal.lines)})

    def _log(self, query: str, _body: bytes) -> Reply:
        asked = parse_qs(query)
        after = int(asked.get("after", ["0"])[0])
        limit = int(asked.get("limit", [str(PAGE)])[0])
        events = self.engine.log.after(after)[:limit]
        return json_reply({"events": [event.as_json() for event in events], "last": self.engine.log.last})


def _read(kind: type[Model], body: bytes) -> Model:
    return kind.model_validate_json(body or b"{}")
