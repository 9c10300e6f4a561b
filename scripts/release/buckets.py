"""The buckets of a release: one in each Region, since Lambda reads code in its own Region only.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-lambda-function-code.html
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import ClientError

from scripts.release.addresses import partition_of


class BucketError(Exception):
    """A bucket cannot hold the release, or holds another one; the message says which and why."""


@dataclass(frozen=True)
class Bucket:
    """A bucket and its Region."""

    region: str
    name: str

    @property
    def client(self) -> Any:
        """S3 in the bucket's Region."""
        return boto3.client("s3", region_name=self.region)

    def require_region(self) -> None:
        """Raise BucketError unless the bucket is in its Region."""
        try:
            found = self.client.get_bucket_location(Bucket=self.name)["LocationConstraint"]
        except ClientError as error:
            raise BucketError(f"BUCKETS: {self.name}: {error}") from error
        home = found or "us-east-1"
        if home != self.region:
            raise BucketError(
                f"BUCKETS: {self.name} is in {home}, not in {self.region}. Lambda and Step"
                " Functions read artifacts from a bucket in their own Region only."
            )

    def differences(self, wanted: Mapping[str, bytes], prefix: str) -> Differences:
        """Compare the objects below a prefix with those that are wanted."""
        client = self.client
        found: set[str] = set()
        for page in client.get_paginator("list_objects_v2").paginate(
            Bucket=self.name, Prefix=prefix
        ):
            found.update(each["Key"] for each in page.get("Contents", []))
        changed = [key for key in sorted(found & set(wanted)) if not self._has(key, wanted[key])]
        return Differences(
            [key for key in wanted if key not in found], changed, sorted(found - set(wanted))
        )

    def _has(self, key: str, body: bytes) -> bool:
        stored = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return bool(stored == body)

    def put(self, key: str, body: bytes) -> None:
        """Upload a new object; never replace one, also not one uploaded in the meantime.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
        """
        try:
            self.client.put_object(
                Bucket=self.name,
                Key=key,
                Body=body,
                IfNoneMatch="*",
                ChecksumSHA256=_checksum(body),
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "PreconditionFailed" and self._has(key, body):
                return
            raise BucketError(
                f"BUCKETS: s3://{self.name}/{key} was not uploaded: {error}"
            ) from error


@dataclass(frozen=True)
class Differences:
    """Keys that a bucket lacks, that have other content there, and that only the bucket has."""

    missing: list[str]
    changed: list[str]
    unknown: list[str]

    @property
    def conflicts(self) -> list[str]:
        """What shows that another content was released under this version."""
        return [*self.changed, *self.unknown]


def _checksum(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


def parse(text: str) -> list[Bucket]:
    """The buckets of BUCKETS=region=bucket,..."""
    found = []
    for each in text.split(","):
        region, separator, name = each.strip().partition("=")
        if not separator or not region or not name:
            raise BucketError(f"BUCKETS: {each!r} is not of the form region=bucket.")
        found.append(Bucket(region, name))
    regions = [each.region for each in found]
    if twice := sorted({region for region in regions if regions.count(region) > 1}):
        raise BucketError(f"BUCKETS: two buckets for {', '.join(twice)}.")
    if len({partition_of(region) for region in regions}) > 1:
        raise BucketError(
            "BUCKETS: credentials are of one partition. Release to GovCloud with a command of its"
            " own."
        )
    return found
