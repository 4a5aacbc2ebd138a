"""Plays one scenario against the simulator and lists every difference.

Owns the order of things: what the recording says happened before a call is made to happen, the call is made, the answer
compared. What an answer must be is in ``compare``; watches are in ``watching``; what the world was like is in ``facts``
and ``seeding``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.harness.peerdb.spans import Span
from tests.harness.peerdb.values import Base, Deferred, Reply, Request
from tests.harness.replay.compare import Comparer
from tests.harness.replay.facts import Facts, ends_a_workflow, remarks
from tests.harness.replay.notes import note_difference
from tests.harness.replay.outcome import Outcome
from tests.harness.replay.recording import Call, Note, Other, Scenario, Watch
from tests.harness.replay.seeding import Seeder, touched
from tests.harness.replay.sending import UI_VARIANTS, mirror_of, not_simulated, request_of, with_state_of
from tests.harness.replay.stage import EPOCH, Stage
from tests.harness.replay.watching import MOVERS, Watches, until_the_cut, word

SLACK = 0.15
OVERLAP = 0.005
IN_A_CALL = frozenset({Span.VALIDATE.value, Span.SYNC_DROP.value, Span.RECREATE.value, Span.RETAG.value})
READS = ("mirrors/status", "mirrors/list", "flows/tags")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A call that is not answered while the next ones are made."""

    index: int
    call: Call
    answer: Deferred


