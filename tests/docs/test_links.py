"""Every link inside the repository leads somewhere, and every page is found from the index."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.docs.pages import DOCS, README, ROOT, Page, all_pages, slug_of

PAGES = all_pages()


def broken(page: Page) -> list[str]:
    """The links of a page that lead nowhere."""
    return [link for link in page.links if not urlsplit(link).scheme and not leads_somewhere(page, link)]


def leads_somewhere(page: Page, link: str) -> bool:
    """Whether the file exists inside the repository, and the anchor in it."""
    path, _, anchor = unquote(link).partition("#")
    target = (page.path.parent / path).resolve() if path else page.path
    if not target.exists() or not target.is_relative_to(ROOT):
        return False
    return not anchor or (target.suffix == ".md" and anchor in Page(target).anchors)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere_when_it_stays_inside_the_repository(page: Page) -> None:
    assert broken(page) == []


def test_a_link_counts_as_broken_when_its_file_or_anchor_is_missing(tmp_path: Path) -> None:
    page = Page(DOCS / "README.md")

    assert leads_somewhere(page, "install.md#helm")
    assert not leads_somewhere(page, "install.md#no-such-heading")
    assert not leads_somewhere(page, "no-such-page.md")
    assert not leads_somewhere(page, f"../../{tmp_path.name}")


def test_every_page_is_found_when_one_begins_at_the_index() -> None:
    index = Page(DOCS / "README.md")
    named = [(DOCS / link.partition("#")[0]).resolve() for link in index.links]
    lost = [path.name for path in DOCS.glob("*.md") if path.resolve() not in named and path.name != "README.md"]

    assert lost == []


def test_the_readme_leads_to_the_index() -> None:
    assert "docs/README.md" in Page(README).links


def test_an_anchor_is_what_a_forge_makes_of_a_heading() -> None:
    assert slug_of("What it may do in Kubernetes") == "what-it-may-do-in-kubernetes"
    assert slug_of("Columns of kubectl get mirrors, and `more`") == "columns-of-kubectl-get-mirrors-and-more"
