"""How kopf is told to give us the watch and nothing else.

Owns every departure from kopf's defaults, each with its reason. Measured with kopf 1.45.2; anything but a newer patch
release deserves another look at this table.
"""

import random
from collections.abc import Iterator

import kopf

from peerdb_operator.clients.kube import PAGE

_BACKOFFS = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)

WATCH_SECONDS = (300, 600)


class _EndlessBackoffs:
    """A pause after each failed request, without an end: an outage of the API server must not end the watch."""

    def __iter__(self) -> Iterator[float]:
        yield from _BACKOFFS
        while True:
            yield _BACKOFFS[-1]


class _NoDiffBase(kopf.DiffBaseStorage):
    """Remembers nothing of an object: the default annotation cannot hold 1,800 tables and costs 70 ms at 5,000."""

    def build(self, **_: object) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, **_: object) -> kopf.BodyEssence:
        return kopf.BodyEssence()  # None would make every object a new one

    def store(self, **_: object) -> None:
        return None


class _NoProgress(kopf.ProgressStorage):
    """Remembers nothing of a handler: ours has no retries."""

    def fetch(self, **_: object) -> None:
        return None

    def store(self, **_: object) -> None:
        return None

    def purge(self, **_: object) -> None:
        return None

    def touch(self, **_: object) -> None:
        return None

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence


def configure(settings: kopf.OperatorSettings, rng: random.Random) -> None:
    """Fill in the whole table."""
    _configure_watch(settings, rng)
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.persistence.progress_storage = _NoProgress()
    settings.posting.enabled = False  # Events are the controllers' own, deduplicated
    settings.peering.standalone = True
    settings.scanning.disabled = True  # no cluster-wide LIST and WATCH of CRDs and namespaces, and no rights for them
    settings.queueing.idle_timeout = 0.1  # an idle worker keeps its slot and its memory
    settings.queueing.worker_limit = 500
    settings.queueing.exit_timeout = 2.0
    settings.queueing.error_delays = (0.5, 1, 2, 5, 10, 30)  # the default's last step is deaf for 610 s
    settings.execution.default_backoff = 5
    # A cancelled operator would have its thread killed 10 minutes later, whatever runs there by then.
    settings.process.ultimate_exiting_timeout = None


def _configure_watch(settings: kopf.OperatorSettings, rng: random.Random) -> None:
    watching, networking = settings.watching, settings.networking
    watching.server_timeout = rng.randint(*WATCH_SECONDS)  # replicas do not reconnect in step
    watching.client_timeout = watching.server_timeout + 15
    watching.inactivity_timeout = 70  # must be longer than the 60 s between two bookmarks
    watching.connect_timeout = 5
    watching.reconnect_backoff = 0.5  # a lasting 410 would list ten times a second
    watching.chunk_size = PAGE
    watching.initial_streaming = False  # needs Kubernetes 1.34
    networking.connect_timeout = 5
    networking.request_timeout = 60
    networking.error_backoffs = _EndlessBackoffs()
    networking.enforce_retry_after = True
