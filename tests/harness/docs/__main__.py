"""Writes the reference page: ``python -m tests.harness.docs > docs/reference.md``.

Owns which part of ``reference.md.in`` is filled by what: sentences are there, everything that could grow stale comes
from the code. ``fields`` reads the CRD, ``words`` the closed sets.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from peerdb_operator.api.kinds import Mirror
from tests.harness.crdgen import root_schema
from tests.harness.docs.fields import spec_sections, status_sections
from tests.harness.docs.words import columns_table, humans, names_table, reasons_table, settings_table

TEMPLATE = Path(__file__).with_name("reference.md.in")

_PARTS: Mapping[str, Callable[[], str]] = {
    "names": names_table,
    "spec": lambda: "\n\n".join(spec_sections(root_schema(Mirror)["properties"]["spec"])),
    "status": lambda: "\n\n".join(status_sections(root_schema(Mirror)["properties"]["status"])),
    "columns": columns_table,
    "reasons": reasons_table,
    "humans": humans,
    "settings": settings_table,
}


def render() -> str:
    """The whole page."""
    text = TEMPLATE.read_text(encoding="utf-8")
    return re.sub(r"@([a-z]+)@", lambda place: _PARTS[place[1]](), text)


if __name__ == "__main__":
    sys.stdout.write(render())
