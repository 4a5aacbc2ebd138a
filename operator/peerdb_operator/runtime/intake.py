"""The way of an object into the process: watch events and lists are shown to the controller, which says whom to wake.

Owns the record of which version the *watch* has delivered of each object. That is what tells a watch that is merely
behind from one that has gone deaf; versions that came by another way do not count. It also remembers who has been
deleted, for a read that was on its way meanwhile must not bring anybody back.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from peerdb_operator.controllers.ports import Controller
from peerdb_operator.runtime.queue import Urgency

REMEMBERED_DELETIONS = 10_000
"""Far more than can be deleted while one read is on its way."""


class Intake:
    """Shows objects to the controller in O(1) and wakes the queue."""

    def __init__(
        self,
        controller: Controller,
        wake: Callable[[str, Urgency], None],
        remembered_deletions: int = REMEMBERED_DELETIONS,
    ) -> None:
        self._controller = controller
        self._wake = wake
        self._remembered_deletions = remembered_deletions
        self._delivered: dict[str, int] = {}
        self._deleted: dict[str, None] = {}
        self._listed = False

    def watched(self, event_type: str | None, body: Mapping[str, Any]) -> None:
        """One event of the watch; ``event_type`` None is an item of the list it begins with."""
        metadata = body["metadata"]
        if event_type == "DELETED":
            self._delivered.pop(metadata["uid"], None)
            self._deleted[metadata["uid"]] = None
            if len(self._deleted) > self._remembered_deletions:
                del self._deleted[next(iter(self._deleted))]
        else:
            self._delivered[metadata["uid"]] = version_number(metadata["resourceVersion"])
        self.observed(event_type, body)

    def observed(self, event_type: str | None, body: Mapping[str, Any]) -> None:
        """One object from anywhere."""
        if event_type is None and body["metadata"]["uid"] in self._deleted:
            return
        uid = self._controller.observe(event_type, body)
        if uid is not None:
            # What the very first list holds was there before us: a user who edits now goes first.
            self._wake(uid, Urgency.EDIT if self._listed else Urgency.LOOK)

    def listed(self) -> None:
        """Everything there was at the start has been observed."""
        self._controller.listed()
        self._listed = True

    def delivered(self, uid: str) -> int:
        """Number of the newest version that the watch has delivered; 0 for none."""
        return self._delivered.get(uid, 0)

    def forget(self, uid: str) -> None:
        """The object is gone without a DELETED event."""
        self._delivered.pop(uid, None)
        self._controller.forget(uid)

    def retain(self, uids: Collection[str]) -> None:
        """Keep a record of these objects alone: all that the API server has or the controller knows."""
        self._delivered = {uid: version for uid, version in self._delivered.items() if uid in uids}

    def deleted(self) -> Collection[str]:
        """The uids whose deletion the watch has delivered."""
        return frozenset(self._deleted)

    def restore(self, body: Mapping[str, Any], instead_of: int) -> None:
        """Take what the API server has although ``instead_of`` is higher: its data was restored from a backup.

        What the watch delivered before that does not count: it may still be connected to what was.
        """
        uid = body["metadata"]["uid"]
        self._deleted.pop(uid, None)
        woken = self._controller.restore(body, instead_of)
        if woken is not None:
            self._wake(woken, Urgency.LOOK)

    def undo_delivery(self, uid: str, version: int) -> None:
        """Forget that the watch has delivered this version, unless it has delivered another one since."""
        if self._delivered.get(uid) == version:
            del self._delivered[uid]


def version_number(resource_version: str) -> int:
    """A resourceVersion as a number; 0 if it is none.

    That versions of one resource type compare as integers is a promise of recent Kubernetes releases, and was so in
    fact before.
    """
    return int(resource_version) if resource_version.isdecimal() else 0
