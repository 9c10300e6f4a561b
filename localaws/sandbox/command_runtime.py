"""What runs the fake commands of all instances, the AWS CLI among them: it enters each sandbox.

This program is started with the number of a socket on which it is given connections. Asked on one
of them, it forks into a sandbox and waits there for commands, forking again for each, because to start
Python takes longer than most fake commands run, and to import the CLI takes far longer. What it does in
the sandbox it does with the sandbox's files, and it ends with the sandbox.

A command is a process that asks to be done for: it has written its number to the sandbox's pipe (see
command.sh) and waits for the exit code. Its arguments, directory, environment and file
mode creation mask are taken from /proc, its standard streams by pidfd_getfd(2).
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
import shlex
import signal
import socket
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

HERE = Path(__file__).resolve().parent
# A call that asks nobody, but for which all is imported and read that such calls need.
SKELETON = [
    *("secretsmanager", "get-secret-value", "--secret-id", "x", "--region", "us-east-1"),
    *("--query", "SecretString", "--output", "text", "--generate-cli-skeleton", "output"),
]
# What fake commands import when they are called, which would be done for each call.
ALSO = ("http.client", "jq")
SETTINGS = Path("/run/localaws/environment")
LONGEST_REQUEST = 4096
STANDARD_STREAMS = (0, 1, 2)
# A command's copies of its own, and a pipe from which it reads its exit code.
COPIES, ANSWER = (5, 6, 7), 8
# linux/sched.h: the user, mount and process namespaces that sandbox.sh is the first process of.
NAMESPACES = 0x10000000 | 0x00020000 | 0x20000000
# pidfd_getfd(2), with this number on every architecture.
PIDFD_GETFD = 438

_libc = ctypes.CDLL(None, use_errno=True)


def main(number: int) -> None:
    """Serve whoever is connected; a message with a descriptor connects another one."""
    # Whoever started it says when it ends, also at a terminal.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Nobody waits for those that are forked.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    run = _read_ahead()
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
                    _enter(asking, json.loads(request), run)


def _read_ahead() -> Any:
    """What runs a fake command by its name, with all imported that fake commands need."""
    # Before the import of the CLI, which adds to it; nothing else of the machine's is for a sandbox.
    os.environ.clear()
    sys.path[0] = str(HERE)
    aws = importlib.import_module("fake_bin.aws")
    # The CLI's own botocore, which it puts in the place of any other as it is imported first. Its
    # descriptions of services are read once, for all calls.
    importlib.import_module("awscli.clidriver")
    session = vars(importlib.import_module("botocore.session"))
    session["create_loader"] = functools.cache(session["create_loader"])
    with open(os.devnull, "r+b") as nothing:
        for stream in STANDARD_STREAMS:
            os.dup2(nothing.fileno(), stream)
    aws.main(SKELETON)
    # That driver knows the environment of its call; another has read the configuration, no more.
    aws.driver.cache_clear()
    aws.driver()
    fake_bin = (HERE / "fake_bin").glob("*.py")
    for name in (*ALSO, *(f"fake_bin.{path.stem}" for path in fake_bin)):
        importlib.import_module(name)
    # It stays, in every sandbox, and no command lives long enough for garbage.
    gc.freeze()
    gc.disable()
    return sys.modules["fake_bin.fake"].main


def _enter(asking: socket.socket, sandbox: dict[str, Any], run: Any) -> NoReturn:
    """Enter a sandbox, and wait there for commands."""
    if not _may_take():
        asking.send(b"\n")
        os._exit(0)
    try:
        _go_into(sandbox["process"], sandbox["root"])
        requests = _open(sandbox["address"])
    except BaseException as problem:
        asking.send(f"{type(problem).__name__}: {problem}".encode())
        os._exit(1)
    # Only what is forked now is among the sandbox's processes, and ends with them.
    process = os.fork()
    if not process:
        try:
            _serve(requests, run, asking)
        finally:
            os._exit(1)
    # A sandbox is gone when all its processes are reaped, and this one's parent has to be there for it.
    os.closerange(len(STANDARD_STREAMS), os.sysconf("SC_OPEN_MAX"))
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process, 0)
    os._exit(0)


def _go_into(process: int, root: str) -> None:
    handle = os.pidfd_open(process)
    if _libc.setns(handle, NAMESPACES):
        raise OSError(ctypes.get_errno(), "the sandbox cannot be entered")
    os.close(handle)
    os.chroot(root)
    os.chdir("/")


def _open(address: str) -> int:
    """The pipe on which commands ask."""
    # It is left of one that was killed, and what nobody had read is lost.
    with contextlib.suppress(FileNotFoundError):
        os.unlink(address)
    os.mkfifo(address)
    # For writing, too: it has no end.
    return os.open(address, os.O_RDWR)


def _serve(number: int, run: Any, asking: socket.socket) -> NoReturn:
    """Fork for each command; no file of the machine's is kept open."""
    os.setsid()
    asking.send(b"\n")
    os.closerange(len(STANDARD_STREAMS), number)
    os.closerange(number + 1, os.sysconf("SC_OPEN_MAX"))
    with open(number) as requests:
        while True:
            process = int(requests.readline())
            if not os.fork():
                _do(process, run)


def _do(process: int, run: Any) -> NoReturn:
    """Do what a process was called for, and answer the exit code."""
    handle = os.pidfd_open(process)
    answer = _take(handle, ANSWER)
    code = 1
    try:
        for stream, copy in zip(STANDARD_STREAMS, COPIES, strict=True):
            taken = _take(handle, copy)
            os.dup2(taken, stream)
            os.close(taken)
        code = _run(Path("/proc", str(process)), run)
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        os.write(answer, f"{code}\n".encode())
        os._exit(0)


def _may_take() -> bool:
    """Whether this machine allows pidfd_getfd, which many a container's seccomp profile does not.

    Else commands find no pipe in the sandbox, and start Python themselves.
    """
    try:
        _take(os.pidfd_open(os.getpid()), STANDARD_STREAMS[0])
    except OSError:
        return False
    return True


def _take(handle: int, number: int) -> int:
    """A descriptor of another process."""
    taken = int(_libc.syscall(PIDFD_GETFD, handle, number, 0))
    if taken < 0:
        raise OSError(ctypes.get_errno(), "the descriptors of another process cannot be had")
    return taken


def _run(process: Path, run: Any) -> int:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _, command, *arguments = _read(process / "cmdline")
    os.environ.update(_settings())
    # What a script exports for itself comes first, as with the environment on AWS.
    given = (entry.partition("=") for entry in _read(process / "environ"))
    os.environ.update((name, value) for name, _, value in given if value)
    [mask] = (line for line in (process / "status").open() if line.startswith("Umask:"))
    os.umask(int(mask.split()[1], 8))
    os.chdir(process / "cwd")
    try:
        return int(run(os.path.basename(command), arguments))
    except SystemExit as left:
        return int(left.code or 0)


def _settings() -> Iterator[tuple[str, str]]:
    """What sandbox.py has written for fake commands, in the words of a shell."""
    for line in SETTINGS.read_text().splitlines():
        name, _, value = shlex.split(line)[-1].partition("=")
        yield name, value


def _read(path: Path) -> list[str]:
    return os.fsdecode(path.read_bytes()).split("\0")[:-1]


if __name__ == "__main__":
    main(int(sys.argv[1]))
