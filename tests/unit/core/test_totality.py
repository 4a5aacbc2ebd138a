"""Every case has exactly one plan, the same each time, and none breaks what must hold whatever happened before."""

from __future__ import annotations

from hypothesis import event, given, settings
from hypothesis import strategies as st

from peerdb_operator.api.status import Condition, ConditionStatus, MirrorStatus, read_status
from peerdb_operator.core.case import Case
from peerdb_operator.core.config import LiveConfig
from peerdb_operator.core.deletion import Farewell, drop_sent, release_cause
from peerdb_operator.core.journal import Step
from peerdb_operator.core.observed import Absent, OwnerKind, Seen, State, Unknown
from peerdb_operator.core.plan_types import (
    Action,
    Disarm,
    Drop,
    LookFully,
    Pause,
    Plan,
    Release,
    Resume,
    SendEdit,
    TakeOver,
    Validate,
)
from peerdb_operator.core.reasons import Reason
from peerdb_operator.core.status import UNEVALUATED, Report, next_status
from peerdb_operator.core.verdict import Truth
from tests.unit.core.builders import farewell_of, plan_of
from tests.unit.core.strategies import cases, farewells
from tests.unit.core.test_change_reference import assert_harmless

COMMANDS = (Pause, Resume, SendEdit, Disarm, Drop)
many = settings(max_examples=300, deadline=None)


def is_ours(case: Case) -> bool:
    """Whether this very look shows our tag."""
    look = case.observation
    return isinstance(look, Seen) and look.owner.kind is OwnerKind.OURS


def is_doubtful(case: Case) -> bool:
    """Whether nothing was learned, or only that the mirror is gone."""
    return isinstance(case.observation, Unknown | Absent)


def sends_nothing_without_our_tag_in_this_very_look(case: Case, planned: Plan) -> None:
    if isinstance(planned.action, COMMANDS):
        assert is_ours(case)
        assert not case.situation.frozen
    if isinstance(planned.action, TakeOver):
        assert not is_doubtful(case)
        assert case.situation.older_claim is None or is_ours(case)


def does_nothing_in_doubt(case: Case, planned: Plan) -> None:
    assert not isinstance(planned.action, Drop | Release)
    if is_doubtful(case):
        assert planned.action is None
        assert planned.verdict is None or not planned.verdict.settled


def commands_what_fits_the_state_and_the_wish(case: Case, planned: Plan) -> None:
    runs = case.desired.wants_running
    match planned.action:
        case Pause() | Disarm():
            assert case.state is State.RUNNING
        case Resume():
            assert case.state is State.PAUSED
            assert runs
        case SendEdit(edit=edit):
            assert case.state is State.PAUSED
            assert runs
            assert case.memory.confirmed, "two looks at PAUSED in this pass"
            assert isinstance(case.config, LiveConfig)
            assert_harmless(edit, case.config)
        case _:
            pass


def has_one_command_in_flight_at_most(_case: Case, planned: Plan) -> None:
    operation, action = planned.journal.operation, planned.action
    if isinstance(action, SendEdit | Disarm):
        assert operation is None
    if not isinstance(action, Pause | Resume):
        return
    if action.operation is not None:
        assert operation is None
    else:
        assert operation is not None
        # A resume may go out beside an edit: no mirror stands still for it for long.
        again = {Step.PAUSE} if isinstance(action, Pause) else {Step.RESUME, Step.EDIT}
        assert operation.step in again


def sends_no_addition_unchecked(case: Case, planned: Plan) -> None:
    if isinstance(planned.action, SendEdit) and planned.action.edit.additions:
        assert case.memory.precheck is not None
        assert case.memory.precheck.reason is None


def leaves_no_mirror_standing_for_long(case: Case, planned: Plan) -> None:
    since, situation = case.memory.stopped_since, case.situation
    if not (is_ours(case) and case.is_full and case.seen.supported and case.state is State.PAUSED):
        return
    if since is None or case.now - since < case.limits.paused_patience or not case.desired.wants_running:
        return
    if case.memory.orphaned:
        return  # there is no workflow that could hear a resume; it is tried now and then
    if situation.frozen or not situation.has_finalizer:
        return
    operation = planned.journal.operation
    sent_at = max(case.memory.sent_at, 0.0 if operation is None else operation.sent_at)
    assert isinstance(planned.action, Resume) or case.now - sent_at < case.limits.resend


def rests_when_it_says_so(_case: Case, planned: Plan) -> None:
    if planned.verdict is not None and planned.verdict.settled:
        assert planned.action is None


