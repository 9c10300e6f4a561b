"""rpm: the packages installed in this sandbox, and package files."""

from __future__ import annotations

import os
import sys

from . import packages
from .packages import Package


def main(arguments: list[str]) -> int:
    """`rpm -q [--qf FORMAT] NAME...`, `-qa`, `-qp FILE...`, `-i|-U FILE...`, `-e NAME...`."""
    letters, words, layout = "", [], "%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}\\n"
    rest = iter(arguments)
    for argument in rest:
        name, _, value = argument.partition("=")
        if name in ("--qf", "--queryformat"):
            layout = value or next(rest)
        elif argument in LONG:
            letters += LONG[argument]
        elif argument.startswith("-") and set(argument[1:]) <= set("qaipUFevh"):
            letters += argument[1:]
        elif argument.startswith("-"):
            print(f"rpm: {argument}: unknown option", file=sys.stderr)
            return 1
        else:
            words.append(argument)
    try:
        return _run(letters, words, layout)
    except packages.NotAPackageError as error:
        reason = "not an rpm package" if os.path.exists(str(error)) else "No such file or directory"
        print(f"error: open of {error} failed: {reason}", file=sys.stderr)
        return 1


LONG = {
    "--query": "q",
    "--all": "a",
    "--package": "p",
    "--install": "i",
    "--upgrade": "U",
    "--erase": "e",
    "--quiet": "",
}


def _run(letters: str, words: list[str], layout: str) -> int:
    present = packages.installed()
    missing = 0
    if "q" in letters:
        if "a" in letters:
            words = sorted(present)
        for word in words:
            package = packages.read(word) if "p" in letters else present.get(word)
            if package:
                print(_format(package, layout), end="")
            else:
                print(f"package {word} is not installed")
                missing += 1
        return min(missing, 255)
    if "e" in letters:
        for word in words:
            if word not in present:
                print(f"error: package {word} is not installed", file=sys.stderr)
                missing += 1
        if not missing:
            for word in words:
                packages.remove(word)
        return min(missing, 255)
    if set(letters) & set("iUF"):
        return _install([packages.read(word) for word in words], "i" in letters, present)
    print("rpm: no arguments given for query", file=sys.stderr)
    return 1


def _install(wanted: list[Package], strictly: bool, present: dict[str, Package]) -> int:
    for package in wanted:
        if package.architecture not in (packages.architecture(), "noarch"):
            print(f"\tpackage {package} is intended for a different architecture", file=sys.stderr)
            return 1
        if strictly and str(present.get(package.name)) == str(package):
            print(f"\tpackage {package} is already installed", file=sys.stderr)
            return 1
    for package in wanted:
        packages.install(package)
    return 0


def _format(package: Package, layout: str) -> str:
    for tag, value in (
        ("NAME", package.name),
        ("VERSION", package.version),
        ("RELEASE", package.release),
        ("ARCH", package.architecture),
        ("NVRA", str(package)),
    ):
        layout = layout.replace(f"%{{{tag}}}", value)
    return layout.replace("\\n", "\n").replace("\\t", "\t")