class Player:
    """One play-through of one scenario."""

    def __init__(self, scenario: Scenario, choose: Callable[[str, str, tuple[str, ...]], str]) -> None:
        self.scenario = scenario
        self.stage = Stage(choose)
        self.outcome = Outcome()
        self.facts = Facts(self.stage)
        self.seeder = Seeder(self.stage, scenario)
        self.own = touched(scenario)
        self.comparer = Comparer(lambda name: name in self.own)
        self.watches = Watches(scenario, self.stage, self.comparer.identity)
        self.index = 0
        self.known_at: dict[str, float] = {}
        self.waiting: list[Waiting] = []

    def play(self) -> Outcome:
        """Play all steps."""
        self.seeder.before_the_first_call(self.own)
        for index, step in enumerate(self.scenario.steps):
            self.index = index
            self._answer_waiting(step.at if isinstance(step, Call) else None)
            self._step(step)
        self._answer_waiting(None)
        self.outcome.facts = self.facts.told
        return self.outcome

    def _step(self, step: Call | Watch | Note | Other) -> None:
        match step:
            case Call():
                self._call(step)
            case Watch():
                self._remark(step)
                self.outcome.watches += 1
                for words in self.watches.finish(self.index, step):
                    self._differs(words)
            case Note():
                self._remark(step)
                self._look(step)
            case Other():
                self.outcome.skipped[f"lines of kind {step.kind}"] += 1

    def _remark(self, step: Watch | Note) -> None:
        if step.mirror is not None and ends_a_workflow(remarks(step)):
            state, _ = self.watches.next_look(step.mirror, self.index)
            if state is not None:
                self.stage.drive_to(step.mirror, state)
            self.facts.remark(remarks(step), step.mirror)

    def _differs(self, words: str, index: int | None = None) -> None:
        self.outcome.differences.append((self.index if index is None else index, words))

    # -- what lies before a call ---------------------------------------------------------------------------------

    def _prepare(self, before: Mapping[str, str], at: float, grace: float = 0.0) -> None:
        """Bring every mirror to where it was seen; unseen ones to where they were ``grace`` seconds ago."""
        for mirror in sorted(self.own):
            state = word(before[mirror]) if mirror in before else None
            watched = self.watches.on(mirror, self.index)
            if watched is not None:
                self.watches.fire_before(*watched, at if mirror in before else at - grace, state)
            elif state is not None:
                self.stage.drive_to(mirror, state)
            else:
                self._let_pass(mirror, at)
            if state is None:
                continue
            self.known_at[mirror] = at
            if self.stage.state(mirror) != state:
                self._differs(f"before: {mirror} is {state} recorded, {self.stage.state(mirror)} simulated")

    def _let_pass(self, mirror: str, at: float) -> None:
        """Nobody looked: what is typically over by now is over, unless the next look still shows the present state."""
        state, moment = self.watches.next_look(mirror, self.index)
        if state is None or state == self.stage.state(mirror):
            self.stage.let_panic(mirror)
        elif moment is not None and at > (self.known_at.get(mirror, 0.0) + moment) / 2:
            self.stage.drive_to(mirror, state)
        else:
            self.stage.let_pass(mirror, state)

    # -- calls ---------------------------------------------------------------------------------------------------

    def _call(self, call: Call) -> None:
        self.stage.pass_to(call.at)
        self._prepare(call.before, call.at, SLACK if call.path.startswith(READS) else 0.0)
        self.watches.open(self.index)
        if call.ui is not None and call.ui not in UI_VARIANTS:
            self.outcome.skipped[f"calls through a UI of kind {call.ui}"] += 1
            return
        request = request_of(call, self.stage.engine)
        if not_simulated(request, self.stage.engine):
            self.outcome.not_simulated[f"{call.request['method']} {call.path}"] += 1
            self.seeder.apply(call, self.index)
            self.stage.settle()
        elif call.gave_up:
            self._give_up(call, request)
        else:
            self._ask(call, request)
        if call.path in MOVERS:
            self.known_at[mirror_of(call)] = call.at
        if not self.waiting:
            self.stage.pass_to(call.end)

    def _ask(self, call: Call, request: Request) -> None:
        self.facts.before(call)
        self.outcome.compared += 1
        answer = self.stage.engine.handle(request)
        following = next(iter(self.scenario.steps[self.index + 1 :]), None)
        if isinstance(answer, Deferred) and isinstance(following, Call) and following.at < call.end - OVERLAP:
            self.waiting.append(Waiting(self.index, call, answer))
            return
        reply = self._complete(mirror_of(call), answer)
        self._judge(call, self._difference(call, request, reply), self.index)
        self.facts.after()

    def _judge(self, call: Call, trouble: str | None, index: int) -> None:
        if trouble is not None:
            self._differs(f"{call.request['method']} {call.request['path']}: {trouble}", index)

    def _difference(self, call: Call, request: Request, reply: Reply) -> str | None:
        """What differs between the recorded answer and the simulator's at every moment that the call lasted."""
        trouble = self._compare(call, reply)
        first = reply
        while trouble is not None and call.path.startswith(READS) and self._slip(call):
            reply = self._complete(mirror_of(call), self.stage.engine.handle(request))
            variants = (reply, with_state_of(first, reply))
            if any(self._compare(call, variant) is None for variant in variants):
                return None
        return trouble

    def _compare(self, call: Call, reply: Reply) -> str | None:
        self.comparer.by_cursor = any(call.body.get(name) for name in ("beforeId", "afterId"))
        return self.comparer.difference(call.path, call.response, reply, cut_list=call.ui is not None)

    def _answer_waiting(self, moment: float | None) -> None:
        for one in list(self.waiting):
            if moment is None or moment >= one.call.end - OVERLAP:
                self.waiting.remove(one)
                reply = self._complete(mirror_of(one.call), one.answer)
                self._judge(one.call, self._compare(one.call, reply), one.index)
                self.facts.after()

    def _complete(self, name: str, answer: Reply | Deferred) -> Reply:
        if isinstance(answer, Reply):
            return answer
        while answer.reply is None:
            if not self._advance(name, answer):
                return Reply(0, b"no answer")
        return answer.reply

    def _advance(self, name: str, answer: Deferred) -> bool:
        held = sorted(one for one in self.stage.world.held if one.mirror in {"", name} and one.span in IN_A_CALL)
        if held:
            self.stage.world.fire(held[0])
            watched = self.watches.on(name, self.index)
            if watched is not None:
                self.watches.catch_up(*watched)
            self.stage.settle()
        elif answer.due is not None and (due := self.stage.engine.next_due()) is not None:
            self.stage.engine.run_until(due)
        else:
            return False
        return True

    def _slip(self, call: Call) -> bool:
        """Let what may have come true while the call lasted come true; False when there is nothing more."""
        names = [mirror_of(call)] if call.path != "mirrors/list" else sorted(self.own)
        return any(self._slip_one(call, name) for name in names)

    def _slip_one(self, call: Call, name: str) -> bool:
        if self.stage.fire_unseen(name):
            return True
        watched = self.watches.on(name, self.index)
        if watched is not None:
            left = self.watches.left(*watched)
            if not left or left[0].at > call.end + SLACK:
                return False
            self.watches.fire(*watched)
            return True
        return any(mirror_of(one.call) == name for one in self.waiting) and self.stage.fire_next(name)

    # -- clients that went away ----------------------------------------------------------------------------------

    def _give_up(self, call: Call, request: Request) -> None:
        if "refused" in str(call.response.get("text", "")).lower():
            self.outcome.skipped["calls that never reached PeerDB"] += 1
            return
        self.outcome.compared += 1
        answer = self.stage.engine.handle(request)
        if isinstance(answer, Reply):
            return
        name = mirror_of(call)
        watched = self.watches.on(name, self.index)
        if watched is not None and request.base is Base.GATEWAY:
            for state in until_the_cut([row.state for row in watched[1].rows]):
                if answer.reply is None:
                    self.stage.step_to(name, state)
            self.watches.catch_up(*watched)
        answer.abort()

    # -- notes ---------------------------------------------------------------------------------------------------

    def _look(self, note: Note) -> None:
        if note.mirror is None:
            return
        if note.data.get("state"):
            self._prepare({note.mirror: word(note.data["state"])}, self.stage.engine.now - EPOCH)
        trouble = note_difference(self.stage, note.mirror, note.data)
        if trouble is not None:
            self._differs(f"note {note.text!r}: {trouble}")
