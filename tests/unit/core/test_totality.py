"""Every case has exactly one plan, the same each time, and none breaks what must hold whatever happened before.

Coverage is not measured here: a line that only chance reaches is not tested.
"""

from __future__ import annotations

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import Condition, ConditionStatus, MirrorStatus, Step, read_status
from peerdb_operator.mirror.rules.conditions import UNEVALUATED, ConditionChange, StatusUpdate, next_status
from peerdb_operator.mirror.rules.decision import (
    Action,
    Adopt,
    Decision,
    Disarm,
    Drop,
    Observe,
    Pause,
    Precheck,
    Release,
    Resume,
    SendUpdate,
)
from peerdb_operator.mirror.rules.finalize import drop_sent, release_cause
from peerdb_operator.mirror.rules.journal import shows_goal
from peerdb_operator.mirror.rules.observation import Absent, Found, OwnerKind, State, Unknown
from peerdb_operator.mirror.rules.state import Case
from peerdb_operator.peerdb.models import MirrorConfig
from tests.unit.core.builders import Deletion, decision_of, deletion_of
from tests.unit.core.strategies import cases, deletions
from tests.unit.core.test_change_reference import assert_harmless

COMMANDS = (Pause, Resume, SendUpdate, Disarm, Drop)
pytestmark = pytest.mark.no_cover
many = settings(max_examples=300, deadline=None)


def is_ours(case: Case) -> bool:
    """Whether this very look shows our tag."""
    look = case.observation
    return isinstance(look, Found) and look.owner.kind is OwnerKind.OURS


def is_doubtful(case: Case) -> bool:
    """Whether nothing was learned, or only that the mirror is gone."""
    return isinstance(case.observation, Unknown | Absent)


def sends_nothing_without_our_tag_in_this_very_look(case: Case, decision: Decision) -> None:
    if isinstance(decision.action, COMMANDS):
        assert is_ours(case)
        assert not case.view.frozen
    if isinstance(decision.action, Adopt):
        assert not is_doubtful(case)
        assert case.claims.older is None or is_ours(case)


def does_nothing_in_doubt(case: Case, decision: Decision) -> None:
    assert not isinstance(decision.action, Drop | Release)
    if is_doubtful(case):
        assert decision.action is None
        assert decision.verdict is None or not decision.verdict.settled


def commands_what_fits_the_state_and_the_wish(case: Case, decision: Decision) -> None:
    runs = case.desired.wants_running
    match decision.action:
        case Pause() | Disarm():
            assert case.state is State.RUNNING
        case Resume():
            assert case.state is State.PAUSED
            assert runs
        case SendUpdate(edit=edit):
            assert case.state is State.PAUSED
            assert runs
            assert case.history.confirmed, "two looks at PAUSED in this pass"
            assert isinstance(case.config, MirrorConfig)
            assert_harmless(edit, case.config)
        case _:
            pass


def has_one_command_in_flight_at_most(_case: Case, decision: Decision) -> None:
    operation, action = decision.journal.operation, decision.action
    if isinstance(action, SendUpdate | Disarm):
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


def never_loses_sight_of_an_edit_that_may_be_queued(case: Case, decision: Decision) -> None:
    operation, action = case.journal.operation, decision.action
    if not (is_ours(case) and case.is_full and case.state is State.RUNNING) or case.history.orphaned:
        return
    if operation is None or not operation.may_be_queued or operation.created_at != case.seen.created_at:
        return
    fired = operation.step is Step.PAUSE and case.history.pausing_seen
    if fired or shows_goal(operation, case.seen.config) or decision.journal.operation == operation:
        return
    if isinstance(action, Pause):
        assert action.operation is not None
        assert action.operation.to == operation.to
    else:
        assert isinstance(action, Disarm)


def sends_no_addition_unchecked(case: Case, decision: Decision) -> None:
    if isinstance(decision.action, SendUpdate) and decision.action.edit.additions:
        assert case.history.precheck is not None
        assert case.history.precheck.reason is None


def leaves_no_mirror_standing_for_long(case: Case, decision: Decision) -> None:
    since, view = case.history.paused_since, case.view
    if not (is_ours(case) and case.is_full and case.seen.supported and case.state is State.PAUSED):
        return
    if since is None or case.now - since < case.limits.paused_patience or not case.desired.wants_running:
        return
    if case.history.orphaned:
        return  # there is no workflow that could hear a resume; it is tried now and then
    if view.frozen or not view.has_finalizer:
        return
    operation = decision.journal.operation
    sent_at = max(case.history.sent_at, 0.0 if operation is None else operation.sent_at)
    assert isinstance(decision.action, Resume) or case.now - sent_at < case.limits.resend


