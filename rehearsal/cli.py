"""The AWS CLI in every box; imported once, in a process of its own."""

from __future__ import annotations

import socket
from pathlib import Path

from rehearsal.forking import Line, Source
from rehearsal.stand_ins.aws import ADDRESS

PROGRAM = Path(__file__).parent / "instance_site" / "cli.py"


def start_cli() -> Source:
    """Start the process that has the CLI imported."""
    return Source(PROGRAM)


class Cli:
    """Puts the CLI into boxes, on the connection to its process that it is given."""

    def __init__(self, connection: socket.socket | None = None) -> None:
        self._line = Line(start_cli, connection)

    def enter(self, process: int, root: str) -> None:
        """Have it wait for calls in the box of this first process with this root directory.

        It does until the box ends, or all processes in it are killed. Raises OSError if it cannot.
        """
        self._line.ask({"process": process, "root": root, "address": ADDRESS})

    def close(self) -> None:
        """Let go of the process."""
        self._line.close()
