"""How a cluster is reached: the kubectl, a kubeconfig and what is in it; and joining a cluster the user brought.

Nothing here starts or stops anything; see `launch.py` for that.
"""

import base64
import dataclasses
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.harness.controlplane.assets import existing_kubectl
from tests.harness.controlplane.commands import kubeconfig_text, write_private
from tests.harness.controlplane.errors import ControlPlaneError

KUBECTL_SECONDS = 180.0
PASSED_ON = ("GOGC", "PATH", "HOME", "TMPDIR", "LANG", "HTTPS_PROXY", "NO_PROXY")


@dataclasses.dataclass(frozen=True, slots=True)
class Access:
    """A way into a cluster; `ca_file` and `token` are None and empty where the user's kubeconfig has none."""

    kubectl: Path
    directory: Path
    kubeconfig: Path
    url: str
    ca_file: Path | None
    token: str

    def run_kubectl(
        self, arguments: tuple[str, ...], stdin: str | None, kubeconfig: Path, *, check: bool
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl; its discovery cache is this run's own, so a CRD installed a moment ago is known.

        Raises ControlPlaneError with kubectl's words when `check` is set and it fails, or when it takes 3 minutes.
        """
        environ = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        environ |= {"KUBECONFIG": str(kubeconfig), "KUBECACHEDIR": str(self.directory / "kube-cache"), "KUBERC": "off"}
        spoken = f"kubectl {' '.join(arguments)}"
        try:
            done = subprocess.run(
                [self.kubectl, *arguments],
                input=stdin or "",
                env=environ,
                capture_output=True,
                text=True,
                check=False,
                timeout=KUBECTL_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise ControlPlaneError(f"`{spoken}` did not end within {KUBECTL_SECONDS:.0f} s.") from error
        if check and done.returncode != 0:
            raise ControlPlaneError(f"`{spoken}` failed (exit {done.returncode}): {done.stderr.strip()}")
        return done

    def write_kubeconfig(self, user: str, token: str) -> Path:
        """A kubeconfig for a bearer token on this cluster, in this run's directory; `user` names the file."""
        path = self.directory / f"{user}.kubeconfig"
        write_private(path, kubeconfig_text(self.url, self.ca_file, user, token))
        return path


def join(environ: Mapping[str, str]) -> Access:
    """A way into the cluster of $KUBECONFIG, its current context alone.

    Raises ControlPlaneError when there is no kubectl or no usable context.
    """
    kubectl = existing_kubectl(environ)
    directory = Path(tempfile.mkdtemp(prefix="control-plane-"))
    shown = subprocess.run(
        [kubectl, "config", "view", "--raw", "--flatten", "--minify", "--output=json"],
        env=dict(environ),
        capture_output=True,
        text=True,
        check=False,
    )
    if shown.returncode != 0:
        directory.rmdir()
        raise ControlPlaneError(
            f"KUBECONFIG is set but has no usable current context ({shown.stderr.strip()}): correct or unset it."
        )
    kubeconfig = directory / "kubeconfig"
    write_private(kubeconfig, shown.stdout)
    return read_access(kubectl, directory, kubeconfig, json.loads(shown.stdout))


def read_access(kubectl: Path, directory: Path, kubeconfig: Path, config: dict[str, Any]) -> Access:
    """What a flattened kubeconfig with one context says."""
    cluster = config["clusters"][0]["cluster"]
    users = config.get("users") or [{}]
    token = (users[0].get("user") or {}).get("token", "")
    ca_file = None
    if cluster.get("certificate-authority-data"):
        ca_file = directory / "ca.crt"
        ca_file.write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    return Access(kubectl, directory, kubeconfig, cluster["server"], ca_file, token)
