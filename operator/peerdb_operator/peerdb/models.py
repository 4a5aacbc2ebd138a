"""A mirror's tables and settings, as PeerDB reports them and as they are sent, and the update that changes them.

A config without table mappings is refused, since it is not a mirror without tables. PeerDB drops an enum word that it
does not know without an error, so what goes back must equal what came.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from operator import itemgetter
from typing import Annotated, Any, ClassVar, Final, TypeVar

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    TypeAdapter,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic.alias_generators import to_camel

T = TypeVar("T")

DEFAULT_ENGINE: Final = "CH_ENGINE_REPLACING_MERGE_TREE"
"""Enum value 0, which an empty ``engine`` means."""

Word = Annotated[str, Field(coerce_numbers_to_str=True)]  # an enum: its word, or the number PeerDB had no word for


def encode_json(value: object) -> bytes:
    """The bytes that are sent for ``value``: compact and pure ASCII."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def without_nulls(value: object) -> object:
    """An object without its nulls, which mean absence; for a validator."""
    if isinstance(value, dict) and None in value.values():
        return {k: v for k, v in value.items() if v is not None}
    return value


WIRE_VALUE: Final = ConfigDict(extra="ignore", alias_generator=to_camel)
"""For frozen dataclasses, which cost less than models where there are thousands: who reads one takes ``null`` out."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column rule of a table mapping; a zero value leaves a field to PeerDB."""

    __pydantic_config__: ClassVar[ConfigDict] = WIRE_VALUE

    source: Annotated[str, Field(alias="sourceName")] = ""
    destination: Annotated[str, Field(alias="destinationName")] = ""
    destination_type: str = ""
    ordering: int = 0
    partitioning: int = 0
    nullable: Annotated[bool, Field(alias="nullableEnabled")] = False

    def key(self) -> tuple[str, str, str, int, int, bool]:
        """The column as a plain tuple that sorts and serialises."""
        return (self.source, self.destination, self.destination_type, self.ordering, self.partitioning, self.nullable)

    @property
    def is_plain(self) -> bool:
        """Whether the column arrives as it would if it were not listed."""
        return self in {Column(self.source), Column(self.source, self.source)}


@dataclass(frozen=True, slots=True)
class TableMapping:
    """One table of a mirror; ``source`` identifies it. An empty value is PeerDB's default.

    ``raw`` is the mapping to the letter as PeerDB reported it; None for one that was built here.
    """

    __pydantic_config__: ClassVar[ConfigDict] = WIRE_VALUE

    source: Annotated[str, Field(alias="sourceTableIdentifier")]
    destination: Annotated[str, Field(alias="destinationTableIdentifier")]
    exclude: tuple[str, ...] = ()
    partition_key: str = ""
    engine: Word = ""
    sharding_key: str = ""
    policy_name: str = ""
    partition_by_expr: str = ""
    columns: tuple[Annotated[Column, BeforeValidator(without_nulls)], ...] = ()
    raw: Mapping[str, Any] | None = field(default=None, init=False, compare=False, repr=False)

    def key(self) -> list[object]:
        """The mapping as plain values in a fixed order; ``exclude`` and ``columns`` are sets."""
        return [
            self.source,
            self.destination,
            sorted(set(self.exclude)) if self.exclude else [],
            self.partition_key,
            self.engine or DEFAULT_ENGINE,
            self.sharding_key,
            self.policy_name,
            self.partition_by_expr,
            sorted({column.key() for column in self.columns}) if self.columns else [],
        ]

    def to_json(self) -> Mapping[str, Any]:
        """``raw`` if PeerDB reported it, else the fields that are not at their default."""
        return self.raw or _TABLE.dump_python(self, mode="json", by_alias=True, exclude_defaults=True)


_TABLE: Final = TypeAdapter(TableMapping)


