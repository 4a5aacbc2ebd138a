"""PeerDB's HTTP API: its calls, bodies, refusals and the transport; httpx is imported here and nowhere else."""

import sys

# httpx's command line, which httpx does without where it is missing, imports rich, pygments and click: 4 MiB.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # None says that there is no such module
