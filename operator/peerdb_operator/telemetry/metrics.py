"""What the operator counts and measures, for Prometheus: one registry per process, made in ``app``.

The queue and the Mirrors are read when Prometheus scrapes: ``prepare`` takes references on the event loop, ``expose``
does the work and may run in a thread. Series of single Mirrors are written as text at once, since an object for each
sample costs eight times as much; their labels are sorted by name, as prometheus_client sorts them.
"""

from __future__ import annotations

import platform
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Final

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from peerdb_operator.telemetry import families as f

QUEUE: Final = f.CONTROLLER
UNSEEN: Final = "Unseen"


@dataclass(frozen=True, slots=True)
class QueueSample:
    """The queue at one moment; ``active`` by pool."""

    depth: int = 0
    oldest: float = 0.0
    active: Mapping[str, int] = field(default_factory=dict)


class Metrics(Collector):
    """All instruments. Every ``record_*`` method is cheap and safe to call anywhere on the event loop."""

    def __init__(self, version: str = "", *, process: bool = False) -> None:
        """``process``: also the metrics of the operating system and of Python's garbage collector for this process."""
        # Twice the series, to say when a counter began.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no annotations
        self.registry = CollectorRegistry()
        self._mirrors: Callable[[], Iterable[MirrorSample]] = tuple
        self._queue: Callable[[], QueueSample] = QueueSample
        self._prepared: tuple[Iterable[MirrorSample], QueueSample] | None = None
        self._series = MirrorSeries(())
        self._moments: dict[f.Family, float] = {}
        if process:
            prometheus_client.ProcessCollector(registry=self.registry)
            prometheus_client.GCCollector(registry=self.registry)
        info = Gauge(f.BUILD_INFO.name, f.BUILD_INFO.meaning, f.BUILD_INFO.labels, registry=self.registry)
        info.labels(version, platform.python_version()).set(1)
        self._counters = {
            family: Counter(family.name, family.meaning, family.labels, registry=self.registry)
            for family in f.FAMILIES
            if family.kind is f.Kind.COUNTER
        }
        self._histograms = {
            family: Histogram(
                family.name, family.meaning, family.labels, registry=self.registry, buckets=family.buckets
            )
            for family in f.FAMILIES
            if family.kind is f.Kind.HISTOGRAM
        }
        # To find a series takes prometheus_client longer than to count in it.
        self._counter = cache(lambda family, *labels: self._counters[family].labels(*labels))
        self._histogram = cache(lambda family, *labels: self._histograms[family].labels(*labels))
        self._counter(f.RECONCILE_PANICS, f.CONTROLLER)  # shown as 0 before the first
        self.registry.register(self)

    def record_reconcile(self, result: str, reason: str, seconds: float, *, error: str | None = None) -> None:
        """A reconcile has ended; ``error`` is the class of its error."""
        self._counter(f.RECONCILES, f.CONTROLLER, result, reason).inc()
        self._histogram(f.RECONCILE_SECONDS, f.CONTROLLER).observe(seconds)
        if error is not None:
            self._counter(f.RECONCILE_ERRORS, f.CONTROLLER, error).inc()

    def record_panic(self) -> None:
        """A reconcile has met a bug of the operator."""
        self._counter(f.RECONCILE_PANICS, f.CONTROLLER).inc()

    def record_queue_wait(self, seconds: float) -> None:
        """A reconcile begins so long after it was due."""
        self._histogram(f.QUEUE_WAIT, QUEUE).observe(seconds)

    def record_request(self, operation: str, code: str, seconds: float) -> None:
        """A request to PeerDB has ended."""
        self._counter(f.PEERDB_REQUESTS, operation, code).inc()
        self._histogram(f.PEERDB_SECONDS, operation).observe(seconds)

    def record_write(self, kind: str, code: str) -> None:
        """A write to Kubernetes has ended."""
        self._counter(f.KUBE_WRITES, kind, code).inc()

    def record_fleet_poll(self, *, answered: bool, now: float) -> None:
        """PeerDB was asked for all mirrors."""
        self._moments[f.PEERDB_UP] = float(answered)
        if answered:
            self._moments[f.PEERDB_SUCCESS] = now

    def record_no_fleet_poll(self) -> None:
        """There are no Mirrors, so PeerDB is not asked and ``peerdb_up`` is absent."""
        self._moments.pop(f.PEERDB_UP, None)

    def record_watch_event(self, now: float) -> None:
        """The watch has delivered an event."""
        self._moments[f.WATCH_EVENT] = now

    def record_comparison(self, now: float) -> None:
        """All Mirrors have been compared with the API server."""
        self._moments[f.ENTROPY_SUCCESS] = now

    def record_missed_change(self) -> None:
        """The comparison has found a change that the watch has not delivered."""
        self._counters[f.ENTROPY_MISSED].inc()

    def record_edit(self, seconds: float) -> None:
        """An edit is finished so long after its pause was decided."""
        self._histograms[f.EDIT_SECONDS].observe(seconds)

    def record_pause(self, seconds: float) -> None:
        """A mirror runs again after the operator had paused it for so long."""
        self._histograms[f.PAUSED_SECONDS].observe(seconds)

    def set_mirror_source(self, source: Callable[[], Iterable[MirrorSample]]) -> None:
        """``source`` is called on the event loop and returns at once; what it returns is iterated in a thread."""
        self._mirrors = source

    def set_queue_source(self, source: Callable[[], QueueSample]) -> None:
        """``source`` is called on the event loop."""
        self._queue = source

    def prepare(self) -> None:
        """The half of a scrape that needs the event loop."""
        self._prepared = (self._mirrors(), self._queue())

    def expose(self, accept: str = "") -> tuple[bytes, str]:
        """The other half: the text and its content type, OpenMetrics if ``accept`` asks for it."""
        encode, content_type = choose_encoder(accept)
        text = encode(self.registry)
        series, self._series = self._series, MirrorSeries(())
        return series.put_into(text), content_type

    def collect(self) -> Iterator[Metric]:
        """What is sampled at a scrape (prometheus_client calls this); series of single Mirrors without their lines."""
        if self._prepared is None:
            self.prepare()
        (mirrors, queue), self._prepared = self._prepared or ((), QueueSample()), None
        yield _family(f.QUEUE_DEPTH, [((QUEUE,), queue.depth)])
        yield _family(f.QUEUE_OLDEST, [((QUEUE,), queue.oldest)])
        yield _family(f.QUEUE_ACTIVE, [((QUEUE, pool), count) for pool, count in queue.active.items()])
        for moment in (f.PEERDB_UP, f.PEERDB_SUCCESS, f.WATCH_EVENT, f.ENTROPY_SUCCESS):
            known = self._moments.get(moment)
            yield _family(moment, [] if known is None else [((), known)])
        self._series = MirrorSeries(mirrors)
        yield from _numbers(self._series)
        for family in f.FAMILIES:
            if family.per_mirror:
                yield _family(family, [])

    def describe(self) -> Iterator[Metric]:
        """Nothing: the registry need not know these names to keep them apart."""
        return iter(())


