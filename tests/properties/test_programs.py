"""Random programs against the invariants: whatever happens, they hold after every step and the world settles.

``PEERDB_PROGRAMS`` sets how many are played (2,000 unless it is set), shared out among the tests below. A failure
prints the shrunk program; paste it into ``test_scripts.py`` to keep it. ``PEERDB_SHRINK=0`` shows it as it was found.
Coverage is not measured here: a line that only chance reaches is not tested, and the tracer doubles the time.
"""

import os

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.properties.programs import EDITS, ENDINGS, HUMANS, OPERATORS, STATES, TROUBLE, Program, programs

PROGRAMS = int(os.environ.get("PEERDB_PROGRAMS", "2000"))
SHRINK = os.environ.get("PEERDB_SHRINK", "1") != "0"

pytestmark = pytest.mark.no_cover


def _share(part: float) -> settings:
    return settings(
        max_examples=max(1, round(PROGRAMS * part)),
        deadline=None,
        database=None,
        derandomize=True,
        print_blob=True,
        phases=(Phase.generate, Phase.shrink) if SHRINK else (Phase.generate,),
        suppress_health_check=[HealthCheck.too_slow],
    )


@_share(0.15)
@given(programs(EDITS, EDITS, STATES, HUMANS))
def test_invariants_hold_when_users_and_people_at_peerdb_edit(program: Program) -> None:
    program.play()


@_share(0.2)
@given(programs(EDITS, EDITS, STATES, TROUBLE, TROUBLE))
def test_invariants_hold_when_peerdb_or_kubernetes_fail(program: Program) -> None:
    program.play()


@_share(0.25)
@given(programs(EDITS, STATES, HUMANS, TROUBLE, OPERATORS))
def test_invariants_hold_when_operators_die_stall_and_overlap(program: Program) -> None:
    program.play()


@_share(0.3)
@given(programs(EDITS, STATES, TROUBLE, OPERATORS, ENDINGS, ENDINGS))
def test_invariants_hold_when_mirrors_come_and_go(program: Program) -> None:
    program.play()


@_share(0.1)
@given(programs(EDITS, STATES, OPERATORS, ENDINGS, most=2, queues=True))
def test_invariants_hold_when_an_edit_waits_in_peerdbs_queue(program: Program) -> None:
    program.play()
