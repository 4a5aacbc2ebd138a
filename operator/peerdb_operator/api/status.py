"""``Mirror.status``: what the operator observed and did, and the journal that must survive a restart.

Users edit and wipe status by hand, and other versions of the operator leave other shapes: reading never fails, it drops
what it cannot read.
"""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, Field, ValidationError, WithJsonSchema
from pydantic.dataclasses import dataclass

from peerdb_operator.api.naming import MIRROR_NAME_MAX
from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.schema import MODEL_CONFIG, VALUE_CONFIG, observed
from peerdb_operator.api.times import AsWritten, Micros, Seconds

MAX_PENDING: Final = 20
MAX_MESSAGE: Final = 32_768
MAX_ERROR: Final = 1_024
MAX_CONDITIONS: Final = 16

_GENERATION_MAX: Final = 2**53 - 1  # what every JSON reader takes for a whole number
_INT32_MAX: Final = 2**31 - 1

Generation = Annotated[int, Field(ge=-1, le=_GENERATION_MAX)]
Count = Annotated[int, Field(ge=0, le=_INT32_MAX)]
_Word = Annotated[str, Field(max_length=64)]
_MirrorName = Annotated[str, Field(max_length=MIRROR_NAME_MAX)]
_Hash = Annotated[str, Field(max_length=128)]
_WORD_SCHEMA: Final = {"type": "string", "maxLength": 64}
REFUSALS: Final = (Reason.EDIT_NOT_APPLIED, Reason.EDIT_TOO_LARGE)
"""What an edit that PeerDB refused for its content may be called."""


def _refusal(reason: Reason) -> Reason:
    if reason not in REFUSALS:
        raise ValueError("no reason for which PeerDB refuses an edit")
    return reason


_Identifier = Annotated[str, Field(max_length=256)]


