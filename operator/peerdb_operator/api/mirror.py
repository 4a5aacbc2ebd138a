"""``Mirror.spec``: what a PeerDB mirror should be, as a user writes it, and how it is read.

The CRD's schema comes from these models. An older CRD may be installed, so ``parse_spec`` checks every rule again.
Everything in ``snapshot`` but ``addedTables`` is a live setting of the mirror; ``drop`` is read when the mirror is
dropped.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from peerdb_operator.api.checks import parse
from peerdb_operator.api.naming import DERIVED_NAME_MAX, MIRROR_NAME_MAX, MIRROR_NAME_PATTERN, default_mirror_name
from peerdb_operator.api.schema import MODEL_CONFIG, Rule, described, rules_schema
from peerdb_operator.api.table import ColumnSpec, Engine, TableSpec, require_unique
from peerdb_operator.api.text import PLAIN_VALUES, Plain
from peerdb_operator.errors import InvalidSpec

__all__ = [
    "AddedTables",
    "ColumnSpec",
    "DeletionPolicy",
    "DestinationMetadata",
    "DropSpec",
    "Engine",
    "MirrorSpec",
    "RunState",
    "SnapshotSpec",
    "Statistics",
    "TableSpec",
    "mirror_name_of",
    "parse_spec",
]

MAX_TABLES: Final = 10_000
MAX_SETTINGS: Final = 64
SETTING_KEY_PATTERN: Final = "^[A-Z][A-Z0-9_]{0,127}$"

_DAY: Final = 86_400
UINT32_MAX: Final = 4_294_967_295
ANY_TIME: Final = "at any time; the mirror is paused for a moment"
UNTOUCHED: Final = "PeerDB's value is left as it is"

Count = Annotated[int, Field(strict=True, ge=1, le=UINT32_MAX)]
"""A live setting of PeerDB: an unsigned 32-bit number, in which 0 would mean "unchanged"."""


class RunState(StrEnum):
    """What a mirror should be doing."""

    RUNNING = "Running"
    PAUSED = "Paused"


class DeletionPolicy(StrEnum):
    """What becomes of the PeerDB mirror when its Mirror is deleted."""

    DROP = "Drop"
    RETAIN = "Retain"


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

    def encode(self) -> str:
        """Encode for the journal, so that a repeated drop is the identical request."""
        return f"statistics={self.statistics},destinationMetadata={self.destination_metadata}"

    @classmethod
    def decode(cls, text: str) -> "DropSpec":
        """Decode what ``encode`` returned; unknown or missing parts get their defaults."""
        kept = "destinationMetadata=Keep" in text
        return cls(
            statistics=Statistics.DELETE if "statistics=Delete" in text else Statistics.KEEP,
            destination_metadata=DestinationMetadata.KEEP if kept else DestinationMetadata.DELETE,
        )


def _unique_sources(tables: list[TableSpec]) -> list[TableSpec]:
    require_unique("source", (table.source for table in tables))
    return tables


_MirrorName = Annotated[str, Field(min_length=1, max_length=MIRROR_NAME_MAX, pattern=MIRROR_NAME_PATTERN)]
_Tables = Annotated[list[TableSpec], Field(min_length=1, max_length=MAX_TABLES), AfterValidator(_unique_sources)]
_Settings = Annotated[
    dict[Annotated[str, Field(pattern=SETTING_KEY_PATTERN)], Annotated[str, Field(max_length=1024), Plain]],
    Field(max_length=MAX_SETTINGS),
]

_UNIQUE_SOURCES: Final = Rule(
    "self.transformMapEntry(i, t, {t.source: true}).size() == self.size()", "each source must be listed only once"
)
_MIRROR_NAME_FIXED: Final = Rule(
    "has(self.mirrorName) == has(oldSelf.mirrorName)"
    " && (!has(self.mirrorName) || self.mirrorName == oldSelf.mirrorName)",
    "mirrorName must not be changed, set or removed later; create another Mirror with the other name",
)


class MirrorSpec(BaseModel):
    """What the user wants of one PeerDB mirror."""

    model_config = ConfigDict(**MODEL_CONFIG, json_schema_extra=rules_schema(_MIRROR_NAME_FIXED))

    mirror_name: Annotated[
        _MirrorName | None,
        described(
            "Name of the mirror in PeerDB (flowJobName), when it cannot be derived: any name that a mirror has there, "
            "to the letter.",
            unset="metadata.name with `-` and `.` as `_`, at most 49 characters",
            changes="never, nor can it be set or removed later",
        ),
    ] = None
    state: Annotated[
        RunState,
        described(
            "Whether the mirror replicates. While Paused, other changes wait: PeerDB resumes a mirror that it edits.",
            unset="Running",
            changes="at any time",
            server_default=True,
        ),
    ] = RunState.RUNNING
    tables: Annotated[
        _Tables | None,
        described(
            "All tables that the mirror replicates: what is missing here is removed from the mirror (its destination "
            "table stays). Up to 5,000 tables are tested; from about 2,500 on apply with --server-side.",
            unset="the tables are left alone and only the run state is managed",
            changes=ANY_TIME,
            list_type="atomic",
            rules=[_UNIQUE_SOURCES],
        ),
    ] = None
    batch_size: Annotated[
        Count | None, described("Most rows in one batch.", unit="rows", unset=UNTOUCHED, changes=ANY_TIME)
    ] = None
    idle_timeout_seconds: Annotated[
        Annotated[int, Field(strict=True, ge=1, le=_DAY)] | None,
        described(
            "How long PeerDB waits for more rows before it writes a batch that is not full.",
            unit="seconds",
            unset=UNTOUCHED,
            changes=ANY_TIME,
        ),
    ] = None
    snapshot: Annotated[
        SnapshotSpec | None, described("How tables are copied for the first time.", unset=UNTOUCHED, changes=ANY_TIME)
    ] = None
    settings: Annotated[
        _Settings | None,
        described(
            "PeerDB settings of this mirror (its `env`), e.g. PEERDB_CLICKHOUSE_ENABLE_PRIMARY_UPDATE. They are merged "
            "into what the mirror has: a key that is removed here keeps its value in PeerDB, which cannot unset it. "
            "Not for secrets.",
            unset=UNTOUCHED,
            changes=ANY_TIME,
            rules=[PLAIN_VALUES],
        ),
    ] = None
    deletion_policy: Annotated[
        DeletionPolicy,
        described(
            "What deleting this object does: Drop removes the mirror from PeerDB (the replicated tables stay), Retain "
            "leaves it there in the run state of the spec.",
            unset="Drop",
            changes="at any time, also while the object is being deleted",
            server_default=True,
        ),
    ] = DeletionPolicy.DROP
    drop: Annotated[
        DropSpec | None,
        described(
            "What a drop removes besides the mirror itself.",
            unset="statistics are kept, destination metadata is deleted",
            changes="until the mirror is being dropped",
        ),
    ] = None


def parse_spec(raw: Mapping[str, object]) -> MirrorSpec:
    """Read ``spec`` as it came from the API server; raises ``InvalidSpec`` naming the first wrong field.

    Unknown fields are ignored: an older operator must survive a newer CRD.
    """
    return parse(MirrorSpec, raw, "spec")


def mirror_name_of(metadata_name: str, spec: MirrorSpec) -> str:
    """The name of the PeerDB mirror that this Mirror describes; raises ``InvalidSpec`` if there is no legal one."""
    name = spec.mirror_name if spec.mirror_name is not None else default_mirror_name(metadata_name)
    if name is None:
        raise InvalidSpec(
            "metadata.name",
            f'"{metadata_name}" does not map to a legal mirror name (at most {DERIVED_NAME_MAX} characters, beginning '
            "with a letter); create the Mirror with spec.mirrorName set, or under another name",
        )
    return name
