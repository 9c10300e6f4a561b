"""How long commands take, in virtual time: variables of the environment say so."""

from __future__ import annotations

import os

DOWNLOAD = "LOCALAWS_DOWNLOAD_SECONDS"
INSTALL = "LOCALAWS_INSTALL_SECONDS"
CLI = "LOCALAWS_CLI_SECONDS"


def pass_time(variable: str) -> None:
    """Let so many virtual seconds pass."""
    seconds = os.environ.get(variable, "0")
    if float(seconds):
        # As sleep.sh does.
        channel = int(os.environ["LOCALAWS_SLEEP"])
        os.write(channel, f"{seconds}\n".encode())
        os.read(channel, 1)
