"""Holds the invariants against every record of a simulation, in order, after every step."""

from dataclasses import dataclass

from tests.harness.fakecluster import Change
from tests.harness.simulation import HUMAN, Simulation
from tests.properties import invariants_flow as flow
from tests.properties import invariants_rest as rest
from tests.properties import invariants_tables as tables
from tests.properties import invariants_told as reported
from tests.properties.evidence import Asked, BatchesRead, Command, Evidence, TagWrite
from tests.properties.hands import Hands
from tests.properties.invariants import i4_commands_rest_on_a_fresh_observation, judge_command
from tests.properties.invariants_patience import I10
from tests.properties.invariants_replaced import Green


@dataclass
class Judge:
    """``quiet``, while it is a list, collects every record."""

    evidence: Evidence
    hands: Hands
    i10: I10
    green: Green
    quiet: list[Asked | Change] | None = None

    @classmethod
    def over(cls, simulation: Simulation) -> "Judge":
        """A judge of this simulation, at work from now on."""
        evidence = Evidence(simulation)
        hands = Hands(evidence)
        judge = cls(evidence, hands, I10(evidence, hands), Green(evidence, hands))
        evidence.reported.append(judge.take)
        simulation.watchdogs.append(judge.step)
        return judge

    def step(self) -> None:
        self.evidence.catch_up()
        self.i10.check()
        self.green.check()

    def take(self, one: Asked | Change) -> None:
        if self.quiet is not None:
            self.quiet.append(one)
        if isinstance(one, Change):
            self._change(one)
        elif one.call.who != HUMAN:
            self._asked(one)

    def _asked(self, one: Asked) -> None:
        reported.i6_doubt_sends_nothing(self.evidence, one)
        if isinstance(one, TagWrite):
            reported.i6_adoption_needs_a_missing_tag(self.evidence, one)
            i4_commands_rest_on_a_fresh_observation(self.evidence, one)
        if isinstance(one, BatchesRead):
            flow.batches_are_read_of_failing_mirrors_and_seldom(self.evidence, one)
        if isinstance(one, Command):
            judge_command(self.evidence, one, self.hands)
            rest.drops_wait_after_a_start(self.evidence, one)
            tables.a_pause_takes_no_table_away(self.evidence, one, self.hands)

    def _change(self, change: Change) -> None:
        evidence, hands = self.evidence, self.hands
        reported.i6_release_needs_a_reason(evidence, change, hands)
        reported.i6_missing_needs_two_answers(evidence, change, hands)
        reported.i6_failed_needs_two_looks(evidence, change)
        reported.a_short_outage_is_not_told(evidence, change)
        rest.a_release_leaves_nothing_stopped(evidence, change, hands)
        tables.a_release_leaves_no_edit_behind(evidence, change, hands)
        reported.i8_accepted_edits_are_proven_or_counted(evidence, change, hands)
        flow.running_needs_a_batch_after_the_newest_error(evidence, change)
        reported.i9_conditions_are_consistent(evidence, change)
        reported.i9_ready_speaks_of_what_was_evaluated(evidence, change)
