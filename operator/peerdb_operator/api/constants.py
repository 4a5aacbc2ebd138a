"""The names under which the operator is known to Kubernetes and PeerDB."""

from typing import Final

GROUP: Final = "peerdb.io"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

KIND: Final = "Mirror"
PLURAL: Final = "mirrors"
SINGULAR: Final = "mirror"
SHORT: Final = "mir"
CATEGORY: Final = "peerdb"

FINALIZER: Final = f"{PLURAL}.{GROUP}/cleanup"

ANNOTATION_RECONCILE: Final = f"{GROUP}/reconcile"
RECONCILE_DISABLED: Final = "disabled"  # the one value of it that freezes our work on an object
ANNOTATION_REQUESTED_AT: Final = f"{GROUP}/reconcile-requested-at"  # any new value asks for a reconcile now

OWNER_TAG: Final = f"{GROUP}/owner"  # a tag on the PeerDB mirror, not a Kubernetes label
RELEASED: Final = "released"  # its value once an owner has released the mirror
