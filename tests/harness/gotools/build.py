"""Builds the programs of a recipe from its Go module, once, into the cache.

Owns the run of the Go tools; recipes, the cache, the toolchain and the wording of progress are modules of their own.
The build never changes the tree it runs in (`-mod=readonly`) and needs no container, no root and no C compiler.
"""

import collections
import dataclasses
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from tests.harness.gotools.cache import BinaryCache, cache_root, locked, staging
from tests.harness.gotools.errors import ToolError
from tests.harness.gotools.goenv import Go, GoFinder
from tests.harness.gotools.progress import Progress
from tests.harness.gotools.recipe import Recipe

DOWNLOADING = "go: downloading "
NETWORK_SIGNS = (
    "dial tcp",
    "no such host",
    "connection refused",
    "i/o timeout",
    "proxyconnect",
    "module lookup disabled",
)
KEPT_LINES = 8
COMPILE_SLOWING = 1.5  # measured over the demo's three programs on two cores: the packages of the API server come last
STALE = " stale"
LIST_FORMAT = f"-f={{{{.ImportPath}}}}{{{{if .Stale}}}}{STALE}{{{{end}}}}"


@dataclasses.dataclass(frozen=True, slots=True)
class Builder:
    """Puts missing or damaged programs into the cache."""

    recipe: Recipe
    cache: BinaryCache
    go_finder: GoFinder
    progress: Progress

    def ensure(self, programs: Sequence[str]) -> Path:
        """Build what the cache lacks and return its folder.

        Raises ToolError with what to do when Go, the network or the build itself fails.
        """
        if self._missing(programs):
            with locked(self.cache.directory, self._waiting):
                missing = self._missing(programs)
                if missing:
                    self._build(missing)
        return self.cache.directory

    def _missing(self, programs: Sequence[str]) -> list[str]:
        return [program for program in programs if not self.cache.has(program)]

    def _waiting(self) -> None:
        self.progress.say(f"Another build of {self.recipe.what} is under way; waiting for it.")

    def _build(self, programs: Sequence[str]) -> None:
        go = self.go_finder.find(self.recipe.required.go, self.recipe.instead)
        names = ", ".join(programs)
        self.progress.say(f"Building {names} {self.recipe.required.version} with Go {go.version}; this is done once.")
        packages = self._list_packages(go, programs)
        with staging(self.cache.directory) as made:
            self._compile(go, programs, packages, made)
            for program in programs:
                self.cache.put(program, made / built_name(self.recipe.packages[program]))

    def _list_packages(self, go: Go, programs: Sequence[str]) -> frozenset[str]:
        """The packages that Go has yet to compile; downloads the modules they are in."""
        modules = sum("// indirect" in line for line in (self.recipe.module / "go.mod").read_text("utf-8").splitlines())
        downloads = False

        def on_line(line: str) -> bool:
            nonlocal downloads
            if not line.startswith(DOWNLOADING):
                return False
            if not downloads:
                self.progress.begin("Downloading modules", modules, "modules", at_most=True)
                downloads = True
            self.progress.advance()
            return True

        command = ["list", "-deps", LIST_FORMAT, *self.recipe.flags, *self.recipe.packages_of(programs)]
        listed = self._run_go(go, command, on_line)
        if downloads:
            self.progress.end()
        return frozenset(line.removesuffix(STALE) for line in listed if line.endswith(STALE))

    def _compile(self, go: Go, programs: Sequence[str], packages: frozenset[str], made: Path) -> None:
        def on_line(line: str) -> bool:
            if line not in packages:
                return False
            self.progress.advance()
            return True

        self.progress.begin("Compiling and linking", len(packages), "packages", slowing=COMPILE_SLOWING)
        command = ["build", "-v", *self.recipe.flags, f"-o={made}/", *self.recipe.packages_of(programs)]
        self._run_go(go, command, on_line)
        self.progress.end()

    def _run_go(self, go: Go, arguments: Sequence[str], on_line: Callable[[str], bool]) -> list[str]:
        """Run Go in the module; lines of stderr that `on_line` does not take are its words if it fails."""
        words: collections.deque[str] = collections.deque(maxlen=KEPT_LINES)
        with (
            tempfile.TemporaryFile("w+", encoding="utf-8") as output,
            subprocess.Popen(
                [go.command, *arguments],
                cwd=self.recipe.module,
                env=go.environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.PIPE,
                text=True,
            ) as running,
        ):
            try:
                feed(running.stderr or (), on_line, words)
            except BaseException:
                running.terminate()
                raise
            if running.wait() != 0:
                raise ToolError(explain(arguments[0], running.returncode, words, self.recipe))
            output.seek(0)
            return output.read().splitlines()


def new_builder(recipe: Recipe, environ: Mapping[str, str], progress: Progress | None = None) -> Builder:
    """A builder for this machine; progress goes to stderr unless given."""
    root = cache_root(environ)
    shown = progress or Progress(sys.stderr)
    return Builder(recipe, BinaryCache(root, recipe), GoFinder(environ, root, shown), shown)


def feed(lines: Iterable[str], on_line: Callable[[str], bool], words: collections.deque[str]) -> None:
    """Offer each line to `on_line` and keep those it does not take."""
    for line in lines:
        stripped = line.rstrip("\n")
        if not on_line(stripped) and stripped:
            words.append(stripped)


def built_name(package: str) -> str:
    """File name that `go build -o folder/` gives a main package: its last element that is no major version."""
    *_, before, last = package.split("/")
    return before if last.startswith("v") and last[1:].isdigit() else last


def explain(step: str, code: int, words: Iterable[str], recipe: Recipe) -> str:
    """What failed and what to do, from the last words of the Go command."""
    said = "\n  ".join(words)
    if any(sign in said for sign in NETWORK_SIGNS):
        way_out = "The Go modules could not be downloaded: connect to a network with a Go module proxy and run it again"
    else:
        way_out = f"Run `go {shlex.quote(step)}` in {recipe.module} to see more"
    return f"`go {step}` failed (exit {code}). {way_out}, or {recipe.instead}. Go said:\n  {said}"
