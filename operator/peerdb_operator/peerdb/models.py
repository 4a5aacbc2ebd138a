"""PeerDB's JSON: table mappings, the config in a status, a config update, and the bodies of all replies.

Unknown fields are ignored, unknown enum words and numbers are kept as text, ``null`` means absent; but a config without
table mappings is refused, since it is not a mirror without tables. 64-bit integers arrive as strings. PeerDB drops an
enum word that it does not know without an error, so what goes back must equal what came.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SkipValidation, model_validator
from pydantic.alias_generators import to_camel

from peerdb_operator.peerdb.redaction import one_line


def with_raw(value: object) -> object:
    """For a ``BeforeValidator``: keep an object to the letter in the field ``raw`` of its model."""
    return {**value, "raw": value} if isinstance(value, dict) else value


Word = Annotated[str, Field(coerce_numbers_to_str=True)]  # an enum: its word, or the number PeerDB had no word for


def encode_json(value: object) -> bytes:
    """The bytes that are sent for ``value``: compact and pure ASCII."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


class Wire(BaseModel):
    """Base of all bodies: camelCase on the wire, snake_case here, either accepted; ``null`` is absent."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: object) -> object:
        if isinstance(data, dict) and None in data.values():
            return {k: v for k, v in data.items() if v is not None}
        return data


class WireColumn(Wire):
    """One column rule of a table mapping."""

    source_name: str = ""
    destination_name: str = ""
    destination_type: str = ""
    ordering: int = 0
    partitioning: int = 0
    nullable_enabled: bool = False


class WireTableMapping(Wire):
    """One table of a mirror; ``source`` identifies it. An empty value is PeerDB's default (``engine``: enum value 0).

    ``raw`` is the mapping to the letter as PeerDB reported it; empty for one that was built here.
    """

    source: str = Field(alias="sourceTableIdentifier")
    destination: str = Field(alias="destinationTableIdentifier")
    partition_key: str = ""
    exclude: tuple[str, ...] = ()
    columns: tuple[WireColumn, ...] = ()
    engine: Word = ""
    sharding_key: str = ""
    policy_name: str = ""
    partition_by_expr: str = ""
    raw: SkipValidation[Mapping[str, Any]] = Field(default_factory=dict, repr=False)

    def to_json(self) -> Mapping[str, Any]:
        """``raw`` if PeerDB reported it, else the fields that are not at their default."""
        return self.raw or self.model_dump(mode="json", by_alias=True, exclude_defaults=True)


class MirrorConfig(Wire):
    """``cdcStatus.config``. ``raw`` is the whole object: what PeerDB wants to see when asked to validate additions.

    0 and empty mean that PeerDB uses its default. ``resync`` and ``do_initial_snapshot`` turn true for ever once a
    mirror was resynced; ``version`` and ``flags`` are the server's; ``env`` may have gained keys at creation.
    """

    table_mappings: tuple[Annotated[WireTableMapping, BeforeValidator(with_raw)], ...]
    max_batch_size: int
    idle_timeout_seconds: int
    flow_job_name: str = ""
    source_name: str = ""
    destination_name: str = ""
    publication_name: str = ""
    replication_slot_name: str = ""
    do_initial_snapshot: bool = False
    initial_snapshot_only: bool = False
    snapshot_num_rows_per_partition: int = 0
    snapshot_num_partitions_override: int = 0
    snapshot_max_parallel_workers: int = 0
    snapshot_num_tables_in_parallel: int = 0
    soft_delete_col_name: str = ""
    synced_at_col_name: str = ""
    resync: bool = False
    script: str = ""
    system: Word = ""
    env: dict[str, str] = Field(default_factory=dict)
    version: int = 0
    flags: tuple[str, ...] = ()
    raw: SkipValidation[Mapping[str, Any]] = Field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class CdcFlowConfigUpdate:
    """``cdcFlowConfigUpdate`` (PeerDB v0.37 protos/flow.proto). Zero and empty leave things as they are.

    An update without any field is still an update: it takes the place of one that waits unseen in the mirror's queue.
    """

    batch_size: int = 0
    idle_timeout: int = 0  # seconds
    additional_tables: tuple[WireTableMapping, ...] = ()
    removed_tables: tuple[WireTableMapping, ...] = ()
    updated_env: Mapping[str, str] = field(default_factory=dict)
    snapshot_num_rows_per_partition: int = 0
    snapshot_num_partitions_override: int = 0
    snapshot_max_parallel_workers: int = 0
    snapshot_num_tables_in_parallel: int = 0
    skip_initial_snapshot_for_table_additions: bool = False

    def to_json(self) -> dict[str, Any]:
        """The fields that say something, under PeerDB's names."""
        said = {to_camel(f.name): value for f in fields(self) if (value := getattr(self, f.name))}
        for tables in said.keys() & {"additionalTables", "removedTables"}:
            said[tables] = [mapping.to_json() for mapping in said[tables]]
        return said


_NOT_IN_COPIES = re.compile("[^a-zA-Z0-9_]+")


def name_in_copies(name: str) -> str:
    """A mirror or source table as PeerDB writes it within the name of a copy (``LogRow.mirror_name``)."""
    return _NOT_IN_COPIES.sub("_", name)


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) else value


State = Annotated[Word, AfterValidator(lambda word: word.removeprefix("STATUS_"))]
Milliseconds = Annotated[int, BeforeValidator(_whole)]  # a double on the wire


