"""``/metrics``: Prometheus reads what the process has counted.

Owns the endpoint and the rule that a scrape never holds up the event loop: only references are taken there, the text of
thousands of Mirrors is written in a thread, one scrape at a time. Leaves what is shown to ``metrics``.
"""

import asyncio

from aiohttp import hdrs, web

from peerdb_operator.metrics import Metrics
from peerdb_operator.runtime.listener import Listener


class MetricsServer(Listener):
    """Serves the metrics as text, or in the OpenMetrics format to whom prefers it."""

    def __init__(self, metrics: Metrics) -> None:
        super().__init__({"/metrics": self._scrape})
        self._metrics = metrics
        self._turn = asyncio.Lock()

    async def _scrape(self, request: web.Request) -> web.Response:
        accept = request.headers.get(hdrs.ACCEPT, "")
        async with self._turn:
            self._metrics.prepare()
            body, content_type = await asyncio.to_thread(self._metrics.expose, accept)
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})
