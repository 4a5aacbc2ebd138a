"""What a mirror is made of, as PeerDB's JSON has it: table mappings, the config in a status, and an update of it.

Owns the reading of a config and the writing of a config update. Leaves the bodies around them to ``peerdb_wire`` and
comparing a mirror with a wish to others. The reading is tolerant where PeerDB may grow (unknown fields are ignored,
unknown enum words and numbers kept as text, ``null`` means absent) and strict where a gap would be mistaken for a fact:
a config without table mappings is not a mirror without tables.

JSON rules of PeerDB's gateway: 64-bit integers arrive as strings, enums as words or, when PeerDB has no word for them,
as numbers. An enum word that it does not know is dropped silently, so what goes back goes back to the letter.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SkipValidation, model_validator
from pydantic.alias_generators import to_camel

from peerdb_operator.clients.peerdb_transport import encode_json


def with_raw(value: object) -> object:
    """For a ``BeforeValidator``: keep an object to the letter in the field ``raw`` of its model."""
    return {**value, "raw": value} if isinstance(value, dict) else value


Word = Annotated[str, Field(coerce_numbers_to_str=True)]  # an enum: its word, or the number PeerDB had no word for


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
class ConfigUpdate:
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

    def encoded_size(self) -> int:
        """Bytes of ``to_json()`` as it is sent."""
        return len(encode_json(self.to_json()))
