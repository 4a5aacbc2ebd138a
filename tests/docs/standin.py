"""What stands behind the programs that the documentation names, when a test runs its commands.

Run as ``standin.py PROGRAM ARGUMENT...`` with the real programs in ``REAL_KUBECTL`` and ``REAL_HELM``. Whatever would
change a cluster goes to the real API server as a dry run; what needs nodes or a release that was really installed may
find that it is not there, and nothing else. ``curl`` is a few lines of Python here, so that tests need none.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from functools import partial
from pathlib import Path

CHANGES = {"annotate", "apply", "create", "delete", "patch"}
NOT_RENDERED = {"--reset-then-reuse-values", "--create-namespace", "--install"}
NEEDS_NODES = {"logs", "port-forward", "rollout"}
RELEASE_IS_THERE = {"rollback", "uninstall", "upgrade"}
NOT_THERE = ("NotFound", "AlreadyExists", "has no deployed releases", "release: not found")
READ = {
    "argocd": (r"app set [\w-]+ --sync-policy none", r"app (delete|confirm-deletion) [\w-]+"),
    "flux": (r"suspend kustomization [\w-]+", r"delete (helmrelease|kustomization) [\w-]+"),
}
"""Commands in the references of Argo CD 2.14 and of Flux 2."""
RELEASE = "https://github.com/peerdb-operator/peerdb-operator/releases/latest/download"
SCRIPTS = Path(__file__).parents[2] / ".github" / "scripts"
SERVED = ("--api-versions", "monitoring.coreos.com/v1")


def kubectl(arguments: Sequence[str]) -> int:
    """Reads are real, changes are dry runs on the server."""
    dry = any(argument.startswith("--dry-run") for argument in arguments)
    more = ["--dry-run=server"] if arguments[0] in CHANGES and not dry else []
    if arguments[:2] == ["auth", "can-i"]:
        return reported(run("REAL_KUBECTL", arguments), tolerated=("no\n",))
    tolerated = NOT_THERE if arguments[0] in NEEDS_NODES | {"create"} else ()
    return reported(run("REAL_KUBECTL", [*arguments, *more]), tolerated=tolerated)


def helm(arguments: Sequence[str]) -> int:
    """Every command is parsed and every value rendered, nothing is installed."""
    command = arguments[0]
    if command == "template":
        return reported(run("REAL_HELM", [*arguments, *SERVED]))
    if command in {"install", "upgrade"}:
        kept = [one for one in arguments[1:] if one not in NOT_RENDERED]
        given = ["--set", "peerdb.url=http://flow-api:8113"] if command == "upgrade" else []
        failed = reported(run("REAL_HELM", ["template", *kept, *given, *SERVED]), quiet=True)
        if failed or command == "install":
            return failed
    dry = "--dry-run=client" if command == "upgrade" else "--dry-run"
    return reported(run("REAL_HELM", [*arguments, dry]), tolerated=NOT_THERE if command in RELEASE_IS_THERE else ())


def curl(arguments: Sequence[str]) -> int:
    """One request, GET or a POST of JSON; anything but 200 fails."""
    rest = [argument for argument in arguments if argument not in {"--silent", "--fail", "--location"}]
    data = None
    if "--json" in rest:
        place = rest.index("--json")
        data = rest.pop(place + 1).encode()
        del rest[place]
    [url] = rest
    if url == f"{RELEASE}/install.yaml":
        return reported(
            subprocess.run([SCRIPTS / "install-yaml.sh"], text=True, capture_output=True, check=False, timeout=300)
        )
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=30) as answer:
        sys.stdout.write(answer.read().decode() + "\n")
    return 0


def known(program: str, arguments: Sequence[str]) -> int:
    """Nothing is done; a command that nobody has read in the program's reference fails."""
    return 0 if any(re.fullmatch(form, " ".join(arguments)) for form in READ[program]) else 2


def run(program: str, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """The real program, with our standard input."""
    return subprocess.run([os.environ[program], *arguments], text=True, capture_output=True, check=False, timeout=300)


def reported(done: subprocess.CompletedProcess[str], *, tolerated: Sequence[str] = (), quiet: bool = False) -> int:
    """Pass on what a program said; its exit code, or 0 for a failure of a kind that is tolerated."""
    if not quiet:
        sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    expected = any(words in done.stdout + done.stderr for words in tolerated)
    return 0 if expected else done.returncode


if __name__ == "__main__":
    _, called, *given = sys.argv
    doing = {"kubectl": kubectl, "helm": helm, "curl": curl}.get(called, partial(known, called))
    raise SystemExit(doing(given))
