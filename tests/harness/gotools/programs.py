"""Helm and promtool: each built of a Go module of its own, or taken from where the user says.

Owns which programs there are, their version stamps and the variables HELM and PROMTOOL. Two modules, because the
dependency graphs of the two disagree; how a module becomes a program is `tests.harness.gotools.build`.
"""

import dataclasses
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.harness.gotools.build import Builder, new_builder
from tests.harness.gotools.errors import ToolError
from tests.harness.gotools.recipe import Recipe, Requirement, read_requirement

MODULES = Path(__file__).parent
ANSWER_SECONDS = 60.0

Release = tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Tool:
    """A program, and the folder of the module it is built in.

    `source` is the Go module it comes from, `stamped` the linker's name of its version, `asked` the arguments at which
    it tells that version, `variable` the environment variable that names another copy of it.
    """

    name: str
    module: Path
    source: str
    package: str
    stamped: str
    asked: tuple[str, ...]
    variable: str


HELM = Tool(
    "helm",
    MODULES / "helm",
    "helm.sh/helm/v4",
    "helm.sh/helm/v4/cmd/helm",
    "helm.sh/helm/v4/internal/version.version",
    ("version", "--template={{.Version}}"),
    "HELM",
)
PROMTOOL = Tool(
    "promtool",
    MODULES / "promtool",
    "github.com/prometheus/prometheus",
    "github.com/prometheus/prometheus/cmd/promtool",
    "github.com/prometheus/common/version.Version",
    ("--version",),
    "PROMTOOL",
)
TOOLS = (HELM, PROMTOOL)


def helm(environ: Mapping[str, str]) -> Path:
    """Absolute path of a Helm, built first when it must be; raises ToolError with what to do."""
    return path_of(HELM, environ)


def promtool(environ: Mapping[str, str]) -> Path:
    """Absolute path of a promtool, built first when it must be; raises ToolError with what to do."""
    return path_of(PROMTOOL, environ)


def path_of(tool: Tool, environ: Mapping[str, str], builder: Builder | None = None) -> Path:
    """The program the user named, if any, else the one in the cache, built when it lacks it."""
    given = environ.get(tool.variable)
    if given:
        return checked(tool, given, environ)
    return (builder or new_builder(read_recipe(tool), environ)).ensure([tool.name]) / tool.name


def read_recipe(tool: Tool) -> Recipe:
    """The recipe of a tool's module; raises ToolError when its go.mod lacks what a build needs."""
    required = read_requirement(tool.module, tool.source)
    release = release_of(required)
    return Recipe(
        tool.module,
        required,
        {tool.name: tool.package},
        [f"{tool.stamped}={release}"],
        what=tool.name,
        instead=f"set {tool.variable} to a {tool.name} of version {release}",
        folder=f"{tool.name}-{required.version}",
    )


def release_of(required: Requirement) -> str:
    """The version a program calls itself by: that of its module, save for Prometheus.

    Its module v0.316.0 is release 3.16.0 (Prometheus 3.x, README.md, "Using Prometheus as a Go library").
    """
    library = re.fullmatch(r"v0\.(\d+)(\d\d)\.(\d+)", required.version)
    return f"{library[1]}.{int(library[2])}.{library[3]}" if library else required.version


def checked(tool: Tool, given: str, environ: Mapping[str, str]) -> Path:
    """The program the user named by a path or by its name on PATH, once it has told a version that will do.

    That is one with the same major number, not older than the release the tests are written for: its output is what
    tests compare.
    """
    found = shutil.which(given, path=environ.get("PATH", ""))
    if found is None:
        raise ToolError(f"{tool.variable} is {given}, which is no executable program: correct or unset it.")
    path = Path(found).absolute()
    wanted = release_of(read_requirement(tool.module, tool.source))
    said = answer(path, tool, environ)
    if not is_enough(parsed(said), parsed(wanted)):
        told = f"says it is `{said}`" if said else "tells no version"
        raise ToolError(
            f"{tool.variable} is {path}, which {told}; the tests need {tool.name} {wanted} or a newer release of the "
            f"same major version: set {tool.variable} to such a one, or unset it and one is built."
        )
    return path


def answer(path: Path, tool: Tool, environ: Mapping[str, str]) -> str:
    """First line of what a program says about its version; empty when it does not work."""
    try:
        asked = subprocess.run(
            [path, *tool.asked],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=ANSWER_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return next(iter(asked.stdout.splitlines()), "") if asked.returncode == 0 else ""


def parsed(said: str) -> Release:
    """Major and minor number of the first version in a line; empty when there is none."""
    numbers = re.search(r"\bv?(\d+)\.(\d+)\.\d+", said)
    return (int(numbers[1]), int(numbers[2])) if numbers else ()


def is_enough(release: Release, wanted: Release) -> bool:
    """Whether a release does for the tests; the patch number does not count."""
    return release[:1] == wanted[:1] and release >= wanted
