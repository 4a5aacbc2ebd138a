"""The command line ``peerdb-operator run``, and ``python -m peerdb_operator``, which is the same.

The flags are made from the fields of ``Settings``, so that names and help texts exist once. Exit codes: 0 after SIGTERM
or SIGINT, 1 when the operator cannot go on, 2 for a bad command line or setting.
"""

import argparse
import sys
from collections.abc import Sequence

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from peerdb_operator import __version__
from peerdb_operator.app import BAD_SETTINGS, run_operator
from peerdb_operator.settings import Settings, SettingsError, flag_of, is_secret, load_settings, variable_of

PROGRAM = "peerdb-operator"


def main() -> None:
    """Entry point of the console script."""
    sys.exit(run_command())


def run_command(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. ``arguments`` without the program's name, by default ``sys.argv[1:]``."""
    chosen = vars(_parser().parse_args(arguments))
    del chosen["command"]
    try:
        settings = load_settings(chosen)
    except SettingsError as error:
        for sentence in error.sentences:
            sys.stderr.write(f"{PROGRAM}: {sentence}\n")
        return BAD_SETTINGS
    return run_operator(settings)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        PROGRAM, description="Keeps PeerDB mirrors as their Mirror objects in Kubernetes say.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="watch Mirrors and drive PeerDB until SIGTERM",
        description="Watch Mirrors and drive PeerDB until SIGTERM. A flag wins over its environment variable.",
        epilog="The password of PeerDB has no flag: set PEERDB_PASSWORD or PEERDB_PASSWORD_FILE.",
        allow_abbrev=False,
    )
    for name, field in Settings.model_fields.items():
        if not is_secret(field):
            run.add_argument(
                flag_of(name), dest=name, metavar="VALUE", help=_help(name, field), default=argparse.SUPPRESS
            )
    return parser


def _help(name: str, field: FieldInfo) -> str:
    default = f"{field.default:g}" if isinstance(field.default, float) else field.default
    shown = "" if default in {PydanticUndefined, None, ()} else f" Default: {default}."
    return f"{field.description}{shown} [{variable_of(name)}]".replace("%", "%%")


if __name__ == "__main__":
    main()
