"""The table of ``docs/metrics.md``, from the table that the product makes its registry of.

Owns the lines between the two marks; the words around them are written by hand. ``python -m
tests.harness.metrics_doc`` writes them anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from peerdb_operator.telemetry.families import FAMILIES, Family

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
BEGIN = "<!-- metrics: begin, made by python -m tests.harness.metrics_doc -->"
END = "<!-- metrics: end -->"


def table(families: Iterable[Family]) -> str:
    """One row for each metric."""
    rows = ["| Metric | Type | Labels | Meaning |", "|---|---|---|---|"]
    for family in families:
        labels = ", ".join(f"`{label}`" for label in family.labels) or "none"
        rows.append(f"| `{family.name}` | {family.kind.value} | {labels} | {family.meaning} |")
    return "\n".join(rows)


def tables() -> str:
    """Both tables: of the operator, and of each Mirror."""
    ours = table(family for family in FAMILIES if not family.per_mirror)
    theirs = table(family for family in FAMILIES if family.per_mirror)
    return f"### The operator\n\n{ours}\n\n### Each Mirror\n\n{theirs}"


def fresh(page: str) -> str:
    """The page with its tables made anew; raises ValueError when a mark is missing."""
    before, began, rest = page.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not began or not ended:
        raise ValueError(f"{PAGE.name} needs the marks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(fresh(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