def rests_when_it_says_so(_case: Case, decision: Decision) -> None:
    if decision.verdict is not None and decision.verdict.settled:
        assert decision.action is None


def tells_a_verdict_that_can_be_true(case: Case, decision: Decision) -> None:
    reported = decision.verdict
    if reported is None:
        return
    assert not (reported.reconciling is ConditionChange.TRUE and reported.stalled is ConditionChange.TRUE)
    if reported.ready is ConditionChange.TRUE:
        assert reported.reason not in UNEVALUATED
    if reported.ready is ConditionChange.KEEP:
        assert case.view.status.observed_generation == case.desired.generation


INVARIANTS = (
    sends_nothing_without_our_tag_in_this_very_look,
    does_nothing_in_doubt,
    commands_what_fits_the_state_and_the_wish,
    has_one_command_in_flight_at_most,
    never_loses_sight_of_an_edit_that_may_be_queued,
    sends_no_addition_unchecked,
    leaves_no_mirror_standing_for_long,
    rests_when_it_says_so,
    tells_a_verdict_that_can_be_true,
)


@many
@given(cases())
def test_every_case_has_one_plan_the_same_each_time_and_it_keeps_the_invariants(case: Case) -> None:
    decision = decision_of(case)
    event(decision.rule)
    assert decision == decision_of(case)
    assert decision.requeue.after is None or decision.requeue.after >= 0.0
    for invariant in INVARIANTS:
        invariant(case, decision)


def drops_only_with_our_tag_the_policy_and_knowledge(case: Case, deletion: Deletion, action: Action | None) -> None:
    if not isinstance(action, Drop):
        return
    assert is_ours(case)
    assert release_cause(case.desired, deletion.claims) is None
    assert deletion.claims.crd_terminating is False
    assert deletion.claims.namespace_terminating is False or deletion.claims.drops_with_namespace
    assert not case.view.frozen
    assert action.first is not drop_sent(case)
    assert not action.first or deletion.claims.drop_wait == 0.0


def drops_nothing_in_doubt_and_releases_only_what_is_to_stay(
    case: Case, deletion: Deletion, action: Action | None
) -> None:
    if isinstance(case.observation, Unknown) and case.view.has_finalizer:
        assert not isinstance(action, Drop | Resume)
        assert not isinstance(action, Release) or release_cause(case.desired, deletion.claims) is not None


def sends_nothing_but_the_drop_after_it(case: Case, _deletion: Deletion, action: Action | None) -> None:
    assert not isinstance(action, SendUpdate | Pause | Precheck | Adopt)
    assert not isinstance(action, Disarm) or case.state is State.RUNNING
    if drop_sent(case):
        assert action is None or isinstance(action, Drop | Release | Observe)


DELETION_INVARIANTS = (
    drops_only_with_our_tag_the_policy_and_knowledge,
    drops_nothing_in_doubt_and_releases_only_what_is_to_stay,
    sends_nothing_but_the_drop_after_it,
)


@many
@given(cases(), deletions())
def test_every_deletion_has_one_plan_the_same_each_time_and_it_keeps_the_invariants(
    case: Case, deletion: Deletion
) -> None:
    decision = deletion_of(case, deletion)
    event(decision.rule)
    assert decision == deletion_of(case, deletion)
    assert decision.requeue.after is None or decision.requeue.after >= 0.0
    for invariant in DELETION_INVARIANTS:
        invariant(case, deletion, decision.action)


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


def status_after(case: Case, decision: Decision, before: MirrorStatus) -> MirrorStatus:
    """What a pass with this plan would write."""
    report = StatusUpdate(decision.verdict, decision.journal, decision.accept_tables)
    return next_status(before, case.desired, case.observation, case.history, report, case.now)


@many
@given(cases(), statuses(), st.none() | deletions())
def test_every_status_is_well_formed_and_survives_the_api_server(
    case: Case, before: MirrorStatus, deletion: Deletion | None
) -> None:
    decision = decision_of(case) if deletion is None else deletion_of(case, deletion)
    after = status_after(case, decision, before)
    assert read_status(after.as_wire()) == after
    if decision.verdict is None:
        return
    reported = {each.type: each.status is ConditionStatus.TRUE for each in after.conditions}
    assert not (reported.get("Reconciling", False) and reported.get("Stalled", False))
    if decision.verdict.ready is ConditionChange.TRUE:
        assert after.observed_generation == case.desired.generation
