"""dnf: installs, reinstalls, swaps and removes packages, from files or by name."""

from __future__ import annotations

import argparse
import sys

from . import packages
from .durations import INSTALL, pass_time
from .packages import Package
from .routes import reaches


class DnfError(Exception):
    """The message of a failure."""


# Both own /opt/cloudhsm. Whether the real packages conflict is not documented; if they do, only a
# swap replaces one by the other.
CONFLICTING = frozenset({"cloudhsm-cli", "cloudhsm-client"})


def main(arguments: list[str]) -> int:
    """`dnf {install|reinstall|remove} -y [-q] PACKAGE`, `dnf swap -y [-q] NAME PACKAGE`."""
    parser = argparse.ArgumentParser("dnf", allow_abbrev=False)
    parser.add_argument("verb", choices=("install", "reinstall", "remove", "swap"))
    # There is no terminal on which to confirm.
    parser.add_argument("-y", action="store_true", required=True)
    parser.add_argument("-q", action="store_true", dest="quiet")
    parser.add_argument("packages", nargs="+")
    options = parser.parse_args(arguments)
    if len(options.packages) != (2 if options.verb == "swap" else 1):
        parser.error(f"{options.verb}: wrong number of packages")
    try:
        output = _run(options.verb, *options.packages)
    except DnfError as error:
        print(error, file=sys.stderr)
        return 1
    if not options.quiet:
        print(output)
    return 0


def _run(verb: str, *names: str) -> str:
    if verb == "remove":
        return _remove(names[0])
    package = _find(names[-1])
    installed = packages.installed()
    if verb == "reinstall" and installed.get(package.name) != package:
        raise DnfError(f"Installed package {package} not available.")
    if verb == "swap" and names[0] not in installed:
        raise DnfError(f"No match for argument: {names[0]}\nError: No packages marked for removal.")
    removed = names[0] if verb == "swap" else ""
    for other in CONFLICTING & {*installed} - {package.name, removed}:
        if package.name in CONFLICTING:
            raise DnfError(f"Error: \n Problem: package {package} conflicts with {other}")
    if verb == "install" and installed.get(package.name) == package:
        return f"Package {package} is already installed.\nNothing to do.\nComplete!"
    pass_time(INSTALL)
    if removed:
        packages.remove(removed)
    packages.install(package)
    return f"Installed:\n  {package}\n\nComplete!"


def _find(name: str) -> Package:
    """The package, checked before anything is changed."""
    try:
        package = packages.read(name) if "/" in name else packages.repository().get(name)
    except packages.NotAPackageError as error:
        message = f"Can not load RPM file: {name}.\nCould not open: {name}"
        raise DnfError(message) from error
    if "/" not in name and not reaches("s3"):
        # Amazon Linux's repositories are in buckets of each Region (F6.27).
        raise DnfError("Error: Failed to download metadata for repo 'amazonlinux'")
    if package is None:
        raise DnfError(
            f"No match for argument: {name}\nError: Unable to find a match: {name}",
        )
    if package.architecture != packages.architecture():
        raise DnfError(
            "Error: \n Problem: conflicting requests\n"
            f"  - package {package} from @commandline does not have a compatible architecture"
        )
    return package


def _remove(name: str) -> str:
    package: Package | None = packages.installed().get(name)
    if package is None:
        return f"No match for argument: {name}\nNo packages marked for removal.\nComplete!"
    packages.remove(name)
    return f"Removed:\n  {package}\n\nComplete!"
