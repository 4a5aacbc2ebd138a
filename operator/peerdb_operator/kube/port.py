"""What a controller asks of the Kubernetes API: served by ``KubeClient``, and by a simulated cluster in tests."""

from typing import Any, Protocol, TypeAlias

MirrorVersion: TypeAlias = tuple[str, str, str, int, str, str | None]
"""What a metadata-only LIST says of one: uid, namespace, name, generation, resourceVersion, deletionTimestamp."""


class KubePort(Protocol):
    """The Kubernetes API for a controller; every method raises only ``errors.KubeError`` and its children.

    Nothing is retried inside: the queue is the retry.
    """

    async def get_mirror(self, namespace: str, name: str) -> dict[str, Any]:
        """The whole object, read from the API server; ``KubeNotFound`` if there is none."""
        ...

    async def patch_mirror(self, namespace: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """JSON merge patch on the main resource (finalizers); returns the new object.

        A ``metadata.resourceVersion`` in ``body`` that is not the current one raises ``KubeConflict``.
        """
        ...

    async def patch_status(self, namespace: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """JSON merge patch on ``/status``; returns the new object. Same rule for ``metadata.resourceVersion``."""
        ...

    async def namespace_is_terminating(self, name: str) -> bool:
        """Uncached. A namespace that does not exist counts as terminating."""
        ...

    async def crd_is_terminating(self) -> bool:
        """Uncached. A CustomResourceDefinition that does not exist counts as terminating."""
        ...

    async def emit_event(self, regarding: dict[str, str], type_: str, reason: str, message: str, action: str) -> None:
        """Create an Event about one object.

        ``regarding`` is an object reference: ``apiVersion, kind, namespace, name, uid`` (and ``resourceVersion`` if
        known). ``type_`` is ``Normal`` or ``Warning``. A terminating namespace refuses it: ``KubeForbidden``.
        """
        ...
