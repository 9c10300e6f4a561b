"""Released versions in tests/fixtures/released, from which existing stacks are upgraded."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

RELEASED = Path(__file__).parent / "fixtures" / "released"
VERSIONS = sorted(path.name for path in RELEASED.iterdir())


@pytest.mark.parametrize("version", VERSIONS)
def test_a_released_version_is_never_edited(version: str) -> None:
    directory = RELEASED / version
    sums = (directory / "SHA256SUMS").read_text()
    expected = {name: digest for digest, name in (line.split() for line in sums.splitlines())}
    found = {
        path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file() and path.name != "SHA256SUMS" and path.suffix != ".pyc"
    }
    assert found == expected
