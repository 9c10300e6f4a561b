"""sha256sum: the genuine file's for what stands in for one, the real one for everything else."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from .packages import documented_checksum


def main(arguments: list[str]) -> int:
    """`sha256sum [-c] [--status] [--quiet] [--strict] [FILE]...`."""
    options = {argument for argument in arguments if argument.startswith("-") and argument != "-"}
    unknown = options - {"-c", "--check", "--status", "--quiet", "--strict", "-b", "-t", "-w", "--"}
    if unknown:
        print(f"sha256sum: unrecognized option '{min(unknown)}'", file=sys.stderr)
        return 1
    files = [argument for argument in arguments if argument not in options] or ["-"]
    if options & {"-c", "--check"}:
        quiet, silent = "--quiet" in options, "--status" in options
        return max(_check(name, quiet, silent, "--strict" in options) for name in files)
    return max(_print(name) for name in files)


def _content(name: str) -> bytes:
    return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()


def _complain(name: str, error: OSError) -> None:
    print(f"sha256sum: {name}: {error.strerror}", file=sys.stderr)


def _print(name: str) -> int:
    try:
        print(f"{documented_checksum(_content(name))}  {name}")
    except OSError as error:
        _complain(name, error)
        return 1
    return 0


def _check(name: str, quiet: bool, silent: bool, strict: bool) -> int:
    try:
        lines = _content(name).decode(errors="replace").splitlines()
    except OSError as error:
        _complain(name, error)
        return 1
    entries = [re.fullmatch(r"([0-9a-fA-F]{64}) [ *](.+)", line) for line in lines]
    if not any(entries):
        shown = "'standard input'" if name == "-" else name
        print(f"sha256sum: {shown}: no properly formatted checksum lines found", file=sys.stderr)
        return 1
    mismatched = unreadable = 0
    for entry in filter(None, entries):
        verdict = "OK"
        try:
            if documented_checksum(_content(entry[2])) != entry[1].lower():
                verdict = "FAILED"
                mismatched += 1
        except OSError as error:
            _complain(entry[2], error)
            verdict = "FAILED open or read"
            unreadable += 1
        if not silent and not (quiet and verdict == "OK"):
            print(f"{entry[2]}: {verdict}")
    malformed = sum(entry is None for entry in entries)
    if not silent:
        _warn(malformed, "line is improperly formatted", "lines are improperly formatted")
        _warn(unreadable, "listed file could not be read", "listed files could not be read")
        _warn(mismatched, "computed checksum did NOT match", "computed checksums did NOT match")
    return 1 if mismatched or unreadable or (strict and malformed) else 0


def _warn(number: int, one: str, many: str) -> None:
    if number:
        print(f"sha256sum: WARNING: {number} {one if number == 1 else many}", file=sys.stderr)
