"""Decisions: values in, values out. No I/O, no clock, no logging, no randomness; the import contracts prove it.

* ``reasons``, ``verdict``: the closed set of what users are told, and the shape of the conditions for each.
* ``config``, ``desired``, ``observed``, ``memory``: what is wished, what was seen, what is remembered of earlier looks.
* ``edit``, ``change``, ``bounds``: the difference between wish and live mirror, and when it may be sent.
* ``journal``: what happened to the command that is in flight.
* ``case``, ``plan``, ``rules_*``: the planner, an ordered list of rules. ``deletion``: its smaller sibling.
* ``status``: the next status as a value.
"""
