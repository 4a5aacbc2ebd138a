"""A cluster whose etcd is restored from a backup while the operator runs: resourceVersions and generations go back."""

from tests.component.test_counts import a_settled_world, a_spec, reasons
from tests.harness.peerdb.values import Status
from tests.harness.simulation import Simulation


def a_restored_world() -> Simulation:
    """A Mirror that was edited twice after the backup, which has just been put back."""
    simulation, _ = a_settled_world()
    cluster = simulation.cluster
    backup, version = dict(cluster.mirrors), cluster.version
    for batch in (700, 800):
        cluster.edit("m0", {"spec": a_spec("a", batchSize=batch)})
        simulation.run(60)
    assert reasons(simulation) == {("True", "Running")}
    cluster.restore(backup, version)
    return simulation


def test_a_restored_mirror_is_followed_after_the_next_comparison() -> None:
    simulation = a_restored_world()
    simulation.run(400)
    simulation.cluster.edit("m0", {"spec": {"state": "Paused"}})
    simulation.run(60)
    assert simulation.engine.state("m0") is Status.PAUSED
    assert reasons(simulation) == {("True", "Paused")}
    assert simulation.cluster.get(("data", "m0"))["status"]["observedGeneration"] == 2


def test_an_edit_right_after_the_restore_is_followed_as_soon_as_the_operator_writes() -> None:
    simulation = a_restored_world()
    assert simulation.engine.state("m0") is Status.RUNNING
    simulation.cluster.edit("m0", {"spec": {"state": "Paused"}})
    simulation.human(
        "POST", "/v1/mirrors/state_change", b'{"flowJobName": "m0", "requestedFlowState": "STATUS_PAUSED"}'
    )
    simulation.run(60)
    assert reasons(simulation) == {("True", "Paused")}
    assert simulation.engine.state("m0") is Status.PAUSED
