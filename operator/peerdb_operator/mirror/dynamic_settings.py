"""Which settings PeerDB knows: its own list, read now and then.

Owns the cache. A list that cannot be read says nothing about any setting.
"""

from __future__ import annotations

import logging
from collections.abc import Collection

from peerdb_operator.errors import PeerDBError
from peerdb_operator.peerdb.client import PeerDBClient
from peerdb_operator.ports import Clock

logger = logging.getLogger(__name__)

PREFIX = "PEERDB_"
PERIOD = 600.0
"""Seconds from one read to the next, while some Mirror has a setting that the list lacks."""


class DynamicSettings:
    """The names of PeerDB's settings."""

    def __init__(self, peerdb: PeerDBClient, clock: Clock) -> None:
        self._peerdb = peerdb
        self._clock = clock
        self._names: frozenset[str] = frozenset()
        self._next_read = 0.0

    async def refresh(self, names: Collection[str]) -> None:
        """Read the list if it lacks one of these names and is due; raises nothing of ours."""
        if not self._lacks(names) or self._clock.now() < self._next_read:
            return
        self._next_read = self._clock.now() + PERIOD
        try:
            self._names = await self._peerdb.dynamic_settings()
        except PeerDBError as error:
            logger.debug("PeerDB's settings could not be read: %s", error)

    def unknown(self, names: Collection[str]) -> tuple[str, ...]:
        """Those of these names that the list lacks; none as long as there is no list."""
        return self._lacks(names) if self._names else ()

    def _lacks(self, names: Collection[str]) -> tuple[str, ...]:
        return tuple(name for name in names if name.startswith(PREFIX) and name not in self._names)
