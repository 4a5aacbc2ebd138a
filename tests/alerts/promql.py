"""What a PromQL expression asks for: names of metrics and labels, found without evaluating it.

Owns the little reading that promtool does not do: it checks that an expression parses, not that its metrics exist.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from peerdb_operator.telemetry.families import FAMILIES
from peerdb_operator.telemetry.metrics import Metrics

SCRAPE_LABELS = frozenset({"job", "instance", "namespace", "cluster"})
"""What Prometheus adds to a series; a namespace of the series' own comes first."""

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_TEXT = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_AGGREGATION = re.compile(r"\b(?:max|min|sum|count|group|avg) by \(([^)]*)\)\s*\(")
_SELECTOR = re.compile(rf"({_NAME})?\s*\{{([^}}]*)\}}")
_SPAN = re.compile(r"\[[^\]]*\]")
_WORDS = frozenset(
    {"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring", "group_left", "inf", "nan"}
)
_SUFFIXES = {"histogram": ("_bucket", "_count", "_sum"), "counter": ("_total",)}


def exported() -> dict[str, frozenset[str]]:
    """Every series name that the operator serves, with the labels of its own."""
    labels = {family.name: frozenset(family.labels) for family in FAMILIES}
    named: dict[str, frozenset[str]] = {}
    for metric in Metrics("0.0.0", process=True).registry.collect():
        for suffix in _SUFFIXES.get(metric.type, ("",)):
            name = metric.name + suffix
            own = labels.get(name, labels.get(metric.name, frozenset({"generation"})))
            named[name] = own | {"le"} if suffix == "_bucket" else own
    return named


def metrics_of(expression: str) -> set[str]:
    """The names of all metrics that are asked for."""
    bare = _TEXT.sub('""', expression)
    for cut in (_GROUPING, _SPAN, re.compile(r"\{[^}]*\}")):
        bare = cut.sub(" ", bare)
    return {
        found[1]
        for found in re.finditer(rf"(?<![0-9a-zA-Z_])({_NAME})\b(?!\s*\()", bare)
        if found[1].lower() not in _WORDS
    }


def selected_labels(expression: str) -> Iterator[tuple[str, str]]:
    """Each metric with each label that a selector of it looks at."""
    bare = _TEXT.sub('""', expression)
    for found in _SELECTOR.finditer(bare):
        for label in re.findall(rf"({_NAME})\s*(?:=~|!~|!=|=)", found[2]):
            yield found[1] or "", label


def grouped_labels(expression: str) -> set[str]:
    """The labels that aggregations and matchings name."""
    bare = _TEXT.sub('""', expression)
    return {label for found in _GROUPING.finditer(bare) for label in re.findall(_NAME, found[1])}


def outermost_groupings(expression: str) -> set[str]:
    """The labels by which the result is summed up: those of aggregations that are inside no other aggregation."""
    bare = _TEXT.sub('""', expression)
    labels: set[str] = set()
    end = 0
    for found in _AGGREGATION.finditer(bare):
        if found.start() >= end:
            labels |= set(re.findall(_NAME, found[1]))
            end = _closing(bare, found.end())
    return labels


def _closing(text: str, start: int) -> int:
    """Where the parenthesis ends that was opened right before ``start``."""
    depth = 1
    for place, letter in enumerate(text[start:], start):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth == 0:
            return place
    return len(text)


def strangers(expression: str) -> list[str]:
    """What the operator does not serve: metrics, and labels that a metric does not have."""
    served = exported()
    asked = metrics_of(expression)
    lost = sorted(asked - served.keys())
    lost += [
        f"{metric}{{{label}}}"
        for metric, label in selected_labels(expression)
        if metric in served and label not in served[metric] | SCRAPE_LABELS
    ]
    known = SCRAPE_LABELS.union(*(served[name] for name in asked & served.keys()))
    return lost + sorted(f"by {label}" for label in grouped_labels(expression) - known)
