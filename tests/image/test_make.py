"""``make image``: the first builder that works is used, and a sentence says so when there is none."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from peerdb_operator import __version__
from tests.image.instructions import ROOT

NEEDED = ("bash", "sh", "make", "sed", "date", "awk", "env", "python3", "dirname", "sort", "grep")
WORKS = '#!/bin/sh\n[ "$1" = info ] || printf "%s\\n" "$0" "$@" > "$SAID"\n'
BROKEN = '#!/bin/sh\n[ "$1" = info ] && exit 1\nexit 3\n'


ORIGIN = '#!/bin/sh\ncase "$*" in "remote get-url origin") echo "%s" ;; *) echo 0123abcd ;; esac\n'
NO_ORIGIN = '#!/bin/sh\ncase "$*" in "remote get-url origin") exit 2 ;; *) echo 0123abcd ;; esac\n'
LABEL = "--label=org.opencontainers.image."


class Machine:
    """A machine with some builders on its PATH; they write down what they were told."""

    def __init__(self, folder: Path) -> None:
        self._bin = folder / "bin"
        self._bin.mkdir()
        self._said = folder / "said"
        for name in NEEDED:
            (self._bin / name).symlink_to(str(shutil.which(name)))
        self.comes_from(None)

    def comes_from(self, address: str | None) -> None:
        """Say where the checkout was cloned from."""
        (self._bin / "git").unlink(missing_ok=True)
        self.has("git", NO_ORIGIN if address is None else ORIGIN % address)

    def has(self, builder: str, script: str = WORKS) -> None:
        """Install a builder."""
        program = self._bin / builder
        program.write_text(script)
        program.chmod(0o755)

    def make_image(self, *variables: str) -> "subprocess.CompletedProcess[str]":
        """Run ``make image``."""
        environ = {"PATH": str(self._bin), "SAID": str(self._said), "HOME": os.environ["HOME"]}
        return subprocess.run(
            ["make", "image", *variables], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
        )

    @property
    def said(self) -> list[str]:
        """Name and arguments of the builder that was used."""
        first, *rest = self._said.read_text().splitlines()
        return [Path(first).name, *rest]

    @property
    def labels(self) -> dict[str, str]:
        """The labels that the builder was told."""
        told = [each.removeprefix(LABEL).partition("=") for each in self.said if each.startswith(LABEL)]
        return {name: value for name, _, value in told}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("builder", ["docker", "podman", "buildah"])
def test_the_image_is_built_when_there_is_one_builder(machine: Machine, builder: str) -> None:
    machine.has(builder)

    done = machine.make_image("IMAGE=example/operator")

    assert done.returncode == 0, done.stderr
    name, *arguments = machine.said
    assert name == builder
    assert arguments[:5] == [
        "build",
        "--tag",
        f"example/operator:{__version__}",
        "--build-arg",
        f"VERSION={__version__}",
    ]
    assert list(machine.labels) == ["revision", "created"]
    assert arguments[-1] == "."


def test_the_next_builder_is_taken_when_docker_has_no_engine(machine: Machine) -> None:
    machine.has("docker", BROKEN)
    machine.has("podman")

    assert machine.make_image().returncode == 0
    assert machine.said[0] == "podman"


def test_another_base_is_passed_on_when_it_is_named(machine: Machine) -> None:
    machine.has("docker")

    assert machine.make_image("BASE=python:3.13.99-slim@sha256:0123").returncode == 0
    assert "BASE=python:3.13.99-slim@sha256:0123" in machine.said


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("https://github.com/example/operator.git", "https://github.com/example/operator"),
        ("https://somebody:secret@github.com/example/operator", "https://github.com/example/operator"),
        ("git@github.com:example/operator.git", "https://github.com/example/operator"),
        ("ssh://git@github.com/example/operator.git", "https://github.com/example/operator"),
    ],
)
def test_the_source_is_where_the_checkout_comes_from_without_a_secret(
    machine: Machine, address: str, source: str
) -> None:
    machine.has("docker")
    machine.comes_from(address)

    assert machine.make_image().returncode == 0
    assert machine.labels["source"] == source


def test_no_source_is_told_when_the_checkout_comes_from_a_folder(machine: Machine) -> None:
    machine.has("docker")
    machine.comes_from("../elsewhere")

    assert machine.make_image().returncode == 0
    assert "source" not in machine.labels


@pytest.mark.parametrize(("base", "digest"), [("python:3.13.99-slim@sha256:0123", "sha256:0123"), ("python:3.13", "")])
def test_the_digest_of_another_base_takes_the_place_of_the_pinned_one(machine: Machine, base: str, digest: str) -> None:
    machine.has("docker")

    assert machine.make_image(f"BASE={base}").returncode == 0
    assert machine.labels["base.digest"] == digest


def test_a_sentence_says_what_to_do_when_no_builder_works(machine: Machine) -> None:
    machine.has("docker", BROKEN)

    done = machine.make_image()

    assert done.returncode != 0
    assert "install docker, podman or buildah" in done.stderr


def test_make_fails_when_the_builder_fails(machine: Machine) -> None:
    machine.has("docker", BROKEN.replace("exit 1", "exit 0"))

    assert machine.make_image().returncode != 0
