"""Wakes deleted Mirrors whose held drop must not be sent any more, once per tick."""

import logging
from collections.abc import Callable

from peerdb_operator.ports import Clock, Controller

logger = logging.getLogger(__name__)


class HeldDropCheck:
    """Wakes the Mirrors whose held drop is to be given up."""

    def __init__(self, controller: Controller, wake: Callable[[str], None], clock: Clock, period: float) -> None:
        self._controller = controller
        self._wake = wake
        self._clock = clock
        self._period = period

    async def run(self) -> None:
        """Check for ever."""
        while True:
            await self._clock.sleep(self._period)
            try:
                for uid in await self._controller.to_release():
                    self._wake(uid)
            except Exception:
                # A bug here must not end the process: the next tick tries again.
                logger.exception("A check of held drops ended with an error that nobody classified")
