"""One entry of ``spec.tables``: what a user may say about a replicated table.

Nothing here has a default: a field that the list in Git does not show must not appear in the cluster, or every sync
tool would report a difference.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from peerdb_operator.api.schema import VALUE_CONFIG, described
from peerdb_operator.api.text import PLAIN_PATTERN, PLAIN_TEXT, Plain

SOURCE_PATTERN: Final = r"^[^.]+\.[^.]+$"
DESTINATION_PATTERN: Final = r"^[^.]+(\.[^.]+)*$"
COLUMN_TYPE_PATTERN: Final = "^[a-zA-Z][a-zA-Z0-9(),]*$"
"""PeerDB's own (flow/cmd/validate_mirror.go CustomColumnTypeRegex)."""

MAX_COLUMNS: Final = 1600
"""No Postgres table can have more."""

_NOT_IN_PLACE: Final = "not in place; remove the table in one edit, empty its destination, add it in the next"


class Engine(StrEnum):
    """A ClickHouse table engine by ClickHouse's own name."""

    REPLACING_MERGE_TREE = "ReplacingMergeTree"
    MERGE_TREE = "MergeTree"
    NULL = "NullEngine"  # ClickHouse says Null, which YAML reads as no value at all
    REPLICATED_REPLACING_MERGE_TREE = "ReplicatedReplacingMergeTree"
    REPLICATED_MERGE_TREE = "ReplicatedMergeTree"
    COALESCING_MERGE_TREE = "CoalescingMergeTree"

    @property
    def wire(self) -> str:
        """PeerDB's name of it (protos/flow.proto TableEngine)."""
        return f"CH_ENGINE_{self.name}"


def duplicates(values: Iterable[str]) -> tuple[str, int, int] | None:
    """The first value that occurs again, with the positions of its first two occurrences."""
    seen: dict[str, int] = {}
    for index, value in enumerate(values):
        first = seen.setdefault(value, index)
        if first != index:
            return value, first, index
    return None


def require_unique(what: str, values: Iterable[str]) -> None:
    """Raise pydantic's error for a value that occurs twice; ``what`` names the key, as in "source"."""
    found = duplicates(values)
    if found is not None:
        value, first, second = found
        context = {"what": what, "value": value, "first": first, "second": second}
        raise PydanticCustomError("duplicate", 'has {what} "{value}" twice (items {first} and {second})', context)


def _unique_columns(columns: "tuple[ColumnSpec, ...]") -> "tuple[ColumnSpec, ...]":
    require_unique("sourceName", (column.source_name for column in columns))
    return columns


def _unique_names(names: tuple[str, ...]) -> tuple[str, ...]:
    require_unique("column", names)
    return names


def _require_engine(engine: Engine | None) -> Engine:
    """An engine that is not given is not validated; null is given."""
    if engine is None:
        raise PydanticCustomError(
            "null_engine",
            "is null, as YAML reads the word Null: write NullEngine for that engine, or leave the field out",
        )
    return engine


_Name = Annotated[str, Field(min_length=1, max_length=128), Plain]
_Listed = Annotated[str, Field(min_length=1, max_length=128, pattern=PLAIN_PATTERN)]
"""A name within a list of each table."""

