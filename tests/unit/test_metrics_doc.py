"""``docs/metrics.md`` has every metric as the product has it, and every value of the closed labels."""

import pytest

from peerdb_operator.peerdb.client import Operation
from peerdb_operator.telemetry.families import FAMILIES
from tests.harness.metrics_doc import BEGIN, END, PAGE, fresh


def test_the_tables_are_fresh() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert fresh(page) == page


def test_every_metric_and_every_operation_is_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert [family.name for family in FAMILIES if f"| `{family.name}` |" not in page] == []
    assert [operation for operation in Operation if f"`{operation}`" not in page] == []


def test_stale_tables_are_replaced_and_the_words_around_them_stay() -> None:
    page = fresh(f"before\n{BEGIN}\nstale row\n{END}\nafter\n")

    assert page.startswith(f"before\n{BEGIN}\n\n### The operator\n")
    assert page.endswith(f"|\n\n{END}\nafter\n")
    assert "stale row" not in page


@pytest.mark.parametrize("page", ["", BEGIN, END])
def test_a_page_without_its_marks_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match=r"metrics\.md needs the marks"):
        fresh(page)
