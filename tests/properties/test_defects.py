"""Every seeded defect still has its place: the run that plants them takes minutes, this takes none."""

from pathlib import Path

import pytest

from tests.properties.defect import Defect
from tests.properties.defects import DEFECTS

PACKAGE = Path(__file__).parents[2] / "operator" / "peerdb_operator"


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_defect_is_planted_at_exactly_one_place(defect: Defect) -> None:
    assert (PACKAGE / defect.file).read_text().count(defect.old) == 1
    assert defect.new != defect.old


def test_defects_have_names_of_their_own() -> None:
    assert len({defect.name for defect in DEFECTS}) == len(DEFECTS)
