"""uname: the architecture is the instance's."""

from __future__ import annotations

import os

from .packages import architecture

MACHINE = "/run/rehearsal/usr/bin/uname"


def main(arguments: list[str]) -> int:
    """`uname -m`; the machine's own for the rest."""
    if arguments in (["-m"], ["-i"], ["-p"], ["--machine"]):
        print(architecture())
    else:
        os.execv(MACHINE, ["uname", *arguments])
    return 0
