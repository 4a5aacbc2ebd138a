"""Kubeconfigs, exec plugins and certificates for tests of credentials."""

import json
from pathlib import Path

VERSION = "client.authentication.k8s.io/v1"
LOOPBACK = Path(__file__).with_name("loopback.pem")
ANOTHER = Path(__file__).with_name("another.pem")
"""Both: a key and a certificate for 127.0.0.1 that is its own authority, for servers and for clients."""


def a_kubeconfig(path: Path, user: dict[str, object], cluster: dict[str, object] | None = None) -> str:
    """Write a kubeconfig (JSON is YAML) and return its path."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": "https://127.0.0.1:6443/", **(cluster or {})}}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(json.dumps(content))
    return str(path)


def a_credential(**status: str) -> dict[str, object]:
    return {"apiVersion": VERSION, "kind": "ExecCredential", "status": status}


def a_plugin(folder: Path, answer: dict[str, object] | None = None, *, script: str = "") -> dict[str, object]:
    """Install a plugin that prints ``answer`` or runs ``script``; returns what a kubeconfig says about it."""
    (folder / "answer.json").write_text(json.dumps(answer))
    plugin = folder / "plugin"
    plugin.write_text(f"#!/bin/sh\n{script or 'cat ' + str(folder / 'answer.json')}\n")
    plugin.chmod(0o755)
    return {"apiVersion": VERSION, "command": str(plugin), "interactiveMode": "Never"}
