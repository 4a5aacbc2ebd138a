"""Every series, after the thing that it tells of has happened: the real parts on simulated time.

A scrape is read back from its text, as Prometheus does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from prometheus_client.parser import text_string_to_metric_families

from peerdb_operator.mirror.gauges import REASONS, STATES
from peerdb_operator.peerdb.client import Operation
from peerdb_operator.telemetry.families import CONDITIONS, FAMILIES, PREFIX, STATUSES
from peerdb_operator.telemetry.metrics import UNSEEN, Metrics
from tests.harness.fakecluster import Body
from tests.harness.peerdb.config import Table
from tests.harness.peerdb.knobs import Knobs
from tests.harness.peerdb.values import Status
from tests.harness.simulation import Operator, Simulation

QUICK = Knobs(t_lag=0.01, t_react=0.01, t_stop=1.0, t_add=1.0, t_remove=0.3, t_resume=0.1, t_drop=0.3)
SECRET = "s3cret-value"


class Scrape(Mapping[str, float]):
    """One scrape; keys are ``name{a="b"}`` with the labels in order and without the prefix."""

    def __init__(self, metrics: Metrics) -> None:
        metrics.prepare()
        self.text = metrics.expose()[0].decode()
        self._values: dict[str, float] = {}
        for family in text_string_to_metric_families(self.text):
            for sample in family.samples:
                labels = ",".join(f'{key}="{value}"' for key, value in sorted(sample.labels.items()))
                self._values[sample.name.removeprefix(PREFIX) + (f"{{{labels}}}" if labels else "")] = sample.value

    def __getitem__(self, key: str) -> float:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def of(self, metric: str, **labels: str) -> float:
        """The sum of all series of this name with these labels."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        found = [key for key in self if key.partition("{")[0] == metric and all(one in key for one in wanted)]
        return sum(self[key] for key in found)

    def values_of(self, label: str) -> set[str]:
        """All values of one label, whoever has it."""
        return set(re.findall(rf'[{{,]{label}="([^"]*)"', self.text))


def a_spec(*names: str, **more: object) -> Body:
    return {"tables": [{"source": f"public.{name}", "destination": name} for name in names], **more}


def a_world(mirrors: int = 1, knobs: Knobs = QUICK, **settings: object) -> tuple[Simulation, Operator]:
    """So many settled Mirrors m0, m1, … with one table each."""
    simulation = Simulation(seed=3, knobs=knobs)
    for number in range(mirrors):
        simulation.engine.put_mirror(f"m{number}", state=Status.RUNNING, tables=[Table("public.a", "a")])
        simulation.cluster.create(f"m{number}", a_spec("a"))
    operator = simulation.operator(settings=settings)
    simulation.run(60)
    return simulation, operator


def scrape(operator: Operator) -> Scrape:
    assert operator.run is not None
    return Scrape(operator.run.metrics)


def in_loop(simulation: Simulation, operator: Operator) -> Scrape:
    """The queue is asked on the loop of its process."""
    found: list[Scrape] = []
    simulation.loop.call_soon(lambda: found.append(scrape(operator)))
    simulation.run(0.001)
    return found[0]


def test_a_settled_mirror_shows_as_it_is() -> None:
    simulation, operator = a_world(2)

    shown = in_loop(simulation, operator)

    who = 'name="m0",namespace="data"'
    assert shown[f'mirror_info{{mirror="m0",{who},reason="Running",state="Running"}}'] == 1
    assert shown[f'mirror_condition{{{who},status="True",type="Ready"}}'] == 1
    assert shown[f'mirror_condition{{{who},status="True",type="Synced"}}'] == 1
    assert shown[f'mirror_tables{{kind="desired",{who}}}'] == 1
    assert shown[f'mirror_tables{{kind="replicating",{who}}}'] == 1
    assert shown['mirrors{state="Running"}'] == 2
    assert shown['mirrors_condition{status="True",type="Ready"}'] == 2
    assert shown['mirrors_condition{status="False",type="Stalled"}'] == 2
    assert shown["drops_held"] == shown["drops_blocked"] == 0
    assert shown["peerdb_up"] == 1
    assert simulation.now - shown["peerdb_last_success_timestamp_seconds"] <= 11
    assert simulation.now - shown["anti_entropy_last_success_timestamp_seconds"] <= 40
    assert simulation.now - shown["watch_last_event_timestamp_seconds"] <= 60
    assert shown["anti_entropy_missed_total"] == 0
    assert shown['workqueue_depth{name="mirror"}'] == shown['workqueue_oldest_seconds{name="mirror"}'] == 0
    assert shown['workqueue_active{lane="normal",name="mirror"}'] == 0
    assert shown['reconcile_panics_total{controller="mirror"}'] == 0
    assert shown['reconcile_total{controller="mirror",reason="Running",result="success"}'] >= 2
    assert shown["workqueue_wait_seconds_count" + '{name="mirror"}'] >= 2
    assert not any("paused_by_operator" in key or "last_error" in key for key in shown)


def test_an_edit_is_timed_and_the_stop_within_it_shows_while_it_lasts() -> None:
    simulation, operator = a_world(knobs=QUICK.patched({"t_stop": 20.0}))
    began = simulation.now
    simulation.cluster.edit("m0", {"spec": a_spec("a", "b")})
    simulation.run(15)

    during = in_loop(simulation, operator)
    simulation.run(60)
    after = in_loop(simulation, operator)

    stopped = 'mirror_paused_by_operator_since_timestamp_seconds{name="m0",namespace="data"}'
    assert began <= during[stopped] <= began + 3
    assert during["table_edit_duration_seconds_count"] == during["mirror_paused_seconds_count"] == 0
    assert during['reconcile_total{controller="mirror",reason="Pausing",result="requeue"}'] > 0
    assert stopped not in after
    assert after["table_edit_duration_seconds_count"] == after["mirror_paused_seconds_count"] == 1
    assert 20 <= after["mirror_paused_seconds_sum"] <= after["table_edit_duration_seconds_sum"] <= 40
    assert after['peerdb_requests_total{code="200",operation="state_change_pause"}'] == 1
    assert after['peerdb_requests_total{code="200",operation="state_change_edit"}'] == 1
    assert after['peerdb_requests_total{code="200",operation="validate"}'] == 1
    assert after['mirror_tables{kind="desired",name="m0",namespace="data"}'] == 2


def test_a_pause_that_the_spec_wishes_is_no_stop_of_ours() -> None:
    simulation, operator = a_world()
    simulation.cluster.edit("m0", {"spec": {"state": "Paused"}})
    simulation.run(60)

    shown = in_loop(simulation, operator)

    assert shown['mirrors{state="Paused"}'] == 1
    assert shown["mirror_paused_seconds_count"] == shown["table_edit_duration_seconds_count"] == 0
    assert not any("paused_by_operator" in key for key in shown)
    simulation.cluster.edit("m0", {"spec": {"state": "Running"}})
    simulation.run(60)
    assert in_loop(simulation, operator)["mirror_paused_seconds_count"] == 0
    assert in_loop(simulation, operator)['peerdb_requests_total{code="200",operation="state_change_resume"}'] == 1


def test_a_stop_ends_for_the_count_when_the_wish_becomes_paused() -> None:
    simulation, operator = a_world(knobs=QUICK.patched({"t_stop": 20.0}))
    simulation.cluster.edit("m0", {"spec": a_spec("a", "b")})
    simulation.run(10)
    simulation.cluster.edit("m0", {"spec": {"state": "Paused"}})
    simulation.run(30)

    shown = in_loop(simulation, operator)

    assert shown["mirror_paused_seconds_count"] == 1
    assert shown["table_edit_duration_seconds_count"] == 0
    assert not any("paused_by_operator" in key for key in shown)


def test_peerdb_shows_as_down_while_nobody_answers_and_as_up_again_after() -> None:
    simulation, operator = a_world()
    before = in_loop(simulation, operator)["peerdb_last_success_timestamp_seconds"]
    simulation.network.away = True
    simulation.run(100)

    down = in_loop(simulation, operator)
    simulation.network.away = False
    simulation.run(60)
    again = in_loop(simulation, operator)

    assert down["peerdb_up"] == 0
    assert down["peerdb_last_success_timestamp_seconds"] <= before + 11
    assert down['peerdb_requests_total{code="connect_error",operation="mirrors_list"}'] >= 9
    assert down.of("reconcile_errors_total", **{"class": "PeerDBUnavailable"}) > 0
    assert down['mirrors_condition{status="Unknown",type="Synced"}'] == 1
    assert again["peerdb_up"] == 1
    assert again["peerdb_last_success_timestamp_seconds"] > before + 100


def test_nothing_is_said_of_peerdb_while_there_is_nobody_to_look_for() -> None:
    simulation, operator = a_world(0)
    assert "peerdb_up" not in in_loop(simulation, operator)
    simulation.network.away = True
    simulation.cluster.create("late", a_spec("a"))
    simulation.run(30)
    assert in_loop(simulation, operator)["peerdb_up"] == 0
    simulation.cluster.delete("late")
    simulation.run(30)

    shown = in_loop(simulation, operator)

    assert "peerdb_up" not in shown
    assert shown.of("mirrors") == 0


def test_what_a_deaf_watch_withholds_is_counted_when_the_comparison_finds_it() -> None:
    simulation, operator = a_world(2)
    assert operator.run is not None
    assert operator.run.watch is not None
    operator.run.watch.lose()
    simulation.cluster.edit("m0", {"spec": {"batchSize": 77}})
    heard = in_loop(simulation, operator)["watch_last_event_timestamp_seconds"]
    simulation.run(400)

    shown = in_loop(simulation, operator)

    assert shown["anti_entropy_missed_total"] >= 1
    assert shown["watch_last_event_timestamp_seconds"] == heard
    compared = shown["anti_entropy_last_success_timestamp_seconds"]
    operator.kube.away = True
    simulation.run(800)
    assert in_loop(simulation, operator)["anti_entropy_last_success_timestamp_seconds"] == compared


def test_mirrors_that_wait_for_a_place_show_as_depth_and_age_of_the_queue() -> None:
    simulation, operator = a_world(30, concurrency=1)
    for number in range(30):
        simulation.cluster.edit(f"m{number}", {"spec": {"batchSize": 77}})
    simulation.run(0.3)

    shown = in_loop(simulation, operator)

    assert shown['workqueue_active{lane="normal",name="mirror"}'] == 1
    assert shown['workqueue_depth{name="mirror"}'] > 5
    assert 0.1 < shown['workqueue_oldest_seconds{name="mirror"}'] <= 0.31
    simulation.run(120)
    later = in_loop(simulation, operator)
    assert later['workqueue_depth{name="mirror"}'] == 0
    assert later["workqueue_wait_seconds_sum" + '{name="mirror"}'] > 1


def test_held_and_blocked_drops_are_counted() -> None:
    simulation, operator = a_world(3, brake_drops=1)
    for number in range(3):
        simulation.cluster.delete(f"m{number}")
    simulation.run(60)
    held = in_loop(simulation, operator)
    simulation.network.away = True
    simulation.run(120)

    blocked = in_loop(simulation, operator)

    assert held["drops_held"] == 2
    assert held["drops_blocked"] == 0
    assert held['peerdb_requests_total{code="200",operation="state_change_drop"}'] == 1
    assert blocked["drops_blocked"] == 2


def test_no_series_of_a_mirror_is_left_when_it_has_gone() -> None:
    simulation, operator = a_world(2)
    base = {key for key in in_loop(simulation, operator) if 'name="m0"' in key}
    simulation.cluster.create("gone", a_spec("a"))
    simulation.engine.put_mirror("gone", state=Status.RUNNING, tables=[Table("public.a", "a")])
    simulation.run(120)
    while_there = in_loop(simulation, operator)
    simulation.cluster.delete("gone")
    simulation.run(120)

    after = in_loop(simulation, operator)

    assert any('name="gone"' in key for key in while_there)
    assert "gone" not in after.text
    assert {key for key in after if 'name="m0"' in key} == base


def test_a_missing_a_stalled_and_an_unseen_mirror_show_as_such() -> None:
    simulation, operator = a_world()
    simulation.cluster.create("lost", a_spec("a"))
    simulation.run(30)
    simulation.network.away = True
    simulation.cluster.create("fresh", a_spec("a"))
    simulation.run(5)

    shown = in_loop(simulation, operator)

    assert shown.of("mirror_info", name="lost", state="Missing", reason="MirrorNotFound") == 1
    assert shown['mirror_condition{name="lost",namespace="data",status="True",type="Stalled"}'] == 1
    assert shown['mirrors_condition{status="True",type="Stalled"}'] == 1
    assert shown[f'mirrors{{state="{UNSEEN}"}}'] == 1
    assert shown['mirror_condition{name="fresh",namespace="data",status="Unknown",type="Ready"}'] == 1


def test_the_newest_error_of_a_mirror_shows_with_its_time() -> None:
    simulation, operator = a_world()
    simulation.engine.world.say("m0", "relation does not exist", "error")
    simulation.run(60)

    shown = in_loop(simulation, operator)

    at = shown['mirror_last_error_timestamp_seconds{name="m0",namespace="data"}']
    assert 0 <= simulation.now - at <= 61


def test_a_bug_of_ours_is_counted_and_its_mirror_told() -> None:
    simulation, operator = a_world()
    body = simulation.cluster.get(("data", "m0"))
    simulation.cluster.edit("m0", {"spec": {"batchSize": 77}})
    assert operator.run is not None
    assert operator.run.controller is not None
    entry = operator.run.controller._store.get(body["metadata"]["uid"])
    assert entry is not None
    entry.history = None  # type: ignore[assignment]  # what a bug may leave behind
    simulation.run(5)

    shown = in_loop(simulation, operator)

    assert shown['reconcile_panics_total{controller="mirror"}'] >= 1
    assert shown['reconcile_errors_total{class="InternalError",controller="mirror"}'] >= 1


def an_eventful_life() -> Scrape:
    """Edits, refusals, hands in the status, secrets in the settings, words that nobody knows."""
    simulation, operator = a_world(4)
    simulation.cluster.edit("m0", {"spec": a_spec("a", "secret_table", settings={"PEERDB_TOKEN": SECRET})})
    simulation.cluster.edit("m1", {"spec": a_spec("secret_table")})
    simulation.cluster.edit("m2", {"spec": {"tables": "nonsense"}})
    wild = [
        {
            "type": "Wild",
            "status": "True",
            "reason": "Odd",
            "message": SECRET,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
    ]
    simulation.run(100)
    simulation.network.away = True
    simulation.cluster.edit_status("m3", {"state": "Surprised", "conditions": wild})
    simulation.cluster.edit("m2", {"metadata": {"annotations": {"peerdb.io/reconcile": "disabled"}}})
    simulation.run(100)
    simulation.network.away = False
    simulation.cluster.delete("m1")
    simulation.run(100)
    return in_loop(simulation, operator)


def test_labels_keep_to_their_closed_sets_and_hold_neither_tables_nor_secrets() -> None:
    shown = an_eventful_life()

    assert shown.values_of("operation") <= set(Operation)
    assert "other" not in shown.values_of("operation")
    assert shown.values_of("state") <= STATES | {UNSEEN, "Other"}
    assert shown.values_of("reason") <= REASONS | {"Other"}
    assert shown.values_of("type") <= set(CONDITIONS)
    assert shown.values_of("status") <= set(STATUSES)
    assert shown.values_of("result") <= {"success", "requeue", "error"}
    assert shown.values_of("lane") <= {"normal", "long", "precheck"}
    assert shown.values_of("code") <= {"200", "201", "connect_error", "409", "404", "400"}
    assert "secret_table" not in shown.text
    assert SECRET not in shown.text
    assert {key.partition("{")[0] for key in shown} >= {
        family.name.removeprefix(PREFIX)
        for family in FAMILIES
        if not family.buckets and "paused" not in family.name and "last_error" not in family.name
    }
