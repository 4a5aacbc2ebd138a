"""Which tests of a run with several workers have to stay together.

A file of tests shares what its fixtures start: a world with its own PeerDB and operator, or a cluster. Spread over
workers it would be started in each of them. Random programs share nothing and take long, so they go one by one.

Files that wait as long as they compute, and single tests that take long, come first: then the many short files are left
to fill the gaps and the end. By itself pytest-xdist begins with the files that have the most tests.

The marker ``xdist_group`` would say the same, but pytest-xdist 3.8 passes groups on in a field that pytest 9.2 no
longer reads.
"""

import pytest
from xdist.scheduler.loadfile import LoadFileScheduling  # type: ignore[import-untyped]  # xdist has no types

ONE_BY_ONE = "tests/properties/"
FIRST = ("tests/e2e/", ONE_BY_ONE)


class ByFile(LoadFileScheduling):  # type: ignore[misc]  # the same
    """One file is one piece of work."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(ONE_BY_ONE) else str(super()._split_scope(nodeid))

    def _assign_work_unit(self, node: object) -> None:
        long = next((scope for scope in self.workqueue if scope.startswith(FIRST)), None)
        if long is not None:
            self.workqueue.move_to_end(long, last=False)
        super()._assign_work_unit(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByFile:
    """Hook of pytest-xdist: how this run is spread over its workers, whatever ``--dist`` says."""
    return ByFile(config, log)
