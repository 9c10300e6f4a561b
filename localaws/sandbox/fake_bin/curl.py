"""curl: of the internet there are the packages that can be downloaded, and this account's S3."""

from __future__ import annotations

import os
import sys
from getopt import GetoptError, gnu_getopt

from .packages import DOWNLOADS

# Those that matter, with their short names; of the others, it does not matter what they say.
FLAGS = {"f": "fail", "s": "silent", "S": "show-error", "L": "location", "O": "remote-name"}
VALUES = {"o": "output", "m": "max-time"}
FURTHER = ("compressed", "tlsv1.2", "tlsv1.3", "retry-connrefused", "retry-all-errors")
FURTHER_VALUES = ("connect-timeout", "proto", "retry", "retry-delay", "retry-max-time")
# What an address that does not exist answers, which is no error unless somebody asks for that.
NOT_FOUND = '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code></Error>'


def main(arguments: list[str]) -> int:
    """`curl [-f] [-s] [-S] [-L] [-o FILE | -O] URL`; what tunes the transport changes nothing."""
    long = [*FLAGS.values(), *FURTHER]
    long += [f"{name}=" for name in (*VALUES.values(), *FURTHER_VALUES)]
    short = "".join(FLAGS) + "".join(f"{letter}:" for letter in VALUES)
    names = {f"-{letter}": f"--{name}" for letter, name in {**FLAGS, **VALUES}.items()}
    try:
        found, words = gnu_getopt(arguments, short, long)
    except GetoptError as error:
        print(f"curl: {error}", file=sys.stderr)
        return 2
    options = {names.get(name, name): value for name, value in found}
    if len(words) != 1:
        print("curl: (2) one URL is needed", file=sys.stderr)
        return 2
    return _fetch(words[0], options)


def _fetch(url: str, options: dict[str, str]) -> int:
    status, content = _get(url)
    if status >= 400 and "--fail" in options:
        if "--show-error" in options or "--silent" not in options:
            print(f"curl: (22) The requested URL returned error: {status}", file=sys.stderr)
        return 22
    output = os.path.basename(url) if "--remote-name" in options else options.get("--output", "-")
    if output == "-":
        sys.stdout.write(content)
        return 0
    try:
        with open(output, "w") as file:
            file.write(content)
    except OSError as error:
        print(f"curl: (23) client returned ERROR on write: {error.strerror}", file=sys.stderr)
        return 23
    return 0


def _get(url: str) -> tuple[int, str]:
    """What an address answers: an HTTP status and a text."""
    spoiled = os.environ.get("REHEARSAL_DOWNLOAD")
    if spoiled == "missing":
        return 404, NOT_FOUND
    if url in DOWNLOADS:
        status, content = 200, DOWNLOADS[url].line
    else:
        scheme, _, rest = url.partition("://")
        host, _, key = rest.partition("/")
        bucket, dot, service = host.partition(".s3.")
        if scheme != "https" or not dot or not service.endswith("amazonaws.com"):
            return 404, NOT_FOUND
        status, content = _get_object(f"/{bucket}/{key}")
    if spoiled == "corrupt":
        content = content[: len(content) // 2]
    return status, content


def _get_object(path: str) -> tuple[int, str]:
    """An object in S3, as anyone may read it who is not signed in."""
    from http.client import HTTPConnection

    connection = HTTPConnection(os.environ["AWS_ENDPOINT_URL"].partition("://")[2])
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read().decode(errors="replace")
