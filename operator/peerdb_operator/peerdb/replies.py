"""The bodies of PeerDB's replies, and what is read from them.

Unknown fields are ignored, unknown enum words and numbers are kept as text, ``null`` means absent. 64-bit integers
arrive as strings.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from peerdb_operator.peerdb.models import WIRE_VALUE, MirrorConfig, Progress, ReportedConfig, Word, without_nulls
from peerdb_operator.peerdb.redaction import one_line


class Wire(BaseModel):
    """Base of all bodies: camelCase on the wire, snake_case here, either accepted; ``null`` is absent."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )

    _null_is_absent = model_validator(mode="before")(without_nulls)


def _whole(value: object) -> object:
    """A double on the wire."""
    return int(value) if isinstance(value, float) else value


State = Annotated[Word, AfterValidator(lambda word: word.removeprefix("STATUS_"))]


class LogLevel(StrEnum):
    """Which rows ``POST mirrors/logs`` returns."""

    ERROR = "error"


@dataclass(frozen=True, slots=True)
class MirrorStatusReply:
    """``POST mirrors/status``. ``state`` is PeerDB's status without ``STATUS_``, an open set; ``created_at`` as sent.

    What follows ``created_at`` is empty unless the config was asked for. ``is_cdc`` is then a fact, and ``config`` is
    set exactly when it is True; ``snapshot`` is set when it was asked for and PeerDB has one.
    """

    name: str
    state: str
    created_at: str
    is_cdc: bool | None = None
    config: MirrorConfig | None = None
    snapshot: Progress | None = None


class _Clone(Wire):
    num_partitions_completed: int = 0
    num_partitions_total: int = 0
    num_rows_synced: int = 0


class _SnapshotStatus(Wire):
    clones: tuple[_Clone, ...] = ()

    def progress(self) -> Progress:
        return Progress(
            partitions=sum(c.num_partitions_completed for c in self.clones),
            partitions_total=sum(c.num_partitions_total for c in self.clones),
            rows=sum(c.num_rows_synced for c in self.clones),
        )


class _CdcStatus(Wire):
    config: ReportedConfig
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

    __pydantic_config__: ClassVar[ConfigDict] = WIRE_VALUE

    name: str
    state: Annotated[State, Field(alias="status")]
    created_at_ms: Annotated[int, BeforeValidator(_whole), Field(alias="createdAt")]
    is_cdc: bool


class ListBody(Wire):
    """``GET mirrors/list``, in no particular order."""

    mirrors: list[ListedMirror]


@dataclass(frozen=True, slots=True)
class LogRow:
    """One line of PeerDB's log. ``mirror_name`` is a mirror or ``clone_<mirror>_<schema>_<table>_<run>``, in which
    PeerDB writes names as ``name_in_copies`` does (PeerDB v0.37 flow/workflows/snapshot_flow.go cloneTable).

    ``message`` is one line of at most 1,000 characters, scrubbed of what looks like a secret; ``time`` is seconds.
    """

    __pydantic_config__: ClassVar[ConfigDict] = WIRE_VALUE

    id: int
    mirror_name: Annotated[str, Field(alias="flowName")]
    message: Annotated[str, AfterValidator(lambda text: one_line(text, 1000)), Field(alias="errorMessage")]
    time: Annotated[float, AfterValidator(lambda milliseconds: milliseconds / 1000), Field(alias="errorTimestamp")]


class LogsBody(Wire):
    """``POST mirrors/logs``; PeerDB calls rows of any level ``errors``."""

    errors: list[LogRow]


class _Batch(Wire):
    end_time: AwareDatetime | None = None


class BatchesBody(Wire):
    """``POST mirrors/cdc/batches``, newest first. ``endTime`` is null while a batch is under way, and while its rows
    wait for the destination (PeerDB v0.37 flow/cmd/mirror_status.go CDCBatches).
    """

    cdc_batches: tuple[_Batch, ...]

    def ends(self) -> list[float]:
        """The times that there are, as seconds since the epoch."""
        return [batch.end_time.timestamp() for batch in self.cdc_batches if batch.end_time is not None]


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
