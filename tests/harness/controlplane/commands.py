"""How each program of the control plane is started, and the files it needs: tokens, keys, kubeconfigs, audit policy.

Everything listens on the loopback address only and lives in the run's own directory. Credentials are made per run:
tokens are random, and the key that signs service account tokens is a fresh P-256 key (a private number is all the PEM
form needs; the Go library computes the public half).
"""

import base64
import dataclasses
import json
import secrets
from pathlib import Path

from tests.harness.controlplane.ports import LOOPBACK

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
SEC1_PREFIX = bytes.fromhex("30310201010420")
SEC1_P256_OID = bytes.fromhex("a00a06082a8648ce3d030107")
CONTROLLERS = "namespace-controller,garbage-collector-controller,serviceaccount-controller"

AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "users": ["system:apiserver"]},
        {"level": "None", "nonResourceURLs": ["/readyz"]},
        {"level": "Metadata"},
    ],
}


@dataclasses.dataclass(frozen=True, slots=True)
class Layout:
    """Where one run keeps its files, and its ports."""

    root: Path
    apiserver_port: int
    etcd_client_port: int
    etcd_peer_port: int

    @property
    def url(self) -> str:
        """Base address of the API server."""
        return f"https://{LOOPBACK}:{self.apiserver_port}"

    @property
    def ca_file(self) -> Path:
        """Certificate chain that the API server makes for itself at its first start."""
        return self.root / "certs" / "apiserver.crt"

    @property
    def signing_key(self) -> Path:
        """Key of service account tokens."""
        return self.root / "service-account.key"

    @property
    def token_file(self) -> Path:
        """Static tokens the API server accepts."""
        return self.root / "tokens.csv"

    @property
    def audit_policy(self) -> Path:
        """Policy of the audit log."""
        return self.root / "audit-policy.json"

    @property
    def audit_log(self) -> Path:
        """Audit log, one JSON object per line."""
        return self.root / "audit.log"

    def kubeconfig(self, user: str) -> Path:
        """Kubeconfig of a user."""
        return self.root / f"{user}.kubeconfig"

    def log(self, program: str) -> Path:
        """Output of a program."""
        return self.root / f"{program}.log"


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


def new_signing_key() -> str:
    """A fresh P-256 private key as PEM (RFC 5915, without the public half)."""
    number = (secrets.randbelow(P256_ORDER - 1) + 1).to_bytes(32, "big")
    body = base64.b64encode(SEC1_PREFIX + number + SEC1_P256_OID).decode()
    lines = "\n".join(body[at : at + 64] for at in range(0, len(body), 64))
    return f"-----BEGIN EC PRIVATE KEY-----\n{lines}\n-----END EC PRIVATE KEY-----\n"


def audit_policy_text() -> str:
    """Log every request but those the API server makes of itself: who and what, no bodies."""
    return json.dumps(AUDIT_POLICY, indent=1)


def kubeconfig_text(url: str, ca_file: Path | None, user: str, token: str) -> str:
    """A kubeconfig (JSON is YAML) for one bearer token; without `ca_file` the system's certificates are trusted."""
    cluster = {"server": url} | ({"certificate-authority": str(ca_file)} if ca_file else {})
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "harness",
            "contexts": [{"name": "harness", "context": {"cluster": "harness", "user": user}}],
            "clusters": [{"name": "harness", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": token}}],
        },
        indent=1,
    )


def etcd_command(program: Path, layout: Layout) -> list[str]:
    """Etcd with throw-away data: no fsync."""
    client, peer = (f"http://{LOOPBACK}:{port}" for port in (layout.etcd_client_port, layout.etcd_peer_port))
    return [
        str(program),
        "--name=harness",
        f"--data-dir={layout.root / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=harness={peer}",
        "--socket-reuse-port",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def apiserver_command(program: Path, layout: Layout, *, service_accounts: bool, audit: bool) -> list[str]:
    """kube-apiserver with RBAC; `service_accounts` keeps the admission plugin that needs default accounts."""
    command = [
        str(program),
        f"--etcd-servers=http://{LOOPBACK}:{layout.etcd_client_port}",
        f"--bind-address={LOOPBACK}",
        f"--advertise-address={LOOPBACK}",
        "--endpoint-reconciler-type=none",
        f"--secure-port={layout.apiserver_port}",
        "--permit-port-sharing",
        f"--cert-dir={layout.ca_file.parent}",
        f"--service-account-key-file={layout.signing_key}",
        f"--service-account-signing-key-file={layout.signing_key}",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--authorization-mode=RBAC",
        f"--token-auth-file={layout.token_file}",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--profiling=false",
    ]
    if not service_accounts:
        command.append("--disable-admission-plugins=ServiceAccount")
    if audit:
        command += [
            f"--audit-policy-file={layout.audit_policy}",
            f"--audit-log-path={layout.audit_log}",
            "--audit-log-format=json",
        ]
    return command


def controller_manager_command(program: Path, layout: Layout, kubeconfig: Path) -> list[str]:
    """The three controllers that users' deletions need: namespaces, owner references, service accounts."""
    return [
        str(program),
        f"--kubeconfig={kubeconfig}",
        f"--controllers={CONTROLLERS}",
        f"--service-account-private-key-file={layout.signing_key}",
        "--leader-elect=false",
        f"--bind-address={LOOPBACK}",
        "--secure-port=0",
        "--profiling=false",
    ]
