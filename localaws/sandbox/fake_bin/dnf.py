"""dnf: installs packages by name from Amazon's repositories or from files, and removes them."""

from __future__ import annotations

import argparse
import sys

from . import packages
from .packages import Package


class DnfError(Exception):
    """The message of a failure."""


def main(arguments: list[str]) -> int:
    """`dnf {install|remove} -y [-q] PACKAGE`."""
    parser = argparse.ArgumentParser("dnf", allow_abbrev=False)
    parser.add_argument("verb", choices=("install", "remove"))
    # There is no terminal on which to confirm.
    parser.add_argument("-y", action="store_true", required=True)
    parser.add_argument("-q", action="store_true", dest="quiet")
    parser.add_argument("package")
    options = parser.parse_args(arguments)
    try:
        output = (_install if options.verb == "install" else _remove)(options.package)
    except DnfError as error:
        print(error, file=sys.stderr)
        return 1
    if not options.quiet:
        print(output)
    return 0


def _install(name: str) -> str:
    try:
        package = packages.read(name) if "/" in name else packages.repository().get(name)
    except packages.NotAPackageError as error:
        message = f"Can not load RPM file: {name}.\nCould not open: {name}"
        raise DnfError(message) from error
    if package is None:
        raise DnfError(
            f"No match for argument: {name}\nError: Unable to find a match: {name}",
        )
    if package.architecture != packages.architecture():
        raise DnfError(
            "Error: \n Problem: conflicting requests\n"
            f"  - package {package} from @commandline does not have a compatible architecture"
        )
    if packages.installed().get(package.name) == package:
        return f"Package {package} is already installed.\nNothing to do.\nComplete!"
    packages.install(package)
    return f"Installed:\n  {package}\n\nComplete!"


def _remove(name: str) -> str:
    package: Package | None = packages.installed().get(name)
    if package is None:
        return f"No match for argument: {name}\nNo packages marked for removal.\nComplete!"
    packages.remove(name)
    return f"Removed:\n  {package}\n\nComplete!"
