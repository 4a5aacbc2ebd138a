"""The workflows of the forge as data, and a copy of the checkout in which its scripts can be tried."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.image.instructions import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
SCRIPTS = ".github/scripts"
COPIED = (
    "operator/peerdb_operator/__init__.py",
    "charts/peerdb-operator/Chart.yaml",
    "Dockerfile",
    "CHANGELOG.md",
    "docs/gitops/argocd/samples/operator.yaml",
    "docs/gitops/flux/source.yaml",
    f"{SCRIPTS}/version.sh",
    f"{SCRIPTS}/release-notes.sh",
)


def workflow(path: Path) -> Mapping[str, Any]:
    """One workflow; its triggers are under ``triggers``, because YAML 1.1 reads the key ``on`` as true."""
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {("triggers" if key is True else key): value for key, value in found.items()}


def steps(path: Path) -> Iterator[Mapping[str, Any]]:
    """All steps of all jobs."""
    for job in workflow(path)["jobs"].values():
        yield from job["steps"]


@dataclass(frozen=True, slots=True)
class Checkout:
    """The few files that say which version this is, to be changed at will."""

    folder: Path

    @classmethod
    def copy(cls, folder: Path) -> "Checkout":
        """A fresh copy below ``folder``."""
        for name in COPIED:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
        return cls(folder)

    def replace(self, name: str, old: str, new: str) -> None:
        """Change a file; the old words must be there."""
        text = (self.folder / name).read_text(encoding="utf-8")
        assert old in text
        (self.folder / name).write_text(text.replace(old, new), encoding="utf-8")

    def run(self, script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run one of the forge's scripts here."""
        return subprocess.run([self.folder / SCRIPTS / script, *arguments], capture_output=True, text=True, check=False)
