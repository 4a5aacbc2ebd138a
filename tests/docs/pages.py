"""The pages of the documentation as values: their headings, links, code blocks and paragraphs.

Owns reading. What has to be true of a page is in the tests beside this file.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
SHELL = ("sh", "bash", "shell", "console")

_MARKDOWN = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True, slots=True)
class Block:
    """A code block: the word behind its fence, its text, and the line it begins on."""

    language: str
    text: str
    line: int


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    @property
    def name(self) -> str:
        """Its path inside the repository."""
        return str(self.path.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        """As it stands in the file."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tokens(self) -> list[Token]:
        """What the parser makes of it."""
        return _parsed(self.text)

    @cached_property
    def headings(self) -> list[str]:
        """The texts of all headings, in order."""
        pairs = itertools.pairwise(self.tokens)
        return [_plain(after) for token, after in pairs if token.type == "heading_open"]

    @cached_property
    def anchors(self) -> frozenset[str]:
        """What a link may name behind a #, as forges make it of headings."""
        seen: Counter[str] = Counter()
        anchors = set()
        for heading in self.headings:
            slug = slug_of(heading)
            anchors.add(slug if seen[slug] == 0 else f"{slug}-{seen[slug]}")
            seen[slug] += 1
        return frozenset(anchors)

    @cached_property
    def links(self) -> list[str]:
        """The targets of all links and images."""
        inner = [child for token in self.tokens for child in token.children or ()]
        targets = [token.attrGet("href") or token.attrGet("src") for token in inner]
        return [str(target) for target in targets if target is not None]

    @cached_property
    def blocks(self) -> list[Block]:
        """All code blocks, those inside lists too."""
        return [
            Block(token.info.split(" ")[0], token.content, (token.map or [0])[0] + 1)
            for token in self.tokens
            if token.type in {"fence", "code_block"}
        ]

    @cached_property
    def code(self) -> list[str]:
        """All code spans."""
        return [child.content for token in self.tokens for child in token.children or () if child.type == "code_inline"]

    def section(self, heading: str) -> str:
        """The text below one heading, up to the next of any level; raises KeyError if there is none."""
        for part in re.split(r"^#+ ", self.text, flags=re.MULTILINE)[1:]:
            title, _, body = part.partition("\n")
            if title.strip() == heading:
                return body
        raise KeyError(heading)


def all_pages() -> list[Page]:
    """README, everything below docs, and the pages beside the chart and the forge's files."""
    others = [README, ROOT / "CHANGELOG.md", *(ROOT / "charts").rglob("*.md"), *(ROOT / ".github").rglob("*.md")]
    return [Page(path) for path in [*sorted(DOCS.rglob("*.md")), *others] if path.exists()]


def slug_of(heading: str) -> str:
    """The anchor of a heading: lower case, blanks as hyphens, no other punctuation."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")


def commands_of(block: Block) -> list[str]:
    """The commands of a shell block: lines joined where one goes on, comments and shown output left out."""
    if block.language == "console" and "$ " in block.text:
        return [line[2:] for line in block.text.splitlines() if line.startswith("$ ")]
    joined = re.sub(r"\\\n\s*", "", block.text)
    bare = (re.sub(r"\s+# .*$", "", line).strip() for line in joined.splitlines())
    return [line for line in bare if line and not line.startswith("#")]


@functools.cache
def _parsed(text: str) -> list[Token]:
    """One page is read for its own sake and for each link that leads to it; the parser is slow."""
    return _MARKDOWN.parse(text)


def _plain(inline: Token) -> str:
    return "".join(child.content for child in inline.children or ())
