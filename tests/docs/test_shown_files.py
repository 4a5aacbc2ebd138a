"""What a page shows just above the command that applies a file is what the file holds."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.docs.pages import ROOT, SHELL, Page, all_pages

APPLIED = re.compile(r"\bkubectl apply\b[^\n|]*?(?:--filename|-f)[ =](\S+)")
YAML = ("yaml", "yml")


def shown_files(page: Page) -> Iterator[tuple[str, list[Any], list[Any]]]:
    """The files of the repository that a page applies below a block of YAML: name, what is shown, what it holds."""
    for index, block in enumerate(page.blocks[1:]):
        above = page.blocks[index]
        if block.language not in SHELL or above.language not in YAML:
            continue
        for name in APPLIED.findall(block.text):
            file = ROOT / name
            if file.is_file():
                yield name, objects(above.text), objects(file.read_text(encoding="utf-8"))


def objects(text: str) -> list[Any]:
    """All documents of a YAML text."""
    return list(yaml.safe_load_all(text))


SHOWN = {f"{page.name} {name}": (shown, held) for page in all_pages() for name, shown, held in shown_files(page)}


@pytest.mark.parametrize("pair", SHOWN.values(), ids=SHOWN)
def test_a_file_holds_what_is_shown_above_the_command_that_applies_it(pair: tuple[list[Any], list[Any]]) -> None:
    shown, held = pair

    assert shown == held


def test_the_first_mirror_that_one_applies_is_kept_in_peerdb_when_it_is_deleted() -> None:
    _, [held] = SHOWN["docs/install.md docs/samples/run-state-only.yaml"]

    assert held["spec"]["deletionPolicy"] == "Retain"
