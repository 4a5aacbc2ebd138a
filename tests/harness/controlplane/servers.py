"""The running programs of one control plane: their start, readiness, outage and end.

Owns the order of things and the waiting. Command lines are in `commands.py`; what keeps the programs from outliving the
run is in `keeper.py`; the handle that tests use is in `launch.py`.
"""

import contextlib
import http.client
import secrets
import shutil
import ssl
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.harness.controlplane import commands
from tests.harness.controlplane.access import Access
from tests.harness.controlplane.errors import ControlPlaneError
from tests.harness.controlplane.ports import LOOPBACK, Reservation
from tests.harness.controlplane.recipe import Program
from tests.harness.controlplane.supervision import Supervision

READY_SECONDS = 120.0
POLL_SECONDS = 0.05
REQUEST_SECONDS = 5.0
LOG_LINES = 15
PORTS = 3
STARTED_NAMESPACE = "/api/v1/namespaces/default"


def new_run_directory(undo: contextlib.ExitStack) -> Path:
    """A folder only we can read, removed when `undo` closes."""
    folder = Path(tempfile.mkdtemp(prefix="control-plane-"))
    undo.callback(shutil.rmtree, folder, ignore_errors=True)
    return folder


class Servers:
    """Etcd, kube-apiserver and, when asked for, kube-controller-manager of one run."""

    def __init__(self, programs: Mapping[Program, Path], *, service_accounts: bool, audit: bool) -> None:
        """Reserve ports, make credentials and start the keeper; no server runs yet."""
        self._programs = programs
        with contextlib.ExitStack() as undo:
            ports = [undo.enter_context(Reservation()).port for _ in range(PORTS)]
            self.layout = commands.Layout(new_run_directory(undo), *ports)
            self._prepare(service_accounts=service_accounts, audit=audit)
            self.supervision = undo.enter_context(contextlib.closing(Supervision(self.layout.root)))
            self._end = undo.pop_all()

    def _prepare(self, *, service_accounts: bool, audit: bool) -> None:
        """Make the credentials and files of this run, and the API server's command line."""
        self.admin_token = secrets.token_urlsafe(32)
        self._manager_token = secrets.token_urlsafe(32)
        self._apiserver = commands.apiserver_command(
            self._programs[Program.APISERVER], self.layout, service_accounts=service_accounts, audit=audit
        )
        commands.write_private(self.layout.signing_key, commands.new_signing_key())
        commands.write_private(
            self.layout.token_file,
            f'{self.admin_token},admin,admin,"system:masters"\n'
            f'{self._manager_token},controller-manager,controller-manager,"system:masters"\n',
        )
        commands.write_private(self.layout.audit_policy, commands.audit_policy_text())
        self._write_kubeconfig("admin", self.admin_token)

    def _write_kubeconfig(self, user: str, token: str) -> Path:
        path = self.layout.kubeconfig(user)
        commands.write_private(path, commands.kubeconfig_text(self.layout.url, self.layout.ca_file, user, token))
        return path

    def start(self) -> None:
        """Start etcd and the API server and wait until it is ready; raises ControlPlaneError with their last words."""
        self._launch(Program.ETCD, commands.etcd_command(self._programs[Program.ETCD], self.layout))
        self.start_apiserver()

    def start_apiserver(self) -> None:
        """Start the API server, at first or after an outage, and wait until it serves requests."""
        self._launch(Program.APISERVER, self._apiserver)
        self._wait([Program.ETCD, Program.APISERVER], self._serves)

    def stop(self, program: Program, grace: float) -> None:
        """Stop one program: SIGTERM, after `grace` seconds SIGKILL; 0 means SIGKILL at once."""
        self.supervision.stop(program.value, grace)

    def start_controller_manager(self, program: Path) -> None:
        """Start the controllers and wait until they have done their first work, default's service account."""
        kubeconfig = self._write_kubeconfig("controller-manager", self._manager_token)
        self._launch(Program.CONTROLLER_MANAGER, commands.controller_manager_command(program, self.layout, kubeconfig))
        accounts = f"{STARTED_NAMESPACE}/serviceaccounts/default"
        self._wait([Program.APISERVER, Program.CONTROLLER_MANAGER], lambda: self._get(accounts) == http.client.OK)

    def access(self, kubectl: Path) -> Access:
        """The admin's way in."""
        layout = self.layout
        return Access(kubectl, layout.root, layout.kubeconfig("admin"), layout.url, layout.ca_file, self.admin_token)

    def close(self) -> None:
        """End the run: the keeper kills everything and removes the directory."""
        self._end.close()

    def _launch(self, program: Program, argv: list[str]) -> None:
        self.supervision.start(program.value, argv, self.layout.log(program.value))

    def _wait(self, needed: list[Program], ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not ready():
            for program in needed:
                if not self.supervision.running(program.value):
                    raise ControlPlaneError(f"{program.value} stopped while starting. {self._last_words(program)}")
            if time.monotonic() > deadline:
                raise ControlPlaneError(
                    f"The control plane was not ready after {READY_SECONDS:.0f} s. {self._last_words(needed[-1])}"
                )
            time.sleep(POLL_SECONDS)

    def _serves(self) -> bool:
        return self._get("/readyz") == http.client.OK and self._get(STARTED_NAMESPACE) == http.client.OK

    def _get(self, path: str) -> int:
        """Status of a GET as admin; 0 while nobody answers."""
        try:
            trust = ssl.create_default_context(cafile=str(self.layout.ca_file))
            connection = http.client.HTTPSConnection(
                LOOPBACK, self.layout.apiserver_port, timeout=REQUEST_SECONDS, context=trust
            )
        except (OSError, ssl.SSLError):
            return 0
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {self.admin_token}"})
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def _last_words(self, program: Program) -> str:
        try:
            lines = self.layout.log(program.value).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        return "Its last words:\n  " + "\n  ".join(lines[-LOG_LINES:])
