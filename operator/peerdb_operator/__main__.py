"""``python -m peerdb_operator``: the same as the console script."""

import sys

from peerdb_operator import cli


def main() -> None:
    """Entry point of the console script."""
    sys.exit(cli.main())


if __name__ == "__main__":
    main()
