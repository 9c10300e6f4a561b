"""Fills the sandbox's directories of commands, for sandbox.sh: a link to command.sh for each.

`bin` and `sbin` become the sandbox's own. `machine` is for those of the machine's commands that are
links themselves (awk to mawk, by way of /etc): they are resolved here, because in the sandbox they
would lead to command.sh again.
"""

from __future__ import annotations

import os
import sys

COMMAND = "/run/localaws/sandbox/command.sh"
# Installed by dnf, even if the machine has it; and a shell that Amazon Linux does not have.
NOT_INSTALLED = frozenset({"dash", "jq"})
# Always there, even if the machine lacks it.
INSTALLED = frozenset(
    {
        *("aws", "cloud-init", "curl", "dnf", "rpm", "sha256sum", "sleep", "sudo", "systemctl"),
        "uname",
    }
)
# A script's interpreter cannot be a script. As in Fedora, /bin/sh of Amazon Linux belongs to the
# package bash, whatever it is on this machine.
SHELLS = {"bash": "/usr/bin/bash", "sh": "/usr/bin/bash"}


def main(directory: str) -> None:
    """Fill an empty directory."""
    os.mkdir(f"{directory}/machine")
    seen: set[str] = set()
    for kind in ("bin", "sbin"):
        os.mkdir(f"{directory}/{kind}")
        for entry in os.scandir(f"/usr/{kind}"):
            target = os.path.realpath(SHELLS.get(entry.name, entry.path))
            exists = target.startswith("/usr/") and os.path.exists(target)
            if entry.name in NOT_INSTALLED or not exists:
                continue
            target = f"/run/localaws{target}"
            link = target if entry.name in SHELLS else COMMAND
            os.symlink(link, f"{directory}/{kind}/{entry.name}")
            if entry.is_symlink() and entry.name not in seen:
                os.symlink(target, f"{directory}/machine/{entry.name}")
            seen.add(entry.name)
    for name in INSTALLED - seen:
        os.symlink(COMMAND, f"{directory}/bin/{name}")


if __name__ == "__main__":
    main(sys.argv[1])
