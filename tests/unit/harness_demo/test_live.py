"""What the demo shows of ``kubectl get mirrors``, and when."""

import io

from rich.console import Console

from tests.harness.demo.live import LiveTable, read_table
from tests.harness.demo.screen import Screen

FRESH = """\
NAME         DESIRED   STATE   READY   REASON   TABLES   MIRROR   DELETION   MESSAGE   AGE
orders-cdc   Running                                              Drop                 0s
"""
RUNNING = """\
NAME         DESIRED   STATE     READY   REASON    TABLES   MIRROR       DELETION   MESSAGE             AGE
orders-cdc   Running   Running   True    Running   2/2      orders_cdc   Drop       running as wished   {age}
"""


class FakeKubectl:
    """Prints what it was given last."""

    def __init__(self) -> None:
        self.text = ""

    def get(self) -> str:
        return self.text


def a_table() -> tuple[FakeKubectl, LiveTable, io.StringIO]:
    kubectl, said = FakeKubectl(), io.StringIO()
    screen = Screen(
        Console(file=said, highlight=False, markup=False, soft_wrap=True, force_terminal=False), now=lambda: 0.0
    )
    return kubectl, LiveTable(kubectl.get, screen), said


def test_empty_cells_stay_empty_when_a_row_has_gaps() -> None:
    row = read_table(FRESH)["orders-cdc"]
    assert (row["DESIRED"], row["STATE"], row["REASON"], row["DELETION"], row["AGE"]) == (
        "Running",
        "",
        "",
        "Drop",
        "0s",
    )


def test_a_line_is_shown_once_when_only_its_age_changes() -> None:
    kubectl, table, said = a_table()
    kubectl.text = RUNNING.format(age="5s")
    assert table.poll()
    kubectl.text = RUNNING.format(age="6s")
    assert not table.poll()
    assert said.getvalue().count("orders-cdc") == 1


def test_every_change_is_shown_under_one_header_until_the_next_step() -> None:
    kubectl, table, said = a_table()
    kubectl.text = FRESH
    table.poll()
    kubectl.text = RUNNING.format(age="5s")
    table.poll()
    table.begin()
    kubectl.text = ""
    table.poll()
    lines = [line.split() for line in said.getvalue().splitlines()]
    assert [line[0] for line in lines] == ["NAME", "0", "0", "NAME", "0"]
    assert lines[-1][2:] == ["orders-cdc", "(gone)"]
