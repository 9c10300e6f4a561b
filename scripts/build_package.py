"""Builds a Lambda zip: a package's sources and unpacked wheels.

Builds are reproducible with the same zlib: entries are sorted, have fixed times and modes, and
exclude what an installer writes (RECORD, byte code).
"""

from __future__ import annotations

import argparse
import os
import stat
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

SOURCES = Path("functions") / "hsm_lifecycle"
# The earliest time that a zip can store.
_MADE = (1980, 1, 1, 0, 0, 0)
_TYPES_ONLY = (".pyi", ".typed")
_NOTICES = ("LICENSE", "NOTICE")


class PackageError(Exception):
    """The zip cannot be built."""


def build(sources: Path, wheels: Path, target: Path, roots: Path | None = None) -> None:
    """Write a zip with a package's sources and the contents of all wheels in a directory.

    The root certificates in `roots` replace those of the package, if it has any.
    """
    contents = contents_of_sources(sources)
    for path in roots.glob("*.pem") if roots else ():
        name = f"{sources.name}/roots/{path.name}"
        if name in contents:
            contents[name] = path.read_bytes()
    write_zip({**contents_of_wheels(wheels), **contents}, target)


def contents_of_sources(sources: Path) -> dict[str, bytes]:
    """The modules and root certificates of a package by name in the zip."""
    modules = {
        path.relative_to(sources.parent).as_posix(): path.read_bytes()
        for path in sources.rglob("*")
        if path.suffix in (".py", ".pem")
    }
    if f"{sources.name}/__init__.py" not in modules:
        raise PackageError(f"{sources} is not a Python package.")
    return modules


def contents_of_wheels(wheels: Path) -> dict[str, bytes]:
    """The runtime files and licences in the wheels of a directory."""
    found = sorted(wheels.glob("*.whl"))
    if not found:
        raise PackageError(f"{wheels} contains no wheels: run `make setup`.")
    contents: dict[str, bytes] = {}
    for wheel in found:
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if not is_needed(name):
                    continue
                if name in contents:
                    raise PackageError(f"{wheel.name} and another wheel both contain {name}.")
                contents[name] = archive.read(name)
    return contents


def is_needed(name: str) -> bool:
    """Whether an entry of a wheel is code, data or a licence."""
    path = PurePosixPath(name)
    if name.endswith("/") or "__pycache__" in path.parts or "tests" in path.parts:
        return False
    if path.parts[0].endswith(".dist-info"):
        return path.name.startswith(_NOTICES)
    return path.suffix not in _TYPES_ONLY


def write_zip(contents: Mapping[str, bytes], target: Path) -> None:
    """Write files as a reproducible zip, atomically."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partly = target.with_name(f"{target.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(partly, "w") as archive:
            for name in sorted(contents):
                entry = zipfile.ZipInfo(name, _MADE)
                entry.create_system = 3  # Unix, on any build platform
                entry.external_attr = (stat.S_IFREG | 0o644) << 16
                archive.writestr(entry, contents[name], zipfile.ZIP_DEFLATED, compresslevel=9)
        partly.replace(target)
    finally:
        partly.unlink(missing_ok=True)


def main(arguments: list[str] | None = None) -> None:
    """Build the zip or exit with the reason."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "wheels", type=Path, help="directory with the wheels for the target platform"
    )
    parser.add_argument("target", type=Path, help="the zip to write")
    parser.add_argument(
        "--sources", type=Path, default=SOURCES, help="the package (default: %(default)s)"
    )
    parser.add_argument("--roots", type=Path, help="directory with other root certificates to pin")
    given = parser.parse_args(arguments)
    try:
        build(given.sources, given.wheels, given.target, given.roots)
    except PackageError as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
