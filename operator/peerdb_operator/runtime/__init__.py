"""The life of the process: watch, queue, fleet observer, anti-entropy, health, logs.

Owns when a controller is called and what happens around it. Leaves every decision about a mirror to ``controllers``
and ``core``. kopf gives the watch and the start and stop of the process, and nothing else.
"""
