"""The packages that can be had, and which of them are installed in this sandbox.

A package file is one line, `Package.line`. What cannot be downloaded here is made up, always the
same for the same address, and so may be an operator's own package, in a bucket. What stands in for
a file with a documented checksum (F3.4) *has* that checksum, as far as sha256sum is concerned.
"""

from __future__ import annotations

import os

SOFTWARE = "https://s3.amazonaws.com/cloudhsmv2-software/CloudHsmClient"
DATABASE = "/var/lib/rpm"
HSM_DIRECTORY = "/opt/cloudhsm"
COMMAND = "/run/localaws/sandbox/command.sh"
# What a package brings, of commands.
COMMANDS = {
    "jq": ("/usr/bin/jq",),
    "cloudhsm-cli": (
        f"{HSM_DIRECTORY}/bin/cloudhsm-cli",
        f"{HSM_DIRECTORY}/bin/configure-cli",
    ),
    "cloudhsm-client": (f"{HSM_DIRECTORY}/bin/configure",),
}


class NotAPackageError(Exception):
    """A file that rpm cannot read as a package."""


class Package:
    """One package as rpm names it. No dataclass: importing those takes longer than a fake command."""

    def __init__(self, name: str, version: str, release: str, architecture: str) -> None:
        self.name = name
        self.version = version
        self.release = release
        self.architecture = architecture

    def __str__(self) -> str:
        return f"{self.name}-{self.version}-{self.release}.{self.architecture}"

    @property
    def line(self) -> str:
        """The content of its file."""
        return f"rpm {self.name} {self.version} {self.release} {self.architecture}\n"


def _cli(architecture: str) -> Package:
    return Package("cloudhsm-cli", "5.18.0", "1.amzn2023", architecture)


# F3.3, F3.4; "latest" moves.
DOWNLOADS = {
    **{
        f"{SOFTWARE}/Amzn2023/cloudhsm-cli-{version}.amzn2023.{architecture}.rpm": _cli(
            architecture
        )
        for version in ("5.18.0-1", "latest")
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
    """The instance's."""
    return os.environ.get("REHEARSAL_ARCHITECTURE", "x86_64")


def repository() -> dict[str, Package]:
    """What Amazon's own repositories have, of what a script could want."""
    return {
        name: Package(name, version, release, architecture())
        for name, version, release in (
            ("amazon-cloudwatch-agent", "1.300051.0", "1.amzn2023"),
            ("jq", "1.7.1", "49.amzn2023.0.2"),
            ("openssl", "3.2.2", "1.amzn2023.0.2"),
            ("unzip", "6.0", "57.amzn2023.0.2"),
        )
    }


PREINSTALLED = ("openssl",)


def checksum(content: bytes) -> str:
    """The SHA-256 that the genuine file has, if this stands in for one; of all else, its own."""
    documented = DOCUMENTED_SHA256.get(content.decode(errors="replace"))
    if documented:
        return documented
    import hashlib

    return hashlib.sha256(content).hexdigest()


def read(path: str) -> Package:
    """The package in a file."""
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
    found = {name: repository()[name] for name in PREINSTALLED}
    if os.path.isdir(DATABASE):
        for name in os.listdir(DATABASE):
            found[name] = read(f"{DATABASE}/{name}")
    return found


def install(package: Package) -> None:
    """Put a package's files in place and remember it."""
    if package.name == "cloudhsm-client":
        # Both live in one directory, and SDK 3 takes the place of SDK 5.
        remove("cloudhsm-cli")
    for command in COMMANDS.get(package.name, ()):
        os.makedirs(os.path.dirname(command), exist_ok=True)
        if not os.path.lexists(command):
            os.symlink(COMMAND, command)
    if package.name == "cloudhsm-cli":
        _put(f"{HSM_DIRECTORY}/etc/cloudhsm-cli.cfg", '{"clusters": []}\n')
    if package.name == "cloudhsm-client":
        _put(f"{HSM_DIRECTORY}/etc/cloudhsm_client.cfg", "{}\n")
    os.makedirs(DATABASE, exist_ok=True)
    with open(f"{DATABASE}/{package.name}", "w") as file:
        file.write(package.line)


def remove(name: str) -> None:
    """Take a package's commands away and forget it; what was configured stays, as with rpm."""
    for path in (*COMMANDS.get(name, ()), f"{DATABASE}/{name}"):
        if os.path.lexists(path):
            os.unlink(path)


def _put(path: str, content: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if not os.path.exists(path):
        with open(path, "w") as file:
            file.write(content)
