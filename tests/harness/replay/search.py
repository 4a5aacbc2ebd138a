"""Races whose outcome nothing but their consequences shows: played until the consequences fit.

A signal that meets a resuming mirror is lost or kept; which of the two a run saw is only seen at the next pause. The
player asks here; where the default leads to a difference, the newest choice before it is turned and the scenario played
again. A choice is kept only if it moves the first difference further away.
"""

from __future__ import annotations

from tests.harness.replay.outcome import Outcome
from tests.harness.replay.placing import place
from tests.harness.replay.player import Player
from tests.harness.replay.recording import Scenario

ATTEMPTS = 80


class Chooser:
    """Answers the simulator's questions from a list of indexes; the rest by default."""

    def __init__(self, taken: dict[int, int]) -> None:
        self.taken = taken
        self.asked: list[tuple[int, int]] = []
        self.player: Player | None = None

    def __call__(self, _mirror: str, _kind: str, options: tuple[str, ...]) -> str:
        number = len(self.asked)
        self.asked.append((0 if self.player is None else self.player.index, len(options)))
        return options[self.taken.get(number, 0) % len(options)]


def play(scenario: Scenario) -> Outcome:
    """The best outcome of a scenario over the races in it."""
    place(scenario)
    taken: dict[int, int] = {}
    outcome, asked = _once(scenario, taken)
    left = ATTEMPTS
    turned: set[int] = set()
    while outcome.differences and left:
        first = outcome.differences[0][0]
        candidates = [n for n, (index, _) in enumerate(asked) if index <= first and n not in turned]
        if not candidates:
            break
        number = candidates[-1]
        turned.add(number)
        left -= 1
        attempt = {**taken, number: taken.get(number, 0) + 1}
        found, asked_now = _once(scenario, attempt)
        if not found.differences or found.differences[0][0] > first:
            outcome, asked, taken = found, asked_now, attempt
            turned = {n for n in turned if n in taken}
    return outcome


def _once(scenario: Scenario, taken: dict[int, int]) -> tuple[Outcome, list[tuple[int, int]]]:
    chooser = Chooser(taken)
    player = Player(scenario, chooser)
    chooser.player = player
    return player.play(), chooser.asked