def _tables(value: object, read: ValidatorFunctionWrapHandler) -> tuple[TableMapping, ...]:
    listed = value if isinstance(value, list) else []
    tables: tuple[TableMapping, ...] = read([without_nulls(one) for one in listed] if listed else value)
    for table, raw in zip(tables, listed, strict=True):
        object.__setattr__(table, "raw", raw)
    return tables


RowsPerPartition = Annotated[int, Field(alias="snapshotNumRowsPerPartition")]
PartitionsOverride = Annotated[int, Field(alias="snapshotNumPartitionsOverride")]
MaxParallelWorkers = Annotated[int, Field(alias="snapshotMaxParallelWorkers")]
TablesInParallel = Annotated[int, Field(alias="snapshotNumTablesInParallel")]


@dataclass(frozen=True)
class MirrorConfig:
    """What can be edited of ``cdcStatus.config``: as PeerDB reports it, or as it will be after an update.

    0 and empty mean that PeerDB uses its default; ``env`` may have gained keys at creation. ``raw`` is the whole
    object, empty for a config that was not reported.
    """

    __pydantic_config__: ClassVar[ConfigDict] = WIRE_VALUE

    tables: Annotated[tuple[TableMapping, ...], WrapValidator(_tables), Field(alias="tableMappings")]
    batch_size: Annotated[int, Field(alias="maxBatchSize")]
    idle_timeout: Annotated[int, Field(alias="idleTimeoutSeconds")]  # seconds
    rows_per_partition: RowsPerPartition = 0
    partitions_override: PartitionsOverride = 0
    max_parallel_workers: MaxParallelWorkers = 0
    tables_in_parallel: TablesInParallel = 0
    env: dict[str, str] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict, init=False, compare=False, repr=False)
    _made: dict[object, tuple[object, Any]] = field(default_factory=dict, init=False, compare=False, repr=False)

    @cached_property
    def by_source(self) -> dict[str, TableMapping]:
        """The tables by source."""
        return {table.source: table for table in self.tables}

    @cached_property
    def names_in_copies(self) -> frozenset[str]:
        """The source tables as PeerDB writes them in the names of copies."""
        return frozenset(name_in_copies(table.source) for table in self.tables)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all editable fields that does not depend on the order of tables or keys (32 hex digits).

        Its bytes must never change: the journal in status holds it while an edit is in flight, also over an upgrade.
        """
        plain = [
            sorted((table.key() for table in self.tables), key=itemgetter(0)),
            self.batch_size,
            self.idle_timeout,
            [self.rows_per_partition, self.partitions_override, self.max_parallel_workers, self.tables_in_parallel],
            sorted(self.env.items()),
        ]
        return hashlib.sha256(encode_json(plain)).hexdigest()[:32]

    def once(self, what: object, other: object, make: Callable[[], T]) -> T:
        """What ``make`` makes of this config and ``other``, made once while these are the same two objects.

        Comparing thousands of tables takes a while, and one reconcile asks for it in many places.
        """
        made: tuple[object, T] | None = self._made.get(what)
        if made is None or made[0] is not other:
            made = self._made[what] = (other, make())
        return made[1]


def _config(value: object, read: ValidatorFunctionWrapHandler, info: ValidationInfo) -> MirrorConfig:
    before: MirrorConfig | None = info.context
    if before is not None and before.raw == value:
        return before
    config: MirrorConfig = read(without_nulls(value))
    object.__setattr__(config, "raw", value)
    return config


ReportedConfig = Annotated[MirrorConfig, WrapValidator(_config)]
"""A config in a body; the context of its validation is the config that the mirror had before, if one is known."""


def _as_sent(tables: tuple[TableMapping, ...]) -> list[Mapping[str, Any]]:
    return [table.to_json() for table in tables]


@dataclass(frozen=True, slots=True)
class ConfigUpdate:
    """``cdcFlowConfigUpdate`` (PeerDB v0.37 protos/flow.proto). Zero and empty leave things as they are.

    An update without any field is still an update: it takes the place of one that waits unseen in the mirror's queue.
    A removal must be the mapping that PeerDB reported, which cleans up by what it is sent. ``skip_snapshot``: the rows
    that an added table has are not copied.
    """

    __pydantic_config__: ClassVar[ConfigDict] = WIRE_VALUE

    additions: Annotated[tuple[TableMapping, ...], Field(alias="additionalTables"), PlainSerializer(_as_sent)] = ()
    removals: Annotated[tuple[TableMapping, ...], Field(alias="removedTables"), PlainSerializer(_as_sent)] = ()
    batch_size: int = 0
    idle_timeout: int = 0  # seconds
    rows_per_partition: RowsPerPartition = 0
    partitions_override: PartitionsOverride = 0
    max_parallel_workers: MaxParallelWorkers = 0
    tables_in_parallel: TablesInParallel = 0
    env: Annotated[dict[str, str], Field(alias="updatedEnv")] = field(default_factory=dict)
    skip_snapshot: Annotated[bool, Field(alias="skipInitialSnapshotForTableAdditions")] = False

    @property
    def sets_anything(self) -> bool:
        """Whether it changes a setting."""
        return replace(self, additions=(), removals=(), skip_snapshot=False) != ConfigUpdate()

    def to_json(self) -> dict[str, Any]:
        """The fields that say something, under PeerDB's names."""
        said: dict[str, Any] = _UPDATE.dump_python(self, mode="json", by_alias=True, exclude_defaults=True)
        return said

    def applied_to(self, config: MirrorConfig) -> MirrorConfig:
        """The config once PeerDB has applied this update to ``config``."""
        return config.once("after", self, lambda: self._applied_to(config))

    def _applied_to(self, config: MirrorConfig) -> MirrorConfig:
        gone = {table.source for table in self.removals}
        return MirrorConfig(
            tables=(*(table for table in config.tables if table.source not in gone), *self.additions),
            batch_size=self.batch_size or config.batch_size,
            idle_timeout=self.idle_timeout or config.idle_timeout,
            rows_per_partition=self.rows_per_partition or config.rows_per_partition,
            partitions_override=self.partitions_override or config.partitions_override,
            max_parallel_workers=self.max_parallel_workers or config.max_parallel_workers,
            tables_in_parallel=self.tables_in_parallel or config.tables_in_parallel,
            env={**config.env, **self.env},
        )