class RequestedState(StrEnum):
    """What a mirror can be asked to become."""

    RUNNING = "STATUS_RUNNING"
    PAUSED = "STATUS_PAUSED"
    TERMINATING = "STATUS_TERMINATING"


class LogLevel(StrEnum):
    """Which rows ``POST mirrors/logs`` returns."""

    ERROR = "error"


@dataclass(frozen=True, slots=True)
class SnapshotProgress:
    """Sums over all copies of the mirror, finished ones included: they grow while a copy makes progress."""

    tables: int
    partitions_completed: int
    partitions_total: int
    rows: int


@dataclass(frozen=True, slots=True)
class MirrorStatusReply:
    """``POST mirrors/status``. ``state`` is PeerDB's word without ``STATUS_``, an open set; ``created_at`` as sent.

    What follows ``created_at`` is empty unless the config was asked for. ``is_cdc`` is then a fact, and ``config`` is
    set exactly when it is True; ``snapshot`` is set when it was asked for and PeerDB has one.
    """

    name: str
    state: str
    created_at: str
    is_cdc: bool | None = None
    config: MirrorConfig | None = None
    snapshot: SnapshotProgress | None = None


class _Clone(Wire):
    num_partitions_completed: int = 0
    num_partitions_total: int = 0
    num_rows_synced: int = 0


class _SnapshotStatus(Wire):
    clones: tuple[_Clone, ...] = ()

    def progress(self) -> SnapshotProgress:
        return SnapshotProgress(
            tables=len(self.clones),
            partitions_completed=sum(c.num_partitions_completed for c in self.clones),
            partitions_total=sum(c.num_partitions_total for c in self.clones),
            rows=sum(c.num_rows_synced for c in self.clones),
        )


class _CdcStatus(Wire):
    config: Annotated[MirrorConfig, BeforeValidator(with_raw)]
    snapshot_status: _SnapshotStatus | None = None


class StatusBody(Wire):
    """``POST mirrors/status`` as it comes; one of the two kinds of detail is there when it was asked for."""

    flow_job_name: str
    current_flow_state: State
    created_at: str
    cdc_status: _CdcStatus | None = None
    qrep_status: dict[str, Any] | None = None

    def to_reply(self) -> MirrorStatusReply:
        """The same, flat."""
        cdc = self.cdc_status
        if cdc is None:
            is_cdc = None if self.qrep_status is None else False
            return MirrorStatusReply(self.flow_job_name, self.current_flow_state, self.created_at, is_cdc)
        return MirrorStatusReply(
            name=self.flow_job_name,
            state=self.current_flow_state,
            created_at=self.created_at,
            is_cdc=True,
            config=cdc.config,
            snapshot=None if cdc.snapshot_status is None else cdc.snapshot_status.progress(),
        )


@dataclass(frozen=True, slots=True)
class ListedMirror:
    """One row of ``GET mirrors/list``; ``state`` as in a status, ``created_at_ms`` epoch milliseconds."""

    name: str
    state: str
    created_at_ms: int
    is_cdc: bool


class _ListedMirrorBody(Wire):
    name: str
    status: State
    created_at: Milliseconds
    is_cdc: bool


class ListBody(Wire):
    """``GET mirrors/list``, in no particular order."""

    mirrors: tuple[_ListedMirrorBody, ...]

    def to_rows(self) -> list[ListedMirror]:
        """The rows in PeerDB's order."""
        return [ListedMirror(row.name, row.status, row.created_at, row.is_cdc) for row in self.mirrors]


@dataclass(frozen=True, slots=True)
class LogRow:
    """One line of PeerDB's log. ``mirror_name`` is a mirror or ``clone_<mirror>_<schema>_<table>_<run>``, in which
    PeerDB writes names as ``name_in_copies`` does (PeerDB v0.37 flow/workflows/snapshot_flow.go cloneTable).

    ``message`` is one line of at most 1,000 characters, scrubbed of what looks like a secret; ``time`` is seconds.
    """

    id: int
    mirror_name: str
    message: str
    time: float


class _LogRowBody(Wire):
    id: int
    flow_name: str
    error_message: str
    error_timestamp: float  # milliseconds

    def to_row(self) -> LogRow:
        message = one_line(self.error_message, 1000)
        return LogRow(self.id, self.flow_name, message, self.error_timestamp / 1000)


class LogsBody(Wire):
    """``POST mirrors/logs``; ``errors`` is PeerDB's word for rows of any level."""

    errors: tuple[_LogRowBody, ...]

    def to_rows(self) -> list[LogRow]:
        """The rows in PeerDB's order."""
        return [row.to_row() for row in self.errors]


class _Tag(Wire):
    key: str
    value: str = ""


class TagsBody(Wire):
    """``GET flows/tags/{name}``, in random order."""

    flow_name: str
    tags: tuple[_Tag, ...]

    def to_dict(self) -> dict[str, str]:
        """Key to value."""
        return {tag.key: tag.value for tag in self.tags}


class VersionBody(Wire):
    """``GET version``."""

    version: str


class _Setting(Wire):
    name: str


class SettingsBody(Wire):
    """``GET dynamic_settings``: all there are, set or not (PeerDB v0.37 flow/cmd/settings.go)."""

    settings: tuple[_Setting, ...]


class InstanceBody(Wire):
    """``GET instance/info``."""

    status: Word
