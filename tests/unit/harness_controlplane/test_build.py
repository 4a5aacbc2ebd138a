"""The builder: what it asks of Go, what ends up in the cache, and what it says when something fails."""

import hashlib
import io
from pathlib import Path

import pytest

from tests.harness.controlplane.recipe import DEMO_PROGRAMS, MODULE_DIRECTORY, read_recipe
from tests.harness.gotools.errors import ToolError
from tests.unit.harness_controlplane.support import FakeGo, a_builder


def test_programs_and_their_checksums_are_cached_when_the_cache_is_empty(tmp_path: Path) -> None:
    folder = a_builder(tmp_path, FakeGo(tmp_path / "bin")).ensure(DEMO_PROGRAMS)

    assert folder.parent == tmp_path / "home" / ".cache" / "peerdb-operator" / "v1.37.2"
    for program in DEMO_PROGRAMS:
        content = (folder / program.value).read_bytes()
        assert content.startswith(b"binary of ")
        assert (folder / program.value).stat().st_mode & 0o111
        expected = f"{hashlib.sha256(content).hexdigest()}  {program.value}\n"
        assert (folder / f"{program.value}.sha256").read_text(encoding="utf-8") == expected


def test_go_is_not_needed_when_the_cache_holds_the_programs(tmp_path: Path) -> None:
    first = a_builder(tmp_path, FakeGo(tmp_path / "bin")).ensure(DEMO_PROGRAMS)

    output = io.StringIO()
    second = a_builder(tmp_path, None, output).ensure(DEMO_PROGRAMS)

    assert second == first
    assert output.getvalue() == ""


@pytest.mark.parametrize("damage", ["changed", "truncated", "gone", "unrecorded", "unreadable record"])
def test_a_program_is_built_again_when_it_is_not_what_was_built(tmp_path: Path, damage: str) -> None:
    go = FakeGo(tmp_path / "bin")
    builder = a_builder(tmp_path, go)
    program = builder.ensure(DEMO_PROGRAMS) / "etcd"
    good = program.read_bytes()

    match damage:
        case "changed":
            program.write_bytes(good.replace(b"b", b"B"))
        case "truncated":
            program.write_bytes(good[:-1])
        case "gone":
            program.unlink()
        case "unrecorded":
            program.with_name("etcd.sha256").unlink()
        case _:
            program.with_name("etcd.sha256").write_text("", encoding="utf-8")
    builder.ensure(DEMO_PROGRAMS)

    assert program.read_bytes() == good
    assert [argument for argument in go.calls("build")[1] if not argument.startswith("-")] == [
        "build",
        "go.etcd.io/etcd/server/v3",
    ]


def test_nothing_is_left_when_the_build_fails(tmp_path: Path) -> None:
    go = FakeGo(tmp_path / "bin", fails=("build",), words={"build": ["m/x.go:3:1: undefined: y"]})
    builder = a_builder(tmp_path, go)

    with pytest.raises(ToolError, match=r"`go build` failed \(exit 1\)(?s:.*)undefined: y"):
        builder.ensure(DEMO_PROGRAMS)

    assert [path.name for path in builder.cache.directory.iterdir()] == [".lock"]


def test_the_sentence_speaks_of_the_network_when_modules_cannot_be_downloaded(tmp_path: Path) -> None:
    words = ["go: k8s.io/kubernetes@v1.37.2: dial tcp 192.0.2.1:443: connect: connection refused"]
    builder = a_builder(tmp_path, FakeGo(tmp_path / "bin", fails=("list",), words={"list": words}))

    with pytest.raises(ToolError) as caught:
        builder.ensure(DEMO_PROGRAMS)

    assert "could not be downloaded: connect to a network" in str(caught.value)
    assert "KUBEBUILDER_ASSETS" in str(caught.value)
    assert words[0] in str(caught.value)


def test_every_staging_module_is_replaced_by_the_version_that_belongs_to_kubernetes() -> None:
    recipe = read_recipe()
    staging = recipe.required.version.replace("v1.", "v0.")
    text = (MODULE_DIRECTORY / "go.mod").read_text(encoding="utf-8")
    replaced = [line.split() for line in text.splitlines() if "=>" in line]

    assert len(replaced) == 33
    assert all(words[0] == words[2] and words[3] == staging for words in replaced)
    assert all(package in text for package in recipe.packages.values())
