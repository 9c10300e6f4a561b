"""make mirror uploads only what it has verified, and to a bucket of the Region."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localaws.client import BUCKET, ROOT, LocalAws
from rehearsal.timings import FREE
from scripts.mirror import PACKAGES, PREFIX, _pinned

NAMES = ("cloudhsm-cli-9.0.0-1.amzn2023.x86_64.rpm", "cloudhsm-jce-9.0.0-1.amzn2023.x86_64.rpm")
VENV = [f"VENV={sys.prefix}"] if os.path.exists(f"{sys.prefix}/installed") else []
Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module", name="aws")
def _aws() -> Iterator[LocalAws]:
    with LocalAws(timings=FREE) as aws:
        yield aws


@pytest.fixture(name="packages")
def _packages(tmp_path: Path) -> Path:
    """A directory with packages, and their checksums in `pinned`."""
    lines = []
    for name in NAMES:
        (tmp_path / name).write_text(name)
        lines.append(f"{hashlib.sha256(name.encode()).hexdigest()}  {name}\n")
    (tmp_path / "pinned").write_text("".join(lines))
    return tmp_path


def mirror(aws: LocalAws, packages: Path, bucket: str = BUCKET) -> Done:
    given = (f"BUCKET={bucket}", f"SOURCE={packages}", f"PACKAGES={packages / 'pinned'}")
    return aws.run("make", "-s", *VENV, "mirror", *given)


def uploaded(aws: LocalAws) -> list[str]:
    found = aws.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=PREFIX).get("Contents", [])
    return [each["Key"] for each in found]


def test_nothing_is_uploaded_unless_all_is_verified(aws: LocalAws, packages: Path) -> None:
    (packages / NAMES[1]).write_text("something else")
    done = mirror(aws, packages)
    assert done.returncode == 2
    assert f"{NAMES[1]} has SHA-256" in done.stderr
    (packages / NAMES[1]).unlink()
    assert "No such file" in mirror(aws, packages).stderr
    (packages / "pinned").write_text("abc  x.rpm\n")
    assert "line 1: write SHA-256" in mirror(aws, packages).stderr
    assert "NoSuchBucket" in mirror(aws, packages, "missing").stderr or uploaded(aws) == []
    assert uploaded(aws) == []


def test_verified_packages_are_uploaded_once_or_again(aws: LocalAws, packages: Path) -> None:
    for _ in range(2):
        done = mirror(aws, packages)
        assert done.returncode == 0, done.stderr
        assert uploaded(aws) == [f"{PREFIX}/{name}" for name in NAMES]
    url = f"s3://{BUCKET}/{PREFIX}/{NAMES[0]}"
    sha256 = hashlib.sha256(NAMES[0].encode()).hexdigest()
    assert done.stdout.splitlines()[-1] == f"pClientPkgUrl={url} pClientPkgSha256={sha256}"


def test_the_pinned_packages_are_those_of_the_documentation_and_the_template() -> None:
    documented = (ROOT / "docs" / "using-the-cluster.md").read_text()
    template = (ROOT / "templates" / "cloudhsm.yml").read_text()
    pinned = _pinned(PACKAGES)
    assert [name for name, sha256 in pinned.items() if sha256 not in documented] == []
    assert len(pinned) == 8
    built_in = [sha256 for name, sha256 in pinned.items() if name.startswith("cloudhsm-cli-")]
    assert [sha256 for sha256 in built_in if sha256 not in template] == []
