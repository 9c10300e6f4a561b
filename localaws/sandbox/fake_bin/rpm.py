"""rpm: queries the packages installed in this sandbox."""

from __future__ import annotations

from .packages import installed
from .usage import unsupported


def main(arguments: list[str]) -> int:
    """`rpm -q NAME`."""
    match arguments:
        case ["-q", name] if not name.startswith("-"):
            package = installed().get(name)
            print(package or f"package {name} is not installed")
            return 0 if package else 1
    return unsupported("rpm", arguments)
