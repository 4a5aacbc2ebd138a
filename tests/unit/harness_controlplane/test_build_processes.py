"""Builds as processes of their own: two at once, and interruptions of every kind."""

import signal
from pathlib import Path

import pytest

from tests.harness.controlplane.recipe import DEMO_PROGRAMS
from tests.harness.gotools.cache import STAGING_PREFIX
from tests.unit.harness_controlplane.support import FakeGo, Gate, a_process, an_environment

BUILD = ("-m", "tests.harness.controlplane", "--build-only")


def built_files(home: Path) -> set[str]:
    """Names of all files in the cache but locks."""
    return {path.name for path in home.rglob("*") if path.is_file() and path.name != ".lock"}


def test_one_build_is_enough_when_two_are_asked_for_at_once(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    go = FakeGo(tmp_path / "bin", gate=gate.path)
    environ = an_environment(tmp_path, path=go.folder)

    with a_process(*BUILD, environ=environ) as first:
        gate.wait()
        with a_process(*BUILD, environ=environ) as second:
            assert second.stderr is not None
            waiting = second.stderr.readline()
            gate.open()
            folders = {process.communicate()[0] for process in (first, second)}
            codes = (first.returncode, second.returncode)

    assert waiting == "Another build of the control plane is under way; waiting for it.\n"
    assert codes == (0, 0)
    assert len(folders) == 1
    assert len(go.calls("build")) == 1
    assert built_files(tmp_path / "home") == {
        name for program in DEMO_PROGRAMS for name in (program.value, f"{program.value}.sha256")
    }


@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_nothing_half_made_is_left_when_a_build_is_interrupted(tmp_path: Path, ended_by: signal.Signals) -> None:
    gate = Gate(tmp_path / "gate")
    go = FakeGo(tmp_path / "bin", gate=gate.path)

    with a_process(*BUILD, environ=an_environment(tmp_path, path=go.folder)) as build:
        gate.wait()
        assert built_files(tmp_path / "home") == {"server"}
        build.send_signal(ended_by)
        build.communicate()

    assert build.returncode == 130
    assert built_files(tmp_path / "home") == set()
    assert not list((tmp_path / "home").rglob(f"{STAGING_PREFIX}*"))
