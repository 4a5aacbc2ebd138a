"""Drives real Mirrors into every state that GitOps tools tell apart, and takes each object as it is then.

Owns the states and the way into them. What is masked in an object is in ``tests.harness.gitops.fixtures``; what a tool
should make of a state is in ``tests.harness.gitops.expected``.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from peerdb_operator.api import constants
from tests.e2e.gitops_tool import history
from tests.e2e.world import Object, Subject, World, eventually

PASSWORD = "right"
COUNTED = "partitions"
"""In the message of a copy whose progress was read: the first look at a copy does not ask for it."""
UNKNOWN_AFTER = 10.0
"""Seconds of an outage, so many that the operator writes one status before they are over, however slow it is."""
LONG = 600
"""Seconds that a phase of PeerDB takes which is to be looked at."""
SLOW: Mapping[str, float] = {"t_snapshot": LONG, "t_add": LONG, "t_drop": LONG}


def a_fixed_table(source: str, **more: object) -> Object:
    """A table whose destination is the same in every run."""
    return {"source": source, "destination": source.replace(".", "_"), **more}


ORDERS = a_fixed_table("public.orders", exclude=["card_number"])
LONGER = [ORDERS, a_fixed_table("public.invoices")]
AT_REST = (
    *("orders", "paused", "complaining", "frozen", "unseen", "rejected", "growing", "stopping"),
    *("dropped", "held", "blocked"),
)
ELSEWHERE: Mapping[str, Mapping[str, object]] = {
    "failed": {"state": "FAILED"},
    "completed": {"state": "COMPLETED", "kind": "snapshot"},
    "copying": {"state": "SNAPSHOT", "phase": "initial"},
}
"""Mirrors that are something else than running when they are declared; ``missing`` is not there at all."""


@dataclass(slots=True)
class States:
    """Takes the states one after the other; ``found`` holds the objects by the name of their state."""

    world: World
    found: dict[str, Object] = field(default_factory=dict)

    def take_all(self, wrong_password: Path) -> dict[str, Object]:
        """Every state, in an order in which none disturbs another; leaves no operator behind."""
        self._declare_all()
        self._keep("first_sight", "orders")
        with self.world.start_operator(outage_unknown_seconds=UNKNOWN_AFTER, brake_drops=1):
            self._as_declared()
            self._changed()
            self._not_there()
            self._deleted()
            self._without_peerdb()
        with self.world.start_operator(
            peerdb_url=self.world.sim.ui_api_url,
            environ={"PEERDB_PASSWORD_FILE": str(wrong_password)},
            outage_unknown_seconds=1,
        ):
            self._locked_out()
        return self.found

    def _subject(self, name: str) -> Subject:
        return Subject(self.world, name, name)

    def _keep(self, state: str, name: str, reason: str = "", condition: str = "Ready", says: str = "") -> None:
        """Take the object as soon as it tells this reason, in these words; it stays so."""
        subject = self._subject(name)
        if reason:
            subject.wait_reason(reason, condition)
        if says:
            eventually(lambda: says in subject.condition(condition)["message"], f"{condition} says {says}", subject)
        self.found[state] = subject.read()

    def _keep_first(self, state: str, before: Object, reason: str, condition: str = "Ready") -> None:
        """Take the first version after ``before`` that tells this reason; the object may be further on by now."""
        subject = self._subject(before["metadata"]["name"])
        subject.wait_reason(reason, condition)
        self.found[state] = next(
            version
            for version in history(subject, before["metadata"]["resourceVersion"])
            if (condition, reason) in {(each["type"], each["reason"]) for each in version["status"]["conditions"]}
        )

    def _apply(self, wishes: Mapping[str, Mapping[str, object]]) -> None:
        """Declare several Mirrors by one ``kubectl apply``."""
        items = [self._subject(name).manifest({"tables": [ORDERS], **spec}) for name, spec in wishes.items()]
        whole = {"apiVersion": "v1", "kind": "List", "items": items}
        self.world.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(whole))

    def _declare_all(self) -> None:
        self.world.sim.knobs(**SLOW)
        for name in AT_REST:
            self.world.live([ORDERS], name=name)
        for name, what in ELSEWHERE.items():
            self.world.live([ORDERS], name=name, **what)
        specs: dict[str, Mapping[str, object]] = {name: {} for name in (*AT_REST, *ELSEWHERE, "missing")}
        self._apply({**specs, "paused": {"state": "Paused"}})

    def _as_declared(self) -> None:
        self._keep("paused", "paused", "Paused")
        for name in AT_REST:
            self._subject(name).wait_conditions(Ready="True", Synced="True")
        self._keep("running", "orders", "Running")
        self._keep("completed", "completed", "Completed")
        self._keep("snapshotting", "copying", "Snapshotting", says=COUNTED)
        self._unseen()

    def _unseen(self) -> None:
        """A change that the operator cannot have looked at."""
        os.kill(self.world.operator.pid, signal.SIGSTOP)
        try:
            self._apply({"unseen": {"batchSize": 1000}})
            self._keep("new_generation", "unseen")
        finally:
            os.kill(self.world.operator.pid, signal.SIGCONT)

    def _changed(self) -> None:
        self.world.sim.say("complaining", "failed to push records: relation does not exist")
        self._subject("frozen").annotate(f"{constants.ANNOTATION_RECONCILE}=disabled")
        self._apply(
            {
                "paused": {"state": "Paused", "tables": LONGER},
                "rejected": {"tables": [{**ORDERS, "destination": "elsewhere"}]},
                "growing": {"tables": LONGER},
            }
        )
        self._keep("running_with_errors", "complaining", "RunningWithErrors")
        self._keep("reconcile_disabled", "frozen", "ReconcileDisabled")
        self._keep("paused_with_pending_changes", "paused", "PausedWithPendingChanges")
        self._keep("table_change_rejected", "rejected", "TableChangeRejected")
        self._keep("adding_tables", "growing", "AddingTables", says=COUNTED)
        self.world.sim.knobs(t_stop=LONG)
        before = self._subject("stopping").read()
        self._apply({"stopping": {"tables": LONGER}})
        self._keep_first("pausing_for_an_edit", before, "Pausing")

    def _not_there(self) -> None:
        """What PeerDB has to say twice, some seconds apart."""
        self._keep("mirror_not_found", "missing", "MirrorNotFound")
        self._keep("failed", "failed", "MirrorFailed")

    def _deleted(self) -> None:
        before = self._subject("dropped").read()
        self._subject("dropped").delete(wait=False)
        self._keep_first("dropping", before, "Dropping")
        self._subject("held").delete(wait=False)
        self._keep("drop_held", "held", "DropHeld")

    def _without_peerdb(self) -> None:
        before = self._subject("orders").read()
        self.world.sim.knobs(bad_gateway=True)
        self._keep_first("peerdb_unavailable", before, "PeerDBUnavailable", "Synced")
        self._subject("blocked").delete(wait=False)
        self._keep("drop_blocked", "blocked", "DropBlocked")
        self._subject("orders").wait_conditions(Ready="Unknown", Synced="Unknown")
        self._keep("peerdb_unavailable_for_long", "orders")
        self.world.sim.knobs(bad_gateway=False)

    def _locked_out(self) -> None:
        self._subject("orders").wait_conditions(Ready="Unknown", Synced="Unknown", Stalled="True")
        self._keep("unauthorized", "orders", "Unauthorized")
        self._apply({"orders": {"batchSize": 1000}})
        self._keep("unauthorized_with_a_new_generation", "orders", "Unauthorized")
