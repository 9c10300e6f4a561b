"""make release and make verify-release, against buckets of a local AWS."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from localaws.client import LocalAws
from scripts.release.artifacts import NAME
from scripts.templates import CATALOG
from tests.test_released import project_version

VERSION = project_version()
SUMS = f"{NAME}/{VERSION}/SHA256SUMS"
HERE, THERE = "artifacts-here", "artifacts-there"
BUCKETS = f"us-east-1={HERE},eu-central-1={THERE}"
VENV = [f"VENV={sys.prefix}"] if Path(sys.prefix, "installed").exists() else []


@dataclass
class Publisher:
    aws: LocalAws
    s3: Any

    def make(self, target: str, buckets: str = BUCKETS) -> subprocess.CompletedProcess[str]:
        return self.aws.run("make", "-s", *VENV, target, f"VERSION={VERSION}", f"BUCKETS={buckets}")

    def keys(self, bucket: str) -> list[str]:
        return [each["Key"] for each in self.s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


@pytest.fixture(scope="module", name="publisher")
def _publisher() -> Iterator[Publisher]:
    with LocalAws() as aws:
        s3 = aws.client("s3")
        s3.create_bucket(Bucket=HERE)
        s3.create_bucket(
            Bucket=THERE, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        yield Publisher(aws, s3)


@pytest.mark.long
def test_a_version_is_released_once_and_never_replaced(publisher: Publisher) -> None:
    wrong = publisher.make("release", f"eu-central-1={HERE}")
    assert wrong.returncode == 2
    assert f"{HERE} is in us-east-1, not in eu-central-1" in wrong.stderr

    lacking = publisher.make("verify-release")
    assert lacking.returncode == 2
    assert f"s3://{HERE}/{SUMS}: missing" in lacking.stderr

    first = publisher.make("release")
    assert first.returncode == 0, first.stderr
    count = len(publisher.keys(HERE))
    assert re.findall(r"^(\S+): (\d+) of (\d+) uploaded$", first.stdout, re.MULTILINE) == [
        (region, str(count), str(count)) for region in ("us-east-1", "eu-central-1")
    ]
    for region, bucket in (("us-east-1", HERE), ("eu-central-1", THERE)):
        base = f"https://{bucket}.s3.{region}.amazonaws.com/{NAME}/{VERSION}"
        for name in ("cloudhsm.yml", "cloudhsm-key-store.yml", CATALOG):
            assert f"template      {base}/{name}\n" in first.stdout
            assert f"{NAME}/{VERSION}/{name}" in publisher.keys(bucket)
    assert publisher.make("verify-release").returncode == 0

    # A rebuilt zip is the same, and so is its key.
    again = publisher.make("release")
    assert again.returncode == 0, again.stderr
    assert f"us-east-1: 0 of {count} uploaded" in again.stdout

    # A release that was interrupted is completed.
    publisher.s3.delete_object(Bucket=THERE, Key=SUMS)
    completed = publisher.make("release")
    assert f"eu-central-1: 1 of {count} uploaded" in completed.stdout

    publisher.s3.delete_object(Bucket=HERE, Key=SUMS)
    publisher.s3.put_object(Bucket=THERE, Key=SUMS, Body=b"other")
    refused = publisher.make("release")
    assert refused.returncode == 2
    assert "was released with other content, so nothing was uploaded. Raise the version." in (
        refused.stderr
    )
    assert f"s3://{THERE}/{SUMS}" in refused.stderr
    assert SUMS not in publisher.keys(HERE)
    publisher.s3.put_object(Bucket=HERE, Key=f"{NAME}/{VERSION}/artifacts/other.zip", Body=b"other")
    different = publisher.make("verify-release").stderr.splitlines()
    assert different[:3] == [
        f"s3://{HERE}/{SUMS}: missing",
        f"s3://{HERE}/{NAME}/{VERSION}/artifacts/other.zip: not of this version",
        f"s3://{THERE}/{SUMS}: different",
    ]