def tells_a_verdict_that_can_be_true(case: Case, planned: Plan) -> None:
    told = planned.verdict
    if told is None:
        return
    assert not (told.reconciling is Truth.TRUE and told.stalled is Truth.TRUE)
    if told.ready is Truth.TRUE:
        assert told.reason not in UNEVALUATED
    if told.ready is Truth.KEEP:
        assert case.situation.observed_generation == case.desired.generation


INVARIANTS = (
    sends_nothing_without_our_tag_in_this_very_look,
    does_nothing_in_doubt,
    commands_what_fits_the_state_and_the_wish,
    has_one_command_in_flight_at_most,
    sends_no_addition_unchecked,
    leaves_no_mirror_standing_for_long,
    rests_when_it_says_so,
    tells_a_verdict_that_can_be_true,
)


@many
@given(cases())
def test_every_case_has_one_plan_the_same_each_time_and_it_keeps_the_invariants(case: Case) -> None:
    planned = plan_of(case)
    event(planned.rule)
    assert planned == plan_of(case)
    assert planned.wait.after is None or planned.wait.after >= 0.0
    for invariant in INVARIANTS:
        invariant(case, planned)


def drops_only_with_our_tag_the_policy_and_knowledge(case: Case, farewell: Farewell, action: Action | None) -> None:
    if not isinstance(action, Drop):
        return
    assert is_ours(case)
    assert release_cause(case, farewell) is None
    assert farewell.crd_terminating is False
    assert farewell.namespace_terminating is False or farewell.drops_with_namespace
    assert not case.situation.frozen
    assert action.first is not drop_sent(case)
    assert not action.first or farewell.brake_wait == 0.0


def drops_nothing_in_doubt_and_releases_only_what_is_to_stay(
    case: Case, farewell: Farewell, action: Action | None
) -> None:
    if isinstance(case.observation, Unknown) and case.situation.has_finalizer:
        assert not isinstance(action, Drop | Resume)
        assert not isinstance(action, Release) or release_cause(case, farewell) is not None


def sends_nothing_but_the_drop_after_it(case: Case, _farewell: Farewell, action: Action | None) -> None:
    assert not isinstance(action, SendEdit | Disarm | Pause | Validate | TakeOver)
    if drop_sent(case):
        assert action is None or isinstance(action, Drop | Release | LookFully)


DELETION_INVARIANTS = (
    drops_only_with_our_tag_the_policy_and_knowledge,
    drops_nothing_in_doubt_and_releases_only_what_is_to_stay,
    sends_nothing_but_the_drop_after_it,
)


@many
@given(cases(), farewells())
def test_every_deletion_has_one_plan_the_same_each_time_and_it_keeps_the_invariants(
    case: Case, farewell: Farewell
) -> None:
    planned = farewell_of(case, farewell)
    event(planned.rule)
    assert planned == farewell_of(case, farewell)
    assert planned.wait.after is None or planned.wait.after >= 0.0
    for invariant in DELETION_INVARIANTS:
        invariant(case, farewell, planned.action)


@st.composite
def statuses(draw: st.DrawFn) -> MirrorStatus:
    """Statuses as operators and hands may leave them."""
    kinds = draw(st.lists(st.sampled_from(["Ready", "Synced", "Reconciling", "Stalled"]), unique=True))
    built = [
        Condition(
            type=kind,
            status=draw(st.sampled_from(ConditionStatus)),
            reason=draw(st.sampled_from(list(Reason))),
            message="",
            last_transition_time=0.0,
            observed_generation=draw(st.none() | st.integers(0, 3)),
        )
        for kind in kinds
    ]
    return MirrorStatus(observed_generation=draw(st.integers(-1, 3)), conditions=built)


def status_after(case: Case, planned: Plan, before: MirrorStatus) -> MirrorStatus:
    """What a pass with this plan would write."""
    report = Report(planned.verdict, planned.journal, planned.accept_tables)
    return next_status(before, case.desired, case.observation, case.memory, report, case.now)


@many
@given(cases(), statuses(), st.none() | farewells())
def test_every_status_is_well_formed_and_survives_the_api_server(
    case: Case, before: MirrorStatus, farewell: Farewell | None
) -> None:
    planned = plan_of(case) if farewell is None else farewell_of(case, farewell)
    after = status_after(case, planned, before)
    assert read_status(after.as_wire()) == after
    if planned.verdict is None:
        return
    told = {each.type: each.status is ConditionStatus.TRUE for each in after.conditions}
    assert not (told.get("Reconciling", False) and told.get("Stalled", False))
    if planned.verdict.ready is Truth.TRUE:
        assert after.observed_generation == case.desired.generation
