"""The kinds that the operator serves, as whole objects: spec, status, names, columns.

For the CRD generator; the operator itself works with spec and status. Here is what belongs to neither: the rule that
ties ``metadata.name`` to a mirror name, the status before the first observation, and the columns of ``kubectl get``.
"""

from typing import Annotated, ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field

from peerdb_operator.api import constants
from peerdb_operator.api.mirror import MirrorSpec
from peerdb_operator.api.naming import DERIVED_NAME_MAX, MAPPABLE_NAME_PATTERN
from peerdb_operator.api.schema import MODEL_CONFIG, SERVER_DEFAULT, PrinterColumn, Resource, Rule, rules_schema
from peerdb_operator.api.status import MirrorStatus


def _of_ready(field: str) -> str:
    return f'.status.conditions[?(@.type=="Ready")].{field}'


_COLUMNS: Final = (
    PrinterColumn("Desired", ".spec.state", "What the mirror should be doing."),
    PrinterColumn("State", ".status.state", "What PeerDB says the mirror is doing."),
    PrinterColumn("Ready", _of_ready("status"), "Whether the mirror is as the spec says."),
    PrinterColumn("Reason", _of_ready("reason"), "Why, in one word."),
    PrinterColumn(
        "Tables", ".status.tables.summary", "Tables replicating, of tables in the spec; +n: tables yet to be removed."
    ),
    PrinterColumn("Mirror", ".status.mirrorName", "Name of the mirror in PeerDB.", wide=True),
    PrinterColumn("Deletion", ".spec.deletionPolicy", "What deleting this object does.", wide=True),
    PrinterColumn("Message", _of_ready("message"), "Why, in a sentence.", wide=True),
    PrinterColumn("Age", ".metadata.creationTimestamp", "Since when this object exists.", type="date"),
)

_NAME_RULE: Final = Rule(
    f"has(self.spec.mirrorName) || self.metadata.name.matches('{MAPPABLE_NAME_PATTERN}')",
    f"metadata.name must map to a legal mirror name: at most {DERIVED_NAME_MAX} characters, beginning with a letter; "
    "use such a name, or set spec.mirrorName",
)

_NOT_LOOKED_YET: Final = MirrorStatus(observed_generation=-1)


class Mirror(BaseModel):
    """A replication job (CDC mirror) of PeerDB, and what it should be: its run state, tables and settings."""

    model_config = ConfigDict(**MODEL_CONFIG, json_schema_extra=rules_schema(_NAME_RULE))

    RESOURCE: ClassVar[Resource] = Resource(
        group=constants.GROUP,
        version=constants.VERSION,
        kind=constants.KIND,
        plural=constants.PLURAL,
        singular=constants.SINGULAR,
        short_names=(constants.SHORT,),
        categories=(constants.CATEGORY,),
        columns=_COLUMNS,
    )

    spec: Annotated[MirrorSpec, Field(description="What the mirror should be.")]
    status: Annotated[
        MirrorStatus,
        Field(
            description="What the operator saw and did; written by the operator alone.",
            json_schema_extra={SERVER_DEFAULT: True},
        ),
    ] = _NOT_LOOKED_YET
