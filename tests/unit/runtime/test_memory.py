"""Freed memory goes back to the system."""

import asyncio
import sys

import pytest

from peerdb_operator.runtime.memory import (
    GROWTH_BYTES,
    PERIOD_SECONDS,
    give_back_freed_memory,
    resident_bytes,
    system_trim,
)
from tests.harness.fakeloop import run_fake


class FakeMemory:
    """Memory of a process: ``freed`` is what a trim gives back."""

    def __init__(self) -> None:
        self.used, self.freed, self.trims = 100 * GROWTH_BYTES, 0, 0

    def resident(self) -> int:
        return self.used + self.freed

    def trim(self) -> None:
        self.trims, self.freed = self.trims + 1, 0


def test_memory_is_given_back_when_it_has_grown_and_not_at_rest() -> None:
    memory = FakeMemory()

    async def main() -> list[int]:
        task = asyncio.create_task(give_back_freed_memory(memory.trim, memory.resident))
        trims = []
        for used, freed in ((0, 0), (0, GROWTH_BYTES), (0, 0), (GROWTH_BYTES, 0), (0, GROWTH_BYTES - 1), (0, 1)):
            memory.used, memory.freed = memory.used + used, memory.freed + freed
            await asyncio.sleep(PERIOD_SECONDS)
            trims.append(memory.trims)
        task.cancel()
        return trims

    assert run_fake(main()) == [0, 1, 1, 2, 2, 3]


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc can")
def test_what_lies_between_things_in_use_is_given_back() -> None:
    trim = system_trim()
    assert trim is not None
    trim()
    pieces = [bytes(20_000) for _ in range(2_000)]
    kept = pieces[::20]
    full = resident_bytes()
    del pieces

    trim()

    assert full - resident_bytes() > 20_000_000
    assert len(kept) == 100
