"""aws: the real command line interface, version 1.

To import it takes far longer than to ask for a secret. So the first call in a box leaves a process
behind that has it imported, and that forks for each further call.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import gc
import importlib
import json
import os
import signal
import socket
import sys
import traceback
from typing import Any, NoReturn

ADDRESS = "/run/rehearsal/aws"
# A call that asks nobody, but for which all is imported and read that such calls need.
REHEARSAL = [
    *("secretsmanager", "get-secret-value", "--secret-id", "x", "--region", "us-east-1"),
    *("--query", "SecretString", "--output", "text", "--generate-cli-skeleton", "output"),
]
# Bytes; a command's arguments and environment are less.
LONGEST_CALL = 131072
STANDARD_STREAMS = (0, 1, 2)

Call = dict[str, Any]


def main(arguments: list[str]) -> int:
    """`aws SERVICE OPERATION [OPTION...]`."""
    call = {
        "arguments": arguments,
        "environment": {**os.environ, "HOME": "/root"},
        "directory": os.getcwd(),
    }
    with _connected() as interface:
        socket.send_fds(interface, [json.dumps(call).encode()], STANDARD_STREAMS)
        answer = interface.recv(1)
    # Nothing is answered by a process that was killed.
    return answer[0] if answer else 255


def _connected() -> socket.socket:
    """A connection to the process that has the interface imported, which is started if need be."""
    interface = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with open(f"{ADDRESS}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            interface.connect(ADDRESS)
        except OSError:
            _start()
            interface.connect(ADDRESS)
    return interface


def _start() -> None:
    # It is left of one that was killed.
    with contextlib.suppress(FileNotFoundError):
        os.unlink(ADDRESS)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(ADDRESS)
    listener.listen()
    if not os.fork():
        try:
            _serve(listener)
        finally:
            os._exit(1)
    listener.close()


def _serve(listener: socket.socket) -> NoReturn:
    """Fork for each call. Nothing is kept of the script whose call came first."""
    os.setsid()
    os.chdir("/")
    with open(os.devnull, "r+b") as nothing:
        for stream in STANDARD_STREAMS:
            os.dup2(nothing.fileno(), stream)
    os.closerange(3, listener.fileno())
    os.closerange(listener.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
    # With the packages of this Python in sight, not before: the standard library comes first.
    sys.path.append(os.environ["REHEARSAL_SITE_PACKAGES"])
    os.environ.clear()
    # The descriptions of services are read once, for all calls.
    session = vars(importlib.import_module("botocore.session"))
    session["create_loader"] = functools.cache(session["create_loader"])
    create_driver = importlib.import_module("awscli.clidriver").create_clidriver
    create_driver().main(REHEARSAL)
    # That one knows the environment of its call; this one has read the configuration file, no more.
    driver = create_driver()
    gc.freeze()
    # Nobody waits for those that are forked.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
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
    os.environ.update(call["environment"])
    os.chdir(call["directory"])
    try:
        return int(driver.main(call["arguments"]))
    except SystemExit as left:
        return int(left.code or 0)
