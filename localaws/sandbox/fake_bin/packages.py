"""The packages that can be downloaded, and those installed in this sandbox.

A package file is one line, `Package.line`. A fake of a file with a documented checksum (F3.4) has
that checksum as far as the fake sha256sum is concerned. An operator's own package, in a bucket, is
such a line too.
"""

from __future__ import annotations

import hashlib
import os
from typing import NamedTuple

SOFTWARE = "https://s3.amazonaws.com/cloudhsmv2-software/CloudHsmClient"
DATABASE = "/var/lib/rpm"
HSM_DIRECTORY = "/opt/cloudhsm"
COMMAND = "/run/localaws/sandbox/command.sh"
# The commands of each package.
COMMANDS = {
    "jq": ("/usr/bin/jq",),
    "cloudhsm-cli": (
        f"{HSM_DIRECTORY}/bin/cloudhsm-cli",
        f"{HSM_DIRECTORY}/bin/configure-cli",
    ),
    "cloudhsm-client": (f"{HSM_DIRECTORY}/bin/configure",),
}
# The configuration file of each package, as it is after the installation.
CONFIGURATIONS = {
    "cloudhsm-cli": (f"{HSM_DIRECTORY}/etc/cloudhsm-cli.cfg", '{"clusters": []}\n'),
    "cloudhsm-client": (f"{HSM_DIRECTORY}/etc/cloudhsm_client.cfg", "{}\n"),
}


class NotAPackageError(Exception):
    """A file that rpm cannot read as a package."""


class Package(NamedTuple):
    """A package, with the tags of rpm."""

    name: str
    version: str
    release: str
    architecture: str

    def __str__(self) -> str:
        return f"{self.name}-{self.version}-{self.release}.{self.architecture}"

    @property
    def line(self) -> str:
        """The content of its file."""
        return f"rpm {' '.join(self)}\n"


def _cli(architecture: str) -> Package:
    return Package("cloudhsm-cli", "5.18.0", "1.amzn2023", architecture)


# F3.3, F3.4.
DOWNLOADS = {
    **{
        f"{SOFTWARE}/Amzn2023/cloudhsm-cli-5.18.0-1.amzn2023.{architecture}.rpm": _cli(architecture)
        for architecture in ("x86_64", "aarch64")
    },
    f"{SOFTWARE}/EL7/cloudhsm-client-latest.el7.x86_64.rpm": Package(
        "cloudhsm-client", "3.4.4", "1.el7", "x86_64"
    ),
}
DOCUMENTED_SHA256 = {
    _cli("x86_64").line: "0c77a4014d77df64ea3faaf1cc8d8f67dacd8a5ca53baa0026ab0b65d4fe6b69",
    _cli("aarch64").line: "a709088dd8857988c893475d85b9a1b3d7a3545006b119156d1e45bebe77021e",
}


def architecture() -> str:
    """The architecture of the instance."""
    return os.environ.get("LOCALAWS_ARCHITECTURE", "x86_64")


def repository() -> dict[str, Package]:
    """The packages that scripts may install from Amazon's repositories, by name."""
    return {"jq": Package("jq", "1.7.1", "49.amzn2023.0.2", architecture())}


def checksum(content: bytes) -> str:
    """The SHA-256 of the genuine package if this is a fake one, else of the content."""
    documented = DOCUMENTED_SHA256.get(content.decode(errors="replace"))
    return documented or hashlib.sha256(content).hexdigest()


def read(path: str) -> Package:
    """The package in a file; raises NotAPackageError."""
    try:
        with open(path, "rb") as file:
            mark, *fields = file.read().decode(errors="replace").split(" ")
    except OSError as error:
        raise NotAPackageError(path) from error
    if mark != "rpm" or len(fields) != 4 or not fields[3].endswith("\n"):
        raise NotAPackageError(path)
    name, version, release, machine = fields
    return Package(name, version, release, machine.rstrip("\n"))


def installed() -> dict[str, Package]:
    """The installed packages by name."""
    names = os.listdir(DATABASE) if os.path.isdir(DATABASE) else []
    return {name: read(f"{DATABASE}/{name}") for name in names}


def install(package: Package) -> None:
    """Add a package's files and register it."""
    for command in COMMANDS.get(package.name, ()):
        os.makedirs(os.path.dirname(command), exist_ok=True)
        if not os.path.lexists(command):
            os.symlink(COMMAND, command)
    if package.name in CONFIGURATIONS:
        path, content = CONFIGURATIONS[package.name]
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if not os.path.exists(path):
            with open(path, "w") as file:
                file.write(content)
    os.makedirs(DATABASE, exist_ok=True)
    with open(f"{DATABASE}/{package.name}", "w") as file:
        file.write(package.line)


def remove(name: str) -> None:
    """Remove a package's commands and unregister it; like rpm, keep its configuration."""
    for path in (*COMMANDS.get(name, ()), f"{DATABASE}/{name}"):
        if os.path.lexists(path):
            os.unlink(path)
