"""One Mirror under test: what a user does to it with kubectl, what Kubernetes says of it, what PeerDB knows.

Nothing here judges: it edits, waits with a limit, and shows what happened.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peerdb_operator.api import constants
from tests.e2e.seeing import PATIENCE, Command, Object, commands, eventually

if TYPE_CHECKING:
    from tests.e2e.world import World


@dataclass(frozen=True, slots=True)
class Subject:
    """One Mirror and the PeerDB mirror that it stands for."""

    world: World
    name: str
    peerdb: str

    def manifest(self, spec: Mapping[str, Any]) -> Object:
        """The object as a user writes it."""
        return {
            "apiVersion": constants.API_VERSION,
            "kind": constants.KIND,
            "metadata": {"name": self.name},
            "spec": spec,
        }

    # -- what a user does ----------------------------------------------------------------------------------------

    def apply(self, spec: Mapping[str, Any], *more: str) -> None:
        """``kubectl apply --server-side``."""
        self.world.kubectl("apply", "--server-side", *more, "-f", "-", stdin=json.dumps(self.manifest(spec)))

    def wish(self, **spec: object) -> None:
        """``kubectl patch`` of these fields of spec."""
        self.patch({"spec": spec})

    def patch(self, change: object, *more: str) -> None:
        """``kubectl patch`` of the object, or of its status with ``--subresource=status``."""
        self.world.kubectl("patch", constants.PLURAL, self.name, "--type=merge", f"--patch={json.dumps(change)}", *more)

    def annotate(self, *annotations: str) -> None:
        """``kubectl annotate``: ``key=value`` sets, ``key-`` removes."""
        self.world.kubectl("annotate", "--overwrite", constants.PLURAL, self.name, *annotations)

    def delete(self, *, wait: bool = True) -> None:
        """``kubectl delete``, which waits until the object is gone."""
        self.world.kubectl(
            "delete", constants.PLURAL, self.name, f"--wait={str(wait).lower()}", f"--timeout={PATIENCE:g}s"
        )

    def wait_ready(self) -> None:
        """``kubectl wait --for=condition=Ready``."""
        arguments = ("wait", "--for=condition=Ready", f"{constants.PLURAL}/{self.name}", f"--timeout={PATIENCE:g}s")
        done = self.world.cluster.kubectl(f"--namespace={self.world.namespace}", *arguments, check=False)
        assert done.returncode == 0, f"{done.stderr}{self}"

    # -- what Kubernetes says ------------------------------------------------------------------------------------

    def find(self) -> Object | None:
        """The object, or None when there is none."""
        path = f"/apis/{constants.API_VERSION}/namespaces/{self.world.namespace}/{constants.PLURAL}/{self.name}"
        return self.world.kube.get(path)

    def read(self) -> Object:
        """The object, which has to exist."""
        found = self.find()
        assert found is not None, f"there is no Mirror {self.name}"
        return found

    def status(self) -> Object:
        """Its status."""
        found: Object = self.read()["status"]
        return found

    def conditions(self) -> dict[str, str]:
        """The status of each condition by type."""
        return {each["type"]: each["status"] for each in self.status().get("conditions", [])}

    def condition(self, kind: str = "Ready") -> Object:
        """One condition; empty when it is absent."""
        found: list[Object] = [each for each in self.status().get("conditions", []) if each["type"] == kind]
        return found[0] if found else {}

    def wait_reason(self, reason: str, kind: str = "Ready") -> Object:
        """The condition as soon as it carries this reason for the present generation."""

        def look() -> Object | None:
            whole = self.read()
            for found in whole["status"].get("conditions", []):
                told: Object = found
                fresh = told["observedGeneration"] == whole["metadata"]["generation"]
                if fresh and (told["type"], told["reason"]) == (kind, reason):
                    return told
            return None

        return eventually(look, f"{kind} has the reason {reason}", self)

    def wait_conditions(self, **wanted: str) -> None:
        """Until there are these conditions and no others."""
        eventually(lambda: self.conditions() == wanted, f"the conditions are {wanted}", self)

    def wait_gone(self) -> None:
        """Until the object no longer exists."""
        eventually(lambda: self.find() is None, f"the Mirror {self.name} is gone", self)

    def events(self) -> list[tuple[str, str]]:
        """Type and reason of its Events, oldest first."""
        listed = self.world.kube.get(f"/apis/events.k8s.io/v1/namespaces/{self.world.namespace}/events") or {}
        mine = [each for each in listed["items"] if each["regarding"].get("name") == self.name]
        return [(each["type"], each["reason"]) for each in sorted(mine, key=lambda each: str(each["eventTime"]))]

    def wait_event(self, kind: str, reason: str) -> None:
        """Until there is such an Event: it follows the status that it is about."""
        eventually(lambda: (kind, reason) in self.events(), f"there is an Event {reason}", self)

    # -- what PeerDB says ----------------------------------------------------------------------------------------

    def state(self) -> str | None:
        """What the mirror's row says, or None without a row."""
        return self.world.sim.state(self.peerdb)

    def wait_state(self, state: str | None) -> None:
        """Until PeerDB has it so."""
        eventually(lambda: (self.state() == state) or None, f"{self.peerdb} is {state}", self)

    def truth(self) -> Object:
        """The mirror's row in PeerDB."""
        found = self.world.sim.get_mirror(self.peerdb)
        assert found is not None
        row: Object = found["row"]  # type: ignore[assignment]  # the control API returns JSON
        return row

    def tables(self) -> dict[str, str]:
        """Source to destination of the live tables."""
        return {table["source"]: table["destination"] for table in self.truth()["tables"]}

    def tag(self) -> str | None:
        """The owner tag."""
        tags: dict[str, str] = self.truth()["tags"]
        return tags.get(constants.OWNER_TAG)

    def commands(self, after: int = 0) -> list[Command]:
        """The ``state_change`` calls for this mirror, in order."""
        return commands(self.world.sim, self.peerdb, self._since(after))

    def states(self, after: int = 0) -> list[str | None]:
        """The states that its row went through."""
        events = self.world.sim.log(self._since(after))
        return [
            None if event["new"] is None else str(event["new"])
            for event in events
            if event["kind"] == "state" and event["mirror"] == self.peerdb
        ]

    def _since(self, after: int) -> int:
        """Nothing that happened before the mirror was there is about it."""
        return max(after, self.world.births.get(self.peerdb, 0))

    def __str__(self) -> str:
        found = self.find()
        shown = "no object" if found is None else json.dumps({"status": found.get("status"), "spec": found["spec"]})
        asked = "\n".join(f"  {each.n} {each.state} {each.update or ''} -> {each.status}" for each in self.commands())
        log = [line for line in self.world.operator.lines() if self.name in line][-15:] if self.world.operators else []
        return "\n".join([shown[:4000], f"PeerDB: {self.state()}; asked:", asked, "log:", *log])
