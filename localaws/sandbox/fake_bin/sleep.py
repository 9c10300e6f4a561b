"""sleep: in virtual time."""

from __future__ import annotations

import os
import sys

from .admin import post

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def main(arguments: list[str]) -> int:
    """`sleep NUMBER[smhd]...`."""
    total = 0.0
    for argument in arguments:
        unit = SECONDS.get(argument[-1:], 0)
        number = argument[:-1] if unit else argument
        if not number.replace(".", "", 1).isdecimal():
            print(f"sleep: invalid time interval '{argument}'", file=sys.stderr)
            return 1
        total += float(number) * (unit or 1)
    if not arguments:
        print("sleep: missing operand", file=sys.stderr)
        return 1
    post("/sleep", {"seconds": total, "command": os.environ.get("REHEARSAL_COMMAND")})
    return 0
