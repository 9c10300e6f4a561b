"""The packages that can be had, and which of them are installed in this box.

A package file is a line of JSON: what cannot be downloaded here is made up, always the same for
the same address. What stands in for a file with a documented checksum (F3.4) *has* that checksum,
as far as sha256sum is concerned.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

SOFTWARE = "https://s3.amazonaws.com/cloudhsmv2-software/CloudHsmClient"
# Further addresses that this box can reach, one line of JSON each: see publish().
PUBLISHED = Path("/run/rehearsal/published")
DATABASE = Path("/var/lib/rpm")
HSM_DIRECTORY = Path("/opt/cloudhsm")
COMMAND = "/run/rehearsal/stand_ins/command.sh"


class NotAPackageError(Exception):
    """A file that rpm cannot read as a package."""


@dataclass(frozen=True)
class Package:
    """One package as rpm names it."""

    name: str
    version: str
    release: str
    architecture: str

    def __str__(self) -> str:
        return f"{self.name}-{self.version}-{self.release}.{self.architecture}"


@dataclass(frozen=True)
class Download:
    """What an address serves; documented_sha256 is that of the genuine file, where it is known."""

    package: Package
    documented_sha256: str | None = None

    def content(self) -> bytes:
        """The bytes that are served."""
        return (json.dumps({"rpm": asdict(self.package)}) + "\n").encode()


def _cli(architecture: str, sha256: str) -> Download:
    return Download(Package("cloudhsm-cli", "5.18.0", "1.amzn2023", architecture), sha256)


# F3.4.
_CLI_X86_64 = _cli("x86_64", "0c77a4014d77df64ea3faaf1cc8d8f67dacd8a5ca53baa0026ab0b65d4fe6b69")
_CLI_AARCH64 = _cli("aarch64", "a709088dd8857988c893475d85b9a1b3d7a3545006b119156d1e45bebe77021e")
DOWNLOADS = {
    f"{SOFTWARE}/Amzn2023/cloudhsm-cli-5.18.0-1.amzn2023.x86_64.rpm": _CLI_X86_64,
    f"{SOFTWARE}/Amzn2023/cloudhsm-cli-5.18.0-1.amzn2023.aarch64.rpm": _CLI_AARCH64,
    # F3.3: "latest" moves.
    f"{SOFTWARE}/Amzn2023/cloudhsm-cli-latest.amzn2023.x86_64.rpm": _CLI_X86_64,
    f"{SOFTWARE}/Amzn2023/cloudhsm-cli-latest.amzn2023.aarch64.rpm": _CLI_AARCH64,
    f"{SOFTWARE}/EL7/cloudhsm-client-latest.el7.x86_64.rpm": Download(
        Package("cloudhsm-client", "3.4.4", "1.el7", "x86_64")
    ),
}

# What Amazon's own repositories have, of what a script could want.
REPOSITORY = {
    package.name: package
    for package in (
        Package("jq", "1.7.1", "49.amzn2023.0.2", "x86_64"),
        Package("openssl", "3.2.2", "1.amzn2023.0.2", "x86_64"),
        Package("unzip", "6.0", "57.amzn2023.0.2", "x86_64"),
        Package("amazon-cloudwatch-agent", "1.300051.0", "1.amzn2023", "x86_64"),
    )
}
PREINSTALLED = ("openssl",)


def architecture() -> str:
    """The instance's."""
    return os.environ.get("REHEARSAL_ARCHITECTURE", "x86_64")


def downloads() -> dict[str, Download]:
    """What can be downloaded, by address."""
    found = dict(DOWNLOADS)
    if PUBLISHED.exists():
        for line in PUBLISHED.read_text().splitlines():
            entry = json.loads(line)
            found[entry["url"]] = Download(Package(**entry["rpm"]), entry.get("sha256"))
    return found


def documented_checksum(content: bytes) -> str:
    """The SHA-256 that the genuine file has, if this is its stand-in; of anything else, its own."""
    for download in downloads().values():
        if download.documented_sha256 and content == download.content():
            return download.documented_sha256
    return hashlib.sha256(content).hexdigest()


def read(path: Path) -> Package:
    """The package in a file."""
    try:
        return Package(**json.loads(path.read_bytes())["rpm"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotAPackageError(str(path)) from error


def installed() -> dict[str, Package]:
    """The installed packages by name."""
    found = {name: REPOSITORY[name] for name in PREINSTALLED}
    if DATABASE.is_dir():
        for path in DATABASE.iterdir():
            found[path.name] = read(path)
    return found


def install(package: Package) -> None:
    """Put a package's files in place and remember it."""
    if package.name == "jq":
        _put_command("/usr/bin/jq")
    elif package.name == "cloudhsm-cli":
        for name in ("cloudhsm-cli", "configure-cli"):
            _put_command(f"{HSM_DIRECTORY}/bin/{name}")
        _put_configuration("cloudhsm-cli.cfg", {"clusters": []})
    elif package.name == "cloudhsm-client":
        # Both live in one directory, and SDK 3 takes the place of SDK 5.
        remove("cloudhsm-cli")
        _put_command(f"{HSM_DIRECTORY}/bin/configure")
        _put_configuration("cloudhsm_client.cfg", {"client": {}})
    DATABASE.mkdir(parents=True, exist_ok=True)
    (DATABASE / package.name).write_text(json.dumps({"rpm": asdict(package)}))


def remove(name: str) -> None:
    """Take a package's commands away and forget it; what was configured stays, as with rpm."""
    commands = {
        "jq": ["/usr/bin/jq"],
        "cloudhsm-cli": [
            f"{HSM_DIRECTORY}/bin/{command}" for command in ("cloudhsm-cli", "configure-cli")
        ],
        "cloudhsm-client": [
            f"{HSM_DIRECTORY}/bin/{command}"
            for command in ("configure", "cloudhsm_mgmt_util", "cloudhsm_client")
        ],
    }
    for command in commands.get(name, []):
        Path(command).unlink(missing_ok=True)
    (DATABASE / name).unlink(missing_ok=True)


def _put_command(path: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Path(path).unlink(missing_ok=True)
    os.symlink(COMMAND, path)


def _put_configuration(name: str, content: object) -> None:
    path = HSM_DIRECTORY / "etc" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_text(json.dumps(content))
