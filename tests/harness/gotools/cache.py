"""The folder of built binaries: found by recipe, checked before use, filled atomically, by one build at a time.

Layout: `<home>/.cache/peerdb-operator/<recipe's folder>/<recipe key>/` with each program and, beside it, its
`<program>.sha256` in the format of sha256sum. A program counts as present only when its checksum is recorded and
matches, and the record is written last: whatever interrupts a build, nothing half-made is ever used. What an
interrupted build left in its own staging folder is removed by the next one.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.harness.gotools.errors import ToolError
from tests.harness.gotools.recipe import Recipe

CACHE_VARIABLE = "CONTROL_PLANE_CACHE"
"""No name of the operator's: it takes every variable that begins with PEERDB_OPERATOR_ for a setting of its own."""

STAGING_PREFIX = ".building-"
LOCK_NAME = ".lock"


def cache_root(environ: Mapping[str, str]) -> Path:
    """Folder of everything cached: $CONTROL_PLANE_CACHE, else one below the home directory."""
    given = environ.get(CACHE_VARIABLE)
    if given:
        return Path(given).absolute()
    home = environ.get("HOME")
    if not home:
        raise ToolError(f"HOME is not set: set it, or {CACHE_VARIABLE} to a folder for what is built.")
    return Path(home) / ".cache" / "peerdb-operator"


def checksum(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def locked(folder: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Create the folder and hold its lock; `on_wait` is called when another process holds it.

    The kernel frees the lock of a process that dies. Raises ToolError when the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK_NAME).open("a")
    except OSError as error:
        said = os.strerror(error.errno or 0)
        raise ToolError(f"Cannot write to {folder} ({said}): set {CACHE_VARIABLE} to a writable folder.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """A folder inside `folder` for work under way, removed at the end with what is left in it.

    Also removes what an interrupted run left there, so it may be used only under the lock of `folder`.
    """
    for left in folder.glob(f"{STAGING_PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=STAGING_PREFIX, dir=folder))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


class BinaryCache:
    """The binaries of one recipe, in `directory`."""

    def __init__(self, root: Path, recipe: Recipe) -> None:
        """Look below `root`; nothing is created yet."""
        self.directory = root / recipe.folder / recipe.key

    def path(self, program: str) -> Path:
        """Where the program is, once it is present."""
        return self.directory / program

    def has(self, program: str) -> bool:
        """Whether the program is there and is byte for byte what was built."""
        path, record = self.path(program), self._record(program)
        try:
            return record.read_text(encoding="utf-8").split()[:1] == [checksum(path)]
        except OSError:
            return False

    def put(self, program: str, built: Path) -> None:
        """Move a finished binary in from the staging folder and record its checksum. Only under the lock."""
        self._record(program).unlink(missing_ok=True)
        line = built.with_name(f"{built.name}.sha256")
        line.write_text(f"{checksum(built)}  {program}\n", encoding="utf-8")
        built.replace(self.path(program))
        line.replace(self._record(program))

    def _record(self, program: str) -> Path:
        return self.directory / f"{program}.sha256"
