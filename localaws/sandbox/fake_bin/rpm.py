"""rpm: queries package files and the packages installed in this sandbox."""

from __future__ import annotations

import sys

from .packages import NotAPackageError, installed, read
from .usage import unsupported


def main(arguments: list[str]) -> int:
    """`rpm -q NAME`, `rpm -qp [--queryformat %{NAME}] FILE`."""
    match arguments:
        case ["-qp", path] if not path.startswith("-"):
            return _query_file(path, "")
        case ["-qp", "--queryformat", "%{NAME}" as form, path]:
            return _query_file(path, form)
        case ["-q", name] if not name.startswith("-"):
            package = installed().get(name)
            print(package or f"package {name} is not installed")
            return 0 if package else 1
    return unsupported("rpm", arguments)


def _query_file(path: str, form: str) -> int:
    try:
        package = read(path)
    except NotAPackageError:
        print(f"error: {path}: not an rpm package (or package manifest)", file=sys.stderr)
        return 1
    print(package.name if form else package, end="" if form else "\n")
    return 0
