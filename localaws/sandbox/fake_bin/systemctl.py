"""systemctl: which services are there, and which of them run."""

from __future__ import annotations

import os
import sys

from .packages import installed

RUNNING = "/run/localaws/services"
# The unit, and the package that brings it; the agent comes with Amazon Linux.
UNITS = {
    "amazon-ssm-agent": None,
    "amazon-cloudwatch-agent": "amazon-cloudwatch-agent",
    "cloudhsm-client": "cloudhsm-client",
}
QUIET = {"daemon-reload", "enable", "disable"}


def main(arguments: list[str]) -> int:
    """`systemctl start|stop|restart|is-active|enable|disable UNIT...`."""
    verb, *names = [word for word in arguments if not word.startswith("-")] or [""]
    for name in names:
        unit = name.removesuffix(".service")
        if unit not in UNITS or UNITS[unit] not in {None, *installed()}:
            print(
                f"Failed to {verb} {unit}.service: Unit {unit}.service not found.", file=sys.stderr
            )
            return 5
        code = _do(verb, unit)
        if code:
            return code
    if not names and verb not in QUIET:
        print(f"systemctl: not rehearsed: {' '.join(arguments)}", file=sys.stderr)
        return 1
    return 0


def _do(verb: str, unit: str) -> int:
    mark = f"{RUNNING}/{unit}"
    if verb in ("start", "restart"):
        os.makedirs(mark, exist_ok=True)
    elif verb == "stop":
        if os.path.exists(mark):
            os.rmdir(mark)
    elif verb == "is-active":
        running = os.path.exists(mark) or UNITS[unit] is None
        print("active" if running else "inactive")
        return 0 if running else 3
    elif verb not in QUIET:
        print(f"systemctl: not rehearsed: {verb}", file=sys.stderr)
        return 1
    return 0
