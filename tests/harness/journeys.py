"""How far a reader has to walk: functions, files and call depth of three journeys through the product.

``python -m tests.harness.journeys`` prints them. Each journey is played once on simulated time under
``sys.setprofile``; counted are named functions of the product, once each by code object.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType

import peerdb_operator
from tests.harness.peerdb.config import Table
from tests.harness.peerdb.events import RequestSeen
from tests.harness.peerdb.values import Status
from tests.harness.simulation import Simulation

PRODUCT = os.fspath(Path(peerdb_operator.__file__).parent) + os.sep
LIMIT = 120.0
"""Simulated seconds that a journey may take."""


@dataclass(slots=True)
class Journey:
    """What one journey passed through.

    ``wake``: the calls from the watch event to the work queue, nested into each other; ``send``: those from the work
    queue to the last request for another state.
    """

    name: str
    codes: set[CodeType] = field(default_factory=set)
    wake: list[str] = field(default_factory=list)
    send: list[str] = field(default_factory=list)

    @property
    def hops(self) -> int:
        """Calls nested into each other, on both ways."""
        return len(self.wake) + len(self.send)

    @property
    def functions(self) -> int:
        """Distinct functions."""
        return len(self.codes)

    @property
    def files(self) -> list[str]:
        """Files of the product, relative to the package."""
        return sorted({code.co_filename.removeprefix(PRODUCT) for code in self.codes})


def spec_change() -> Journey:
    """From the watch event of a changed spec to PeerDB's receipt of the first ``state_change``."""
    simulation = _settled("a", "b")
    simulation.run(2.0)
    simulation.cluster.edit("orders", {"spec": _spec("a", "b", "c")})
    return _record(simulation, "spec change to first state_change", lambda: _state_changes(simulation) > 0)


def edit() -> Journey:
    """From PAUSED to a proven edit in status."""
    simulation = _settled("a", "b")
    simulation.cluster.edit("orders", {"spec": _spec("a", "b", "c")})
    assert simulation.run_while(lambda: simulation.engine.state("orders") is not Status.PAUSED, LIMIT, 0.01)
    return _record(simulation, "PAUSED to proven edit in status", lambda: _is_settled(simulation))


def deletion() -> Journey:
    """From a deletion to the end of the object."""
    simulation = _settled("a", "b")
    simulation.cluster.delete("orders")
    return _record(
        simulation, "deletion to finalizer removed", lambda: ("data", "orders") not in simulation.cluster.mirrors
    )


def _settled(*names: str) -> Simulation:
    simulation = Simulation(seed=1)
    tables = [Table(f"public.{name}", name) for name in names]
    simulation.engine.put_mirror("orders", state=Status.RUNNING, tables=tables)
    simulation.cluster.create("orders", _spec(*names))
    simulation.operator()
    assert simulation.run_while(lambda: _ready_generation(simulation) != 1, LIMIT)
    simulation.run(30.0)
    return simulation


def _spec(*names: str) -> dict[str, object]:
    return {"tables": [{"source": f"public.{name}", "destination": name} for name in names]}


def _ready_generation(simulation: Simulation) -> int:
    """The generation for which Ready is True; 0 while it is not."""
    status = simulation.cluster.get(("data", "orders")).get("status", {})
    ready = [each for each in status.get("conditions", []) if each["type"] == "Ready" and each["status"] == "True"]
    return int(ready[0]["observedGeneration"]) if ready else 0


def _is_settled(simulation: Simulation) -> bool:
    body = simulation.cluster.get(("data", "orders"))
    return _ready_generation(simulation) == int(body["metadata"]["generation"])


def _state_changes(simulation: Simulation) -> int:
    requests = [event for event in simulation.engine.log.events if isinstance(event, RequestSeen)]
    return sum("state_change" in request.path for request in requests)


def _record(simulation: Simulation, name: str, arrived: Callable[[], bool]) -> Journey:
    journey = Journey(name)

    def profile(frame: FrameType, event: str, _argument: object) -> None:
        code = frame.f_code
        if event != "call" or not _is_ours(code):
            return
        journey.codes.add(code)
        stack = _stack(frame)
        if code.co_name == "wake" and len(stack) > len(journey.wake):
            journey.wake = stack
        if any(step.endswith((":change_state", ":set_state")) for step in stack) and len(stack) > len(journey.send):
            journey.send = stack

    sys.setprofile(profile)
    try:
        assert simulation.run_while(lambda: not arrived(), LIMIT, 0.01), f"{name}: does not end"
    finally:
        sys.setprofile(None)
        simulation.close()
    return journey


def _is_ours(code: CodeType) -> bool:
    return code.co_filename.startswith(PRODUCT) and not code.co_name.startswith("<")


def _stack(frame: FrameType | None) -> list[str]:
    """The functions of the product on the stack, the outermost first, as file:function."""
    steps: list[str] = []
    while frame is not None:
        if _is_ours(frame.f_code):
            steps.append(f"{frame.f_code.co_filename.removeprefix(PRODUCT)}:{frame.f_code.co_name}")
        frame = frame.f_back
    return steps[::-1]


def main() -> None:
    """Print the three journeys."""
    for journey in (spec_change(), edit(), deletion()):
        print(f"{journey.name}: {journey.hops} hops, {journey.functions} functions, {len(journey.files)} files")
        print(f"  watch event: {' > '.join(journey.wake)}")
        print(f"  command: {' > '.join(journey.send)}")
        print(f"  files: {' '.join(journey.files)}")


if __name__ == "__main__":
    main()
