"""Starts Python programs quickly: forks a process that has already imported what they need.

Servers and Lambda environments spend most of their time on imports, and the tests start hundreds of
them. This is the only mechanism that exists for speed; docs/development.md has its measurement.

Executed as `python fork_server.py NUMBER MODULE ARGUMENT...`, it calls MODULE.load(ARGUMENT...) and
then forks for each request on the socket of that number, until the other end is closed. A request
with the one word "connect" adds a socket, for requests of another process.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess  # nosec B404 # starts this Python
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

# A request, its descriptors and a response fit; Linux allows 253 descriptors.
MESSAGE_BYTES = 1 << 20
DESCRIPTORS = 16
CONNECT = b"connect"


class ForkedProcess:
    """A process that a fork server started; its exit code is not known."""

    def __init__(self, pid: int, descriptor: int) -> None:
        self.pid = pid
        self._descriptor = descriptor

    def has_ended(self, seconds: float | None = 0) -> bool:
        """Whether it has ended, or ends within some real seconds; None: wait for the end."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(None if seconds is None else seconds * 1000))

    def send_signal(self, number: int) -> None:
        """Send a signal, if it has not ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._descriptor, number)

    def close(self) -> None:
        """Release its descriptor; the process goes on."""
        os.close(self._descriptor)


class Connection:
    """Requests to a fork server; one thread at a time."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests

    def start(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        descriptors: Sequence[int],
    ) -> ForkedProcess:
        """Start `python ARGUMENTS` (a file, or -m and a module) in a process group of its own.

        The descriptors become its descriptors 0, 1, 2 and so on. Raises OSError if the fork server
        has ended.
        """
        request = {"arguments": [*arguments], "cwd": str(cwd), "env": {**env}}
        response, received = b"", list[int]()
        with contextlib.suppress(ConnectionError):
            socket.send_fds(self._requests, [json.dumps(request).encode()], [*descriptors])
            response, received, _, _ = socket.recv_fds(self._requests, MESSAGE_BYTES, 1)
        if not received:
            raise OSError("the fork server has ended")
        return ForkedProcess(int(response), received[0])

    def connect(self) -> socket.socket:
        """A socket for a Connection of another process."""
        ours, theirs = _sockets()
        with theirs, contextlib.suppress(ConnectionError):
            socket.send_fds(self._requests, [CONNECT], [theirs.fileno()])
        return ours

    def close(self) -> None:
        """Send no more requests."""
        self._requests.close()


class ForkServer(Connection):
    """A process that has called `load(*arguments)` of a module and forks programs that need it.

    It ends with the process that created it. The programs it started do not.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        ours, theirs = _sockets()
        super().__init__(ours)
        with theirs:
            self._process = subprocess.Popen(  # nosec B603 # a fixed command
                # Unbuffered, as the programs' output: it is complete even if they are killed.
                [sys.executable, "-u", __file__, str(theirs.fileno()), module, *arguments],
                # Programs could read it in /proc: nothing of the user's is in it.
                env={name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def close(self) -> None:
        """End the fork server."""
        super().close()
        self._process.wait()


def _sockets() -> tuple[socket.socket, socket.socket]:
    """Two connected sockets that keep messages whole."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def _main(number: int, module: str, arguments: Sequence[str]) -> None:
    # Ctrl-C is for the process that started this one, which then closes the socket.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    importlib.import_module(module).load(*arguments)
    # The collector would write to the pages that all programs share.
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, _reap)
    owner = socket.socket(fileno=number)
    clients = [owner]
    while True:
        for client in select.select(clients, [], [])[0]:
            message, descriptors = b"", list[int]()
            with contextlib.suppress(ConnectionError):  # killed before it read its last response
                message, descriptors, _, _ = socket.recv_fds(client, MESSAGE_BYTES, DESCRIPTORS)
            if message == CONNECT:
                clients.append(socket.socket(fileno=descriptors[0]))
            elif message:
                _fork(clients, client, json.loads(message), descriptors)
            elif client is owner:
                return
            else:
                clients.remove(client)
                client.close()


def _fork(
    clients: Sequence[socket.socket],
    client: socket.socket,
    request: dict[str, Any],
    descriptors: Sequence[int],
) -> None:
    # A program that ends at once is reaped when its descriptor is open.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    pid = os.fork()
    if pid == 0:
        for each in clients:
            each.close()
        _run(request, descriptors)
    descriptor = os.pidfd_open(pid)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
    with contextlib.suppress(ConnectionError):  # the client has been killed
        socket.send_fds(client, [str(pid).encode()], [descriptor])
    for number in (descriptor, *descriptors):
        os.close(number)


def _reap(*_: object) -> None:
    """Collect the programs that have ended, so that no zombie stays."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _run(request: dict[str, Any], descriptors: Sequence[int]) -> NoReturn:
    """Become the requested program."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        os.setsid()
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        time.tzset()
        # Of TMPDIR, again.
        tempfile.tempdir = None
        # Out of the way of their numbers first.
        above = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, 100) for each in descriptors]
        for each in descriptors:
            os.close(each)
        for target, each in enumerate(above):
            os.dup2(each, target)
            os.close(each)
        code = _execute(request["arguments"])
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _execute(arguments: Sequence[str]) -> int:
    """Run the program as `python` would; its exit code."""
    is_module, (program, *_) = arguments[0] == "-m", arguments[arguments[0] == "-m" :]
    sys.argv = [*arguments[is_module:]]
    if not is_module:
        sys.path[0] = str(Path(program).parent)
    try:
        if is_module:
            runpy.run_module(program, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(program, run_name="__main__")
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    return 0


if __name__ == "__main__":
    _main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
