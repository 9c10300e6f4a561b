"""The AWS CLI, version 1, for all instances: imported once, it enters each box.

This program is started with the number of a socket on which it is given connections. Asked on one
of them, it forks into a box and waits there for calls, forking again for each, because to import
the CLI takes far longer than to ask for a secret. What it does in the box it does with the box's
files, and it ends with the box.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from typing import Any, NoReturn

# A call that asks nobody, but for which all is imported and read that such calls need.
REHEARSAL = [
    *("secretsmanager", "get-secret-value", "--secret-id", "x", "--region", "us-east-1"),
    *("--query", "SecretString", "--output", "text", "--generate-cli-skeleton", "output"),
]
# Bytes; a command's arguments and environment are less.
LONGEST_CALL = 131072
LONGEST_REQUEST = 4096
STANDARD_STREAMS = (0, 1, 2)
# linux/sched.h: the user, mount and process namespaces that box.sh is the first process of.
NAMESPACES = 0x10000000 | 0x00020000 | 0x20000000

Call = dict[str, Any]


def main(number: int) -> None:
    """Serve whoever is connected; a message with a descriptor connects another one."""
    # Whoever started it says when it ends, also at a terminal.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Nobody waits for those that are forked.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    driver = _read_ahead()
    with selectors.DefaultSelector() as waiting, socket.socket(fileno=number) as starter:
        waiting.register(starter, selectors.EVENT_READ)
        # Also without its starter, as long as anybody is connected.
        while waiting.get_map():
            for key, _ in waiting.select():
                asking = key.fileobj
                assert isinstance(asking, socket.socket)
                request, descriptors, _, _ = socket.recv_fds(asking, LONGEST_REQUEST, 1)
                if not request:
                    waiting.unregister(asking)
                    asking.close()
                elif asking is starter:
                    waiting.register(socket.socket(fileno=descriptors[0]), selectors.EVENT_READ)
                elif not os.fork():
                    _enter(asking, json.loads(request), driver)


def _read_ahead() -> Any:
    """The CLI with all that calls need."""
    # Before the import, by which the CLI adds to it; nothing else of the machine's is for a box.
    os.environ.clear()
    create_driver = importlib.import_module("awscli.clidriver").create_clidriver
    # The CLI's own botocore, which it puts in the place of any other as it is imported first. Its
    # descriptions of services are read once, for all calls.
    session = vars(importlib.import_module("botocore.session"))
    session["create_loader"] = functools.cache(session["create_loader"])
    with open(os.devnull, "r+b") as nothing:
        for stream in STANDARD_STREAMS:
            os.dup2(nothing.fileno(), stream)
    create_driver().main(REHEARSAL)
    # That one knows the environment of its call; this one has read the configuration file, no more.
    driver = create_driver()
    # It stays, in every box, and no call lives long enough for garbage.
    gc.freeze()
    gc.disable()
    return driver


def _enter(asking: socket.socket, box: Call, driver: Any) -> NoReturn:
    """Enter a box, and wait there for calls."""
    try:
        _go_into(box["process"], box["root"])
        listener = _listen(box["address"])
    except BaseException as problem:
        asking.send(f"{type(problem).__name__}: {problem}".encode())
        os._exit(1)
    # Only what is forked now is among the box's processes, and ends with them.
    process = os.fork()
    if not process:
        try:
            _serve(listener, driver, asking)
        finally:
            os._exit(1)
    # A box is gone when all its processes are reaped, and this one's parent has to be there for it.
    os.closerange(len(STANDARD_STREAMS), os.sysconf("SC_OPEN_MAX"))
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process, 0)
    os._exit(0)


def _go_into(process: int, root: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    handle = os.pidfd_open(process)
    if libc.setns(handle, NAMESPACES):
        raise OSError(ctypes.get_errno(), "the box cannot be entered")
    os.close(handle)
    os.chroot(root)
    os.chdir("/")


def _listen(address: str) -> socket.socket:
    # It is left of one that was killed.
    with contextlib.suppress(FileNotFoundError):
        os.unlink(address)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(address)
    listener.listen()
    return listener


def _serve(listener: socket.socket, driver: Any, asking: socket.socket) -> NoReturn:
    """Fork for each call; no file of the machine's is kept open."""
    os.setsid()
    asking.send(b"\n")
    os.closerange(len(STANDARD_STREAMS), listener.fileno())
    os.closerange(listener.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
    while True:
        caller, _ = listener.accept()
        if not os.fork():
            listener.close()
            _answer(caller, driver)
        caller.close()


def _answer(caller: socket.socket, driver: Any) -> NoReturn:
    code = 1
    try:
        asked, streams, _, _ = socket.recv_fds(caller, LONGEST_CALL, len(STANDARD_STREAMS))
        for stream, given in zip(STANDARD_STREAMS, streams, strict=True):
            os.dup2(given, stream)
            os.close(given)
        code = _run(json.loads(asked), driver)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        caller.send(bytes([code]))
        os._exit(0)


def _run(call: Call, driver: Any) -> int:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(call["environment"])
    os.chdir(call["directory"])
    try:
        return int(driver.main(call["arguments"]))
    except SystemExit as left:
        return int(left.code or 0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
