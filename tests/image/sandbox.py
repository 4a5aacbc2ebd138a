"""Starts one program as a container would: unprivileged, on a file system that nothing can be written to.

``python -I sandbox.py [--plain] [--run FOLDER] -- PROGRAM [ARGUMENT...]``; standard library only, for it runs alone.

Owns the means. On Linux that is a mount namespace of its own in which every mount is read-only. As root the program
then runs as user 65532; as anybody else in a user namespace that shows its user as 65532. With ``--run`` a copy of
FOLDER lies at ``/run`` (a pod's service account is below ``/var/run``, the same folder). Where the system allows no
namespaces it ends with 125 and a sentence; ``--plain`` does without: only root becomes 65532, and what may be written
to is up to the modes of files. The program takes this process's place, so signals and exit codes are its own.
"""

import argparse
import ctypes
import os
import shutil
import stat
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

USER = 65532
REFUSED = 125
RUN = Path("/run")

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
MS_BIND_REC = 0x1000 | 0x4000
MS_PRIVATE_REC = 0x40000 | 0x4000
AT_FDCWD = -100
AT_RECURSIVE = 0x8000
MOUNT_ATTR_RDONLY = 0x1
SYS_MOUNT_SETATTR = 442
PR_SET_NO_NEW_PRIVS = 38

_libc = ctypes.CDLL(None, use_errno=True)


def main(arguments: Sequence[str]) -> int:
    """Enter and become the program; returns only when that is not possible."""
    parser = argparse.ArgumentParser("sandbox.py", allow_abbrev=False)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--run", type=Path)
    parser.add_argument("program", nargs="+")
    chosen = parser.parse_args(arguments)
    root = os.getuid() == 0
    try:
        if not chosen.plain:
            _own_mounts(root=root, run=chosen.run)
        if root:
            os.setgroups([])
            os.setgid(USER)
            os.setuid(USER)
        _call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    except OSError as error:
        sys.stderr.write(f"no read-only file system of its own can be had here: {error}\n")
        return REFUSED
    os.chdir("/")
    return os.execv(chosen.program[0], chosen.program)  # noqa: S606  # to become the program is all this is for


def _own_mounts(*, root: bool, run: Path | None) -> None:
    user, group = os.getuid(), os.getgid()
    _call("unshare", CLONE_NEWNS if root else CLONE_NEWNS | CLONE_NEWUSER)
    if not root:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{USER} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{USER} {group} 1")
    _call("mount", b"none", b"/", None, MS_PRIVATE_REC, None)
    if root:
        _open_the_way_to(Path(sys.base_prefix))
    if run is not None:
        _call("mount", b"tmpfs", bytes(RUN), b"tmpfs", 0, b"mode=0755")
        shutil.copytree(run, RUN, dirs_exist_ok=True)
    read_only = struct.pack("QQQQ", MOUNT_ATTR_RDONLY, 0, 0, 0)
    _call("syscall", SYS_MOUNT_SETATTR, AT_FDCWD, b"/", AT_RECURSIVE, read_only, len(read_only))


def _open_the_way_to(folder: Path) -> None:
    """An interpreter in root's home is out of another user's reach: show it there without the rest of that home."""
    closed = [each for each in folder.parents if not each.stat().st_mode & stat.S_IXOTH]
    if closed:
        kept = os.open(folder, os.O_PATH)
        _call("mount", b"tmpfs", bytes(closed[-1]), b"tmpfs", 0, b"mode=0755")
        folder.mkdir(parents=True)
        _call("mount", f"/proc/self/fd/{kept}".encode(), bytes(folder), None, MS_BIND_REC, None)
        os.close(kept)


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
