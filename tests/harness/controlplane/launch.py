"""The handle that tests and the demo work with: a control plane of our own, or a cluster the user brought.

Owns the choice between the two and the guard of destructive steps. The life of our own programs is in `servers.py`,
where they come from in `assets.py`, how a cluster is reached in `access.py`.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.harness.controlplane.access import Access, join
from tests.harness.controlplane.assets import programs_for
from tests.harness.controlplane.audit import KEPT_VARIABLE, AuditEvent, keep_logs, log_size, read_events
from tests.harness.controlplane.errors import ControlPlaneError, NotOurClusterError
from tests.harness.controlplane.recipe import DEMO_PROGRAMS, Program
from tests.harness.controlplane.servers import Servers

GRACE_SECONDS = 10.0
ESTABLISHED_SECONDS = 60.0
POLL_SECONDS = 0.05
NO_CONDITIONS_YET = "accessor error"
"""What `kubectl wait` says of an object whose list of conditions is still null."""


class ControlPlane:
    """A Kubernetes API to work with; a context manager that ends what it started.

    Made by `start`. Methods that stop or start a server raise NotOurClusterError on a cluster the user brought.
    """

    def __init__(self, access: Access, servers: Servers | None, environ: Mapping[str, str]) -> None:
        """Wrap a way into a cluster and, if it is ours, its servers."""
        self._access = access
        self._servers = servers
        self._environ = environ

    @classmethod
    def start(
        cls, *, controller_manager: bool = False, audit_log: bool = False, environ: Mapping[str, str] | None = None
    ) -> Self:
        """Start a control plane and wait until it is ready, building its programs first if they are not cached.

        With KUBECONFIG in `environ` (the process's own unless given) nothing is built or started: that cluster is used.
        With CONTROL_PLANE_AUDIT_FOLDER in it there is an audit log, which is left in that folder at the end.
        Without `controller_manager` namespaces are never emptied, owner references not followed and no default service
        accounts made. Raises ControlPlaneError with what to do.
        """
        given = os.environ if environ is None else environ
        if given.get("KUBECONFIG"):
            return cls._of_the_user(given, audit_log=audit_log)
        wanted = [*DEMO_PROGRAMS, *([Program.CONTROLLER_MANAGER] if controller_manager else [])]
        programs = programs_for(wanted, given)
        audited = audit_log or bool(given.get(KEPT_VARIABLE))
        servers = Servers(programs, service_accounts=controller_manager, audit=audited)
        try:
            servers.start()
            if controller_manager:
                servers.start_controller_manager(programs[Program.CONTROLLER_MANAGER])
        except BaseException:
            servers.close()
            raise
        return cls(servers.access(programs[Program.KUBECTL]), servers, given)

    @classmethod
    def _of_the_user(cls, environ: Mapping[str, str], *, audit_log: bool) -> Self:
        if audit_log:
            raise NotOurClusterError("An audit log can be read only of a control plane of our own: unset KUBECONFIG.")
        access = join(environ)
        sys.stderr.write(f"Using the cluster of KUBECONFIG at {access.url}; unset KUBECONFIG to start one instead.\n")
        return cls(access, None, environ)

    @property
    def started_by_us(self) -> bool:
        """Whether this run started the cluster, and so may do anything to it."""
        return self._servers is not None

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig of the admin; of a cluster the user brought: its current context alone."""
        return self._access.kubeconfig

    @property
    def kubectl_program(self) -> Path:
        """The kubectl that `kubectl` runs."""
        return self._access.kubectl

    @property
    def url(self) -> str:
        """Base address of the API server, e.g. `https://127.0.0.1:41213`."""
        return self._access.url

    @property
    def ca_file(self) -> Path | None:
        """Certificate to trust; None when a user's kubeconfig names none."""
        return self._access.ca_file

    @property
    def admin_token(self) -> str:
        """Bearer token of the admin; empty when a user's kubeconfig has none."""
        return self._access.token

    @property
    def directory(self) -> Path:
        """Folder of this run's files and logs, removed at the end."""
        return self._access.directory

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of the programs we started, by name, with the keeper's as `keeper`."""
        supervision = require_servers(self._servers).supervision
        return {"keeper": supervision.keeper_pid, **supervision.pids}

    def kubectl(
        self,
        *arguments: str,
        input: str | None = None,  # noqa: A002 - the word of subprocess.run, which this wraps
        check: bool = True,
        as_kubeconfig: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as admin, or with `as_kubeconfig`.

        Raises ControlPlaneError with kubectl's words when it fails and `check` is set.
        """
        return self._access.run_kubectl(arguments, input, as_kubeconfig or self.kubeconfig, check=check)

    def wait_established(self, crd: str) -> None:
        """Wait until the API server serves a kind; raises ControlPlaneError with kubectl's words.

        `kubectl wait` gives up at once on a definition that is so new that it has no conditions: it is asked again.
        """
        deadline = time.monotonic() + ESTABLISHED_SECONDS
        wait = ("wait", "--for=condition=Established", f"--timeout={ESTABLISHED_SECONDS:.0f}s", f"crd/{crd}")
        while True:
            try:
                self.kubectl(*wait)
            except ControlPlaneError as error:
                if NO_CONDITIONS_YET not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(POLL_SECONDS)
            else:
                return

    def kubeconfig_for_token(self, user: str, token: str) -> Path:
        """A kubeconfig for a bearer token; `user` names the file."""
        return self._access.write_kubeconfig(user, token)

    def kubeconfig_of_service_account(self, namespace: str, name: str) -> Path:
        """A kubeconfig that works as the service account, which must exist."""
        token = self.kubectl("create", "token", name, f"--namespace={namespace}").stdout.strip()
        return self.kubeconfig_for_token(f"{namespace}.{name}", token)

    def start_controller_manager(self) -> None:
        """Start the controller manager beside a running API server, building it first if it is not cached."""
        servers = require_servers(self._servers)
        program = programs_for([Program.CONTROLLER_MANAGER], self._environ)[Program.CONTROLLER_MANAGER]
        servers.start_controller_manager(program)

    def stop_apiserver(self, grace: float = GRACE_SECONDS) -> None:
        """Stop the API server: connections are refused until `start_apiserver`; `grace=0` kills it at once."""
        require_servers(self._servers).stop(Program.APISERVER, grace)

    def start_apiserver(self) -> None:
        """Start the API server again, at the same address with the same data, and wait until it is ready."""
        require_servers(self._servers).start_apiserver()

    def restart_apiserver(self, grace: float = GRACE_SECONDS) -> None:
        """An outage as short as it can be."""
        self.stop_apiserver(grace)
        self.start_apiserver()

    def audit_mark(self) -> int:
        """A place in the audit log, for `audit_events`."""
        return log_size(require_servers(self._servers).layout.audit_log)

    def audit_events(self, since: int = 0) -> list[AuditEvent]:
        """Requests answered so far, or since an `audit_mark`; empty unless started with `audit_log=True`.

        A request whose reply the client has read is in the log.
        """
        return read_events(require_servers(self._servers).layout.audit_log, since)

    def close(self) -> None:
        """End what was started and remove this run's files; a second call does nothing."""
        if self._servers is not None:
            if self._environ.get(KEPT_VARIABLE):
                keep_logs(self.directory, Path(self._environ[KEPT_VARIABLE]))
            self._servers.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        """Use the control plane inside a `with` block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self.close()


def require_servers(servers: Servers | None) -> Servers:
    """The servers, if they are ours; raises NotOurClusterError otherwise."""
    if servers is None:
        raise NotOurClusterError("This needs a control plane of our own to stop and start: unset KUBECONFIG.")
    return servers


def require_ours(control_plane: ControlPlane) -> None:
    """The guard of destructive tests: raises NotOurClusterError unless this run started the cluster."""
    if not control_plane.started_by_us:
        raise NotOurClusterError(
            f"This would destroy things in {control_plane.url}, which this run did not start: unset KUBECONFIG."
        )


__all__ = ["AuditEvent", "ControlPlane", "ControlPlaneError", "NotOurClusterError", "require_ours"]