_UPDATE: Final = TypeAdapter(ConfigUpdate)
_VALIDATED_KEYS: Final = (
    "sourceName",
    "destinationName",
    "publicationName",
    "replicationSlotName",
    "cdcStagingPath",
    "snapshotStagingPath",
    "softDeleteColName",
    "syncedAtColName",
    "script",
    "system",
)


def validation_request(update: ConfigUpdate, live: MirrorConfig, name: str, *, copy: bool) -> dict[str, Any]:
    """``connectionConfigs`` that ask PeerDB about the additions alone, under a name that no mirror has."""
    return {
        **{key: live.raw[key] for key in _VALIDATED_KEYS if key in live.raw},
        "flowJobName": name,
        "tableMappings": _as_sent(update.additions),
        "env": {**live.env, **update.env},
        "doInitialSnapshot": copy,
        "initialSnapshotOnly": False,
        "resync": False,
    }


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a copy has come, in sums over all its tables: completed partitions, and rows."""

    partitions: int
    rows: int
    partitions_total: int = 0


_NOT_IN_COPIES = re.compile("[^a-zA-Z0-9_]+")


def name_in_copies(name: str) -> str:
    """A mirror or source table as PeerDB writes it within the name of a copy (``LogRow.mirror_name``)."""
    return _NOT_IN_COPIES.sub("_", name)


class RequestedState(StrEnum):
    """What a mirror can be asked to become."""

    RUNNING = "STATUS_RUNNING"
    PAUSED = "STATUS_PAUSED"
    TERMINATING = "STATUS_TERMINATING"
