"""Runs the fake commands of every sandbox in processes that are forked, all imported, and not started."""

from __future__ import annotations

import socket
from pathlib import Path

from localaws.core.forking import Line, Source

PROGRAM = Path(__file__).parent / "command_runtime.py"
# Where commands ask for it in a sandbox: command.sh knows it, too.
ADDRESS = "/run/localaws/requests"


def start_command_server() -> Source:
    """Start the process that has the fake commands imported, the AWS CLI among them."""
    return Source(PROGRAM)


class CommandServer:
    """Puts the process into sandboxes, on the connection to it that is given."""

    def __init__(self, connection: socket.socket | None = None) -> None:
        self._line = Line(start_command_server, connection)

    def enter(self, process: int, root: str) -> None:
        """Have it wait for commands in the sandbox of this first process with this root directory.

        It does until the sandbox ends, or all processes in it are killed. Raises OSError if it cannot.
        """
        self._line.ask({"process": process, "root": root, "address": ADDRESS})

    def close(self) -> None:
        """Let go of the process."""
        self._line.close()