class ConditionStatus(StrEnum):
    """The three answers of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True, config=VALUE_CONFIG)
class Condition:
    """One condition, in the shape of metav1.Condition."""

    type: Annotated[
        str,
        Field(
            max_length=316,
            pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
        ),
        observed("Ready and Synced always; Reconciling and Stalled only while true."),
    ]
    status: Annotated[ConditionStatus, observed("Whether the condition holds: True, False or Unknown.")]
    reason: Annotated[
        str,
        Field(min_length=1, max_length=1024, pattern="^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"),
        observed("Why, in one word of a documented list."),
    ]
    message: Annotated[str, Field(max_length=MAX_MESSAGE), observed("Why, in a sentence, with the way out.")]
    last_transition_time: Annotated[AsWritten, observed("When `status` of this condition last changed.")]
    observed_generation: Annotated[
        Annotated[int, Field(ge=0, le=_GENERATION_MAX)] | None,
        observed("The metadata.generation that the condition speaks of."),
    ] = None


@dataclass(frozen=True, slots=True, config=VALUE_CONFIG)
class TablesStatus:
    """The tables of the mirror in numbers."""

    desired: Annotated[Count, observed("Tables in the spec.", unit="tables")] = 0
    replicating: Annotated[
        Count, observed("Tables of the spec that the mirror replicates; 0 without a mirror.", unit="tables")
    ] = 0
    adding: Annotated[Count, observed("Tables that are yet to be added.", unit="tables")] = 0
    removing: Annotated[
        Count, observed("Tables that are yet to be removed; they replicate until then.", unit="tables")
    ] = 0
    summary: Annotated[
        Annotated[str, Field(max_length=64)] | None,
        observed(
            "Replicating and desired tables, as in `4998/5000`; `4998/5000 +2` while two more are yet to be removed."
        ),
    ] = None
    pending: Annotated[
        list[_Identifier],
        Field(max_length=MAX_PENDING),
        observed("Sources of the first tables that are yet to be added or removed.", list_type="atomic"),
    ] = field(default_factory=list)


class Step(StrEnum):
    """The commands that the journal records; OTHER is any value that this operator does not write."""

    PAUSE = "Pause"
    RESUME = "Resume"
    EDIT = "Edit"
    DROP = "Drop"
    OTHER = "Other"

    @classmethod
    def _missing_(cls, value: object) -> "Step | None":
        return cls.OTHER if isinstance(value, str) else None


_OpenStep = Annotated[Step, WithJsonSchema(_WORD_SCHEMA)]  # a newer operator may write others
_Refusal = Annotated[Reason, AfterValidator(_refusal), WithJsonSchema(_WORD_SCHEMA)]


@dataclass(frozen=True, slots=True, config=VALUE_CONFIG)
class Operation:
    """The command in flight: what was sent to PeerDB and is not proven by an observation yet.

    ``from_`` and ``to`` are fingerprints around an edit. A drop has its flags in ``to``; a resume that gives an edit
    up, the edit's goal; a pause, the goal of an edit that may still wait in PeerDB's queue and is applied by it.
    ``generation`` is None in an entry of an operator that did not record it.
    """

    id: Annotated[_Word, observed("Identity of the command.")]
    step: Annotated[_OpenStep, observed("Pause, Resume, Edit or Drop.")]
    sent_at: Annotated[Micros, observed("When it was sent, or its request ended without a reply.")]
    created_at: Annotated[
        _Word, observed("PeerDB's creation time of the mirror; another value means another mirror of the same name.")
    ]
    from_: Annotated[
        _Hash | None, Field(alias="from"), observed("Fingerprint of the mirror's configuration before the command.")
    ] = None
    to: Annotated[
        _Hash | None,
        observed(
            "Fingerprint that the command is to bring about, also that of an edit which a pause may still set off; "
            "for a drop its flags."
        ),
    ] = None
    accepted: Annotated[bool, observed("Whether PeerDB answered 200, which does not mean that it is done.")] = False
    generation: Annotated[
        Generation | None, observed("The metadata.generation of the spec that asked for the command.")
    ] = None

    @property
    def may_be_queued(self) -> bool:
        """Whether an edit of ours that is not proven may still wait in PeerDB's queue for the next pause."""
        return self.step is Step.EDIT or (self.step is Step.PAUSE and bool(self.to))


@dataclass(frozen=True, slots=True, config=VALUE_CONFIG)
class Correction:
    """One edit that undid a change made in PeerDB by another client."""

    difference: Annotated[_Hash, observed("Fingerprint of what was corrected.")]
    time: Annotated[Micros, observed("When the edit was sent.")]


@dataclass(frozen=True, slots=True, config=VALUE_CONFIG)
class Bounds:
    """What limits repeated edits; outlives the operation."""

    generation: Annotated[Generation, observed("The metadata.generation that the counts belong to.")] = 0
    goal: Annotated[_Hash | None, observed("Fingerprint that the newest edit was to bring about.")] = None
    attempts: Annotated[Count, observed("Edits towards that goal that stayed unproven.", unit="edits")] = 0
    not_before: Annotated[Micros | None, observed("No further edit before this time.")] = None
    corrections: Annotated[
        tuple[Correction, ...],
        Field(max_length=16),
        observed("The newest edits that undid a change made in PeerDB.", list_type="atomic"),
    ] = ()
    settled: Annotated[Generation | None, observed("The newest metadata.generation that became settled.")] = None
    refused: Annotated[_Refusal | None, observed("Reason for which PeerDB refused the goal, if it did.")] = None


@dataclass(frozen=True, slots=True, config=VALUE_CONFIG)
class LastError:
    """The newest error in PeerDB's log of the mirror."""

    message: Annotated[Annotated[str, Field(max_length=MAX_ERROR)], observed("The log's text, shortened.")]
    time: Annotated[Seconds, observed("When PeerDB logged it.")]


