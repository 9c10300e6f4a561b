"""The words of PARAMS=."""

from __future__ import annotations

import shlex


class UsageError(Exception):
    """Preflight cannot run; the message says why and what to do."""


def parse(text: str) -> dict[str, str]:
    """The assignments in PARAMS, quoted as in a shell."""
    found: dict[str, str] = {}
    for word in shlex.split(text):
        name, is_assignment, value = word.partition("=")
        if not is_assignment or not name:
            raise UsageError(f"PARAMS: {word!r} is not NAME=value.")
        found[name] = value
    return found
