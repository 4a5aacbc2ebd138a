"""Words that vary between builds and runs, and words that must not: messages and log lines compared.

Codec texts differ in a no-break space, texts of databases and of Temporal differ in their tails; the signals that a
mirror's log names are the same everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

STEMS = tuple(
    re.compile(stem)
    for stem in (
        r"(failed to load source peer \S+: ).*(peers not found).*",
        r"(failed to create (?:source|destination) connector: )(?!NotFound).*",
        r"(failed to validate source connector \S+: error creating publication).*",
        r"(failed to validate source connector \S+: publication does not exist: \S+).*",
        r"(failed to validate destination connector \S+: )(?:.*: )?(invalid table identifier).*",
        r"(failed to validate destination connector \S+: )(?:.*: )?(source column \S+) .*(destination table \S+)",
        r"(failed to validate destination connector \S+: )(?:.*: )?(destination table \S+ already has existing rows).*",
        r"(invalid custom column type).*",
        (
            r"(unable to obtain CDC information for mirror \S*: failed to get state in workflow with ID \S+: )"
            r"(Unable to query workflow due to Workflow Task in failed state)?.*"
        ),
        r"(unable to signal workflow(?: update)?: ).*(already completed|deadline exceeded|exceeds limit).*",
    )
)
SIGNAL_LINES = frozenset({
    "Mirror pause signaled", "Mirror resume signaled", "Mirror termination signaled", "Mirror resync signaled",
    "Flow config update signaled",
})  # fmt: skip


def text(message: str) -> str:
    """A message with what varies between builds and runs taken out."""
    plain = message.replace("\u00a0", " ")
    for stem in STEMS:
        found = stem.fullmatch(plain)
        if found is not None:
            return "...".join(part or "" for part in found.groups())
    return plain


def lines_difference(recorded: Sequence[str], simulated: Sequence[str]) -> str | None:
    """The signals named in log lines, newest first: those recorded must be the simulator's newest."""
    theirs = [line for line in recorded if line in SIGNAL_LINES]
    ours = [line for line in simulated if line in SIGNAL_LINES][: len(theirs)]
    return None if theirs[: len(ours)] == ours else f"log lines {theirs} recorded, {ours} simulated"
