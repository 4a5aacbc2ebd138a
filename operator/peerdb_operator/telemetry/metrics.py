"""What the operator counts and measures, for Prometheus.

Owns one registry per process, made by the composition and handed to whoever counts; nothing global. Leaves the names to
``families``, the lines of single Mirrors to ``mirrors``, and the listener to ``runtime.exposition``. prometheus_client
is imported in this package alone.

What can be read from the state of the process (the queue, the Mirrors) is not counted but asked for at the moment of a
scrape: a pass costs nothing, and a Mirror that is gone leaves no series behind. A scrape has two halves: ``prepare``
runs on the event loop and only takes references, ``expose`` may run in a thread and does the work.
"""

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from peerdb_operator.telemetry import families as f
from peerdb_operator.telemetry.mirror_metrics import MirrorSample, MirrorSeries

__all__ = ["QUEUE", "UNSEEN", "Metrics", "MirrorSample", "QueueSample"]

QUEUE: Final = f.CONTROLLER
UNSEEN: Final = "Unseen"


@dataclass(frozen=True, slots=True)
class QueueSample:
    """The queue at one moment; ``active`` by lane."""

    depth: int = 0
    oldest: float = 0.0
    active: Mapping[str, int] = field(default_factory=dict)


class Metrics(Collector):
    """All instruments. Methods are called by what has happened; all of them are cheap."""

    def __init__(self, version: str = "", *, process: bool = False) -> None:
        """``process``: also what the operating system and Python's garbage collector tell of this process."""
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
        self._gauge(f.BUILD_INFO).labels(version, platform.python_version()).set(1)
        self._reconciles = self._counter(f.RECONCILES)
        self._errors = self._counter(f.RECONCILE_ERRORS)
        self._seconds = self._histogram(f.RECONCILE_SECONDS)
        self._panics = self._counter(f.RECONCILE_PANICS)
        self._panics.labels(f.CONTROLLER)
        self._wait = self._histogram(f.QUEUE_WAIT)
        self._requests = self._counter(f.PEERDB_REQUESTS)
        self._request_seconds = self._histogram(f.PEERDB_SECONDS)
        self._writes = self._counter(f.KUBE_WRITES)
        self._missed = self._counter(f.ENTROPY_MISSED)
        self._edits = self._histogram(f.EDIT_SECONDS)
        self._stops = self._histogram(f.PAUSED_SECONDS)
        self.registry.register(self)

    # -- what has happened -----------------------------------------------------------------------------------------

    def passed(self, result: str, reason: str, seconds: float, *, error: str | None = None) -> None:
        """A pass has ended; ``error`` is the class of its error."""
        self._reconciles.labels(f.CONTROLLER, result, reason).inc()
        self._seconds.labels(f.CONTROLLER).observe(seconds)
        if error is not None:
            self._errors.labels(f.CONTROLLER, error).inc()

    def panicked(self) -> None:
        """A pass has met a bug of ours."""
        self._panics.labels(f.CONTROLLER).inc()

    def waited(self, seconds: float) -> None:
        """A pass begins so long after it was due."""
        self._wait.labels(QUEUE).observe(seconds)

    def asked(self, operation: str, code: str, seconds: float) -> None:
        """A request to PeerDB has ended."""
        self._requests.labels(operation, code).inc()
        self._request_seconds.labels(operation).observe(seconds)

    def update_from_write(self, kind: str, code: str) -> None:
        """A write to Kubernetes has ended."""
        self._writes.labels(kind, code).inc()

    def looked(self, *, answered: bool, now: float) -> None:
        """PeerDB has, or has not, answered a look at all mirrors."""
        self._moments[f.PEERDB_UP] = float(answered)
        if answered:
            self._moments[f.PEERDB_SUCCESS] = now

    def looked_away(self) -> None:
        """There are no Mirrors, so nobody looks at PeerDB."""
        self._moments.pop(f.PEERDB_UP, None)

    def watched(self, now: float) -> None:
        """The watch has delivered something."""
        self._moments[f.WATCH_EVENT] = now

    def compared(self, now: float) -> None:
        """All Mirrors have been compared with the API server."""
        self._moments[f.ENTROPY_SUCCESS] = now

    def missed(self) -> None:
        """The comparison has found a change."""
        self._missed.inc()

    def edited(self, seconds: float) -> None:
        """An edit has come to rest so long after its pause was decided."""
        self._edits.observe(seconds)

    def stopped(self, seconds: float) -> None:
        """A mirror flows again after the operator had stopped it for so long."""
        self._stops.observe(seconds)

    # -- what is asked for at a scrape ------------------------------------------------------------------------------

    def ask_mirrors(self, source: Callable[[], Iterable[MirrorSample]]) -> None:
        """``source`` is called on the event loop and returns at once; what it returns is walked through in a thread."""
        self._mirrors = source

    def ask_queue(self, source: Callable[[], QueueSample]) -> None:
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
        """What is not counted (prometheus_client calls this); of the series of single Mirrors their heads alone."""
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

    def _counter(self, family: f.Family) -> Counter:
        return Counter(family.name, family.meaning, family.labels, registry=self.registry)

    def _gauge(self, family: f.Family) -> Gauge:
        return Gauge(family.name, family.meaning, family.labels, registry=self.registry)

    def _histogram(self, family: f.Family) -> Histogram:
        return Histogram(family.name, family.meaning, family.labels, registry=self.registry, buckets=family.buckets)


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
