"""What is used of the ``kubernetes`` package: the asyncio client and the readers of a kubeconfig. The only importer.

Importing ``kubernetes.aio`` first runs the package's own ``__init__``, which imports the synchronous client, requests,
websockets and a dynamic client: 9 MiB that the operator does not use. This module therefore enters the two parent
packages without running their ``__init__``. A later import of another part of ``kubernetes`` still works.
"""

import importlib.util
import sys
from importlib.metadata import version


def _enter(package: str) -> None:
    spec = None if package in sys.modules else importlib.util.find_spec(package)
    if spec is None:
        return
    module = sys.modules[package] = importlib.util.module_from_spec(spec)
    vars(module)["__version__"] = version("kubernetes")  # its parts read it there
    above, _, name = package.rpartition(".")
    if above:
        setattr(sys.modules[above], name, module)


_enter("kubernetes")
_enter("kubernetes.aio")

# E402: these come after the two packages above them have been entered, which is what saves the memory.
from kubernetes.aio import config as loaders  # noqa: E402
from kubernetes.aio.client import ApiClient, Configuration  # noqa: E402
from kubernetes.aio.config.exec_provider import ExecProvider  # noqa: E402
from kubernetes.aio.config.kube_config import ConfigNode, KubeConfigLoader, KubeConfigMerger  # noqa: E402

__all__ = [
    "ApiClient",
    "ConfigNode",
    "Configuration",
    "ExecProvider",
    "KubeConfigLoader",
    "KubeConfigMerger",
    "loaders",
]
