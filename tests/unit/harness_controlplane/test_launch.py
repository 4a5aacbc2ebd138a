"""The choice of a cluster and of programs, the guard of destructive steps, and failed starts."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.controlplane.assets import programs_for
from tests.harness.controlplane.errors import ControlPlaneError, NotOurClusterError
from tests.harness.controlplane.launch import ControlPlane, require_ours
from tests.harness.controlplane.recipe import DEMO_PROGRAMS
from tests.unit.harness_controlplane.support import FakeGo, a_kubectl, a_process, an_environment, an_executable

CONFIG = {
    "clusters": [{"cluster": {"server": "https://users.example:6443", "certificate-authority-data": "Y2VydA=="}}],
    "users": [{"user": {"token": "users-token"}}],
}
SERVER = "#!/bin/sh\necho 'flag provided but not defined' >&2\nexit 1\n"


def users_environment(folder: Path, *, words: str = "", code: int = 0) -> dict[str, str]:
    """An environment with a KUBECONFIG and a kubectl."""
    a_kubectl(folder / "bin", output=json.dumps(CONFIG), words=words, code=code)
    return an_environment(folder, path=folder / "bin", KUBECONFIG=str(folder / "users.kubeconfig"))


def test_the_users_cluster_is_used_and_nothing_built_when_kubeconfig_is_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ControlPlane.start(environ=users_environment(tmp_path)) as control_plane:
        assert not control_plane.started_by_us
        assert control_plane.url == "https://users.example:6443"
        assert control_plane.admin_token == "users-token"
        assert control_plane.ca_file is not None
        assert control_plane.ca_file.read_bytes() == b"cert"
        assert json.loads(control_plane.kubeconfig.read_text(encoding="utf-8")) == CONFIG
        assert json.loads(control_plane.kubectl("anything").stdout) == CONFIG
        directory = control_plane.directory

    assert not directory.exists()
    assert not (tmp_path / "home").exists()
    assert "Using the cluster of KUBECONFIG at https://users.example:6443" in capsys.readouterr().err


@pytest.mark.parametrize(
    "step",
    [
        require_ours,
        ControlPlane.stop_apiserver,
        ControlPlane.start_apiserver,
        ControlPlane.restart_apiserver,
        ControlPlane.start_controller_manager,
        ControlPlane.audit_events,
        ControlPlane.audit_mark,
    ],
)
def test_a_destructive_step_is_refused_when_the_cluster_is_not_ours(
    tmp_path: Path, step: Callable[[ControlPlane], object]
) -> None:
    with (
        ControlPlane.start(environ=users_environment(tmp_path)) as control_plane,
        pytest.raises(NotOurClusterError, match="unset KUBECONFIG"),
    ):
        step(control_plane)


def test_the_users_programs_are_used_and_nothing_built_when_assets_are_named(tmp_path: Path) -> None:
    for program in DEMO_PROGRAMS:
        an_executable(tmp_path / "assets" / program.value, SERVER)
    go = FakeGo(tmp_path / "bin")
    environ = an_environment(tmp_path, path=go.folder, KUBEBUILDER_ASSETS=str(tmp_path / "assets"))

    found = programs_for(DEMO_PROGRAMS, environ)

    assert found == {program: tmp_path / "assets" / program.value for program in DEMO_PROGRAMS}
    assert go.calls("build") == []
    assert not (tmp_path / "home").exists()


def test_the_sentence_names_what_is_missing_when_the_users_folder_is_incomplete(tmp_path: Path) -> None:
    an_executable(tmp_path / "etcd", SERVER)
    (tmp_path / "kubectl").write_text("not executable", encoding="utf-8")

    with pytest.raises(ControlPlaneError, match="without an executable kubectl, kube-apiserver: complete or unset it"):
        programs_for(DEMO_PROGRAMS, an_environment(tmp_path, KUBEBUILDER_ASSETS=str(tmp_path)))


def test_the_last_words_are_told_and_nothing_is_left_when_a_server_does_not_start(tmp_path: Path) -> None:
    for program in DEMO_PROGRAMS:
        an_executable(tmp_path / "assets" / program.value, SERVER)
    (tmp_path / "runs").mkdir()
    environ = an_environment(tmp_path, KUBEBUILDER_ASSETS=str(tmp_path / "assets"), TMPDIR=str(tmp_path / "runs"))

    with a_process("-m", "tests.harness.controlplane", environ=environ) as run:
        printed, said = run.communicate()

    assert run.returncode == 1
    assert printed == ""
    assert "stopped while starting. Its last words:\n  flag provided but not defined\n" in said
    assert list((tmp_path / "runs").iterdir()) == []
