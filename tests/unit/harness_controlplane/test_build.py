"""The builder: what it asks of Go, what ends up in the cache, and what it says when something fails."""

import hashlib
import io
from pathlib import Path

import pytest

from peerdb_operator.settings import ENV_PREFIX
from tests.harness.controlplane.assets import programs_for
from tests.harness.controlplane.errors import ControlPlaneError
from tests.harness.controlplane.recipe import DEMO_PROGRAMS, MODULE_DIRECTORY, Program, read_recipe
from tests.harness.gotools.build import built_name
from tests.harness.gotools.cache import CACHE_VARIABLE, cache_root
from tests.harness.gotools.errors import ToolError
from tests.unit.harness_controlplane.support import FakeGo, a_builder, a_recipe, an_environment


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


def test_the_controller_manager_is_built_alone_when_it_is_asked_for_later(tmp_path: Path) -> None:
    go = FakeGo(tmp_path / "bin")
    builder = a_builder(tmp_path, go)

    programs_for(DEMO_PROGRAMS, an_environment(tmp_path), builder)
    assert not any("kube-controller-manager" in argument for call in go.calls("build") for argument in call)

    programs_for([*DEMO_PROGRAMS, Program.CONTROLLER_MANAGER], an_environment(tmp_path), builder)
    assert [argument for argument in go.calls("build")[1] if not argument.startswith("-")] == [
        "build",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
    ]


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


def test_the_cache_folder_is_another_when_the_recipe_changes(tmp_path: Path) -> None:
    recipes = [
        a_recipe(tmp_path / "a"),
        a_recipe(tmp_path / "b", go_sum="another"),
        a_recipe(tmp_path / "c", version="v1.38.0"),
    ]

    assert len({recipe.key for recipe in recipes}) == len(recipes)
    assert a_recipe(tmp_path / "d").key == recipes[0].key


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


def test_those_who_want_a_control_plane_hear_of_one_that_cannot_be_had_when_the_build_fails(tmp_path: Path) -> None:
    builder = a_builder(tmp_path, FakeGo(tmp_path / "bin", fails=("build",)))

    with pytest.raises(ControlPlaneError, match=r"`go build` failed.*, or set KUBEBUILDER_ASSETS to a folder"):
        programs_for(DEMO_PROGRAMS, an_environment(tmp_path), builder)


def test_the_tree_is_never_changed_when_go_runs_in_it(tmp_path: Path) -> None:
    go = FakeGo(tmp_path / "bin")
    builder = a_builder(tmp_path, go)
    before = {path.name: path.read_bytes() for path in builder.recipe.module.iterdir()}

    builder.ensure(DEMO_PROGRAMS)

    assert {path.name: path.read_bytes() for path in builder.recipe.module.iterdir()} == before
    assert all("-mod=readonly" in call for step in ("list", "build") for call in go.calls(step))


def test_downloads_and_packages_are_counted_when_they_happen(tmp_path: Path) -> None:
    words = {"list": ["go: downloading k8s.io/api v0.37.2", "go: downloading k8s.io/client-go v0.37.2"]}
    output = io.StringIO()

    a_builder(tmp_path, FakeGo(tmp_path / "bin", words=words), output).ensure(DEMO_PROGRAMS)

    shown = output.getvalue()
    assert "Building etcd, kubectl, kube-apiserver v1.37.2 with Go 1.26.8" in shown
    assert "Downloading modules: 0 of at most 0 modules" in shown
    assert "Downloading modules: done, 2 modules in " in shown
    assert "Compiling and linking: 0 of 5 packages" in shown
    assert "Compiling and linking: done, 3 packages" in shown


def test_the_sentence_names_the_folder_when_the_cache_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where a folder should be", encoding="utf-8")

    with pytest.raises(ToolError, match=r"Cannot write to .*home.*set CONTROL_PLANE_CACHE"):
        a_builder(tmp_path, FakeGo(tmp_path / "bin")).ensure(DEMO_PROGRAMS)


def test_the_cache_is_where_the_variable_says_when_it_is_set(tmp_path: Path) -> None:
    assert cache_root({"HOME": "/nowhere", "CONTROL_PLANE_CACHE": str(tmp_path)}) == tmp_path


def test_the_variable_does_not_reach_the_operator_as_a_setting_when_it_is_set() -> None:
    assert not CACHE_VARIABLE.startswith(ENV_PREFIX)


def test_the_sentence_names_the_variables_when_there_is_no_home() -> None:
    with pytest.raises(ToolError, match="HOME is not set: set it, or CONTROL_PLANE_CACHE"):
        cache_root({})


def test_the_sentence_says_so_when_go_mod_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module m\n", encoding="utf-8")

    with pytest.raises(ToolError, match="has no go line"):
        read_recipe(tmp_path)


def test_every_staging_module_is_replaced_by_the_version_that_belongs_to_kubernetes() -> None:
    recipe = read_recipe()
    staging = recipe.required.version.replace("v1.", "v0.")
    text = (MODULE_DIRECTORY / "go.mod").read_text(encoding="utf-8")
    replaced = [line.split() for line in text.splitlines() if "=>" in line]

    assert len(replaced) == 33
    assert all(words[0] == words[2] and words[3] == staging for words in replaced)
    assert all(package in text for package in recipe.packages.values())


@pytest.mark.parametrize(
    ("package", "name"),
    [("go.etcd.io/etcd/server/v3", "server"), ("k8s.io/kubernetes/cmd/kubectl", "kubectl"), ("x/v", "v")],
)
def test_the_name_of_a_binary_is_the_last_element_that_is_no_major_version(package: str, name: str) -> None:
    assert built_name(package) == name
