"""A simulated PeerDB: ``engine`` in one process, ``server`` over HTTP, ``process`` as a child of a test.

In a test, without I/O::

    from tests.harness.peerdb.engine import Engine
    from tests.harness.peerdb.values import Request

    engine = Engine(rng=random.Random(seed), knobs=Knobs(t_stop=0.2))
    engine.put_mirror("orders", state=Status.RUNNING, tables=[Table("public.a", "a")], tags={"owner": "x"})
    reply = engine.finish(engine.handle(Request("POST", "/v1/mirrors/status", b'{"flowJobName":"orders"}')))
    engine.run_until(engine.now + 5.0)
    engine.turn(workers_down=True)
    engine.state("orders"), engine.mirror("orders"), engine.log.after(n)

Over HTTP: ``python -m tests.harness.peerdb --port 0 [--password P]``, or ``process.SimulatorProcess``. The control API
and the knobs are described in ``docs/simulator.md``.
"""
