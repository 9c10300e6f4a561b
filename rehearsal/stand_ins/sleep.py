"""sleep: in virtual time."""

from __future__ import annotations

import os
import re
import sys

from .control import post

SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def main(arguments: list[str]) -> int:
    """`sleep NUMBER[smhd]...`."""
    total = 0.0
    for argument in arguments:
        interval = re.fullmatch(r"(\d+|\d*\.\d+)([smhd]?)", argument)
        if not interval:
            print(f"sleep: invalid time interval '{argument}'", file=sys.stderr)
            return 1
        total += float(interval[1]) * SECONDS[interval[2]]
    if not arguments:
        print("sleep: missing operand", file=sys.stderr)
        return 1
    post("/sleep", {"seconds": total, "command": os.environ.get("REHEARSAL_COMMAND")})
    return 0
