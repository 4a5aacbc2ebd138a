"""What keeps a table addition from finishing: the databases at both ends, or a knob.

PeerDB does not validate additions; it tries them for ever (PeerDB v0.37 flow/activities/flowable.go
AddTablesToPublication, flow/workflows/snapshot_flow.go). The error lines appear under the mirror's name, those of a
copy under ``clone_<mirror>_<schema>_<table>_<run>``.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.harness.peerdb.catalog import copy_name
from tests.harness.peerdb.config import Table
from tests.harness.peerdb.copies import malformed
from tests.harness.peerdb.mirror import Mirror, Update, Workflow
from tests.harness.peerdb.world import World

RUN = "00000000_0000_4000_8000_000000000000"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A reason to retry, and the error line of one try."""

    flow: str
    message: str


def addition_obstacle(world: World, mirror: Mirror, workflow: Workflow, update: Update) -> Obstacle | None:
    """Why this addition cannot go on right now, or None."""
    bad = malformed(update.added)
    if bad is not None:
        return Obstacle(mirror.name, f"invalid table name: {bad}")
    return _source_obstacle(world, mirror, workflow, update) or _copy_obstacle(world, mirror, update)


def _source_obstacle(world: World, mirror: Mirror, workflow: Workflow, update: Update) -> Obstacle | None:
    for table in update.added:
        if not world.databases.has_source(table.source):
            text = f'failed to alter publication: ERROR: relation "{table.source}" does not exist (SQLSTATE 42P01)'
            return Obstacle(mirror.name, text)
        publication = workflow.live.publication
        if publication and not world.databases.published(publication, table.source):
            return Obstacle(mirror.name, f'tables not in publication "{publication}": {table.source}')
    return None


def _copy_obstacle(world: World, mirror: Mirror, update: Update) -> Obstacle | None:
    if world.scoped(world.knobs.stuck_addition, mirror.name):
        return _copy_error(mirror, update.added[0], "failed to replicate partition")
    seen: set[str] = set()
    for table in update.added:
        if table.source in seen or (_rows_in_the_way(world, mirror, table) and not update.skip_copy):
            text = "failed to sync records: ERROR: duplicate key value violates unique constraint (SQLSTATE 23505)"
            return _copy_error(mirror, table, text)
        seen.add(table.source)
    return None


def _rows_in_the_way(world: World, mirror: Mirror, table: Table) -> bool:
    row = mirror.row
    return row is not None and row.destination_type == "POSTGRES" and table.destination in world.databases.filled


def _copy_error(mirror: Mirror, table: Table, message: str) -> Obstacle:
    return Obstacle(copy_name(mirror.name, table.source, RUN), message)
