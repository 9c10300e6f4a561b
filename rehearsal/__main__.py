"""The rehearsal's command line: `python -m rehearsal run` and `faults`."""

from __future__ import annotations

import sys

from localaws.client import end_on_signals


def main(arguments: list[str]) -> int:
    """Run scenarios or the fault matrix; prints usage and returns 2 for any other command."""
    match arguments:
        case ["run", *rest]:
            from rehearsal import runner  # slow to import

            return runner.main(rest)
        case ["faults", *rest]:
            from rehearsal.fault_matrix import main as fault_matrix  # slow to import

            return fault_matrix.main(rest)
    print("usage: python -m rehearsal run|faults [--help]", file=sys.stderr)
    return 2


if __name__ == "__main__":
    end_on_signals()
    sys.exit(main(sys.argv[1:]))
