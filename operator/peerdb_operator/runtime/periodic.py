"""Work that is done again and again for as long as the process lives."""

import logging
from collections.abc import Awaitable, Callable

from peerdb_operator.ports import Clock

logger = logging.getLogger(__name__)


async def repeat(
    name: str, work: Callable[[], Awaitable[object]], period: Callable[[], float], clock: Clock, *, first: float = 0.0
) -> None:
    """Do ``work`` for ever, ``period()`` seconds from one begin to the next, the first time after ``first`` seconds.

    Work that takes longer is followed by the next at once. Raises nothing but ``CancelledError``: a bug must not end
    the process.
    """
    await clock.sleep(first)
    while True:
        began = clock.now()
        try:
            await work()
        except Exception:
            logger.exception("The %s ended with an unclassified error", name)
        await clock.sleep(max(0.0, began + period() - clock.now()))
