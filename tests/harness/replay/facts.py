"""What the recording's world was like outside PeerDB: databases, workers, Temporal, workflows ended by hand.

No call says it, so it is read from what does: how long a call took (a query without a worker takes 9 to 10 s), what a
note says was done, and refusals that are about the databases (a table that is not there). Facts only ever change the
simulated world; the answer is then the simulator's own, and has to be the recorded one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tests.harness.peerdb.knobs import Knobs
from tests.harness.peerdb.values import Status
from tests.harness.replay.recording import Call, Note, Watch
from tests.harness.replay.stage import Stage

NO_WORKER = (8.9, 10.9)
NO_TEMPORAL = (9.5, 10.9)

ORPHANING = re.compile(
    r"workflow\w* (?:\w+ ){0,3}(?:cancell?ed|terminated|killed)|(?:cancel\w*|terminat\w+|kill\w*) (?:\w+ ){0,3}workflow"
    r"(?! closed)",
    re.IGNORECASE,
)
ALREADY = re.compile(r"unable to signal workflow(?: update)?: .*(already completed|workflow not found)")
MISSING = re.compile(r"source tables do not exist: (.+)")
OUTSIDE = re.compile(r'tables not in publication "([^"]*)": (.+)')
NO_PUBLICATION = re.compile(r"publication does not exist: (\S+)")
FILLED = re.compile(r"destination table (\S+) already has existing rows|table (\S+) exists and is not empty")
COLUMN = re.compile(r"source column (\S+) \(.*\) not found in destination table (\S+)")
UNREACHABLE = re.compile(r"failed to create (source|destination) connector: (?!NotFound)")

LIVE = frozenset({"RUNNING", "PAUSED", "PAUSING", "SETUP", "SNAPSHOT", "MODIFYING", "RESYNC"})


class Facts:
    """Brings a stage's world in line with what the recording lets on; counts what came from refusals."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.told: list[str] = []

    # -- hands that a note or a label mentions -------------------------------------------------------------------

    def remark(self, words: str, mirror: str | None) -> None:
        """A remark may say that a workflow was ended from outside PeerDB."""
        if mirror and ends_a_workflow(words) and self._live(mirror):
            self._note(f"the workflow of {mirror} was ended by hand", mirror)
            self.stage.engine.orphan(mirror)

    def _live(self, mirror: str) -> bool:
        found = self.stage.engine.mirror(mirror)
        return (
            found is not None
            and found.workflow is not None
            and not found.workflow.closed
            and self.stage.state(mirror) in LIVE
        )

    # -- what a call lets on -------------------------------------------------------------------------------------

    def before(self, call: Call) -> None:
        """Set the stage for one call."""
        self.remark(call.note, next(iter(call.before), None))
        self._machines(call)
        recorded = call.response.get("json")
        if isinstance(recorded, dict) and "code" in recorded:
            self._refusal(call, str(recorded.get("message", "")))
        elif call.ok and _validates(call):
            self._accepted(call)

    def after(self) -> None:
        """Workers, Temporal and peers are back once the call is over; a later call says so if they are not."""
        knobs: Knobs = self.stage.engine.knobs
        if knobs.workers_down or knobs.temporal_down or knobs.peers_unreachable != "none":
            self.stage.engine.turn(workers_down=False, temporal_down=False, peers_unreachable="none")

    def _machines(self, call: Call) -> None:
        if call.gave_up:
            return
        engine = self.stage.engine
        if call.path == "mirrors/status" and call.body.get("includeFlowInfo") and _between(call.seconds, NO_WORKER):
            engine.turn(workers_down=True)
        elif call.path == "mirrors/state_change" and _between(call.seconds, NO_TEMPORAL):
            status = engine.state(str(call.body.get("flowJobName", "")))
            if status not in {Status.COMPLETED, Status.FAILED}:
                engine.turn(temporal_down=True)

    def _refusal(self, call: Call, message: str) -> None:
        name = str(call.body.get("flowJobName", ""))
        if ALREADY.search(message):
            if self._live(name):
                self._note(f"{name} has no workflow any more", name)
                self.stage.engine.orphan(name)
            return
        databases = self.stage.world.databases
        if found := MISSING.search(message):
            self._tell(f"no source table {found[1]}")
            databases.no_sources.update(found[1].split(", "))
        elif found := OUTSIDE.search(message):
            self._tell(f"publication {found[1]} lacks {found[2]}")
            databases.not_published.update((found[1], table) for table in found[2].split(", "))
        elif found := NO_PUBLICATION.search(message):
            self._tell(f"no publication {found[1]}")
            databases.no_publications.add(found[1])
        elif found := FILLED.search(message):
            self._tell(f"rows in {found[1] or found[2]}")
            databases.filled.add(found[1] or found[2])
        elif found := COLUMN.search(message):
            self._tell(f"no column {found[1]} in {found[2]}")
            databases.missing_columns[found[2]] = found[1]
        elif found := UNREACHABLE.search(message):
            self._tell(f"{found[1]} cannot be reached")
            self.stage.engine.turn(peers_unreachable=found[1])

    def _accepted(self, call: Call) -> None:
        """What a validation lets pass is there, and is empty."""
        databases = self.stage.world.databases
        config = call.body.get("connectionConfigs")
        mappings: Sequence[Mapping[str, Any]] = config.get("tableMappings", []) if isinstance(config, dict) else []
        tables = [(one.get("sourceTableIdentifier"), one.get("destinationTableIdentifier")) for one in mappings]
        publication = str(config.get("publicationName", "")) if isinstance(config, dict) else ""
        mirror = self.stage.engine.mirror(str(call.body.get("flowJobName", "")))
        if mirror is not None and mirror.row is not None:
            publication = mirror.row.config.publication
            tables = [(table.source, table.destination) for table in mirror.row.config.tables]
        databases.no_publications.discard(publication)
        for source, destination in tables:
            databases.no_sources.discard(str(source))
            databases.not_published.discard((publication, str(source)))
            databases.missing_columns.pop(str(destination), None)
            if config is not None:
                databases.filled.discard(str(destination))

    def _note(self, fact: str, mirror: str) -> None:
        if not any(one.endswith(mirror) and one == fact for one in self.told):
            self._tell(fact)

    def _tell(self, fact: str) -> None:
        if fact not in self.told:
            self.told.append(fact)


def ends_a_workflow(words: str) -> bool:
    """Whether a remark says that somebody ended a workflow in Temporal."""
    return ORPHANING.search(words) is not None and "temporal" in words.lower()


def remarks(step: Note | Watch) -> str:
    """The words of a step that is not a call."""
    return step.text if isinstance(step, Note) else step.label


def _between(seconds: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] <= seconds <= bounds[1]


def _validates(call: Call) -> bool:
    return call.path == "mirrors/cdc/validate" or call.body.get("requestedFlowState") in {"STATUS_RESYNC", 9}
