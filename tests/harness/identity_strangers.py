"""Who the operators of a run were, by the audit logs that its control planes have left.

Owns the rule: whoever calls itself peerdb-operator works as a ServiceAccount of the chart. Reads logs only; when they
are judged is in ``identity_gate``, how they are left is in ``controlplane.audit``.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

EXCEPTIONS: Mapping[str, str] = {
    "system:serviceaccount:default:somebody": "make demo works as its user in a cluster that the user brought",
}
"""Users that an operator may be all the same, with the reason."""

_OPERATOR = b'"userAgent":"peerdb-operator/'
_THE_CHARTS = re.compile(rb'"username":"system:serviceaccount:[a-z0-9-]+:([a-z0-9-]+-)?peerdb-operator"')


def strangers_in(folder: Path, exceptions: Mapping[str, str] = EXCEPTIONS) -> list[str]:
    """A sentence for every user and namespace in which an operator was not a ServiceAccount of the chart.

    ``folder`` has a folder of logs for each control plane.
    """
    counts: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], str] = {}
    for raw in _foreign(folder):
        user = str(raw.get("user", {}).get("username", ""))
        if user in exceptions or raw.get("responseStatus", {}).get("code") == HTTPStatus.UNAUTHORIZED:
            continue
        key = (user, raw.get("objectRef", {}).get("namespace", ""))
        counts[key] += 1
        examples.setdefault(key, f"{raw['verb']} {raw['requestURI']}")
    return [
        f"an operator worked as {user or 'nobody'} {f'in namespace {where}' if where else 'outside of namespaces'}, "
        f"not as a ServiceAccount of the chart: {counts[user, where]} requests, the first is {example}"
        for (user, where), example in sorted(examples.items())
    ]


def _foreign(folder: Path) -> Iterator[dict[str, Any]]:
    """Requests of operators that are not the chart's; the logs of a run are big, so that only these are parsed."""
    for log in sorted(folder.glob("*/audit*.log")):
        with log.open("rb") as lines:
            for line in lines:
                if _OPERATOR in line and line.endswith(b"\n") and not _THE_CHARTS.search(line):
                    yield json.loads(line)
