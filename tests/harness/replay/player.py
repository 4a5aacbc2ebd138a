"""Plays one scenario against the simulator and lists every difference.

Owns the order of things: what the recording says happened before a call is made to happen, the call is made, the answer
compared, the watch's states compared in order. What an answer must be is in ``compare``; what the world was like in
``facts`` and ``seeding``.
"""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from tests.harness.peerdb import routes
from tests.harness.peerdb.values import Base, Deferred, Reply, Request
from tests.harness.replay.compare import Comparer
from tests.harness.replay.facts import Facts, remarks
from tests.harness.replay.notes import note_difference
from tests.harness.replay.recording import ABSENT, DELETED, Call, Note, Other, RowSeen, Scenario, Watch
from tests.harness.replay.seeding import Seeder, touched
from tests.harness.replay.stage import EPOCH, UI_PASSWORD, Stage

PLACEHOLDER = re.compile(r"<(\d+) bytes>")
CREDENTIALS: Mapping[str, str] = {
    "basic-ok": f":{UI_PASSWORD}",
    "basic-wrong": ":not the password",
    "basic-user": f"user:{UI_PASSWORD}",
}
UI_VARIANTS = frozenset({"password", "open", "no-secret", "down"})
SLACK = 0.15
MOVERS = frozenset({"mirrors/state_change", "flows/cdc/create", "flows/cdc/cancel_table_addition"})
READS = frozenset({"mirrors/status", "mirrors/list", "flows/tags"})


