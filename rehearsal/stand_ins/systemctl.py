"""systemctl: which services are there, and which of them run."""

from __future__ import annotations

import sys
from pathlib import Path

from . import packages

RUNNING = Path("/run/rehearsal/services")
# The unit, and the package that brings it.
UNITS = {
    "amazon-ssm-agent": None,
    "amazon-cloudwatch-agent": "amazon-cloudwatch-agent",
    "cloudhsm-client": "cloudhsm-client",
}


def main(arguments: list[str]) -> int:
    """`systemctl VERB UNIT...`."""
    verb, *names = [word for word in arguments if not word.startswith("-")] or ["list-units"]
    if verb in ("daemon-reload", "list-units"):
        return 0
    for name in names:
        unit = name.removesuffix(".service")
        if unit not in UNITS or UNITS[unit] not in {None, *packages.installed()}:
            print(
                f"Failed to {verb} {unit}.service: Unit {unit}.service not found.", file=sys.stderr
            )
            return 5
        code = _do(verb, unit)
        if code:
            return code
    return 0


def _do(verb: str, unit: str) -> int:
    mark = RUNNING / unit
    if verb in ("start", "restart"):
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    elif verb == "stop":
        mark.unlink(missing_ok=True)
    elif verb == "is-active":
        running = mark.exists() or UNITS[unit] is None
        print("active" if running else "inactive")
        return 0 if running else 3
    elif verb not in ("enable", "disable"):
        print(f"systemctl: not rehearsed: {verb}", file=sys.stderr)
        return 1
    return 0
