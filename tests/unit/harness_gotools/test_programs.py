"""Helm and promtool: what is built, what the user may bring instead, and what is said when neither works."""

import dataclasses
import hashlib
import io
import re
import sys
from pathlib import Path

import pytest

from tests.harness.gotools.build import new_builder
from tests.harness.gotools.errors import ToolError
from tests.harness.gotools.programs import (
    HELM,
    PROMTOOL,
    Tool,
    path_of,
    promtool,
    read_recipe,
)
from tests.harness.gotools.progress import Progress
from tests.unit.harness_controlplane.support import FakeGo, an_environment, an_executable

VERSIONS = {HELM: "v4.3.1", PROMTOOL: "v0.316.0"}
RELEASES = {HELM: "v4.3.1", PROMTOOL: "3.16.0"}

TOOL_SCRIPT = """#!{python}
import sys
if sys.argv[1:] != {asked!r}:
    sys.exit("asked for something else")
print({said!r})
sys.exit({code})
"""


def pinned(tool: Tool, folder: Path) -> Tool:
    """The tool with a small module of its own that asks for its version in VERSIONS."""
    module = folder / "module"
    module.mkdir(parents=True, exist_ok=True)
    text = f"module m\n\ngo 1.26.7\n\ntool {tool.package}\n\nrequire {tool.source} {VERSIONS[tool]}\n"
    (module / "go.mod").write_text(text, encoding="utf-8")
    (module / "go.sum").write_text("sum", encoding="utf-8")
    return dataclasses.replace(tool, module=module)


def a_tool(path: Path, tool: Tool, said: str, *, code: int = 0) -> Path:
    """A copy of a tool that tells the given version."""
    text = TOOL_SCRIPT.format(python=sys.executable, asked=list(tool.asked), said=said, code=code)
    return an_executable(path, text)


def naming(tool: Tool, given: Path, folder: Path) -> dict[str, str]:
    """An environment in which the user names a copy of the tool."""
    return {**an_environment(folder), tool.variable: str(given)}


def built(tool: Tool, folder: Path, go: FakeGo | None, output: io.StringIO | None = None) -> Path:
    """The tool, from a cache below `folder`."""
    environ = an_environment(folder, path=go.folder if go else None)
    wanted = pinned(tool, folder)
    return path_of(wanted, environ, new_builder(read_recipe(wanted), environ, Progress(output or io.StringIO())))


@pytest.mark.parametrize(
    ("tool", "stamp"),
    [
        (HELM, "helm.sh/helm/v4/internal/version.version=v4.3.1"),
        (PROMTOOL, "github.com/prometheus/common/version.Version=3.16.0"),
    ],
)
def test_a_tool_and_its_checksum_are_cached_when_the_cache_is_empty(tmp_path: Path, tool: Tool, stamp: str) -> None:
    go = FakeGo(tmp_path / "bin")
    output = io.StringIO()

    path = built(tool, tmp_path, go, output)

    cache = tmp_path / "home" / ".cache" / "peerdb-operator"
    assert path.parent.parent == cache / f"{tool.name}-{VERSIONS[tool]}"
    assert path.read_text(encoding="utf-8") == f"binary of {tool.package}"
    recorded = path.with_name(f"{tool.name}.sha256").read_text(encoding="utf-8")
    assert recorded == f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {tool.name}\n"
    (call,) = go.calls("build")
    assert f"-ldflags=-s -w -X {stamp}" in call
    assert {"-trimpath", "-mod=readonly", "-buildvcs=false"} <= set(call)
    assert output.getvalue().startswith(f"Building {tool.name} {VERSIONS[tool]} with Go 1.26.8; ")


@pytest.mark.parametrize(
    ("tool", "said"),
    [
        (HELM, "v4.3.1"),
        (HELM, "v4.3.0"),
        (HELM, "v4.12.0-rc.1"),
        (PROMTOOL, "promtool, version 3.16.0 (branch: , revision: unknown)"),
        (PROMTOOL, "promtool, version 3.20.1+ds1 (branch: debian/sid, revision: 3.20.1+ds1-1)"),
    ],
)
def test_a_tool_of_the_user_is_taken_when_its_version_will_do(tmp_path: Path, tool: Tool, said: str) -> None:
    given = a_tool(tmp_path / "mine", tool, said)

    assert path_of(pinned(tool, tmp_path), naming(tool, given, tmp_path)) == given
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("tool", "said"),
    [
        (HELM, "v3.19.2"),
        (HELM, "v4.2.9"),
        (HELM, "v5.0.0"),
        (PROMTOOL, "promtool, version 2.53.3+ds1 (branch: debian/sid)"),
    ],
)
def test_a_tool_of_the_user_is_refused_when_tests_are_not_written_for_it(tmp_path: Path, tool: Tool, said: str) -> None:
    given = a_tool(tmp_path / "mine", tool, said)

    with pytest.raises(ToolError) as caught:
        path_of(pinned(tool, tmp_path), naming(tool, given, tmp_path))

    assert str(caught.value) == (
        f"{tool.variable} is {given}, which says it is `{said}`; the tests need {tool.name} {RELEASES[tool]} or a "
        f"newer release of the same major version: set {tool.variable} to such a one, or unset it and one is built."
    )


@pytest.mark.parametrize("given", ["nothing there", "a folder", "a text"])
def test_a_path_is_refused_when_it_is_no_executable_program(tmp_path: Path, given: str) -> None:
    (tmp_path / "a folder").mkdir()
    (tmp_path / "a text").write_text("v4.3.1", encoding="utf-8")
    path = tmp_path / given

    with pytest.raises(ToolError, match=rf"^PROMTOOL is {re.escape(str(path))}, which is no executable program"):
        promtool(naming(PROMTOOL, path, tmp_path))
