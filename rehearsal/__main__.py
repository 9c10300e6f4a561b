"""The rehearsal's command line: `python -m rehearsal run` and `python -m rehearsal serve`."""

from __future__ import annotations

import sys


def main(arguments: list[str]) -> int:
    """Run scenarios, or serve a local AWS; what is not needed is not imported."""
    match arguments:
        case ["run", *rest]:
            from rehearsal import runner

            return runner.main(rest)
        case ["serve", *rest]:
            from rehearsal import server

            return server.main(rest)
    print("usage: python -m rehearsal {run,serve} [--help]", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
