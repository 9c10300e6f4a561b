"""Makes what the box has of commands, while box.sh builds it: a link to command.sh for each.

`bin` and `sbin` become the box's own. `machine` has the machine's commands, for command.sh: one
that is itself a link (awk to mawk, by way of /etc) is looked up here to its end, for in the box it
would lead to command.sh again and again.
"""

from __future__ import annotations

import os
import sys

COMMAND = "/run/rehearsal/stand_ins/command.sh"
# What dnf installs, though the machine may have it.
ABSENT = frozenset({"jq"})
# What is there, though the machine may not have it.
PRESENT = frozenset(
    {
        "aws",
        "cloud-init",
        "curl",
        "date",
        "dnf",
        "python3",
        "rpm",
        "sha256sum",
        "sleep",
        "systemctl",
        "uname",
        "yum",
    }
)
# A script's own interpreter cannot be a script.
SHELLS = frozenset({"bash", "dash", "sh"})


def main(directory: str) -> None:
    """Fill an empty directory."""
    machine = f"{directory}/machine"
    os.mkdir(machine)
    for kind in ("bin", "sbin"):
        os.mkdir(f"{directory}/{kind}")
        for entry in os.scandir(f"/usr/{kind}"):
            own = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
            if entry.name in ABSENT or not own.startswith("/usr/"):
                continue
            own = f"/run/rehearsal{own}"
            os.symlink(own if entry.name in SHELLS else COMMAND, f"{directory}/{kind}/{entry.name}")
            if not os.path.lexists(f"{machine}/{entry.name}"):
                os.symlink(own, f"{machine}/{entry.name}")
    for name in PRESENT:
        if not os.path.lexists(f"{directory}/bin/{name}"):
            os.symlink(COMMAND, f"{directory}/bin/{name}")


if __name__ == "__main__":
    main(sys.argv[1])
