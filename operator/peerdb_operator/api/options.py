"""The two nested blocks of ``Mirror.spec``: how tables are copied at first, and what a drop takes along.

Owns ``snapshot`` and ``drop`` with their enums, and the words that help texts of the spec share. Everything in
``snapshot`` but ``addedTables`` is a live setting of the mirror; ``drop`` is read at the moment of the drop.
"""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, Field

from peerdb_operator.api.schema import MODEL_CONFIG, described

UINT32_MAX: Final = 4_294_967_295
ANY_TIME: Final = "at any time; the mirror is paused for a moment"
UNTOUCHED: Final = "PeerDB's value is left as it is"

Count = Annotated[int, Field(strict=True, ge=1, le=UINT32_MAX)]
"""A live setting of PeerDB: an unsigned 32-bit number, in which 0 would mean "unchanged"."""


class AddedTables(StrEnum):
    """Whether rows that exist already are copied when a table is added."""

    SNAPSHOT = "Snapshot"
    SKIP = "Skip"


class Statistics(StrEnum):
    """What a drop does with PeerDB's statistics about the mirror."""

    KEEP = "Keep"
    DELETE = "Delete"


class DestinationMetadata(StrEnum):
    """What a drop does with the mirror's own helper tables in the destination."""

    DELETE = "Delete"
    KEEP = "Keep"


class SnapshotSpec(BaseModel):
    """How tables are copied for the first time; PeerDB reads the values at the next copy and cannot unset them."""

    model_config = MODEL_CONFIG

    rows_per_partition: Annotated[
        Count | None, described("Rows in one partition of a copy.", unit="rows", unset=UNTOUCHED, changes=ANY_TIME)
    ] = None
    partitions_override: Annotated[
        Count | None,
        described(
            "Cut every table into this many partitions, whatever rowsPerPartition says.",
            unit="partitions per table",
            unset=UNTOUCHED,
            changes=ANY_TIME,
        ),
    ] = None
    max_parallel_workers: Annotated[
        Count | None,
        described(
            "Partitions of one table that are copied at once.", unit="workers", unset=UNTOUCHED, changes=ANY_TIME
        ),
    ] = None
    tables_in_parallel: Annotated[
        Count | None,
        described("Tables that are copied at once.", unit="tables", unset=UNTOUCHED, changes=ANY_TIME),
    ] = None
    added_tables: Annotated[
        AddedTables,
        described(
            "What happens to rows that exist when a table is added: Snapshot copies them first (the destination table "
            "must be empty), Skip replicates only what changes from then on.",
            unset="Snapshot",
            changes="at any time; holds for tables added later",
        ),
    ] = AddedTables.SNAPSHOT


class DropSpec(BaseModel):
    """What a drop removes besides the mirror itself."""

    model_config = MODEL_CONFIG

    statistics: Annotated[
        Statistics,
        described(
            "PeerDB's statistics about the mirror.",
            unset="Keep",
            changes="until the mirror is being dropped",
            server_default=True,
        ),
    ] = Statistics.KEEP
    destination_metadata: Annotated[
        DestinationMetadata,
        described(
            "The mirror's own helper tables in the destination (raw rows, bookkeeping). Replicated tables always stay.",
            unset="Delete",
            changes="until the mirror is being dropped",
            server_default=True,
        ),
    ] = DestinationMetadata.DELETE
