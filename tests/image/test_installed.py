"""What lies in the image: the locked packages and the operator, readable by anybody, compiled, and nothing else."""

import json
import re
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from peerdb_operator import __version__
from tests.harness.locks import pins
from tests.image.installed import Image
from tests.image.instructions import ROOT, read
from tests.image.playing import BuildError, Player

LOCK = ROOT / "requirements.lock"
PACKAGE = ROOT / "operator" / "peerdb_operator"
LISTED = """
import importlib.metadata, json, re
found = importlib.metadata.distributions()
print(json.dumps({re.sub("[-_.]+", "-", each.name.lower()): each.version for each in found}))
"""
UNCHECKED = b"\1\0\0\0"
"""The flags of bytecode that is never compared with its source: bytes 4 to 8."""


@pytest.fixture(scope="module")
def packages(image: Image) -> Path:
    """The folder of the installed packages."""
    [found] = (image.path("/opt/venv") / "lib").glob("python*/site-packages")
    return found


def locked() -> dict[str, str]:
    """The pins for this interpreter's world: those that are bound to another platform are marked in the lock."""
    return {pin.name.replace(".", "-"): pin.version for pin in pins(LOCK) if not pin.marker}


def test_exactly_what_is_locked_is_installed_with_the_operator(image: Image) -> None:
    told = image.call([str(image.python), "-c", LISTED])

    assert told.stderr == ""
    installed = json.loads(told.stdout)
    assert installed.pop("peerdb-operator") == __version__
    assert locked().items() <= installed.items()
    marked = {pin.name.replace(".", "-") for pin in pins(LOCK) if pin.marker}
    assert set(installed) - set(locked()) <= marked


def test_the_operator_is_there_as_it_is_in_the_tree(packages: Path) -> None:
    wanted = {path.relative_to(PACKAGE) for path in PACKAGE.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    there = packages / "peerdb_operator"

    assert {path.relative_to(there) for path in there.rglob("*") if path.is_file() and path.suffix != ".pyc"} == wanted
    assert all((there / path).read_bytes() == (PACKAGE / path).read_bytes() for path in wanted)
    assert Path("py.typed") in wanted


def test_no_module_has_to_be_compiled_when_the_operator_starts(packages: Path) -> None:
    compiled = [
        Path(path).parent / "__pycache__" / f"{Path(path).stem}.cpython"
        for path in map(str, packages.rglob("*.py"))
        if "/peerdb_operator/" in path or "/kopf/" in path or "/kubernetes/aio/" in path
    ]
    found = {str(path).rsplit("-", 1)[0]: path for path in packages.rglob("*.pyc")}

    assert compiled
    assert [path for path in compiled if str(path) not in found] == []
    assert {path.read_bytes()[4:8] for path in found.values()} == {UNCHECKED}


def test_any_user_may_read_everything_and_none_may_write(image: Image) -> None:
    modes = {path: state[0] for path, state in image.state().items() if not stat.S_ISLNK(state[0])}
    readable = stat.S_IROTH

    assert [path for path, mode in modes.items() if not mode & readable] == []
    assert [path for path, mode in modes.items() if stat.S_ISDIR(mode) and not mode & stat.S_IXOTH] == []
    assert [path for path, mode in modes.items() if mode & (stat.S_ISUID | stat.S_ISGID)] == []


def test_nothing_of_the_build_is_left(image: Image) -> None:
    assert [path.name for path in image.folder.iterdir()] == ["opt"]
    assert [path.name for path in image.path("/opt").iterdir()] == ["venv"]
    assert not list(image.path("/opt/venv").glob("lib/python*/site-packages/pip*"))
    assert not list(image.path("/opt/venv").glob("lib/python*/site-packages/hatchling*"))


def test_the_build_fails_with_a_sentence_when_the_version_is_not_the_package_s(tmp_path: Path) -> None:
    stage = read().build
    wrong = tuple(replace(step, text="VERSION=9.9.9") if step.keyword == "ARG" else step for step in stage.instructions)

    with pytest.raises(BuildError, match=f"VERSION is 9.9.9, but this is peerdb-operator {re.escape(__version__)}"):
        Player(replace(stage, instructions=wrong), tmp_path).play()
