"""The simulated PeerDB of the demo: what is in it before the first step, and what people do in it by hand.

Owns the scenery for ``docs/samples``. Hands use PeerDB's own API, as its web UI does.
"""

import json
from collections.abc import Mapping

from tests.harness.demo.waiting import Check
from tests.harness.peerdb.process import Control, SimulatorError, call

KNOBS: Mapping[str, object] = {"t_stop": [0.8, 2.0], "t_add": [1.5, 2.5]}
"""Brisker than PeerDB, which takes some 6 s to pause and 5 s to copy a small table."""

ORDERS, BILLING, EVENTS = "orders_cdc", "billing_prod_v2", "web_events"
SOURCES = ("public.orders", "public.invoices", "public.customers", "public.refunds", "public.tmp", "public.clicks")

Tables = list[dict[str, object]]


def furnish(simulator: Control) -> None:
    """Put the mirrors of the samples there, as somebody might have made them in PeerDB's UI."""
    simulator.databases(sourceTables=[*SOURCES, "billing.accounts", "billing.audit_log"], filledDestinations=[])
    put_orders(simulator)
    balance = {"sourceName": "balance", "destinationType": "Decimal(38,9)"}
    billing: Tables = [
        {"source": "billing.accounts", "destination": "accounts", "columns": [balance]},
        {"source": "billing.audit_log", "destination": "audit_log", "engine": "CH_ENGINE_MERGE_TREE"},
    ]
    simulator.put_mirror(BILLING, tables=billing, snapshot={"snapshotNumTablesInParallel": 4})
    simulator.put_mirror(EVENTS, tables=[{"source": "public.clicks", "destination": "clicks"}])


def put_orders(simulator: Control) -> None:
    """The mirror of ``docs/samples/orders.yaml`` with the first of its tables."""
    orders: Tables = [{"source": "public.orders", "destination": "orders", "exclude": ["card_number"]}]
    simulator.put_mirror(ORDERS, tables=orders)


def runs_with(simulator: Control, mirror: str, state: str, *sources: str) -> Check:
    """A check on the hidden truth: this state, and when tables are given exactly these."""

    def check() -> str | None:
        truth = simulator.get_mirror(mirror)
        row = None if truth is None else truth["row"]
        if not isinstance(row, dict):
            return f"PeerDB has no mirror {mirror}"
        found = {table["source"] for table in row["tables"]}
        if row["state"] == state and (not sources or found == set(sources)):
            return None
        return f"in PeerDB {mirror} is {row['state']} with {', '.join(sorted(found))}"

    return check


def has_been(simulator: Control, mirror: str, state: str, since: int) -> Check:
    """A check: the mirror has been in this state after event ``since``, however briefly."""

    def check() -> str | None:
        news = [one for one in simulator.log(since) if one["kind"] == "state" and one["mirror"] == mirror]
        if any(one["new"] == state for one in news):
            return None
        return f"in PeerDB {mirror} went through {[one['new'] for one in news]}"

    return check


def is_gone(simulator: Control, mirror: str) -> Check:
    """A check: PeerDB has no such mirror."""
    return lambda: None if simulator.get_mirror(mirror) is None else f"PeerDB still has {mirror}"


def pause_by_hand(simulator: Control, mirror: str) -> None:
    """Somebody presses Pause in PeerDB."""
    _state_change(simulator, mirror, "STATUS_PAUSED")


def add_table_by_hand(simulator: Control, mirror: str, source: str, destination: str) -> None:
    """Somebody adds a table in PeerDB: an update waits for the next pause, and the pause resumes by itself."""
    table = {"sourceTableIdentifier": source, "destinationTableIdentifier": destination}
    update = {"cdcFlowConfigUpdate": {"additionalTables": [table]}}
    _state_change(simulator, mirror, "STATUS_RUNNING", flowConfigUpdate=update)
    _state_change(simulator, mirror, "STATUS_PAUSED")


def _state_change(simulator: Control, mirror: str, state: str, **more: object) -> None:
    body = json.dumps({"flowJobName": mirror, "requestedFlowState": state, **more}).encode()
    answer = call(simulator.gateway_url, "POST", "/v1/mirrors/state_change", body)
    if answer.status != 200:
        raise SimulatorError(f"PeerDB refused a hand: {answer.status} {answer.body.decode('utf-8', 'replace')}")
