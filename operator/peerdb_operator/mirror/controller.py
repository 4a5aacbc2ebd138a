"""The controller of the kind Mirror: observe, plan, act, report.

Owns what frames a pass over one object. The queue guarantees one pass per object at a time; ``rules`` decides;
every outside system is behind a port. A pass never raises: what goes wrong becomes a condition, a log line and a wish
to be called again.
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
from peerdb_operator.mirror.claims import ClaimReader
from peerdb_operator.mirror.drop_rate_limiter import DropRateLimiter
from peerdb_operator.mirror.dynamic_settings import DynamicSettings
from peerdb_operator.mirror.edit_timer import EditTimers
from peerdb_operator.mirror.execute import Actor, CommandJournal
from peerdb_operator.mirror.fleet import FleetReader
from peerdb_operator.mirror.gauges import mirror_samples
from peerdb_operator.mirror.held_drops import HeldDrops
from peerdb_operator.mirror.lookout import Observations
from peerdb_operator.mirror.observe import Identity, Observer
from peerdb_operator.mirror.precheck import Prechecker
from peerdb_operator.mirror.reconcile import Reconciler
from peerdb_operator.mirror.report import Reporter, identity, log_decision, log_kube_failure, log_kube_success
from peerdb_operator.mirror.rules.conditions import AWAY, ConditionChange, Report, Verdict, next_status, verdict
from peerdb_operator.mirror.rules.decision import Decision, Wait
from peerdb_operator.mirror.rules.desired import Desired
from peerdb_operator.mirror.rules.observation import State
from peerdb_operator.mirror.rules.spec_warnings import spec_warnings
from peerdb_operator.mirror.store import CachedMirror, MirrorStore
from peerdb_operator.mirror.traces import traced_pass
from peerdb_operator.mirror.tuning import limits_of
from peerdb_operator.peerdb.client import PeerDBClient
from peerdb_operator.ports import CONFLICT, Clock, FleetPoll, Pool, Requeue, prechecked_uid
from peerdb_operator.settings import Settings
from peerdb_operator.telemetry.metering import WriteMeter
from peerdb_operator.telemetry.metrics import Metrics
from peerdb_operator.telemetry.trace import Tracer

logger = logging.getLogger(__name__)

PAUSED_RETRY_CAP = 5.0
"""Longest wait for Kubernetes, in seconds, while a mirror that should run stands still: its resume must not be late."""


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
        self._kube, self._clock, self._tick = kube, clock, settings.tick_seconds
        self._metrics, self._tracer = metrics or Metrics(), tracer or Tracer()
        self._cluster_id, self._listed = cluster_id, False
        self._registry, limits = MirrorStore(), limits_of(settings)
        self._metrics.set_mirror_source(lambda: mirror_samples(self._registry))
        self._fleet = FleetReader(self._registry, limits)
        meter = WriteMeter(self._metrics, self._tracer)
        self._reporter = Reporter(kube, self._registry, clock, settings, meter, self._answered_at)
        self._observer = Observer(peerdb, clock)
        observations = Observations(observer=self._observer, clock=clock, rng=rng, limits=limits)
        self._claim_reader = ClaimReader(
            registry=self._registry,
            kube=kube,
            clock=clock,
            limiter=DropRateLimiter(settings.brake_drops, settings.brake_seconds),
            namespace_deletion=settings.namespace_deletion,
            peerdb_reliable=lambda: peerdb.answered_in_a_row >= limits.reliable_calls,
        )
        self._held_drops = HeldDrops(registry=self._registry, kube=kube, namespace_deletion=settings.namespace_deletion)
        self._prechecker = Prechecker(peerdb, clock)
        command_journal = CommandJournal(claim_reader=self._claim_reader, clock=clock)
        self._reconciler = Reconciler(
            claim_reader=self._claim_reader,
            observations=observations,
            prechecker=self._prechecker,
            actor=Actor(peerdb, self._reporter, observations, command_journal, clock, limits),
            reporter=self._reporter,
            edit_timers=EditTimers(clock=clock, metrics=self._metrics),
            tracer=self._tracer,
            clock=clock,
            rng=rng,
            limits=limits,
        )
        self._settings = DynamicSettings(peerdb, clock)

    def observe(self, event_type: str | None, body: Mapping[str, Any]) -> str | None:
        """Project a watch event; returns the uid to wake."""
        uid = str(body["metadata"]["uid"])
        if event_type == "DELETED":
            self.forget(uid)
            return None
        return uid if self._registry.update_from_watch(body) else None

    def restore(self, body: Mapping[str, Any], instead_of: int) -> str | None:
        """Take what the API server has, after its data was restored from a backup."""
        return str(body["metadata"]["uid"]) if self._registry.restore(body, instead_of) else None

    def listed(self) -> None:
        """The first full LIST is in: claims can be judged now."""
        self._listed = True
        self._claim_reader.begin_limit()

    def pool(self, key: str) -> Pool:
        """A drop of a FAILED or COMPLETED mirror is done inside PeerDB's request, and so is a precheck."""
        if prechecked_uid(key) is not None:
            return Pool.PRECHECK
        entry = self._registry.get(key)
        if entry is None:
            return Pool.NORMAL
        slow = entry.view.deleted_at is not None and entry.history.word in {State.FAILED, State.COMPLETED}
        entry.pool = Pool.LONG if slow else Pool.NORMAL
        return entry.pool

    async def reconcile(self, key: str) -> Requeue:
        """One pass, or a precheck beside the passes."""
        if (uid := prechecked_uid(key)) is not None:
            return await self._precheck(uid)
        entry = self._registry.get(key)
        if entry is None or not self._listed:
            return Requeue(None)
        entry.busy, entry.base, entry.reported = True, entry.view, None
        began = self._clock.now()
        try:
            with traced_pass(self._tracer, entry):
                rest = await self._guarded(entry)
            self._count(entry.reported, rest, self._clock.now() - began)
            if not self._waits_for_next(entry, rest):
                await self._warn(entry)
                await self._reporter.tell(entry)
            return rest
        finally:
            entry.busy = False

    async def _precheck(self, uid: str) -> Requeue:
        """Ask PeerDB what a pass waits for; the next pass goes first, while the answer is fresh."""
        entry = self._registry.get(uid)
        if entry is None:
            return Requeue(None)
        await self._prechecker.run(entry)
        return Requeue(None, must_resume=True, wakes=(uid,))

    def _waits_for_next(self, entry: CachedMirror, rest: Requeue) -> bool:
        """Whether a mirror stands paused until the next pass, which comes soon and ends that."""
        soon = rest.after is not None and rest.after < self._tick and rest.backoff in {None, CONFLICT}
        return soon and entry.must_resume and entry.history.word != State.PAUSING

    async def _warn(self, entry: CachedMirror) -> None:
        """Say what the object says without effect; PeerDB is asked for its settings unless a look at it has failed."""
        wish = entry.wish()
        names = () if isinstance(wish, InvalidSpec) else tuple(name for name, _ in wish.settings)
        if entry.is_looked_at and entry.history.unknown_since is None:
            await self._settings.refresh(names)
        self._reporter.warn(entry, spec_warnings(entry.view.unknown_reconcile, self._settings.unknown(names)))

    def fleet(self, look: FleetPoll) -> list[str]:
        """Take in one tick of the fleet observer; returns the uids whose mirrors are not what they were."""
        return self._fleet.update_from_watch(look, self._clock.now())

    def refusal(self) -> PeerDBError | None:
        """Why no Mirror is observed although PeerDB answers, if it is too old."""
        old = self._observer.too_old
        return None if old is None else UnsupportedPeerDB(old)

    def _answered_at(self) -> float:
        return self._fleet.answered_at if self._observer.too_old is None else float("-inf")

    async def to_release(self) -> list[str]:
        """Held drops whose namespace or CRD goes; returns the uids to wake."""
        return await self._held_drops.to_release()

    def known_versions(self) -> dict[str, tuple[int, str]]:
        """What anti-entropy compares a LIST with."""
        return {entry.view.uid: (entry.view.generation, str(entry.view.version)) for entry in self._registry}

    def forget(self, uid: str) -> None:
        """The object is gone; whoever waited for its mirror gets a pass at the next tick."""
        entry = self._registry.remove(uid)
        self._prechecker.forget(uid)
        if entry is not None:
            entry.timer.end_trace("Gone")
            self._fleet.mark([other.view.uid for other in self._registry.claimants(entry.view.mirror)])

    async def _guarded(self, entry: CachedMirror) -> Requeue:
        try:
            return await self._pass(entry)
        except KubeConflict:
            return await self._refresh(entry)
        except KubeNotFound:
            self.forget(entry.view.uid)
            return Requeue(None)
        except KubeError as error:
            return _repeated(entry, "a pass", error)
        except Exception as error:
            self._metrics.record_panic()
            logger.exception("a pass failed", extra=identity(entry))
            return await self._own_fault(entry, error)

    def _count(self, reported: Verdict | None, rest: Requeue, seconds: float) -> None:
        soon = rest.after is not None and rest.after < self._tick
        under_way = soon if reported is None else reported.reconciling is ConditionChange.TRUE
        away = reported.reason.value if reported is not None and reported.reason in AWAY else None
        error = rest.backoff or away
        result = "error" if error is not None else "requeue" if under_way else "success"
        self._metrics.record_reconcile(result, "" if reported is None else reported.reason.value, seconds, error=error)

    async def _pass(self, entry: CachedMirror) -> Requeue:
        who = Identity(self._cluster_id, entry.view.namespace, entry.view.name, entry.view.uid)
        if entry.view.deleted_at is not None:
            return await self._reconciler.run(entry, entry.desired_for_deletion(), who)
        wish = entry.wish()
        if not isinstance(wish, InvalidSpec):
            return await self._reconciler.run(entry, wish, who)
        entry.timer.end_trace(Reason.INVALID_SPEC.value)
        followed = entry.desired_run_state()
        if followed is not None:
            return await self._reconciler.run(entry, followed, who)
        await self._tell(entry, verdict(Reason.INVALID_SPEC, wish.message))
        return Requeue(None)

    async def _refresh(self, entry: CachedMirror) -> Requeue:
        """Our view was stale: read the object again and start over."""
        try:
            same = await self._reporter.read_again(entry)
        except KubeNotFound:
            same = False
        except KubeError as error:
            return _repeated(entry, "a read", error)
        log_kube_success(entry, "a read")
        if not same:
            self.forget(entry.view.uid)
            return Requeue(None)
        return Requeue(0.05, backoff=CONFLICT, cap=5.0, must_resume=entry.must_resume)

    async def _own_fault(self, entry: CachedMirror, error: Exception) -> Requeue:
        """A bug of ours: said in the status of this object alone, tried again with patience."""
        reported = verdict(
            Reason.INTERNAL_ERROR,
            f"the operator failed on this Mirror ({type(error).__name__}); its log has the details",
        )
        try:
            await self._tell(entry, reported)
        except KubeConflict:
            await self._refresh(entry)
        except KubeError as status_write_failing:
            log_kube_failure(entry, "a pass", status_write_failing)
        except Exception:
            logger.exception("a failed pass could not be told of", extra=identity(entry))
        return Requeue(2.0, backoff=Reason.INTERNAL_ERROR, cap=300.0)

    async def _tell(self, entry: CachedMirror, reported: Verdict) -> None:
        """Write a verdict that needed no look at PeerDB."""
        status, wish = entry.view.status, Desired(entry.view.mirror, entry.view.generation)
        history = replace(entry.history, error=None)
        report = Report(reported, entry.current_journal())
        following = next_status(status, wish, None, history, report, self._clock.now())
        # What PeerDB has, and the name under which it has it, was not looked at.
        kept = following.model_copy(update={"tables": status.tables, "mirror_name": status.mirror_name})
        log_decision(entry, Decision(None, reported, Wait(None), rule="no look"))
        await self._reporter.status(entry, kept, reported)


def _repeated(entry: CachedMirror, what: str, error: KubeError) -> Requeue:
    """Kubernetes is away, or refuses: the pass is repeated, and soon while a mirror stands still meanwhile."""
    log_kube_failure(entry, what, error)
    return Requeue(1.0, error.reason, PAUSED_RETRY_CAP if entry.must_resume else 60.0)
