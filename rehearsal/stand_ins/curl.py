"""curl: there is no internet here but the packages that can be downloaded."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import NoReturn

from .packages import downloads

# What is given back for an address that does not exist, when nobody asked for that to be an error.
NOT_FOUND = b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code></Error>'


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"curl: {message}", file=sys.stderr)
        sys.exit(2)


def main(arguments: list[str]) -> int:
    """`curl [-f] [-s] [-S] [-L] [-o FILE | -O] URL`; what tunes the transport changes nothing."""
    parser = _Parser(prog="curl", add_help=False, allow_abbrev=False)
    for short, long in (
        ("-f", "--fail"),
        ("-s", "--silent"),
        ("-S", "--show-error"),
        ("-L", "--location"),
        ("-O", "--remote-name"),
    ):
        parser.add_argument(short, long, action="store_true")
    parser.add_argument("-o", "--output")
    for option in ("--retry", "--retry-delay", "--retry-max-time", "--connect-timeout", "--proto"):
        parser.add_argument(option)
    parser.add_argument("-m", "--max-time")
    for option in (
        "--tlsv1.2",
        "--tlsv1.3",
        "--retry-connrefused",
        "--retry-all-errors",
        "--compressed",
    ):
        parser.add_argument(option, action="store_true", dest="ignored")
    parser.add_argument("url")
    options = parser.parse_args(arguments)

    found = downloads().get(options.url)
    if found is None or os.environ.get("REHEARSAL_DOWNLOAD") == "missing":
        if options.fail:
            if options.show_error or not options.silent:
                print("curl: (22) The requested URL returned error: 404", file=sys.stderr)
            return 22
        content = NOT_FOUND
    else:
        content = found.content()
        if os.environ.get("REHEARSAL_DOWNLOAD") == "corrupt":
            content = content[: len(content) // 2]

    output = Path(options.url).name if options.remote_name else options.output
    if output is None or output == "-":
        sys.stdout.buffer.write(content)
        return 0
    try:
        Path(output).write_bytes(content)
    except OSError as error:
        print(f"curl: (23) client returned ERROR on write: {error.strerror}", file=sys.stderr)
        return 23
    return 0
