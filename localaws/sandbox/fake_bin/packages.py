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


def configuration(component: str) -> str:
    """The configuration file of a component of Client SDK 5."""
    return f"{HSM_DIRECTORY}/etc/cloudhsm-{component}.cfg"


# The commands of each package.
COMMANDS = {
    **{
        f"cloudhsm-{name}": (f"{HSM_DIRECTORY}/bin/configure-{name}",)
        for name in ("pkcs11", "jce", "openssl-provider")
    },
    "jq": ("/usr/bin/jq",),
    "cloudhsm-cli": (
        f"{HSM_DIRECTORY}/bin/cloudhsm-cli",
        f"{HSM_DIRECTORY}/bin/configure-cli",
    ),
    "cloudhsm-client": (f"{HSM_DIRECTORY}/bin/configure",),
}
# The configuration file of each package, as it is after the installation.
CONFIGURATIONS = {
    **{
        f"cloudhsm-{name}": (configuration(name), '{"clusters": []}\n')
        for name in ("cli", "pkcs11", "jce", "openssl-provider")
    },
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


def _sdk5(component: str, architecture: str) -> Package:
    return Package(f"cloudhsm-{component}", "5.18.0", "1.amzn2023", architecture)


# F3.4, F3.33.
_DOCUMENTED = {
    ("cli", "x86_64"): "0c77a4014d77df64ea3faaf1cc8d8f67dacd8a5ca53baa0026ab0b65d4fe6b69",
    ("cli", "aarch64"): "a709088dd8857988c893475d85b9a1b3d7a3545006b119156d1e45bebe77021e",
    ("pkcs11", "x86_64"): "8d321bd3d74b7365e40107e43e5aa4680f4938513ca1c33f1c739369d54cc466",
    ("pkcs11", "aarch64"): "8206a783676c2dc737872f8d536d2233e76197505b80c5bbff11690cc975d105",
    ("jce", "x86_64"): "2ee2076bea49b970e1b9f6a0edee11dc9cbd139ef11a2687e4e6f54c9cc3ef66",
    ("jce", "aarch64"): "8323afdfd2f080dad51c92fe6fd1b802c7db76f6b29949d6c5349472e1377a06",
    ("openssl-provider", "x86_64"): (
        "0d6470a0083273ae1d0922ab7b8b240f929762764bd7b0c84d95f87b3c38fca4"
    ),
    ("openssl-provider", "aarch64"): (
        "a6cafef403e45c19faf6977906ffbf06b4d12b79ddb5fb1f26383c9d1e3dd4ec"
    ),
}
# F3.3.
DOWNLOADS = {
    **{f"{SOFTWARE}/Amzn2023/{_sdk5(*wanted)}.rpm": _sdk5(*wanted) for wanted in _DOCUMENTED},
    f"{SOFTWARE}/EL7/cloudhsm-client-latest.el7.x86_64.rpm": Package(
        "cloudhsm-client", "3.4.4", "1.el7", "x86_64"
    ),
}
DOCUMENTED_SHA256 = {_sdk5(*wanted).line: sha256 for wanted, sha256 in _DOCUMENTED.items()}


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
