"""The command that builds Helm and promtool: what it prints, two at once, and interruptions."""

import signal
from pathlib import Path

import pytest

from tests.harness.gotools.cache import STAGING_PREFIX
from tests.unit.harness_controlplane.support import FakeGo, Gate, a_process, an_environment

TOOLS = ("-m", "tests.harness.gotools")


def built_files(home: Path) -> set[str]:
    """Names of all files in the cache but locks."""
    return {path.name for path in home.rglob("*") if path.is_file() and path.name != ".lock"}


@pytest.mark.parametrize(
    ("names", "printed"), [((), ["helm", "promtool"]), (("promtool",), ["promtool"]), (("helm",), ["helm"])]
)
def test_the_paths_are_printed_when_the_tools_are_built(
    tmp_path: Path, names: tuple[str, ...], printed: list[str]
) -> None:
    go = FakeGo(tmp_path / "bin")

    with a_process(*TOOLS, *names, environ=an_environment(tmp_path, path=go.folder)) as run:
        paths, said = run.communicate()

    assert run.returncode == 0, said
    assert [Path(path).name for path in paths.splitlines()] == printed
    assert all(Path(path).is_file() for path in paths.splitlines())
    assert built_files(tmp_path / "home") == {name + end for name in printed for end in ("", ".sha256")}


def test_one_build_is_enough_when_two_workers_ask_at_once(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    go = FakeGo(tmp_path / "bin", gate=gate.path)
    environ = an_environment(tmp_path, path=go.folder)

    with a_process(*TOOLS, "helm", environ=environ) as first:
        gate.wait()
        with a_process(*TOOLS, "helm", environ=environ) as second:
            assert second.stderr is not None
            waiting = second.stderr.readline()
            gate.open()
            paths = {process.communicate()[0] for process in (first, second)}

    assert waiting == "Another build of helm is under way; waiting for it.\n"
    assert (first.returncode, second.returncode) == (0, 0)
    assert len(paths) == 1
    assert len(go.calls("build")) == 1


@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_was_done_stays_and_nothing_half_made_is_left_when_it_is_interrupted(
    tmp_path: Path, ended_by: signal.Signals
) -> None:
    with a_process(
        *TOOLS, "helm", environ=an_environment(tmp_path, path=FakeGo(tmp_path / "bin").folder)
    ) as done_before:
        done_before.communicate()
    gate = Gate(tmp_path / "gate")
    go = FakeGo(tmp_path / "bin", gate=gate.path)

    with a_process(*TOOLS, environ=an_environment(tmp_path, path=go.folder)) as run:
        gate.wait()
        run.send_signal(ended_by)
        _, said = run.communicate()

    assert run.returncode == 130
    assert "Interrupted; nothing half-made is left." in said
    assert built_files(tmp_path / "home") == {"helm", "helm.sha256"}
    assert not list((tmp_path / "home").rglob(f"{STAGING_PREFIX}*"))


def test_it_exits_1_with_a_sentence_when_a_tool_cannot_be_had(tmp_path: Path) -> None:
    with a_process(*TOOLS, environ=an_environment(tmp_path, HELM="/no/such/helm")) as run:
        printed, said = run.communicate()

    assert run.returncode == 1
    assert printed == ""
    assert said == "HELM is /no/such/helm, which is no executable program: correct or unset it.\n"


def test_the_names_are_told_when_an_unknown_one_is_given(tmp_path: Path) -> None:
    with a_process(*TOOLS, "kubectl", environ=an_environment(tmp_path)) as run:
        _, said = run.communicate()

    assert run.returncode == 2
    assert "there is no kubectl; there are helm, promtool" in said
