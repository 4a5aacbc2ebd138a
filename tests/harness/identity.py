"""Who the operator is in a cluster: the ServiceAccount that the chart makes, with the rights that the chart gives.

Owns rendering the chart, applying the part of it that says who may do what, and the kubeconfig of the account. What
rights are and how they compare with what was asked is in ``identity_rights``.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tests.harness.controlplane.launch import ControlPlane
from tests.harness.identity_rights import Account, Manifest, Right, asked_in, rights_in, roles_of, without

CHART = Path(__file__).parents[2] / "charts" / "peerdb-operator"
RELEASE_NAMESPACE = "peerdb-system"
LIFETIME = "24h"
"""Of a token: longer than any run, so that no test ends because its operator is no longer let in."""

NEEDED_VALUES: Mapping[str, object] = {"peerdb": {"url": "http://peerdb.invalid"}}
RENDER_SECONDS = 60.0
ACCOUNT_KINDS = {"ServiceAccount", "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"}


class ChartError(RuntimeError):
    """The chart cannot be rendered, or gives what it renders to nobody; the message carries helm's words."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One ServiceAccount and the way into the cluster as it."""

    user: str
    kubeconfig: Path
    granted: frozenset[Right]
    namespaces: tuple[str, ...] = ()
    """What it was told to watch; empty for all."""


@dataclass(slots=True)
class Identities:
    """The identities of one control plane; each set of watched namespaces has its own release of the chart."""

    cluster: ControlPlane
    helm: Path
    whole: dict[tuple[tuple[str, ...], str], Identity] = field(default_factory=dict)
    """Those with exactly the chart's rights, by what they watch and the cluster id they were given."""

    _releases: int = 0

    def identity(self, namespaces: Sequence[str] = (), cluster_id: str = "") -> Identity:
        """Who an operator with these settings is when it is installed by the chart; the namespaces have to exist."""
        key = (tuple(namespaces), cluster_id)
        if key not in self.whole:
            release = self._release()
            self.whole[key] = self._install(release, render(self.helm, release, *key), key[0])
        return self.whole[key]

    def lacking(self, lost: Right, namespaces: Sequence[str] = ()) -> Identity:
        """The same without one right."""
        release = self._release()
        manifests = [without(each, lost) for each in render(self.helm, release, namespaces)]
        return self._install(release, manifests, tuple(namespaces))

    def account(self, identity: Identity, since: int = 0) -> Account:
        """What it may do and what it has asked so far, or since an ``audit_mark``."""
        return Account(identity.granted, frozenset(asked_in(self.cluster.directory, [identity.user], since)))

    def _release(self) -> str:
        self._releases += 1
        return f"release-{self._releases}"

    def _install(self, release: str, manifests: Sequence[Manifest], namespaces: tuple[str, ...]) -> Identity:
        account, kubeconfig = admit(self.cluster, manifests, release)
        roles = roles_of(manifests, RELEASE_NAMESPACE, account)
        return Identity(
            user=f"system:serviceaccount:{RELEASE_NAMESPACE}:{account}",
            kubeconfig=kubeconfig,
            granted=frozenset(right for where, role in roles for right in rights_in(role, where)),
            namespaces=namespaces,
        )


def render(helm: Path, release: str, namespaces: Iterable[str] = (), cluster_id: str = "") -> list[Manifest]:
    """What ``helm template`` makes of the chart that says who may do what; raises ChartError with helm's words."""
    values = {**NEEDED_VALUES, "watchNamespaces": list(namespaces), "clusterId": cluster_id}
    done = subprocess.run(
        [helm, "template", release, CHART, f"--namespace={RELEASE_NAMESPACE}", "--values=-"],
        input=json.dumps(values),
        capture_output=True,
        text=True,
        check=False,
        timeout=RENDER_SECONDS,
    )
    if done.returncode != 0:
        raise ChartError(f"The chart cannot be rendered: {done.stderr.strip()}")
    return [each for each in yaml.safe_load_all(done.stdout) if each and each["kind"] in ACCOUNT_KINDS]


def admit(cluster: ControlPlane, manifests: Sequence[Manifest], release: str) -> tuple[str, Path]:
    """Make the account of a release with its rights; returns its name and a kubeconfig that works as it."""
    account = account_of(manifests, release)
    apply(cluster, [namespace_manifest(RELEASE_NAMESPACE), *manifests])
    create = ("create", "token", account, f"--namespace={RELEASE_NAMESPACE}", f"--duration={LIFETIME}")
    token = cluster.kubectl(*create).stdout.strip()
    return account, cluster.kubeconfig_for_token(f"{RELEASE_NAMESPACE}.{account}", token)


def apply(cluster: ControlPlane, manifests: Sequence[Manifest]) -> None:
    """``kubectl apply`` of all of them, taken over from whoever had them."""
    listed = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=json.dumps(listed))


def account_of(manifests: Iterable[Manifest], release: str) -> str:
    """Name of the one ServiceAccount; raises ChartError when there is not exactly one."""
    found = [each["metadata"]["name"] for each in manifests if each["kind"] == "ServiceAccount"]
    if len(found) != 1:
        raise ChartError(f"The release {release} has {len(found)} ServiceAccounts instead of one.")
    return str(found[0])


def namespace_manifest(name: str, labels: Mapping[str, str] | None = None) -> Manifest:
    """A namespace as ``kubectl apply`` takes it."""
    metadata = {"name": name, **({"labels": dict(labels)} if labels else {})}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def make_namespace(cluster: ControlPlane, name: str, labels: Mapping[str, str] | None = None) -> None:
    """A namespace to work in."""
    cluster.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(namespace_manifest(name, labels)))
