"""The walk through a Mirror's life, on the simulated PeerDB.

Owns the steps, their order and what each must end in: the status of the object and the hidden truth of PeerDB have to
agree. How one waits is in ``waiting``.
"""

import json
import shlex
from pathlib import Path
from typing import Any

import yaml

from tests.harness.demo.cluster import ROOT
from tests.harness.demo.peerdb import (
    BILLING,
    EVENTS,
    ORDERS,
    add_table_by_hand,
    has_been,
    is_gone,
    pause_by_hand,
    runs_with,
)
from tests.harness.demo.screen import Screen
from tests.harness.demo.waiting import Watcher
from tests.harness.peerdb.process import Control

SAMPLES = Path("docs/samples")
NAME = "orders-cdc"


class Walk:
    """All steps in order; each raises NotConvergedError if it does not come true in time."""

    def __init__(self, watcher: Watcher, simulator: Control, screen: Screen) -> None:
        self._watcher = watcher
        self._simulator = simulator
        self._screen = screen
        self._cluster = watcher.cluster

    def run(self) -> None:
        """Walk."""
        for step in (self._apply, self._pause, self._resume, self._edit, self._edit_paused, self._hands, self._delete):
            step()

    def _apply(self) -> None:
        self._watcher.step(
            "Apply the sample Mirrors",
            "Three mirrors exist in PeerDB. The operator takes them over; orders-cdc wishes for one table more than "
            "PeerDB has, so its mirror is paused, edited and resumed. That nobody else owns a mirror is "
            "believed after two reads, 5 s apart.",
        )
        self._kubectl("apply", *(part for name in self._samples() for part in ("-f", str(SAMPLES / name))))
        self._watcher.until(
            "all three run as wished, orders-cdc with both tables",
            self._watcher.shows(NAME, "Running", tables="2/2"),
            self._watcher.shows("billing", "Running", tables="2/2"),
            self._watcher.shows("web-events", "Running"),
            runs_with(self._simulator, ORDERS, "RUNNING", "public.orders", "public.invoices"),
        )

    def _samples(self) -> list[str]:
        return sorted(path.name for path in (ROOT / SAMPLES).glob("*.yaml"))

    def _pause(self) -> None:
        self._watcher.step(
            "Pause", "PeerDB answers at once and pauses later: Ready is Unknown until the pause is seen."
        )
        self._set_state("Paused")
        self._paused("Paused")

    def _resume(self) -> None:
        self._watcher.step("Resume", "The same way back.")
        self._set_state("Running")
        self._running("public.orders", "public.invoices")

    def _edit(self) -> None:
        self._watcher.step(
            "Add and remove tables: + public.customers, - public.invoices",
            "PeerDB hides an edit of a running mirror until its next pause, so the operator pauses it, sends one edit "
            "and looks whether it came true. New tables are checked before the mirror stops.",
        )
        self._apply_tables("public.customers")
        self._running("public.orders", "public.customers")

    def _edit_paused(self) -> None:
        self._watcher.step(
            "Edit while paused: + public.refunds", "PeerDB resumes a mirror when it edits one: the edit has to wait."
        )
        self._set_state("Paused")
        self._paused("Paused")
        self._apply_tables("public.customers", "public.refunds")
        pending = self._watcher.shows(NAME, "PausedWithPendingChanges", synced="False")
        untouched = runs_with(self._simulator, ORDERS, "PAUSED", "public.orders", "public.customers")
        self._watcher.until("the edit is pending and PeerDB untouched", pending, untouched)
        self._set_state("Running")
        self._running("public.orders", "public.customers", "public.refunds")

    def _hands(self) -> None:
        self._watcher.step(
            "A human hand in PeerDB", "Somebody pauses the mirror in PeerDB's own UI. The object wishes Running."
        )
        since = self._simulator.last_event()
        pause_by_hand(self._simulator, ORDERS)
        self._watcher.until("PeerDB has paused it", has_been(self._simulator, ORDERS, "PAUSED", since))
        self._running("public.orders", "public.customers", "public.refunds")
        self._watcher.step(
            "Another hand", "Somebody adds the table public.tmp in PeerDB. The list in the object is the list."
        )
        since = self._simulator.last_event()
        add_table_by_hand(self._simulator, ORDERS, "public.tmp", "tmp")
        self._watcher.until("PeerDB copies public.tmp", has_been(self._simulator, ORDERS, "SNAPSHOT", since))
        self._running("public.orders", "public.customers", "public.refunds")

    def _delete(self) -> None:
        self._watcher.step(
            "Delete two Mirrors",
            "orders-cdc has deletionPolicy Drop (the default): its mirror goes. billing has Retain: its mirror stays.",
        )
        self._kubectl("delete", "mirrors", NAME, "billing", "--wait=false")
        self._watcher.until(
            "orders_cdc is dropped, billing_prod_v2 and web_events run on",
            self._watcher.gone(NAME),
            self._watcher.gone("billing"),
            is_gone(self._simulator, ORDERS),
            runs_with(self._simulator, BILLING, "RUNNING"),
            runs_with(self._simulator, EVENTS, "RUNNING"),
        )

    # -- what steps share ------------------------------------------------------------------------------------------

    def _running(self, *sources: str) -> None:
        self._watcher.until(
            f"it runs with {', '.join(sources)}",
            self._watcher.shows(NAME, "Running", tables=f"{len(sources)}/{len(sources)}"),
            runs_with(self._simulator, ORDERS, "RUNNING", *sources),
        )

    def _paused(self, reason: str) -> None:
        is_paused = runs_with(self._simulator, ORDERS, "PAUSED")
        self._watcher.until("it is paused", self._watcher.shows(NAME, reason), is_paused)

    def _set_state(self, state: str) -> None:
        patch = json.dumps({"spec": {"state": state}}, separators=(",", ":"))
        self._kubectl("patch", "mirror", NAME, "--type=merge", "-p", patch)

    def _apply_tables(self, *added: str) -> None:
        """Apply the sample again with other tables beside the first."""
        text = (ROOT / SAMPLES / "orders.yaml").read_text(encoding="utf-8")
        wish: dict[str, Any] = yaml.safe_load(text)
        live = self._watcher.mirror(NAME)
        first = wish["spec"]["tables"][0]
        wish["spec"]["state"] = live["spec"]["state"] if live else "Running"
        wish["spec"]["tables"] = [first, *({"source": one, "destination": one.partition(".")[2]} for one in added)]
        self._screen.command("kubectl apply -f orders.yaml   # orders.yaml with spec.tables changed")
        self._cluster.kubectl("apply", "--filename=-", input=json.dumps(wish))

    def _kubectl(self, *arguments: str) -> None:
        self._screen.command(shlex.join(["kubectl", *arguments]))
        self._cluster.kubectl(*arguments)
