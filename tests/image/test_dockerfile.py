"""The Dockerfile itself: clean, pinned, unprivileged, and copying only what it may."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from peerdb_operator import __version__
from tests.harness.locks import pins
from tests.image.instructions import FILE, ROOT, Dockerfile, read

PINNED = re.compile(r"python:3\.\d+\.\d+-slim-[a-z]+@sha256:[0-9a-f]{64}")
ABSOLUTE = re.compile(r"(?<![\w.$}/*-])/\w+")
PLAYED = {"ARG", "ENV", "WORKDIR", "COPY", "RUN"}
LABELS = {"title", "description", "licenses", "version", "base.name", "base.digest"}


def packages(lock: str) -> dict[str, frozenset[str]]:
    """The pins of a lock file with their hashes."""
    return {f"{pin.name}=={pin.version}": pin.hashes for pin in pins(ROOT / lock)}


@pytest.fixture(scope="module")
def dockerfile() -> Dockerfile:
    return read()


def hadolint(path: Path) -> "subprocess.CompletedProcess[str]":
    program = Path(sys.executable).with_name("hadolint")
    return subprocess.run([program, "--no-color", path], capture_output=True, text=True, check=False)


def test_hadolint_finds_nothing() -> None:
    told = hadolint(FILE)

    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")
    assert "hadolint ignore" not in FILE.read_text(encoding="utf-8")


def test_hadolint_finds_something_when_a_base_has_no_version(tmp_path: Path) -> None:
    wrong = tmp_path / "Dockerfile"
    wrong.write_text("FROM python\n", encoding="utf-8")

    assert "DL3006" in hadolint(wrong).stdout


def test_both_stages_stand_on_one_base_that_is_pinned(dockerfile: Dockerfile) -> None:
    assert [stage.base for stage in dockerfile.stages] == ["${BASE}", "${BASE}"]
    assert PINNED.fullmatch(dockerfile.arguments["BASE"])


def test_the_container_is_a_user_without_a_name_and_starts_without_a_shell(dockerfile: Dockerfile) -> None:
    final = dockerfile.final

    assert final.all("USER")[-1].text == "65532:65532"
    assert final.all("RUN") == []
    assert [final.all(each)[-1].text[0] for each in ("ENTRYPOINT", "CMD")] == ["[", "["]
    assert final.instructions.index(final.all("USER")[-1]) > final.instructions.index(final.all("COPY")[-1])


def test_everything_is_installed_by_hash_or_from_what_was_just_built(dockerfile: Dockerfile) -> None:
    installs = [part for run in dockerfile.build.all("RUN") for part in run.text.split(" && ") if " install " in part]

    assert len(installs) == 3
    assert all(
        "--require-hashes --requirement requirements" in each or "--no-deps --no-index" in each for each in installs
    )
    assert dockerfile.build.merged("ENV")["PIP_ONLY_BINARY"] == ":all:"


def test_what_builds_the_wheel_is_what_developers_have() -> None:
    build, developers = packages("requirements-build.lock"), packages("requirements-dev.lock")
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]

    assert build
    assert {pin: developers.get(pin) for pin in build} == build
    assert {re.split(r"[<>=]", each)[0] for each in asked} <= {pin.partition("==")[0] for pin in build}


def test_the_build_stage_keeps_to_what_the_tests_can_play(dockerfile: Dockerfile) -> None:
    text = " ".join(run.text for run in dockerfile.build.all("RUN"))

    assert {each.keyword for each in dockerfile.build.instructions} <= PLAYED
    assert set(ABSOLUTE.findall(text)) <= {"/opt", "/src"}


def test_the_builder_sees_exactly_what_is_copied(dockerfile: Dockerfile) -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    rules = [line for line in lines if line and not line.startswith("#")]
    copied = {source for step in dockerfile.build.all("COPY") for source in step.words[:-1]}

    assert rules[0] == "*"
    assert {rule.removeprefix("!") for rule in rules if rule.startswith("!")} == copied
    assert [source for source in copied if not (ROOT / source).exists()] == []


def test_the_labels_are_complete_and_tell_the_version_of_the_package(dockerfile: Dockerfile) -> None:
    labels = {
        key.removeprefix("org.opencontainers.image."): value for key, value in dockerfile.final.merged("LABEL").items()
    }

    assert set(labels) == LABELS
    assert labels["version"] == "${VERSION}"
    assert labels["base.name"] == "${BASE}"
    assert labels["base.digest"] == dockerfile.arguments["BASE"].partition("@")[2]
    assert [stage.merged("ARG")["VERSION"] for stage in dockerfile.stages] == [__version__, __version__]


def test_the_ports_are_the_defaults_of_the_settings(dockerfile: Dockerfile) -> None:
    from peerdb_operator.settings import Settings

    wanted = {str(Settings.model_fields[name].default) for name in ("health_port", "metrics_port")}

    assert set(dockerfile.final.all("EXPOSE")[-1].words) == wanted
