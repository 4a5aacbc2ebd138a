"""Composition: what of the environment reaches the clients, and what stops the start."""

import asyncio
from pathlib import Path

import pytest

from peerdb_operator.app import build_app
from peerdb_operator.settings import Settings

KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://kube.test:6443"}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
users: [{name: u, user: {token: t}}]
current-context: c
"""


@pytest.fixture
def kubeconfig(tmp_path: Path) -> str:
    path = tmp_path / "kubeconfig"
    path.write_text(KUBECONFIG)
    return str(path)


async def build(settings: Settings) -> None:
    app = await build_app(settings)
    await app.transport.aclose()
    await app.kube.close()


def test_a_proxy_of_the_environment_leads_to_peerdb_and_is_logged_without_its_password(
    kubeconfig: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://me:hunter2@proxy:3128")

    with caplog.at_level("INFO"):
        asyncio.run(build(Settings(peerdb_url="http://peerdb.test", kubeconfig=kubeconfig)))

    assert "PeerDB is asked through the proxy http://proxy:3128" in caplog.messages


def test_the_proxy_of_the_settings_wins_over_the_environment(
    kubeconfig: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://other:1")
    monkeypatch.setenv("NO_PROXY", "*")

    with caplog.at_level("INFO"):
        asyncio.run(
            build(Settings(peerdb_url="http://peerdb.test", peerdb_proxy="http://proxy:3128", kubeconfig=kubeconfig))
        )

    assert "PeerDB is asked through the proxy http://proxy:3128" in caplog.messages


def test_a_proxy_that_speaks_no_http_stops_the_start(kubeconfig: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "socks5://proxy:1080")

    with pytest.raises(ValueError, match="HTTP_PROXY is no address of an HTTP proxy"):
        asyncio.run(build(Settings(peerdb_url="http://peerdb.test", kubeconfig=kubeconfig)))
