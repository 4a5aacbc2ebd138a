"""The command line: flags, words and exit codes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from peerdb_operator import __main__, __version__
from peerdb_operator.settings import Settings, flag_of, variable_of
from tests.unit.clients.kube_files import a_kubeconfig

ROOT = Path(__file__).parents[2]
URL = "http://flow-api:8113"


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(variable_of(name), raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


def test_the_version_is_printed_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        __main__.run_command(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"peerdb-operator {__version__}\n"


def test_every_setting_but_the_password_has_a_flag_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        __main__.run_command(["run", "--help"])
    assert end.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name in Settings.model_fields:
        assert (flag_of(name) + " VALUE" in shown) is (name != "peerdb_password"), name
        assert variable_of(name) in shown, name
    assert "Default: 10." in shown


def test_secrets_of_the_environment_never_show_in_the_help(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEERDB_PASSWORD", "hunter2")
    with pytest.raises(SystemExit):
        __main__.run_command(["run", "--help"])
    assert "hunter2" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [[], ["walk"], ["run", "--peerdb-password", "x"], ["run", "--no-such-flag", "x"], ["run", "--tick", "3"]],
)
def test_a_wrong_command_line_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        __main__.run_command(arguments)
    assert end.value.code == 2
    assert "usage: peerdb-operator" in capsys.readouterr().err


def test_a_bad_value_ends_with_2_and_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.run_command(["run", "--peerdb-url", URL, "--tick-seconds", "0"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("peerdb-operator: --tick-seconds (PEERDB_OPERATOR_TICK_SECONDS): '0': ")


def in_a_process(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the real program: it replaces the log handlers of its process."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("KUBE", "PEERDB"))}
    return subprocess.run(
        [sys.executable, "-m", "peerdb_operator", *arguments],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": "operator"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_program_ends_with_2_and_a_sentence_when_there_is_no_cluster() -> None:
    ended = in_a_process("run", "--peerdb-url", URL)
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].endswith("set --kubeconfig (KUBECONFIG).")
    assert "Traceback" not in ended.stderr


def test_the_program_ends_with_2_and_a_sentence_when_the_password_can_never_match(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("пароль", encoding="utf-8")
    ended = in_a_process("run", "--peerdb-url", URL, "--peerdb-password-file", str(password))
    assert ended.returncode == 2
    assert "Latin-1" in ended.stderr
    assert "пароль" not in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ({"exec": {"apiVersion": "v1", "command": "./login"}}, "exec: ./login cannot be started"),
        ({"tokenFile": "token"}, "No such file or directory: '{folder}/token'"),
        ({"client-certificate": "tls.crt"}, "File does not exists: {folder}/tls.crt"),
    ],
)
def test_the_program_ends_with_2_and_the_reason_when_there_are_no_credentials(
    tmp_path: Path, user: dict[str, object], words: str
) -> None:
    kubeconfig = a_kubeconfig(tmp_path / "config", user)
    ended = in_a_process("run", "--peerdb-url", URL, "--kubeconfig", kubeconfig)
    assert ended.returncode == 2
    assert f"The kubeconfig {kubeconfig} cannot be used: " in ended.stderr
    assert words.format(folder=tmp_path) in ended.stderr
    assert "Traceback" not in ended.stderr