class FlowStatus(BaseModel):
    """What is proven of the flow of rows, until something proves the contrary."""

    model_config = MODEL_CONFIG

    verdict: Annotated[
        _Word,
        observed(
            "MirrorOrphaned: no workflow is behind the mirror. RunningWithErrors: no batch is known to have ended "
            "since `lastError`. Running: one has."
        ),
    ]
    since: Annotated[Seconds, observed("Since when the operator knows it.")]
    message: Annotated[Annotated[str, Field(max_length=MAX_ERROR)], observed("How it is known.")] = ""


class MirrorStatus(BaseModel):
    """What the operator saw last."""

    model_config = MODEL_CONFIG

    observed_generation: Annotated[
        Generation,
        observed("The newest metadata.generation that was evaluated; -1 before the first."),
    ] = -1
    mirror_name: Annotated[_MirrorName | None, observed("Name of the mirror in PeerDB.")] = None
    created_at: Annotated[
        _Word | None,
        observed("PeerDB's creation time of the mirror that this object manages; another mirror has another."),
    ] = None
    state: Annotated[
        _Word | None,
        observed("State of the mirror in PeerDB's words (Running, Paused, Pausing, Snapshot, ...), or Missing."),
    ] = None
    state_since: Annotated[Seconds | None, observed("Since when the operator has seen this state.")] = None
    tables: Annotated[
        TablesStatus | None, observed("The tables in numbers; absent as long as no list of tables was accepted.")
    ] = None
    operation: Annotated[Operation | None, observed("The command in flight, if any.")] = None
    bounds: Annotated[Bounds | None, observed("What limits repeated edits.")] = None
    flow: Annotated[FlowStatus | None, observed("What is proven of the flow of rows; absent if nothing is.")] = None
    last_error: Annotated[LastError | None, observed("The newest error in PeerDB's log of the mirror.")] = None
    conditions: Annotated[
        list[Condition],
        Field(max_length=MAX_CONDITIONS),
        observed(
            "Ready, Synced, Reconciling, Stalled; conditions of other writers are kept.", list_type="map", keys=["type"]
        ),
    ] = []

    @property
    def ready(self) -> Condition | None:
        """The condition Ready; None before the first verdict."""
        return next((condition for condition in self.conditions if condition.type == "Ready"), None)

    @property
    def ready_reason(self) -> str:
        """The reason of Ready; empty without one."""
        return "" if self.ready is None else self.ready.reason

    def as_wire(self) -> dict[str, Any]:
        """The status as it is written; what is unset is left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


_Location = tuple[int | str, ...]
_LEVELS: Final = 8
"""Looks at a broken status: one per level of nesting, since a dropped field may take the object that needs it along."""


def read_status(raw: object) -> MirrorStatus:
    """Read ``status`` as it came from the API server, or None; never raises.

    A part that does not parse is dropped: an optional field alone, a required one together with the object that needs
    it. Unknown fields are ignored.
    """
    value: object = raw
    for _ in range(_LEVELS):
        try:
            return MirrorStatus.model_validate(value, by_alias=True, by_name=False)
        except ValidationError as error:
            value = _without(value, {_location_to_drop(detail["type"], detail["loc"]) for detail in error.errors()})
    return MirrorStatus()


def _location_to_drop(kind: str, location: _Location) -> _Location:
    return location[:-1] if kind == "missing" else location


def _without(value: object, locations: set[_Location]) -> object:
    """A copy without what is at the locations; nothing outside them is touched, nor walked through."""
    if () in locations:
        return None
    below: dict[int | str, set[_Location]] = {}
    for location in locations:
        below.setdefault(location[0], set()).add(location[1:])
    if isinstance(value, Mapping):
        pruned = {key: _without(item, below[key]) if key in below else item for key, item in value.items()}
        return {key: item for key, item in pruned.items() if item is not None}
    items = enumerate(value if isinstance(value, list) else [])
    kept = [_without(item, below[index]) if index in below else item for index, item in items]
    return [item for item in kept if item is not None]