_Expression = Annotated[str, Field(min_length=1, max_length=1024, pattern=PLAIN_PATTERN)]
_Source = Annotated[str, Field(min_length=3, max_length=256, pattern=SOURCE_PATTERN), Plain]
_Destination = Annotated[str, Field(min_length=1, max_length=256, pattern=DESTINATION_PATTERN), Plain]
_ColumnType = Annotated[str, Field(min_length=1, max_length=128, pattern=COLUMN_TYPE_PATTERN)]
_Position = Annotated[int, Field(strict=True, ge=1, le=MAX_COLUMNS)]
_Flag = Annotated[bool, Field(strict=True)]


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    """How one column arrives at the destination."""

    __pydantic_config__: ClassVar[ConfigDict] = VALUE_CONFIG

    source_name: Annotated[_Listed, described("Column in the source table.", changes=_NOT_IN_PLACE)]
    destination_name: Annotated[
        _Listed | None, described("Column in the destination table.", unset="the source's name", changes=_NOT_IN_PLACE)
    ] = None
    destination_type: Annotated[
        _ColumnType | None,
        described(
            "Type of the column in the destination, e.g. `Decimal(38,9)`.",
            unset="derived by PeerDB from the source's type",
            changes=_NOT_IN_PLACE,
        ),
    ] = None
    ordering: Annotated[
        _Position | None,
        described(
            "Place of the column in the destination's sorting key (ClickHouse ORDER BY).",
            unit="position, counted from 1",
            unset="not chosen; PeerDB sorts by the primary key when no column has a place",
            changes=_NOT_IN_PLACE,
        ),
    ] = None
    partitioning: Annotated[
        _Position | None,
        described(
            "Place of the column in the destination's partition key (ClickHouse PARTITION BY).",
            unit="position, counted from 1",
            unset="not part of it",
            changes=_NOT_IN_PLACE,
        ),
    ] = None
    nullable_enabled: Annotated[
        _Flag | None,
        described("Whether the destination's column may hold NULL.", unset="PeerDB decides", changes=_NOT_IN_PLACE),
    ] = None


@dataclass(frozen=True, slots=True)
class TableSpec:
    """A replicated table; the source identifies it."""

    __pydantic_config__: ClassVar[ConfigDict] = VALUE_CONFIG

    source: Annotated[
        _Source,
        described(
            "Table in the source, as `schema.table` (or `database.table`) with exactly one dot. Identifies the entry.",
            changes="by adding and removing entries",
            rules=[PLAIN_TEXT],
        ),
    ]
    destination: Annotated[
        _Destination,
        described(
            "Table in the destination: bare for ClickHouse and BigQuery, `schema.table` for Postgres and Snowflake. "
            "May be shared only by tables that already share it in PeerDB.",
            changes=_NOT_IN_PLACE,
            rules=[PLAIN_TEXT],
        ),
    ]
    exclude: Annotated[
        Annotated[tuple[_Listed, ...], Field(max_length=MAX_COLUMNS), AfterValidator(_unique_names)] | None,
        described(
            "Columns of the source that are not replicated.", unset="none", changes=_NOT_IN_PLACE, list_type="set"
        ),
    ] = None
    partition_key: Annotated[
        _Name | None,
        described(
            "Column by which the first copy of the table is cut into partitions.",
            unset="chosen by PeerDB",
            changes=_NOT_IN_PLACE,
            rules=[PLAIN_TEXT],
        ),
    ] = None
    engine: Annotated[
        Annotated[Engine | None, AfterValidator(_require_engine)],
        described(
            "ClickHouse engine of the destination table. NullEngine is what ClickHouse calls Null, a word that YAML "
            "reads as no value.",
            unset="PeerDB's, which is ReplacingMergeTree",
            changes=_NOT_IN_PLACE,
            refuses_null=True,
        ),
    ] = None
    sharding_key: Annotated[
        _Expression | None,
        described(
            "Sharding expression of the distributed table, for a ClickHouse cluster.",
            unset="none",
            changes=_NOT_IN_PLACE,
        ),
    ] = None
    policy_name: Annotated[
        _Name | None,
        described(
            "Storage policy of the ClickHouse table.",
            unset="the server's own",
            changes=_NOT_IN_PLACE,
            rules=[PLAIN_TEXT],
        ),
    ] = None
    partition_by_expr: Annotated[
        _Expression | None,
        described("PARTITION BY expression of the ClickHouse table.", unset="none", changes=_NOT_IN_PLACE),
    ] = None
    columns: Annotated[
        Annotated[tuple[ColumnSpec, ...], Field(max_length=MAX_COLUMNS), AfterValidator(_unique_columns)] | None,
        described(
            "Columns that arrive under another name, type or place than PeerDB would choose: all of them, for a column "
            "that is missing here counts as chosen by PeerDB. Of a column, only the fields that it sets are compared "
            "with the mirror.",
            unset="none",
            changes=_NOT_IN_PLACE,
            list_type="map",
            keys=["sourceName"],
        ),
    ] = None
