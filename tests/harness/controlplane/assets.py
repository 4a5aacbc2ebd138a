"""Where the programs come from: the user's own folder if one is named, else the cache, built when it lacks one."""

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.harness.controlplane.errors import ControlPlaneError
from tests.harness.controlplane.recipe import ASSETS_VARIABLE, DEMO_PROGRAMS, Program, read_recipe
from tests.harness.gotools.build import Builder, new_builder
from tests.harness.gotools.cache import BinaryCache, cache_root
from tests.harness.gotools.errors import ToolError


@contextlib.contextmanager
def as_control_plane_error() -> Iterator[None]:
    """What cannot be built is, for those who asked for a control plane, a control plane that cannot be had."""
    try:
        yield
    except ControlPlaneError:
        raise
    except ToolError as error:
        raise ControlPlaneError(str(error)) from error


def programs_for(
    wanted: Sequence[Program], environ: Mapping[str, str], builder: Builder | None = None
) -> dict[Program, Path]:
    """Absolute paths of the wanted programs, built first when they must be.

    $KUBEBUILDER_ASSETS is taken as it is: it must hold the three programs of the demo, and only the controller manager,
    which such folders lack, is built for it. Raises ControlPlaneError when something is missing.
    """
    given = environ.get(ASSETS_VARIABLE)
    found = from_folder(Path(given).absolute(), wanted) if given else {}
    missing = [program for program in wanted if program not in found]
    if missing:
        with as_control_plane_error():
            folder = (builder or new_builder(read_recipe(), environ)).ensure(missing)
        found |= {program: folder / program for program in missing}
    return found


def from_folder(folder: Path, wanted: Sequence[Program]) -> dict[Program, Path]:
    """The wanted programs of a folder the user named; the demo's three must all be there when wanted."""
    found = {program: folder / program for program in wanted if os.access(folder / program, os.X_OK)}
    lacking = [program for program in wanted if program in DEMO_PROGRAMS and program not in found]
    if lacking:
        raise ControlPlaneError(
            f"{ASSETS_VARIABLE} is {folder}, without an executable {', '.join(lacking)}: complete or unset it."
        )
    return found


def existing_kubectl(environ: Mapping[str, str]) -> Path:
    """A kubectl for a cluster the user brought, without building one.

    Looked for in $KUBEBUILDER_ASSETS, on PATH, then in the cache.
    """
    given = environ.get(ASSETS_VARIABLE)
    if given:
        return from_folder(Path(given).absolute(), [Program.KUBECTL])[Program.KUBECTL]
    on_path = shutil.which(Program.KUBECTL.value, path=environ.get("PATH", ""))
    if on_path:
        return Path(on_path)
    with as_control_plane_error():
        cache = BinaryCache(cache_root(environ), read_recipe())
    if cache.has(Program.KUBECTL):
        return cache.path(Program.KUBECTL)
    raise ControlPlaneError(
        f"KUBECONFIG is set, but there is no kubectl on PATH: install one or set {ASSETS_VARIABLE}."
    )
