"""systemctl: the service of Client SDK 3."""

from __future__ import annotations

import os
import sys

from .packages import installed
from .usage import unsupported

UNIT = "cloudhsm-client"
IS_RUNNING = f"/run/localaws/{UNIT}"


def main(arguments: list[str]) -> int:
    """`systemctl {start|stop|is-active} cloudhsm-client`."""
    match arguments:
        case ["start" | "stop" | "is-active" as verb, unit] if unit == UNIT:
            return _run(verb)
    return unsupported("systemctl", arguments)


def _run(verb: str) -> int:
    if UNIT not in installed():
        print(f"Failed to {verb} {UNIT}.service: Unit {UNIT}.service not found.", file=sys.stderr)
        return 5
    if verb == "is-active":
        running = os.path.exists(IS_RUNNING)
        print("active" if running else "inactive")
        return 0 if running else 3
    if verb == "start":
        os.makedirs(IS_RUNNING, exist_ok=True)
    elif os.path.exists(IS_RUNNING):
        os.rmdir(IS_RUNNING)
    return 0
