"""Which names a PeerDB mirror may have, and which one a Mirror gets when its spec names none.

PeerDB itself takes almost any name. Only a Postgres source is particular, and too late: the mirror is accepted and then
hangs when its replication slot is made (PeerDB flow/connectors/postgres: slot names must match ``^[a-z_][a-z0-9_]*$``).
So a name that is derived fits into the name of a slot, and one that is given may be that of any mirror there is: those
from MySQL and Mongo have hyphens and capitals.
"""

import re
from typing import Final

MIRROR_NAME_PATTERN: Final = "^[A-Za-z_][A-Za-z0-9_.-]*$"
MIRROR_NAME_MAX: Final = 255
"""What PeerDB's catalog holds."""

DERIVED_NAME_MAX: Final = 49
"""Postgres cuts identifiers at 63 bytes and the slot is ``peerflow_slot_<mirror>``: longer names could share one."""

MAPPABLE_NAME_PATTERN: Final = f"^[a-z][a-z0-9.-]{{0,{DERIVED_NAME_MAX - 1}}}$"
"""The ``metadata.name``s that map to a legal mirror name; any other one begins with a digit or is too long."""

_TO_MIRROR_NAME: Final = str.maketrans("-.", "__")


def default_mirror_name(metadata_name: str) -> str | None:
    """The mirror name for a Mirror of this name, or None if the name does not map to a legal one."""
    if re.fullmatch(MAPPABLE_NAME_PATTERN, metadata_name) is None:
        return None
    return metadata_name.translate(_TO_MIRROR_NAME)