@dataclass(slots=True)
class Outcome:
    """What a play-through found. ``differences`` holds (index of the step, words)."""

    differences: list[tuple[int, str]] = field(default_factory=list)
    compared: int = 0
    watches: int = 0
    not_simulated: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    facts: list[str] = field(default_factory=list)


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
        self.index = 0
        self.known_at: dict[str, float] = {}
        self.fired: dict[int, int] = {}
        self.began: dict[int, int] = {}
        self.watches = [(at, step) for at, step in enumerate(scenario.steps) if isinstance(step, Watch)]

    def play(self) -> Outcome:
        """Play all steps."""
        self.seeder.before_the_first_call(self.own)
        for index, step in enumerate(self.scenario.steps):
            self.index = index
            match step:
                case Call():
                    self._call(step)
                case Watch():
                    self.facts.remark(remarks(step), step.mirror)
                    self._finish_watch(step)
                case Note():
                    self.facts.remark(remarks(step), step.mirror)
                    self._look(step)
                case Other():
                    self.outcome.skipped[f"lines of kind {step.kind}"] += 1
        self.outcome.facts = self.facts.told
        return self.outcome

    def _differs(self, words: str) -> None:
        self.outcome.differences.append((self.index, words))

    # -- watches -------------------------------------------------------------------------------------------------

    def _open_watches(self) -> None:
        for at, watch in self.watches:
            if at not in self.began and self.index >= min(watch.first, at):
                self.began[at] = self.stage.engine.log.last
                self.fired[at] = 0

    def _open(self, mirror: str) -> tuple[int, Watch] | None:
        """The watch that is on for a mirror right now."""
        return next(
            ((at, watch) for at, watch in self.watches
             if watch.mirror == mirror and at in self.began and self.index < at), None,
        )  # fmt: skip

    def _fire_rows(self, at: int, watch: Watch, upto: int) -> None:
        while self.fired[at] < upto:
            row = watch.rows[self.fired[at]]
            self.fired[at] += 1
            self._reach(watch, row)

    def _reach(self, watch: Watch, row: RowSeen) -> None:
        if not watch.has_catalog:
            self.stage.drive_to(watch.mirror, row.state)
        elif self.stage.state(watch.mirror) != row.state:
            self.stage.step_to(watch.mirror, row.state)

    def _finish_watch(self, watch: Watch) -> None:
        self.outcome.watches += 1
        at = self.index
        self._open_watches()
        self._fire_rows(at, watch, len(watch.rows))
        if watch.seconds is not None:
            self.stage.pass_to(watch.start + watch.seconds)
        trace = self.stage.trace(watch.mirror, self.began[at])
        seen = [change.new or DELETED for change in trace]
        wanted = [row.state for row in watch.rows]
        if watch.has_catalog and seen != wanted:
            self._differs(f"watch {watch.label!r}: states {wanted} recorded, {seen} simulated")
        elif not _is_part(wanted, seen):
            self._differs(f"watch {watch.label!r}: polled {wanted}, simulated {seen}")
        polled = [_word(state) for state, *_ in watch.polled]
        if watch.has_catalog and polled and not _is_part(polled, [polled[0], *seen]):
            self._differs(f"watch {watch.label!r}: polled {polled} is no part of what was simulated, {seen}")
        for row, change in zip(watch.rows, trace, strict=False):
            if row.row_id is not None and not self.comparer.identity.same("id", row.row_id, change.row_id):
                self._differs(
                    f"watch {watch.label!r}: the row's id is {row.row_id} recorded, {change.row_id} simulated"
                )

    # -- what lies before a call ---------------------------------------------------------------------------------

    def _prepare(self, before: Mapping[str, str], at: float) -> None:
        for mirror in self.own:
            state = _word(before[mirror]) if mirror in before else None
            watched = self._open(mirror)
            if watched is not None:
                self._fire_rows(*watched, self._rows_by(watched[0], watched[1], at, state))
            elif state is not None:
                self.stage.drive_to(mirror, state)
            else:
                self._let_pass(mirror, at)
            if state is not None:
                self.known_at[mirror] = at
            if state is not None and self.stage.state(mirror) != state:
                self._differs(f"before: {mirror} is {state} recorded, {self.stage.state(mirror)} simulated")

    def _rows_by(self, at: int, watch: Watch, moment: float, state: str | None) -> int:
        """How many rows of a watch lie before this moment: by the clock, corrected by the state that was seen."""
        rows, first = watch.rows, self.fired[at]
        by_clock = max(first, sum(1 for row in rows if row.at <= moment))
        if state is None:
            return by_clock
        here = self.stage.state(watch.mirror)
        states = [here, *(row.state for row in rows[first:])]
        fitting = [first + n for n, one in enumerate(states) if one == state]
        return min(fitting, key=lambda n: abs(n - by_clock), default=by_clock)

    def _let_pass(self, mirror: str, at: float) -> None:
        """Nobody looked: what is typically over by now is over, unless the next look still shows the present state."""
        state, moment = self._next_look(mirror)
        if state is None or state == self.stage.state(mirror):
            return
        if moment is not None and at > (self.known_at.get(mirror, 0.0) + moment) / 2:
            self.stage.drive_to(mirror, state)
            return
        self.stage.let_pass(mirror, state)

    def _next_look(self, mirror: str) -> tuple[str | None, float | None]:
        """The next state that somebody saw, and when, before anything else is done to the mirror."""
        for at, step in enumerate(self.scenario.steps[self.index + 1 :], self.index + 1):
            if isinstance(step, Call) and mirror in step.before:
                return _word(step.before[mirror]), step.at
            if isinstance(step, Call) and step.path in MOVERS and mirror == _name_in(step):
                return self._opening(mirror, at), step.at
            if isinstance(step, Watch) and step.mirror == mirror and step.polled:
                return _word(step.polled[0][0]), None
            if isinstance(step, Note) and step.mirror == mirror and "state" in step.data:
                return _word(step.data["state"]), None
        return None, None

    def _opening(self, mirror: str, index: int) -> str | None:
        """What a watch that begins with this step saw first."""
        return next(
            (_word(watch.polled[0][0]) for _, watch in self.watches
             if watch.mirror == mirror and watch.first == index and watch.polled), None,
        )  # fmt: skip

    # -- calls ---------------------------------------------------------------------------------------------------

    def _call(self, call: Call) -> None:
        self.stage.pass_to(call.at)
        self._prepare(call.before, call.at)
        self._open_watches()
        if call.ui is not None and call.ui not in UI_VARIANTS:
            self.outcome.skipped[f"calls through a UI of kind {call.ui}"] += 1
            return
        request = self._request(call)
        if self._unserved(request):
            self.outcome.not_simulated[f"{call.request['method']} {call.path.partition('/*')[0]}"] += 1
            self.seeder.apply(call, self.index)
            self.stage.settle()
            return
        if call.gave_up:
            self._give_up(call, request)
            return
        if call.path in MOVERS:
            self.known_at[_name_in(call)] = call.at
        self.facts.before(call)
        self.outcome.compared += 1
        trouble = self._ask(call, request)
        if trouble is not None:
            self._differs(f"{call.request['method']} {call.request['path']}: {trouble}")
        self.facts.after()
        self.stage.pass_to(call.end)

    def _unserved(self, request: Request) -> bool:
        onward = request
        if request.base is Base.UI:
            onward = Request(request.method, request.path.removeprefix("/api"), headers=request.headers)
            if request.method == "HEAD":
                onward = Request("GET", onward.path)
            if request.headers.get("authorization", "") != _header("basic-ok") and self.stage.engine.password:
                return False
            if self.stage.engine.knobs.ui_upstream_down:
                return False
        found = routes.find(onward)
        return not isinstance(found, Reply) and found.route.body is None

    def _ask(self, call: Call, request: Request) -> str | None:
        """The difference between the recorded answer and the simulator's, at any moment that the call lasted."""
        path, cut = call.path, call.ui is not None
        reply = self._complete(call, request)
        trouble = self.comparer.difference(path, call.response, reply, cut_list=cut)
        first = reply
        while trouble is not None and path in READS and reply.status == 200 and self._slip(call):
            reply = self._complete(call, request)
            for variant in (reply, _with_state_of(first, reply)):
                if self.comparer.difference(path, call.response, variant, cut_list=cut) is None:
                    return None
        return trouble

    def _complete(self, call: Call, request: Request) -> Reply:
        answer = self.stage.engine.handle(request)
        if isinstance(answer, Reply):
            return answer
        name = _name_in(call)
        while answer.reply is None:
            if not self._advance(name, answer):
                return Reply(0, b"no answer")
        return answer.reply

    def _advance(self, name: str, answer: Deferred) -> bool:
        due = self.stage.engine.next_due()
        unnamed = sorted(timer for timer in self.stage.world.held if timer.mirror in {"", name})
        if answer.due is not None and not unnamed and due is not None:
            self.stage.engine.run_until(due)
            return True
        if not unnamed:
            return False
        self.stage.world.fire(unnamed[0])
        watched = self._open(name)
        if watched is not None:
            self._catch_up(*watched)
        self.stage.settle()
        return True

    def _catch_up(self, at: int, watch: Watch) -> None:
        """Rows that came true during a call are behind us."""
        self.fired[at] = max(self.fired[at], min(len(self.stage.trace(watch.mirror, self.began[at])), len(watch.rows)))

    def _slip(self, call: Call) -> bool:
        """The answer may show what came true while the call lasted."""
        name = _name_in(call)
        if self.stage.fire_unseen(name):
            return True
        watched = self._open(name)
        if watched is None or self.fired[watched[0]] >= len(watched[1].rows):
            return False
        at, watch = watched
        if watch.rows[self.fired[at]].at > call.end + SLACK:
            return False
        self._fire_rows(at, watch, self.fired[at] + 1)
        return True

    # -- clients that went away ----------------------------------------------------------------------------------

    def _give_up(self, call: Call, request: Request) -> None:
        if "refused" in str(call.response.get("text", "")).lower():
            self.outcome.skipped["calls that never reached PeerDB"] += 1
            return
        self.outcome.compared += 1
        answer = self.stage.engine.handle(request)
        if isinstance(answer, Reply):
            return
        name = _name_in(call)
        watched = self._open(name)
        if watched is not None and request.base is Base.GATEWAY:
            self._run_to_the_cut(name, watched[1], answer)
            self._catch_up(*watched)
        answer.abort()
        self.stage.pass_to(call.end)

    def _run_to_the_cut(self, name: str, watch: Watch, answer: Deferred) -> None:
        """How far the work came before the client went is what the rows show."""
        states = [row.state for row in watch.rows]
        upto = len(states) if DELETED not in states else states.index(DELETED)
        made_again = DELETED in states and states.index(DELETED) + 1 < len(states)
        for state in states[: upto + 2 if made_again else upto]:
            if answer.reply is None:
                self.stage.step_to(name, state)

    # -- requests ------------------------------------------------------------------------------------------------

    def _request(self, call: Call) -> Request:
        asked = call.request
        path, _, query = str(asked["path"]).partition("?")
        headers = {str(name).lower(): str(value) for name, value in (asked.get("headers") or {}).items()}
        if call.ui is not None:
            self.stage.engine.password = None if call.ui in {"open", "down"} else UI_PASSWORD
            self.stage.engine.turn(ui_secret=call.ui != "no-secret", ui_upstream_down=call.ui == "down")
            given = _header(str(asked.get("auth", "none")))
            headers |= {"authorization": given} if given else {}
        base = Base.GATEWAY if call.ui is None else Base.UI
        return Request(str(asked["method"]), path, _body(asked), query, headers, base)

    # -- notes ---------------------------------------------------------------------------------------------------

    def _look(self, note: Note) -> None:
        if note.mirror is None:
            return
        if "state" in note.data:
            self._prepare({note.mirror: _word(note.data["state"])}, self.stage.engine.now - EPOCH)
        trouble = note_difference(self.stage, note.mirror, note.data)
        if trouble is not None:
            self._differs(f"note {note.text!r}: {trouble}")


