"""Reading credentials: exec plugins, token files and certificates, and the words for what cannot be read."""

import asyncio
import os
from pathlib import Path

import pytest

from peerdb_operator.errors import KubeError
from peerdb_operator.kube.kubeconfig import KubeAccess, read_access
from tests.unit.clients.kube_files import ANOTHER, LOOPBACK, a_credential, a_kubeconfig, a_plugin

BETA = "client.authentication.k8s.io/v1beta1"


def reading(kubeconfig: str) -> KubeAccess:
    return asyncio.run(read_access(kubeconfig, plugin_seconds=10.0))


def refusal(kubeconfig: str, *, seconds: float = 10.0) -> str:
    with pytest.raises(KubeError) as caught:
        asyncio.run(read_access(kubeconfig, plugin_seconds=seconds))
    return str(caught.value)


def test_a_plugin_gives_a_certificate_which_comes_before_that_of_a_file(tmp_path: Path) -> None:
    given = a_credential(clientCertificateData=LOOPBACK.read_text(), clientKeyData=LOOPBACK.read_text())
    user: dict[str, object] = {
        "exec": a_plugin(tmp_path, given),
        "client-certificate": str(ANOTHER),
        "client-key": str(ANOTHER),
    }

    access = reading(a_kubeconfig(tmp_path / "config", user))

    assert access.authorization is None
    assert access.certificate == access.key == LOOPBACK.read_bytes()


def test_a_plugin_gets_its_arguments_its_variables_and_no_terminal(tmp_path: Path) -> None:
    script = 'printf \'{"apiVersion":"%s","status":{"token":"%s"}}\' "$API" "$1$(wc -c | tr -d " ")"'
    plugin = a_plugin(tmp_path, script=script)
    plugin |= {"args": ["arg"], "env": [{"name": "API", "value": str(plugin["apiVersion"])}]}

    assert reading(a_kubeconfig(tmp_path / "config", {"exec": plugin})).authorization == "Bearer arg0"


def test_a_relative_command_counts_from_the_folder_of_the_kubeconfig(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    for folder in (home / "bin", elsewhere):
        folder.mkdir(parents=True)
    plugin = {**a_plugin(home / "bin", a_credential(token="abc")), "command": "./bin/plugin"}
    kubeconfig = a_kubeconfig(home / "config", {"exec": plugin})
    monkeypatch.chdir(elsewhere)

    assert reading(kubeconfig).authorization == "Bearer abc"


def test_a_bare_command_is_looked_for_in_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = {**a_plugin(tmp_path, a_credential(token="abc")), "command": "plugin"}
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    assert reading(a_kubeconfig(tmp_path / "config", {"exec": plugin})).authorization == "Bearer abc"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo session has expired password=hunter2 >&2; exit 3", "ended with 3: session has expired password=***"),
        ("exit 1", "plugin ended with 1"),
        ("echo nonsense", "did not print an ExecCredential"),
        ("echo []", "did not print an ExecCredential"),
        ('echo \'{"kind": "ExecCredential"}\'', "did not print an ExecCredential"),
        (f'echo \'{{"apiVersion": "{BETA}", "status": {{"token": "x"}}}}\'', f"speaks {BETA}, not client"),
        (
            'echo \'{"apiVersion": "client.authentication.k8s.io/v1", "status": {"token": ""}}\'',
            "gave neither token nor clientCertificateData",
        ),
    ],
)
def test_the_reason_is_said_when_a_plugin_gives_no_credentials(tmp_path: Path, script: str, words: str) -> None:
    said = refusal(a_kubeconfig(tmp_path / "config", {"exec": a_plugin(tmp_path, script=script)}))

    assert f"The kubeconfig {tmp_path / 'config'} cannot be used: exec: " in said
    assert words in said


def test_a_plugin_that_is_not_installed_is_named_with_the_hint_of_the_kubeconfig(tmp_path: Path) -> None:
    plugin = {"apiVersion": BETA, "command": "no-such-plugin", "installHint": "get it from x"}

    said = refusal(a_kubeconfig(tmp_path / "config", {"exec": plugin}))

    assert "exec: no-such-plugin cannot be started (No such file or directory): get it from x." in said


def test_a_plugin_that_does_not_end_is_ended(tmp_path: Path) -> None:
    plugin = a_plugin(tmp_path, script='echo $$ > "$(dirname "$0")/pid"; exec sleep 60')

    said = refusal(a_kubeconfig(tmp_path / "config", {"exec": plugin}), seconds=1.0)

    assert "did not end within 1 s" in said
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.parametrize("content", ["", "\n"])
def test_an_empty_token_file_is_not_taken_for_a_user_without_credentials(tmp_path: Path, content: str) -> None:
    token = tmp_path / "token"
    token.write_text(content)

    assert "the token file is empty" in refusal(a_kubeconfig(tmp_path / "config", {"tokenFile": str(token)}))


def test_a_user_without_credentials_is_nobody(tmp_path: Path) -> None:
    assert reading(a_kubeconfig(tmp_path / "config", {})).authorization is None


def test_certificates_are_read_as_they_are_now(tmp_path: Path) -> None:
    file = tmp_path / "tls.pem"
    user: dict[str, object] = {"client-certificate": str(file), "client-key": str(file)}
    kubeconfig = a_kubeconfig(tmp_path / "config", user, {"certificate-authority": str(file)})
    file.write_bytes(LOOPBACK.read_bytes())
    first = reading(kubeconfig)
    file.write_bytes(ANOTHER.read_bytes())
    second = reading(kubeconfig)

    assert first.certificate == first.authority == LOOPBACK.read_bytes()
    assert second.certificate == second.authority == ANOTHER.read_bytes()
    assert second.has_tls_of(second)
    assert not second.has_tls_of(first)


def test_an_empty_authority_is_not_taken_for_that_of_the_system(tmp_path: Path) -> None:
    file = tmp_path / "ca.crt"
    file.write_text("")
    access = reading(a_kubeconfig(tmp_path / "config", {"token": "x"}, {"certificate-authority": str(file)}))

    with pytest.raises(KubeError, match="the certificate authority is empty"):
        access.tls()
