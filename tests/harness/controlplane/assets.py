"""Where the programs come from: the user's own folder if one is named, else the cache, built when it lacks one."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.harness.controlplane.build import Builder
from tests.harness.controlplane.cache import BinaryCache, cache_root
from tests.harness.controlplane.errors import ControlPlaneError
from tests.harness.controlplane.goenv import GoFinder
from tests.harness.controlplane.progress import Progress
from tests.harness.controlplane.recipe import DEMO_PROGRAMS, Program, Recipe, read_recipe

ASSETS_VARIABLE = "KUBEBUILDER_ASSETS"


def new_builder(environ: Mapping[str, str], progress: Progress | None = None, recipe: Recipe | None = None) -> Builder:
    """A builder for this machine; progress goes to stderr unless given."""
    root = cache_root(environ)
    shown = progress or Progress(sys.stderr)
    wanted = recipe or read_recipe()
    return Builder(wanted, BinaryCache(root, wanted), GoFinder(environ, root, shown), shown)


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
        folder = (builder or new_builder(environ)).ensure(missing)
        found |= {program: folder / program.value for program in missing}
    return found


def from_folder(folder: Path, wanted: Sequence[Program]) -> dict[Program, Path]:
    """The wanted programs of a folder the user named; the demo's three must all be there when wanted."""
    found = {program: folder / program.value for program in wanted if os.access(folder / program.value, os.X_OK)}
    lacking = [program.value for program in wanted if program in DEMO_PROGRAMS and program not in found]
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
    cache = BinaryCache(cache_root(environ), read_recipe())
    if cache.has(Program.KUBECTL):
        return cache.path(Program.KUBECTL)
    raise ControlPlaneError(
        f"KUBECONFIG is set, but there is no kubectl on PATH: install one or set {ASSETS_VARIABLE}."
    )
