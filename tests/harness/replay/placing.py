"""When a watch began, and when its rows were: the arithmetic of a recording's clocks.

A watch says how long it lasted, not when it began; catalog rows count from the watch's beginning, or from their own
first row. What the calls say about the mirror's state decides where the clocks leave it open.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.harness.replay.recording import ABSENT, DELETED, Call, RowSeen, Scenario, Step, Watch

LATE = 0.3
BURST = 1.0
EARLY = 60.0


def place(scenario: Scenario) -> None:
    """Date every watch of a scenario."""
    for index, step in enumerate(scenario.steps):
        if isinstance(step, Watch):
            _place(scenario.steps, index, step)


def _place(steps: Sequence[Step], index: int, watch: Watch) -> None:
    """Find the call with which the watch began, and date its rows."""
    block = _block(steps, index, watch)
    if block:
        following = next((step.at for step in steps[index + 1 :] if isinstance(step, Call)), None)
        watch.first, watch.start = _beginning(_movers(block), watch, following)
    else:
        earlier = [step for step in steps[:index] if isinstance(step, Watch) and step.mirror == watch.mirror]
        ended = earlier[-1].start + (earlier[-1].seconds or 0.0) if earlier else 0.0
        watch.first, watch.start = index, max(ended, _clock_before(steps, index))
    watch.rows = _rows(watch)


def _beginning(movers: list[tuple[int, Call]], watch: Watch, following: float | None) -> tuple[int, float]:
    """The call nearest to where its length puts the start, else the first of the last burst; but one that fits."""
    guess = movers[-1][1].at
    if following is not None and watch.seconds is not None:
        guess = following - watch.seconds
        at, call = min(movers, key=lambda item: abs(item[1].at - guess))
        if abs(call.at - guess) < BURST and _fits(call, watch):
            return at, call.at
    burst = [movers[-1]]
    while len(burst) < len(movers) and burst[0][1].at - movers[-len(burst) - 1][1].at < BURST:
        burst.insert(0, movers[-len(burst) - 1])
    fitting = [item for item in burst if _fits(item[1], watch)]
    earlier = [item for item in movers[: -len(burst)] if _fits(item[1], watch)]
    at, call = (fitting[:1] or earlier[-1:] or burst)[0]
    return at, call.at


def _fits(call: Call, watch: Watch) -> bool:
    """Whether the mirror was, at this call, where the watch began."""
    told = call.before.get(watch.mirror)
    if told is None or not watch.polled:
        return True
    state, opening, seen_at = _word(told), _word(watch.polled[0][0]), float(watch.polled[0][1])
    early = [_word(row[0]) for row in watch.catalog if float(row[1]) <= seen_at + EARLY]
    return state == opening if not early else opening in {state, *early} and state != early[0]


def _movers(block: list[tuple[int, Call]]) -> list[tuple[int, Call]]:
    """Those of the calls that can start something; all, when there is none."""
    starters = ("mirrors/state_change", "flows/cdc/", "instance/maintenance")
    return [item for item in block if item[1].path.startswith(starters)] or block


def _block(steps: Sequence[Step], index: int, watch: Watch) -> list[tuple[int, Call]]:
    """The calls since the watch before (of this mirror), that this one may have begun with."""
    found: list[tuple[int, Call]] = []
    for at in range(index - 1, -1, -1):
        step = steps[at]
        if isinstance(step, Watch) and step.mirror == watch.mirror:
            break
        if isinstance(step, Call):
            found.append((at, step))
    return found[::-1]


def _clock_before(steps: Sequence[Step], index: int) -> float:
    return max((step.end for step in steps[:index] if isinstance(step, Call)), default=0.0)


def _rows(watch: Watch) -> list[RowSeen]:
    if not watch.has_catalog:
        return [RowSeen(watch.start + float(ms) / 1000, _word(state)) for state, ms in watch.polled[1:]]
    shift = 0.0
    polls = {str(state): float(ms) / 1000 for state, ms, *_ in watch.polled[1:]}
    if watch.catalog:
        state, ms, *_ = watch.catalog[0]
        seen = polls.get("HTTP404" if state == DELETED else str(state))
        if seen is not None and seen - float(ms) / 1000 > LATE:
            shift = seen - float(ms) / 1000 - 0.05
    return [
        RowSeen(watch.start + shift + float(row[1]) / 1000, _word(row[0]), row[2] if len(row) > 2 else None)
        for row in watch.catalog
    ]


def _word(state: object) -> str:
    word = str(state).removeprefix("STATUS_")
    return DELETED if word in {"HTTP404", ABSENT} else word
