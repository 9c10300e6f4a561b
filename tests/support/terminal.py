"""Types into programs that run on a terminal."""

from __future__ import annotations

import os
import pty
import select
import signal
import time

# Real seconds.
SECONDS = 180


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, command: list[str]) -> None:
        self.process, self._descriptor = pty.fork()
        if self.process == 0:
            os.execvp(command[0], command)
        self._seen = ""

    def read_until(self, *texts: str) -> tuple[str, str]:
        """All output up to the first of these texts, which was not read before, and that text."""
        end = time.monotonic() + SECONDS
        while not any(text in self._seen for text in texts):
            ready, _, _ = select.select([self._descriptor], [], [], end - time.monotonic())
            assert ready, f"{texts} are not in {self._seen!r}"
            self._seen += os.read(self._descriptor, 4096).decode()
        first = min((self._seen.index(text), text) for text in texts if text in self._seen)[1]
        seen, _, self._seen = self._seen.partition(first)
        return seen.replace("\r\n", "\n"), first

    def type(self, line: str) -> None:
        """Type a line."""
        os.write(self._descriptor, f"{line}\n".encode())

    def close(self) -> None:
        """End the program."""
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        os.close(self._descriptor)
