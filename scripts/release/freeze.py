"""Freeze a released version for the upgrade tests: what ships, with checksums, never edited."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

SHIPPED = ("functions", "statemachines", "templates")
FIXTURES = Path("tests") / "fixtures"
# Of the wheels to build the zip with for this machine, which make downloads.
HASHES = Path("functions") / "local-hashes.txt"


class FreezeError(Exception):
    """The version cannot be frozen; the message says why."""


def freeze(version: str, root: Path = Path(), fixtures: Path = FIXTURES) -> Path:
    """Copy what ships; returns the fixture's directory."""
    target, hashes = fixtures / "released" / version, fixtures / "hashes" / f"{version}.txt"
    if target.exists():
        raise FreezeError(f"{target} exists, and a released version is never edited.")
    if f"## [{version}]" not in (root / "CHANGELOG.md").read_text():
        raise FreezeError(f"CHANGELOG.md has no section {version}: turn Unreleased into it.")
    for name in SHIPPED:
        shutil.copytree(root / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    paths = sorted(path for path in target.rglob("*") if path.is_file())
    (target / "SHA256SUMS").write_text(
        "".join(
            f"{hashlib.sha256(path.read_bytes()).hexdigest()}"
            f"  {path.relative_to(target).as_posix()}\n"
            for path in paths
        )
    )
    hashes.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(root / HASHES, hashes)
    return target
