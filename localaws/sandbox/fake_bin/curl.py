"""curl: downloads the CloudHSM packages and objects of this account's S3."""

from __future__ import annotations

import argparse
import os
import sys

from .durations import DOWNLOAD, pass_time
from .packages import DOWNLOADS
from .routes import reaches
from .sockets import send


def main(arguments: list[str]) -> int:
    """`curl -fsS [--retry N] -o FILE URL`."""
    parser = argparse.ArgumentParser("curl", allow_abbrev=False)
    for flag in ("-f", "-s", "-S"):
        parser.add_argument(flag, action="store_true", required=True)
    parser.add_argument("--retry", type=int)
    parser.add_argument("-o", dest="output", required=True)
    parser.add_argument("url")
    options = parser.parse_args(arguments)
    host = options.url.removeprefix("https://").partition("/")[0]
    if not reaches("s3", _region_of(host)):
        print(f"curl: (28) Failed to connect to {host} port 443: timed out", file=sys.stderr)
        return 28
    status, content = _get(options.url)
    if status >= 400:
        print(f"curl: (22) The requested URL returned error: {status}", file=sys.stderr)
        return 22
    try:
        with open(options.output, "w") as file:
            file.write(content)
    except OSError as error:
        print(f"curl: (23) client returned ERROR on write: {error.strerror}", file=sys.stderr)
        return 23
    return 0


def _region_of(host: str) -> str:
    """The Region of a bucket's address: without one in it, that of the CloudHSM packages."""
    _, _, region = host.removesuffix(".amazonaws.com").partition("s3.")
    return region if host.endswith(".amazonaws.com") and region else "us-east-1"


def _get(url: str) -> tuple[int, str]:
    """The HTTP status and the text of a URL, after the seconds that a download takes."""
    pass_time(DOWNLOAD)
    fault = os.environ.get("LOCALAWS_DOWNLOAD")
    if fault == "missing":
        return 404, ""
    status, content = _read(url)
    return status, content[: len(content) // 2] if fault == "corrupt" else content


def _read(url: str) -> tuple[int, str]:
    if url in DOWNLOADS:
        return 200, DOWNLOADS[url].line
    host, _, key = url.removeprefix("https://").partition("/")
    bucket, s3, _ = host.partition(".s3.")
    if not url.startswith("https://") or not s3 or not host.endswith(".amazonaws.com"):
        return 404, ""
    # Without credentials, so only public objects are readable.
    status, content = send("aws", "GET", f"/{bucket}/{key}")
    return status, content.decode(errors="replace") if status < 400 else ""
