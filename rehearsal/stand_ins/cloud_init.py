"""cloud-init: an instance's first start is over by the time that a command can reach it."""

from __future__ import annotations

import sys


def main(arguments: list[str]) -> int:
    """`cloud-init status [--wait]`."""
    if arguments[:1] != ["status"] or set(arguments[1:]) - {"--wait", "-w"}:
        print(f"cloud-init: error: not rehearsed: {' '.join(arguments)}", file=sys.stderr)
        return 2
    print("\nstatus: done" if len(arguments) > 1 else "status: done")
    return 0
