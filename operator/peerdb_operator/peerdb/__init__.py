"""PeerDB's HTTP API: its calls, bodies, refusals and the transport; httpx is imported here and nowhere else."""
