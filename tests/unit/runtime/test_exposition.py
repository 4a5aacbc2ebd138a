"""The endpoint of the metrics, and what a scrape of many Mirrors is."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.registry import Collector

from peerdb_operator.runtime.http_server import MetricsServer
from peerdb_operator.telemetry import families as f
from peerdb_operator.telemetry.families import FAMILIES, PREFIX
from peerdb_operator.telemetry.metrics import Metrics, MirrorSample, QueueSample
from tests.harness.gotools.fixtures import promtool

OF_MIRRORS = [family for family in FAMILIES if family.per_mirror]
OPENMETRICS = "application/openmetrics-text; version=1.0.0"

__all__ = ["promtool"]


def a_mirror(number: int = 0) -> MirrorSample:
    return MirrorSample(
        namespace="data",
        name=f"orders-{number}",
        mirror=f"orders_{number}",
        state="Running",
        reason="Running",
        conditions={"Ready": "True", "Synced": "True"},
        tables=(5, 4),
        paused_since=17.0,
        last_error_at=18.0,
    )


def a_busy_operator() -> Metrics:
    """Every series there is, once."""
    metrics = Metrics("1.2.3", process=True)
    metrics.record_reconcile("error", "PeerDBUnavailable", 0.1, error="PeerDBUnavailable")
    metrics.record_panic()
    metrics.record_queue_wait(0.1)
    metrics.record_request("mirrors_list", "200", 0.1)
    metrics.record_write("event", "201")
    metrics.record_fleet_poll(answered=True, now=1.0)
    metrics.record_watch_event(2.0)
    metrics.record_comparison(3.0)
    metrics.record_missed_change()
    metrics.record_edit(9.0)
    metrics.record_pause(8.0)
    metrics.set_mirror_source(lambda: [a_mirror()])
    metrics.set_queue_source(lambda: QueueSample(1, 2.0, {"normal": 3, "long": 0}))
    return metrics


def parsed(text: str, accept: str = "") -> list[Metric]:
    """The families of a scrape, as a reader of this format understands them."""
    parse: Callable[[str], Iterable[Metric]] = parse_openmetrics if accept else parse_text
    return list(parse(text))


async def scrape(port: int, accept: str = "", path: str = "/metrics") -> tuple[int, str, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}{path}", headers={"Accept": accept}) as reply,
    ):
        return reply.status, reply.headers["Content-Type"], await reply.text()


def served(metrics: Metrics, accept: str = "", path: str = "/metrics") -> tuple[int, str, str]:
    async def main() -> tuple[int, str, str]:
        server = await MetricsServer(metrics).start("127.0.0.1", 0)
        try:
            return await scrape(server.port, accept, path)
        finally:
            await server.stop()

    return asyncio.run(main())


def test_a_scrape_is_text_by_default_and_openmetrics_for_whom_asks_for_it() -> None:
    status, kind, text = served(a_busy_operator())
    assert (status, kind.partition(";")[0]) == (200, "text/plain")
    assert "peerdb_operator_build_info{" in text
    assert {family.name for family in parsed(text)} > {"process_open_fds", "python_gc_objects_collected"}

    status, kind, text = served(a_busy_operator(), OPENMETRICS)
    assert (status, kind.partition(";")[0]) == (200, "application/openmetrics-text")
    assert text.endswith("# EOF\n")
    assert {family.name for family in parsed(text, OPENMETRICS)} > {"process_open_fds", "peerdb_operator_reconcile"}


def test_every_metric_of_the_table_is_exposed_and_no_other() -> None:
    text = a_busy_operator().expose()[0].decode()
    exposed = {family.name: family for family in parsed(text) if family.name.startswith(PREFIX)}
    wanted = {family.name.removesuffix("_total"): family for family in FAMILIES}

    assert exposed.keys() == wanted.keys()
    for name, family in wanted.items():
        assert exposed[name].type == family.kind.value
        assert exposed[name].documentation == family.meaning
        for sample in exposed[name].samples:
            assert set(sample.labels) - {"le"} == set(family.labels)


def test_the_linter_of_prometheus_finds_nothing(promtool: Path) -> None:
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=a_busy_operator().expose()[0], capture_output=True, check=False
    )

    assert (checked.returncode, checked.stdout.decode(), checked.stderr.decode()) == (0, "", "")


def test_the_text_is_made_beside_the_loop_and_one_scrape_at_a_time() -> None:
    metrics = Metrics()
    walked: list[int] = []
    asked_in: set[int] = set()

    def source() -> Iterator[MirrorSample]:
        asked_in.add(threading.get_ident())

        def walk() -> Iterator[MirrorSample]:
            walked.append(threading.get_ident())
            yield a_mirror()

        return walk()

    metrics.set_mirror_source(source)

    async def main() -> None:
        server = await MetricsServer(metrics).start("127.0.0.1", 0)
        replies = await asyncio.gather(*(scrape(server.port) for _ in range(5)))
        await server.stop()
        assert all('mirror_info{mirror="orders_0"' in text for _, _, text in replies)

    asyncio.run(main())
    assert asked_in == {threading.get_ident()}
    assert len(walked) == 5
    assert threading.get_ident() not in walked


class Reference(Collector):
    """The series of single Mirrors, each sample an object of prometheus_client's."""

    def __init__(self, mirrors: list[MirrorSample]) -> None:
        self._mirrors = mirrors

    def collect(self) -> Iterator[Metric]:
        shown = {family: GaugeMetricFamily(family.name, family.meaning, labels=family.labels) for family in OF_MIRRORS}
        for each in self._mirrors:
            who = (each.namespace, each.name)
            for kind, status in each.conditions.items():
                shown[f.MIRROR_CONDITION].add_metric((*who, kind, status), 1)
            shown[f.MIRROR_INFO].add_metric((*who, each.mirror, each.state, each.reason), 1)
            for kind, count in zip(("desired", "replicating"), each.tables or (), strict=bool(each.tables)):
                shown[f.MIRROR_TABLES].add_metric((*who, kind), count)
            for family, moment in ((f.MIRROR_STOPPED, each.paused_since), (f.MIRROR_ERROR, each.last_error_at)):
                if moment is not None:
                    shown[family].add_metric(who, moment)
        yield from shown.values()


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_the_lines_of_mirrors_are_those_that_prometheus_client_would_write(accept: str) -> None:
    bare = MirrorSample("data", "bare", "bare", "Unseen", "", {"Ready": "Unknown"})
    odd = MirrorSample("data", 'quo"te', "back\\slash\nline é", "Other", "", {}, (10_000, 0), 1_795_000_000.25, 3.0)
    mirrors = [a_mirror(), bare, odd]
    metrics = Metrics()
    metrics.set_mirror_source(lambda: mirrors)
    encode, _ = choose_encoder(accept)
    reference = CollectorRegistry()
    reference.register(Reference(mirrors))

    text = metrics.expose(accept)[0].decode()

    assert text.endswith(encode(reference).decode())


def test_a_scrape_of_many_mirrors_makes_few_calls_for_each() -> None:
    def calls(mirrors: int) -> int:
        metrics = a_busy_operator()
        samples = [a_mirror(number) for number in range(mirrors)]
        metrics.set_mirror_source(lambda: samples)
        count = 0

        def count_call(_: object, event: str, __: object) -> None:
            nonlocal count
            count += event in {"call", "c_call"}

        sys.setprofile(count_call)
        try:
            metrics.expose()
        finally:
            sys.setprofile(None)
        return count

    assert (calls(200) - calls(100)) / 100 < 60  # with an object for each sample it was 418
