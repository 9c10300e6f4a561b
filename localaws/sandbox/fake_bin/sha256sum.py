"""sha256sum: the genuine file's for what stands in for one, the real one for everything else."""

from __future__ import annotations

import sys

from .packages import checksum

CHECK = {"-c", "--check"}
OPTIONS = {*CHECK, "--status", "--quiet", "--strict", "-b", "-t", "--binary", "--text"}
DIGITS = set("0123456789abcdefABCDEF")


def main(arguments: list[str]) -> int:
    """`sha256sum [-c [--status] [--quiet] [--strict]] [FILE]...`."""
    options = {word for word in arguments if word.startswith("-") and word not in ("-", "--")}
    if options - OPTIONS:
        print(f"sha256sum: unrecognized option '{min(options - OPTIONS)}'", file=sys.stderr)
        return 1
    files = [word for word in arguments if word not in options and word != "--"] or ["-"]
    if options & CHECK:
        return max(_check(name, options) for name in files)
    return max(_print(name) for name in files)


def _content(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read()
    with open(name, "rb") as file:
        return file.read()


def _complain(name: str, error: OSError) -> int:
    print(f"sha256sum: {name}: {error.strerror}", file=sys.stderr)
    return 1


def _print(name: str) -> int:
    try:
        print(f"{checksum(_content(name))}  {name}")
    except OSError as error:
        return _complain(name, error)
    return 0


def _check(name: str, options: set[str]) -> int:
    try:
        lines = _content(name).decode(errors="replace").splitlines()
    except OSError as error:
        return _complain(name, error)
    entries = [entry for entry in map(_entry, lines) if entry]
    if not entries:
        shown = "'standard input'" if name == "-" else name
        print(f"sha256sum: {shown}: no properly formatted checksum lines found", file=sys.stderr)
        return 1
    mismatched = unreadable = 0
    for expected, file in entries:
        verdict = "OK"
        try:
            if checksum(_content(file)) != expected.lower():
                verdict = "FAILED"
                mismatched += 1
        except OSError as error:
            _complain(file, error)
            verdict = "FAILED open or read"
            unreadable += 1
        if "--status" not in options and not ("--quiet" in options and verdict == "OK"):
            print(f"{file}: {verdict}")
    malformed = len(lines) - len(entries)
    if "--status" not in options:
        _warn(malformed, "line is improperly formatted", "lines are improperly formatted")
        _warn(unreadable, "listed file could not be read", "listed files could not be read")
        _warn(mismatched, "computed checksum did NOT match", "computed checksums did NOT match")
    return 1 if mismatched or unreadable or (malformed and "--strict" in options) else 0


def _entry(line: str) -> tuple[str, str] | None:
    """The checksum and the file of a line: 64 digits, a blank, and a blank or an asterisk."""
    if len(line) < 67 or set(line[:64]) - DIGITS or line[64] != " " or line[65] not in " *":
        return None
    return line[:64], line[66:]


def _warn(number: int, one: str, many: str) -> None:
    if number:
        print(f"sha256sum: WARNING: {number} {one if number == 1 else many}", file=sys.stderr)
