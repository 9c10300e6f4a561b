"""dnf, and yum, which is the same: packages by name from Amazon's repositories, or from files."""

from __future__ import annotations

import sys

from . import packages
from .packages import Package

ASSUME_YES = {"-y", "--assumeyes"}
IGNORED = {"-q", "--quiet", "--nogpgcheck", "--setopt=install_weak_deps=False", "--cacheonly", "-C"}


def main(arguments: list[str]) -> int:
    """`dnf [-y] [-q] install|localinstall|remove|erase|list PACKAGE...`."""
    options = {word for word in arguments if word.startswith("-")}
    words = [word for word in arguments if word not in options]
    unknown = options - ASSUME_YES - IGNORED
    if unknown or not words:
        print(f"dnf: error: unrecognized arguments: {' '.join(sorted(unknown))}", file=sys.stderr)
        return 1
    verb, names = words[0], words[1:]
    agreed, quiet = bool(options & ASSUME_YES), bool(options & {"-q", "--quiet"})
    if verb in ("install", "localinstall"):
        return _install(names, agreed, quiet)
    if verb in ("remove", "erase"):
        return _remove(names, agreed, quiet)
    if verb == "list":
        return _list([name for name in names if name not in ("installed", "--installed")])
    if verb in ("clean", "makecache", "check-update"):
        return 0
    print(f"No such command: {verb}. Please use /usr/bin/dnf --help", file=sys.stderr)
    return 1


def _install(names: list[str], agreed: bool, quiet: bool) -> int:
    wanted = []
    for name in names:
        try:
            package = _find(name)
        except packages.NotAPackageError:
            print(f"Can not load RPM file: {name}.\nCould not open: {name}", file=sys.stderr)
            return 1
        if package is None:
            print(
                f"No match for argument: {name}\nError: Unable to find a match: {name}",
                file=sys.stderr,
            )
            return 1
        if package.architecture not in (packages.architecture(), "noarch"):
            print(
                "Error: \n Problem: conflicting requests\n"
                f"  - package {package} from @commandline does not have a compatible architecture",
                file=sys.stderr,
            )
            return 1
        wanted.append(package)
    present = packages.installed()
    new = []
    for package in wanted:
        if str(present.get(package.name)) == str(package):
            _say(quiet, f"Package {package} is already installed.")
        else:
            new.append(package)
    _say(quiet, "Dependencies resolved.")
    if not new:
        _say(quiet, "Nothing to do.\nComplete!")
        return 0
    if not _may_go_on(agreed):
        return 1
    for package in new:
        packages.install(package)
    _say(quiet, "\nInstalled:\n" + "\n".join(f"  {package}" for package in new) + "\n\nComplete!")
    return 0


def _find(name: str) -> Package | None:
    if name.endswith(".rpm") or "/" in name:
        return packages.read(name)
    return packages.installed().get(name) or packages.repository().get(name)


def _remove(names: list[str], agreed: bool, quiet: bool) -> int:
    present = packages.installed()
    found = [present[name] for name in names if name in present]
    for name in names:
        if name not in present:
            _say(quiet, f"No match for argument: {name}")
    if not found:
        _say(
            quiet,
            "No packages marked for removal.\nDependencies resolved.\nNothing to do.\nComplete!",
        )
        return 0
    if not _may_go_on(agreed):
        return 1
    for package in found:
        packages.remove(package.name)
    _say(quiet, "\nRemoved:\n" + "\n".join(f"  {package}" for package in found) + "\n\nComplete!")
    return 0


def _list(names: list[str]) -> int:
    present = packages.installed()
    found = [present[name] for name in names or sorted(present) if name in present]
    if not found:
        print("Error: No matching Packages to list", file=sys.stderr)
        return 1
    print("Installed Packages")
    for package in found:
        print(
            f"{package.name}.{package.architecture}  {package.version}-{package.release}  @System"
        )
    return 0


def _may_go_on(agreed: bool) -> bool:
    """Whether the question is answered: nobody is there to answer it."""
    if not agreed:
        print("Is this ok [y/N]: Operation aborted.", file=sys.stderr)
    return agreed


def _say(quiet: bool, text: str) -> None:
    if not quiet:
        print(text)
