"""The watches of a recording: when their rows come true on the stage, and whether the stage went the same way.

Rows give durations and nothing else: a row makes the stage go on, the simulator decides to which state. At the end of a
watch the states that it went through have to be the recorded ones, in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tests.harness.replay.compare import Identity
from tests.harness.replay.recording import ABSENT, DELETED, Call, Note, RowSeen, Scenario, Watch
from tests.harness.replay.sending import mirror_of
from tests.harness.replay.stage import Stage

MOVERS = frozenset({"mirrors/state_change", "flows/cdc/create", "flows/cdc/cancel_table_addition"})


def word(state: object) -> str:
    """A state as the rows of a watch name it."""
    plain = str(state).removeprefix("STATUS_")
    return DELETED if plain in {ABSENT, "HTTP404"} else plain


class Watches:
    """Which watch is on, and how many of its rows have come true."""

    def __init__(self, scenario: Scenario, stage: Stage, identity: Identity) -> None:
        self.scenario = scenario
        self.stage = stage
        self.identity = identity
        self.watches = [(at, step) for at, step in enumerate(scenario.steps) if isinstance(step, Watch)]
        self.fired: dict[int, int] = {}
        self.began: dict[int, int] = {}

    def open(self, index: int) -> None:
        """Begin the watches that start with this step."""
        for at, watch in self.watches:
            if at not in self.began and index >= min(watch.first, at):
                self.began[at] = self.stage.engine.log.last
                self.fired[at] = 0

    def on(self, mirror: str, index: int) -> tuple[int, Watch] | None:
        """The watch that is on for a mirror at this step."""
        found = ((at, one) for at, one in self.watches if one.mirror == mirror and at in self.began and index < at)
        return next(found, None)

    def left(self, at: int, watch: Watch) -> list[RowSeen]:
        """The rows that have not come true yet."""
        return watch.rows[self.fired[at] :]

    def fire(self, at: int, watch: Watch, count: int = 1) -> None:
        """Let the next rows come true."""
        for row in self.left(at, watch)[:count]:
            self.fired[at] += 1
            if not watch.has_catalog:
                self.stage.drive_to(watch.mirror, row.state)
            elif self.stage.state(watch.mirror) != row.state:
                self.stage.step_to(watch.mirror, row.state)

    def fire_before(self, at: int, watch: Watch, moment: float, state: str | None) -> None:
        """Let the rows before a moment come true: by the clock, corrected by the state that was seen then."""
        rows = self.left(at, watch)
        by_clock = sum(1 for row in rows if row.at <= moment)
        if state is not None:
            states = [self.stage.state(watch.mirror), *(row.state for row in rows)]
            fitting = [count for count, one in enumerate(states) if one == state]
            by_clock = min(fitting, key=lambda count: abs(count - by_clock), default=by_clock)
        self.fire(at, watch, by_clock)

    def catch_up(self, at: int, watch: Watch) -> None:
        """Rows that came true by themselves (during a call) are behind us."""
        happened = len(self.stage.trace(watch.mirror, self.began[at]))
        self.fired[at] = max(self.fired[at], min(happened, len(watch.rows)))

    def finish(self, at: int, watch: Watch) -> Iterator[str]:
        """Let the rest come true; yields what differs."""
        self.open(at)
        self.fire(at, watch, len(watch.rows))
        if watch.seconds is not None:
            self.stage.pass_to(watch.start + watch.seconds)
        trace = self.stage.trace(watch.mirror, self.began[at])
        seen = [change.new or DELETED for change in trace]
        wanted = [row.state for row in watch.rows]
        polled = [word(state) for state, *_ in watch.polled]
        if watch.has_catalog and seen != wanted:
            yield f"watch {watch.label!r}: states {wanted} recorded, {seen} simulated"
        elif polled and not is_part(polled, [polled[0], *seen]):
            yield f"watch {watch.label!r}: polled {polled} is no part of what was simulated, {seen}"
        for row, change in zip(watch.rows, trace, strict=False):
            if row.row_id is not None and not self.identity.same("id", row.row_id, change.row_id):
                yield f"watch {watch.label!r}: the row's id is {row.row_id} recorded, {change.row_id} simulated"

    def next_look(self, mirror: str, index: int) -> tuple[str | None, float | None]:
        """The next state that somebody saw, and when, before anything else is done to the mirror."""
        for at, step in enumerate(self.scenario.steps[index + 1 :], index + 1):
            if isinstance(step, Call) and mirror in step.before:
                return word(step.before[mirror]), step.at
            if isinstance(step, Call) and step.path in MOVERS and mirror == mirror_of(step):
                return self._opening(mirror, at), step.at
            if isinstance(step, Watch) and step.mirror == mirror and step.polled:
                return word(step.polled[0][0]), None
            if isinstance(step, Note) and step.mirror == mirror and step.data.get("state"):
                return word(step.data["state"]), None
        return None, None

    def _opening(self, mirror: str, index: int) -> str | None:
        """What a watch that begins with this step saw first."""
        first = (one.polled[0][0] for _, one in self.watches
                 if one.mirror == mirror and one.first == index and one.polled)  # fmt: skip
        state = next(first, None)
        return None if state is None else word(state)


def is_part(part: Iterable[str], whole: Iterable[str]) -> bool:
    """Whether the states of ``part`` occur in ``whole`` in this order."""
    rest = iter(whole)
    return all(any(state == one for one in rest) for state in part)


def until_the_cut(states: list[str]) -> Iterator[str]:
    """How far the work of a cancelled call came is what the rows show: to the drop, or to the mirror made again."""
    gone = states.index(DELETED) if DELETED in states else len(states)
    made_again = gone + 1 < len(states)
    yield from states[: gone + 2 if made_again else gone]
