"""make mirror: copies the pinned client packages to a bucket, each verified by its SHA-256.

AWS disables the addresses of old packages about a year after their release (F3.1); and a client
without internet access reaches only buckets of its Region. Nothing is uploaded unless every
package has been verified. A repeated run uploads the same objects again.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import re
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

PACKAGES = Path(__file__).with_name("client_packages.sha256")
SOURCE = "https://s3.amazonaws.com/cloudhsmv2-software/CloudHsmClient/Amzn2023"
PREFIX = "cloudhsm-client-sdk"
# Seconds.
_TIMEOUT = 60
_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9._+-]+\.rpm)")


class MirrorError(Exception):
    """Why nothing more was copied."""


def main() -> int:
    """Copy the packages and print how to use them."""
    parser = argparse.ArgumentParser(prog="python -m scripts.mirror", description=__doc__)
    parser.add_argument("bucket")
    parser.add_argument(
        "--packages", type=Path, default=PACKAGES, help="lines of SHA-256, two spaces and a name"
    )
    parser.add_argument("--source", default=SOURCE, help="an https address or a directory")
    given = parser.parse_args()
    try:
        for line in _mirror(given.bucket, given.packages, given.source):
            print(line)
    except (BotoCoreError, ClientError, MirrorError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _mirror(bucket: str, packages: Path, source: str) -> Iterator[str]:
    pinned = _pinned(packages)
    s3 = boto3.client("s3")
    _check_region(s3, bucket)
    contents = {name: _verified(source, name, sha256) for name, sha256 in pinned.items()}
    for name, content in contents.items():
        # S3 compares the checksum as well.
        checksum = base64.b64encode(bytes.fromhex(pinned[name])).decode()
        key = f"{PREFIX}/{name}"
        s3.put_object(Bucket=bucket, Key=key, Body=content, ChecksumSHA256=checksum)
        yield f"s3://{bucket}/{key}"
    for name in pinned:
        if name.startswith("cloudhsm-cli-"):
            url = f"s3://{bucket}/{PREFIX}/{name}"
            yield f"pClientPkgUrl={url} pClientPkgSha256={pinned[name]}"


def _pinned(packages: Path) -> dict[str, str]:
    """The SHA-256 of each package by name."""
    pinned = {}
    for number, line in enumerate(packages.read_text().splitlines(), 1):
        match = _LINE.fullmatch(line)
        if not match:
            raise MirrorError(
                f"{packages}, line {number}: write SHA-256, two spaces and the name of an RPM."
            )
        pinned[match[2]] = match[1]
    return pinned


def _check_region(s3: Any, bucket: str) -> None:
    """The client reads the packages through its Region's endpoint."""
    headers = s3.head_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPHeaders"]
    found = headers.get("x-amz-bucket-region", s3.meta.region_name)
    if found != s3.meta.region_name:
        raise MirrorError(
            f"Bucket {bucket} is in {found}, not in {s3.meta.region_name}. Name a bucket of the"
            " client's Region, or set AWS_REGION to it."
        )


def _verified(source: str, name: str, sha256: str) -> bytes:
    content = _read(source, name)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise MirrorError(
            f"{source}/{name} has SHA-256 {found}, but {sha256} is pinned. Nothing was uploaded."
        )
    return content


def _read(source: str, name: str) -> bytes:
    if not source.startswith("https://"):
        return Path(source, name).read_bytes()
    try:
        with urllib.request.urlopen(f"{source}/{name}", timeout=_TIMEOUT) as response:  # nosec B310 # https
            content: bytes = response.read()
            return content
    except OSError as error:
        raise MirrorError(
            f"{source}/{name}: {error}. AWS removes old versions: pin newer ones, or pass SOURCE= a"
            " directory with these. Nothing was uploaded."
        ) from error


if __name__ == "__main__":
    sys.exit(main())
