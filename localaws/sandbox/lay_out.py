"""Makes what the sandbox has of commands, while sandbox.sh builds it: a link to command.sh for each.

`bin` and `sbin` become the sandbox's own. `machine` is for those of the machine's commands that are
themselves links (awk to mawk, by way of /etc): they are looked up here to their end, for in the sandbox
they would lead to command.sh again and again.
"""

from __future__ import annotations

import os
import sys

COMMAND = "/run/localaws/sandbox/command.sh"
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
    os.mkdir(f"{directory}/machine")
    seen: set[str] = set()
    for kind in ("bin", "sbin"):
        os.mkdir(f"{directory}/{kind}")
        for entry in os.scandir(f"/usr/{kind}"):
            name, linked = entry.name, entry.is_symlink()
            own = _end_of(entry.path) if linked else entry.path
            if name in ABSENT or not own.startswith("/usr/"):
                continue
            own = f"/run/localaws{own}"
            os.symlink(own if name in SHELLS else COMMAND, f"{directory}/{kind}/{name}")
            if linked and name not in seen:
                os.symlink(own, f"{directory}/machine/{name}")
            seen.add(name)
    for name in PRESENT - seen:
        os.symlink(COMMAND, f"{directory}/bin/{name}")


def _end_of(link: str) -> str:
    """Where a link leads in the end, as the kernel knows it; nothing if it leads nowhere."""
    try:
        found = os.open(link, os.O_PATH)
    except OSError:
        return ""
    try:
        # os.path.realpath asks about every directory on the way, which takes four times as long.
        return os.readlink(f"/proc/self/fd/{found}")
    finally:
        os.close(found)


if __name__ == "__main__":
    main(sys.argv[1])