_Rows = list[tuple[tuple[str, ...], float]]


def _family(family: f.Family, rows: _Rows) -> Metric:
    shown = GaugeMetricFamily(family.name, family.meaning, labels=family.labels)
    for labels, value in rows:
        shown.add_metric(labels, value)
    return shown


def _numbers(series: MirrorSeries) -> Iterator[Metric]:
    yield _family(f.MIRRORS, [((state,), count) for state, count in sorted(series.states.items())])
    yield _family(
        f.MIRRORS_CONDITION,
        [((kind, status), series.conditions[kind, status]) for kind in f.CONDITIONS for status in f.STATUSES],
    )
    yield _family(f.DROPS_HELD, [((), series.reasons["DropHeld"])])
    yield _family(f.DROPS_BLOCKED, [((), series.reasons["DropBlocked"])])


@dataclass(frozen=True, slots=True)
class MirrorSample:
    """What is shown of one Mirror. ``conditions``: type to status, absent is False; ``tables``: desired, replicating.

    ``state`` and ``reason`` come from closed sets. Times are seconds since the epoch.
    """

    namespace: str
    name: str
    mirror: str
    state: str
    reason: str
    conditions: Mapping[str, str]
    tables: tuple[int, int] | None = None
    paused_since: float | None = None
    last_error_at: float | None = None


class MirrorSeries:
    """The numbers over all Mirrors of one scrape, and the lines of each Mirror."""

    def __init__(self, samples: Iterable[MirrorSample]) -> None:
        self.states: Tally[str] = Tally()
        self.reasons: Tally[str] = Tally()
        self.conditions: Tally[tuple[str, str]] = Tally()
        self._lines: dict[f.Family, list[str]] = {family: [] for family in f.FAMILIES if family.per_mirror}
        mirrors = 0
        for sample in samples:
            mirrors += 1
            self.states[sample.state] += 1
            self.reasons[sample.reason] += 1
            self._write(sample)
        for kind in f.CONDITIONS:
            shown = sum(self.conditions[kind, status] for status in f.STATUSES)
            self.conditions[kind, "False"] += mirrors - shown

    def put_into(self, text: bytes) -> bytes:
        """``text`` with the lines of each family behind its ``# TYPE``."""
        for family, lines in self._lines.items():
            head = f"# TYPE {family.name} gauge\n".encode()
            text = text.replace(head, head + "".join(lines).encode(), 1)
        return text

    def _write(self, sample: MirrorSample) -> None:
        lines = self._lines
        name, namespace = escaped(sample.name), escaped(sample.namespace)
        who = f'name="{name}",namespace="{namespace}"'
        conditions = lines[f.MIRROR_CONDITION]
        for kind, status in sample.conditions.items():
            self.conditions[kind, status] += 1
            conditions.append(f'{f.MIRROR_CONDITION.name}{{{who},status="{status}",type="{kind}"}} 1.0\n')
        what = f'mirror="{escaped(sample.mirror)}",{who},reason="{sample.reason}",state="{sample.state}"'
        lines[f.MIRROR_INFO].append(f"{f.MIRROR_INFO.name}{{{what}}} 1.0\n")
        if sample.tables is not None:
            desired, replicating = sample.tables
            lines[f.MIRROR_TABLES].append(
                f'{f.MIRROR_TABLES.name}{{kind="desired",{who}}} {desired}.0\n'
                f'{f.MIRROR_TABLES.name}{{kind="replicating",{who}}} {replicating}.0\n'
            )
        for family, moment in ((f.MIRROR_STOPPED, sample.paused_since), (f.MIRROR_ERROR, sample.last_error_at)):
            if moment is not None:
                lines[family].append(f"{family.name}{{{who}}} {_number(moment)}\n")


def escaped(value: str) -> str:
    """Escape a label's value for its place between quotes."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    text: str = floatToGoString(value)  # type: ignore[no-untyped-call]  # it has no annotations
    return text