def _name_in(call: Call) -> str:
    """The mirror that a call names; raw bodies are searched for it."""
    config = call.body.get("connectionConfigs")
    raw = re.search(r'"(?:flowJobName|flow_job_name)"\s*:\s*"([^"]*)"', str(call.request.get("raw") or ""))
    if raw is not None:
        return raw[1]
    return str((config if isinstance(config, dict) else call.body).get("flowJobName", ""))


def _word(state: object) -> str:
    """A state as the rows of a watch name it."""
    word = str(state).removeprefix("STATUS_")
    return DELETED if word in {ABSENT, "HTTP404"} else word


def _header(auth: str) -> str:
    if auth in CREDENTIALS:
        return "Basic " + base64.b64encode(CREDENTIALS[auth].encode()).decode()
    return {"bearer": "Bearer x", "garbled": "Basic !!!"}.get(auth, "")


def _body(asked: Mapping[str, object]) -> bytes:
    if "json" in asked:
        return json.dumps(asked["json"], ensure_ascii=False).encode()
    raw = str(asked.get("raw") or "")
    stands_for = PLACEHOLDER.fullmatch(raw)
    if stands_for is not None:
        head, tail = b'{"flowJobName":"nope","filler":"', b'"}'
        return head + b"x" * (int(stands_for[1]) - len(head) - len(tail)) + tail
    try:
        return raw.encode("latin-1")
    except UnicodeEncodeError:
        return raw.encode()


def _with_state_of(first: Reply, later: Reply) -> Reply:
    """The state is read at the beginning of a status call, the configuration at its end."""
    try:
        early, late = json.loads(first.body), json.loads(later.body)
    except ValueError:
        return later
    if "currentFlowState" in early and "currentFlowState" in late:
        late["currentFlowState"] = early["currentFlowState"]
        return Reply(later.status, json.dumps(late).encode(), later.content_type, later.headers)
    return later


def _is_part(part: Iterable[str], whole: Iterable[str]) -> bool:
    """Whether the states of ``part`` occur in ``whole`` in this order."""
    rest = iter(whole)
    return all(any(state == one for one in rest) for state in part)
