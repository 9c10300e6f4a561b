"""sha256sum: checks files; a fake package has the checksum of the genuine one."""

from __future__ import annotations

import sys

from .packages import checksum
from .usage import unsupported


def main(arguments: list[str]) -> int:
    """`sha256sum --check --status`, with lines of checksum and path on standard input."""
    if arguments != ["--check", "--status"]:
        return unsupported("sha256sum", arguments)
    lines = sys.stdin.read().splitlines()
    return 0 if lines and all(map(_matches, lines)) else 1


def _matches(line: str) -> bool:
    expected, _, path = line.partition("  ")
    try:
        with open(path, "rb") as file:
            return checksum(file.read()) == expected.lower()
    except OSError as error:
        print(f"sha256sum: {path}: {error.strerror}", file=sys.stderr)
        return False
