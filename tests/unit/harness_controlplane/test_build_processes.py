"""Builds as processes of their own: two at once, and interruptions of every kind."""

import signal
from pathlib import Path

import pytest

from tests.harness.gotools.cache import STAGING_PREFIX
from tests.unit.harness_controlplane.support import FakeGo, Gate, a_process, an_environment

BUILD = ("-m", "tests.harness.controlplane", "--build-only")


def built_files(home: Path) -> set[str]:
    """Names of all files in the cache but locks."""
    return {path.name for path in home.rglob("*") if path.is_file() and path.name != ".lock"}


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
