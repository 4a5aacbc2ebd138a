"""Composition: what of the environment reaches the clients, what stops the start, and what is closed then."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from peerdb_operator.app import build_app
from peerdb_operator.errors import KubeError
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
    await app.opened.aclose()


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


def senders() -> set[threading.Thread]:
    """The threads that send traces."""
    return {thread for thread in threading.enumerate() if "Span" in thread.name}


@pytest.mark.parametrize("fault", ["kubeconfig", "peerdb_ca_file"])
def test_what_is_open_is_closed_when_a_later_part_cannot_be_made(
    kubeconfig: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    bad = tmp_path / "bad"
    bad.write_text("{nonsense")
    before = senders()

    settings = Settings(
        peerdb_url="https://peerdb.test",
        tracing=True,
        kubeconfig=str(bad) if fault == "kubeconfig" else kubeconfig,
        peerdb_ca_file=bad if fault == "peerdb_ca_file" else None,
    )
    with pytest.raises((KubeError, ValueError), match=r"cannot be used|certificate"):
        asyncio.run(build_app(settings))

    assert senders() <= before


COUNTING = """
import gc
from peerdb_operator.app import run_operator
from peerdb_operator.settings import Settings

assert run_operator(Settings(peerdb_url="http://peerdb.test", kubeconfig="/nowhere")) == 2
gc.collect()
before = sum(each["collections"] for each in gc.get_stats())
kept = [[] for _ in range(20_000)]
print(sum(each["collections"] for each in gc.get_stats()) - before, any(each is Settings for each in gc.get_objects()))
"""


def test_cycles_are_looked_for_once_in_two_thousand_objects_and_not_among_what_was_imported() -> None:
    run = subprocess.run([sys.executable, "-c", COUNTING], check=True, capture_output=True, text=True)
    collections, sees_imported = run.stdout.split()
    assert int(collections) <= 10  # with Python's own threshold 28
    assert sees_imported == "False"
