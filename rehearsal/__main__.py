"""The rehearsal's command line: `python -m rehearsal run`."""

from __future__ import annotations

import sys


def main(arguments: list[str]) -> int:
    """Run scenarios; prints usage and returns 2 for any other command."""
    match arguments:
        case ["run", *rest]:
            from rehearsal import runner  # slow to import

            return runner.main(rest)
    print("usage: python -m rehearsal run [--help]", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
