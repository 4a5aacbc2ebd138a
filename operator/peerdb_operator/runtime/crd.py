"""Whether the installed CRD can hold what this operator writes, read at the start and every minute.

If it cannot, the process is not ready: no condition can say that a status is refused. An API server that does not show
its CRD to the operator counts as one that can.
"""

import logging
from collections.abc import Mapping
from typing import Any, Protocol

from peerdb_operator.api.constants import GROUP, PLURAL
from peerdb_operator.api.installed import unable_to_hold
from peerdb_operator.errors import KubeError

logger = logging.getLogger(__name__)

PERIOD_SECONDS = 60.0
_NAMED = 5
_REMEDY = (
    f"the installed CRD is older than this operator: apply crds/{PLURAL}.{GROUP}.yaml of this version "
    "(kubectl apply --server-side -f)"
)


class Source(Protocol):
    """The part of the Kubernetes client that is needed."""

    async def served_schema(self) -> Mapping[str, Any]:
        """The schema of the version that this operator works with; raises ``KubeError``."""
        ...


class InstalledCrd:
    """Compares the CRD with this operator; ``problem`` feeds the readiness probe."""

    def __init__(self, kube: Source) -> None:
        self._kube = kube
        self._problem: str | None = None

    async def compare(self) -> None:
        """One comparison."""
        try:
            fields = unable_to_hold(await self._kube.served_schema())
        except KubeError as error:
            logger.debug("The installed CRD could not be read: %s", error)
            return
        more = f" and {len(fields) - _NAMED} more" if len(fields) > _NAMED else ""
        problem = f"{_REMEDY}; it cannot hold {', '.join(fields[:_NAMED])}{more}" if fields else None
        if problem is not None and problem != self._problem:
            logger.error("%s", problem[0].upper() + problem[1:])
        elif problem is None and self._problem is not None:
            logger.info("The installed CRD can hold everything now")
        self._problem = problem

    def problem(self) -> str | None:
        """A sentence if the newest comparison found a field that the CRD cannot hold, else None."""
        return self._problem
