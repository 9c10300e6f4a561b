"""Processes that fork for others, because what they have imported takes long to import."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

# An answer is a line, a problem in words, or nothing if the process has ended.
LONGEST_ANSWER = 65536
DONE = b"\n"


class Source:
    """Such a process, for as many as are connected to it; it ends with the one that started it.

    The program is started with the number of a socket on which it is given connections, each with a
    message of its own, and with the arguments.
    """

    def __init__(self, program: Path, *arguments: str) -> None:
        # Every message whole: some carry descriptors.
        self._starter, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                # Unbuffered: what a function has printed is there although it was killed.
                [sys.executable, "-u", str(program), str(theirs.fileno()), *arguments],
                env=base_variables(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def connect(self) -> socket.socket:
        """A connection on which it can be asked; what it forks for it may end with it."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            socket.send_fds(self._starter, [b"\n"], [theirs.fileno()])
        return ours

    def close(self) -> None:
        """End the process, once all connections are closed."""
        self._starter.close()
        self._process.wait()


class Line:
    """Asks a source, one thing at a time, on the connection that it is given.

    Given none, it asks a source of its own, which is started for the first question.
    """

    def __init__(self, start: Callable[[], Source], connection: socket.socket | None) -> None:
        self._start = start
        self._connection = connection
        self._source: Source | None = None
        self._closed = False
        self._lock = threading.Lock()

    def ask(self, wanted: Mapping[str, Any], descriptors: Sequence[int] = ()) -> list[int]:
        """Have something forked; the descriptors that are answered.

        Raises OSError with what went wrong, or if the source or the line has ended.
        """
        with self._lock:
            if self._closed:
                raise OSError("the line is closed")
            if self._connection is None:
                self._source = self._start()
                self._connection = self._source.connect()
            socket.send_fds(self._connection, [json.dumps(wanted).encode()], [*descriptors])
            answer, handles, _, _ = socket.recv_fds(self._connection, LONGEST_ANSWER, 1)
        if answer != DONE:
            raise OSError(answer.decode() or "the source has ended")
        return handles

    def close(self) -> None:
        """End the connection, and the source if it is this line's own."""
        with self._lock:
            self._closed = True
            if self._connection:
                self._connection.close()
            if self._source:
                self._source.close()


def base_variables() -> dict[str, str]:
    """What of this process's own environment a function or an instance may see."""
    return {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}
