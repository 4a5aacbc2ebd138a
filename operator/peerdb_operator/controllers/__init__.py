"""Observe, plan, act, report: one module per kind, and the ports through which they meet the world.

Owns the step from a look at Kubernetes and PeerDB to at most one action and one status write. Leaves
decisions to ``core``, transport to ``clients`` and the life of the process to ``runtime``.
"""
