"""The controller of the kind Mirror: what frames the reconcile of one object, and what tells others of it.

The queue guarantees one reconcile per object at a time; every outside system is behind a port. A reconcile never
raises: what goes wrong becomes a condition, a log line and a request to be reconciled again.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from peerdb_operator.api.reasons import Reason
from peerdb_operator.errors import (
    InvalidSpec,
    KubeConflict,
    KubeError,
    KubeNotFound,
    PeerDBError,
    UnsupportedPeerDB,
)
from peerdb_operator.kube.port import KubePort
from peerdb_operator.mirror.claims import ClaimReader, DropRateLimiter, HeldDrops
from peerdb_operator.mirror.dynamic_settings import DynamicSettings
from peerdb_operator.mirror.execute import Executor
from peerdb_operator.mirror.fleet import FleetObserver, FleetReader
from peerdb_operator.mirror.gauges import mirror_samples
from peerdb_operator.mirror.observe import Observer
from peerdb_operator.mirror.outage import OutageReporter
from peerdb_operator.mirror.precheck import Prechecker
from peerdb_operator.mirror.reconcile import Reconciler
from peerdb_operator.mirror.rules.conditions import StatusUpdate, Verdict, next_status, verdict
from peerdb_operator.mirror.rules.desired import Desired
from peerdb_operator.mirror.rules.limits import Limits
from peerdb_operator.mirror.rules.observation import Identity, State
from peerdb_operator.mirror.rules.spec_warnings import spec_warnings
from peerdb_operator.mirror.status import MET_BY_ALL, RECONCILE, StatusWriter, report_of
from peerdb_operator.mirror.store import CachedMirror, MirrorStore
from peerdb_operator.mirror.tuning import limits_of
from peerdb_operator.mirror.work import Work
from peerdb_operator.peerdb.client import PeerDBClient
from peerdb_operator.ports import CONFLICT, Clock, Periodic, Pool, Requeue, prechecked_uid
from peerdb_operator.settings import Settings
from peerdb_operator.telemetry.decisions import DecisionLog
from peerdb_operator.telemetry.events import EventRecorder
from peerdb_operator.telemetry.metering import WriteMeter
from peerdb_operator.telemetry.metrics import Metrics
from peerdb_operator.telemetry.reconcile_metrics import ReconcileMetrics
from peerdb_operator.telemetry.trace import Tracer
from peerdb_operator.telemetry.transition import Subscriber, Transition

logger = logging.getLogger(__name__)

PAUSED_RETRY_CAP = 5.0
"""Longest wait for Kubernetes, in seconds, while a mirror that should run is paused: its resume must not be late."""
READ = "a read"
"""What Kubernetes fails in, for the log."""


class MirrorController:
    """Works on all Mirrors of one PeerDB."""

    def __init__(
        self,
        *,
        peerdb: PeerDBClient,
        kube: KubePort,
        clock: Clock,
        rng: random.Random,
        settings: Settings,
        cluster_id: str,
        metrics: Metrics | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._clock, self._tick, self._cluster_id, self._listed = clock, settings.tick_seconds, cluster_id, False
        self._metrics, tracer = metrics or Metrics(), tracer or Tracer()
        self._store, limits = MirrorStore(self.forget), limits_of(settings)
        self._fleet = FleetReader(self._store, limits)
        meter = WriteMeter(self._metrics, tracer)
        self._log, self._measured = DecisionLog(), ReconcileMetrics(self._metrics, self._tick)
        self._events = EventRecorder(kube.emit_event, kube.namespace_is_terminating, meter, self._answered_at)
        self._subscribers: tuple[Subscriber, ...] = (self._measured, self._log, self._events)
        self._metrics.set_mirror_source(lambda: mirror_samples(self._store, self._measured))
        self._status = StatusWriter(
            kube=kube, store=self._store, clock=clock, settings=settings, meter=meter, log=self._log
        )
        self._peerdb = peerdb
        self._claim_reader = ClaimReader(
            store=self._store,
            kube=kube,
            clock=clock,
            limiter=DropRateLimiter(settings.brake_drops, settings.brake_seconds),
            log=self._log,
            namespace_deletion=settings.namespace_deletion,
            peerdb_reliable=lambda: peerdb.answered_in_a_row >= limits.reliable_calls,
        )
        self._held_drops = HeldDrops(store=self._store, kube=kube, namespace_deletion=settings.namespace_deletion)
        self._fleet_observer = FleetObserver(
            peerdb=peerdb,
            reader=self._fleet,
            clock=clock,
            metrics=self._metrics,
            outage=OutageReporter(kube, clock, settings, meter),
            refusal=self._refusal,
        )
        self._prechecker, self._settings = Prechecker(peerdb, clock), DynamicSettings(peerdb, clock)
        self._reconciler = self._make_reconciler(peerdb, rng, tracer, limits)

    def _make_reconciler(self, peerdb: PeerDBClient, rng: random.Random, tracer: Tracer, limits: Limits) -> Reconciler:
        observer = Observer(peerdb=peerdb, clock=self._clock, rng=rng, limits=limits)
        executor = Executor(
            peerdb=peerdb,
            status=self._status,
            events=self._events,
            observer=observer,
            claim_reader=self._claim_reader,
            clock=self._clock,
            limits=limits,
        )
        return Reconciler(
            claim_reader=self._claim_reader,
            observer=observer,
            prechecker=self._prechecker,
            executor=executor,
            status=self._status,
            tracer=tracer,
            clock=self._clock,
            rng=rng,
            limits=limits,
        )

    def observe(self, event_type: str | None, body: Mapping[str, Any]) -> str | None:
        """Project a watch event; returns the uid to wake."""
        uid = str(body["metadata"]["uid"])
        if event_type == "DELETED":
            self.forget(uid)
            return None
        return uid if self._store.update_from_watch(body) else None

    def restore(self, body: Mapping[str, Any], instead_of: int) -> str | None:
        """Take what the API server has, after its data was restored from a backup."""
        return str(body["metadata"]["uid"]) if self._store.restore(body, instead_of) else None

    def listed(self) -> None:
        """The first full LIST is in: claims can be judged now."""
        self._listed = True
        self._claim_reader.begin_limit()

    def pool(self, key: str) -> Pool:
        """A drop of a FAILED or COMPLETED mirror is done inside PeerDB's request, and so is a precheck."""
        if prechecked_uid(key) is not None:
            return Pool.PRECHECK
        entry = self._store.get(key)
        if entry is None:
            return Pool.NORMAL
        slow = entry.view.deleted_at is not None and entry.history.word in {State.FAILED, State.COMPLETED}
        entry.pool = Pool.LONG if slow else Pool.NORMAL
        return entry.pool

    async def reconcile(self, key: str) -> Requeue:
        """Reconcile one object, or run the precheck that it waits for."""
        if (uid := prechecked_uid(key)) is not None:
            return await self._precheck(uid)
        entry = self._store.get(key)
        if entry is None or not self._listed:
            return Requeue(None)
        entry.busy, entry.base = True, entry.view
        try:
            work = self._work(entry)
            requeue = await self._guarded(work)
            await self._conclude(work, requeue)
            return requeue
        finally:
            entry.busy = False

    def _work(self, entry: CachedMirror) -> Work:
        view = entry.view
        return Work(
            entry=entry,
            desired=Desired(view.mirror, view.generation),
            identity=Identity(self._cluster_id, view.namespace, view.name, view.uid),
            journal=entry.current_journal(),
            began=self._clock.now(),
            before=view.status.ready_reason,
        )

    async def _conclude(self, work: Work, requeue: Requeue) -> None:
        """Raise the transition; warnings and Events wait while a mirror is paused until the next reconcile."""
        entry, rests = work.entry, not self._resumes_soon(work.entry, requeue)
        report = None if work.verdict is None else report_of(work.verdict)
        transition = Transition(
            subject=entry.subject,
            before=work.before,
            was_outage=work.before in MET_BY_ALL,
            after=entry.view.status.ready_reason,
            report=report,
            execution=work.execution,
            requeue=requeue,
            began=work.began,
            ended=self._clock.now(),
            answered=work.answered,
        )
        for subscriber in self._subscribers:
            subscriber.observe(transition)
        if rests:
            await self._warn(entry)
            await self._events.create(transition.subject)
        if not entry.known:
            for subscriber in self._subscribers:
                subscriber.forget(transition.subject.uid)

    async def _precheck(self, uid: str) -> Requeue:
        """Ask PeerDB what a reconcile waits for; the next one goes first, while the answer is fresh."""
        entry = self._store.get(uid)
        if entry is None:
            return Requeue(None)
        await self._prechecker.run(entry)
        return Requeue(None, must_resume=True, wakes=(uid,))

    def _resumes_soon(self, entry: CachedMirror, requeue: Requeue) -> bool:
        """Whether a mirror is paused until the next reconcile, which comes soon and ends that."""
        soon = requeue.after is not None and requeue.after < self._tick and requeue.backoff in {None, CONFLICT}
        return soon and entry.must_resume and entry.history.word != State.PAUSING

    async def _warn(self, entry: CachedMirror) -> None:
        """Report what has no effect in the object; PeerDB is asked for its settings unless it is away."""
        wish = entry.wish()
        names = () if isinstance(wish, InvalidSpec) else tuple(name for name, _ in wish.settings)
        if entry.is_looked_at and entry.history.unknown_since is None:
            await self._settings.refresh(names)
        found = spec_warnings(entry.view.unknown_reconcile, self._settings.unknown(names))
        for warning in self._events.warn(entry.subject, found):
            self._log.warn(entry.subject, warning)

    def periodic(self) -> tuple[Periodic, ...]:
        """Poll all mirrors, and look after held drops, once per tick."""
        return (
            Periodic("poll of all mirrors", self._tick, self._fleet_observer.poll),
            Periodic("check of held drops", self._tick, self._held_drops.check),
        )

    def _refusal(self) -> PeerDBError | None:
        """Why no Mirror is observed although PeerDB answers, if it is too old."""
        return None if (old := self._peerdb.too_old) is None else UnsupportedPeerDB(old)

    def _answered_at(self) -> float:
        return self._fleet.answered_at if self._peerdb.too_old is None else float("-inf")

    def known_versions(self) -> dict[str, tuple[int, str]]:
        """What anti-entropy compares a LIST with."""
        return {entry.view.uid: (entry.view.generation, str(entry.view.version)) for entry in self._store}

    def forget(self, uid: str) -> None:
        """The object is gone; whoever waited for its mirror is reconciled at the next tick."""
        entry = self._store.remove(uid)
        self._prechecker.forget(uid)
        for subscriber in self._subscribers:
            subscriber.forget(uid)
        if entry is not None:
            self._fleet.mark([other.view.uid for other in self._store.claimants(entry.view.mirror)])

    async def _guarded(self, work: Work) -> Requeue:
        """Reconcile towards what the object asks for, or report that nothing can be followed."""
        entry = work.entry
        try:
            desired = entry.followed()
            if isinstance(desired, InvalidSpec):
                await self._report_unobserved(work, verdict(Reason.INVALID_SPEC, desired.message))
                return Requeue(None)
            work.desired = desired
            return await self._reconciler.run(work)
        except KubeConflict:
            return await self._refresh(entry)
        except KubeNotFound:
            self.forget(entry.view.uid)
            return Requeue(None)
        except KubeError as error:
            return self._repeated(entry, RECONCILE, error)
        except Exception as error:
            self._metrics.record_panic()
            logger.exception("a reconcile failed", extra=entry.subject.log_fields)
            return await self._own_fault(work, error)

    async def _refresh(self, entry: CachedMirror) -> Requeue:
        """The cached object was stale: read it again and start over."""
        try:
            same = await self._status.read_again(entry)
        except KubeNotFound:
            same = False
        except KubeError as error:
            return self._repeated(entry, READ, error)
        self._log.kube_succeeded(entry.subject, READ)
        if not same:
            self.forget(entry.view.uid)
            return Requeue(None)
        return Requeue(0.05, backoff=CONFLICT, cap=5.0, must_resume=entry.must_resume)

    async def _own_fault(self, work: Work, error: Exception) -> Requeue:
        """A bug of ours: reported in the status of this object alone, tried again with patience."""
        entry = work.entry
        message = f"the operator failed on this Mirror ({type(error).__name__}); its log has the details"
        try:
            await self._report_unobserved(work, verdict(Reason.INTERNAL_ERROR, message))
        except KubeConflict:
            await self._refresh(entry)
        except KubeError as failure:
            self._log.kube_failed(entry.subject, RECONCILE, failure)
        except Exception:
            logger.exception("a failed reconcile could not be reported", extra=entry.subject.log_fields)
        return Requeue(2.0, backoff=Reason.INTERNAL_ERROR, cap=300.0)

    async def _report_unobserved(self, work: Work, reported: Verdict) -> None:
        """Write a verdict that needs no observation."""
        entry, status = work.entry, work.entry.view.status
        desired = Desired(entry.view.mirror, entry.view.generation)
        history = replace(entry.history, error=None)
        update = StatusUpdate(reported, entry.current_journal())
        following = next_status(status, desired, None, history, update, self._clock.now())
        # What PeerDB has, and the name under which it has it, was not observed.
        kept = following.model_copy(update={"tables": status.tables, "mirror_name": status.mirror_name})
        await self._status.write(work, kept, reported)

    def _repeated(self, entry: CachedMirror, during: str, error: KubeError) -> Requeue:
        """Kubernetes is away, or refuses: reconciled again, and soon while a mirror is paused meanwhile."""
        self._log.kube_failed(entry.subject, during, error)
        return Requeue(1.0, error.reason, PAUSED_RETRY_CAP if entry.must_resume else 60.0)
