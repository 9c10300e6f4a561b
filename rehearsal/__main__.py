"""The rehearsal's command line: `python -m rehearsal run`, `faults` and `bench`."""

from __future__ import annotations

import sys


def main(arguments: list[str]) -> int:
    """Run scenarios, the fault matrix or benchmarks; prints usage and returns 2 for others."""
    match arguments:
        case ["run", *rest]:
            from rehearsal import runner  # slow to import

            return runner.main(rest)
        case ["faults", *rest]:
            from rehearsal.fault_matrix import main as fault_matrix  # slow to import

            return fault_matrix.main(rest)
        case ["bench", *rest]:
            from rehearsal.benchmarks import bench  # slow to import

            return bench.main(rest)
    print("usage: python -m rehearsal run|faults|bench [--help]", file=sys.stderr)
    return 2


def _main() -> int:
    """Run the command; Ctrl-C ends it without a traceback at any time."""
    try:
        from localaws.client import end_on_signals  # slow to import

        end_on_signals()
        return main(sys.argv[1:])
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(_main())
