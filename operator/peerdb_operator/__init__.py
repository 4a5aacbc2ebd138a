"""The PeerDB operator: Kubernetes objects that say what PeerDB mirrors should be.

The single place of the version; ``docs`` of each module say what it owns.
"""

__version__ = "0.1.0"
