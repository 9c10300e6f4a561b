"""Lambda's execution environments: processes that run functions on virtual time and stay warm.

Knows neither ministack nor HTTP. Whoever runs an invocation holds the clock, except while the
function sleeps.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import select
import shutil
import signal
import socket
import tempfile
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localaws.core.clock import Clock
from localaws.core.forking import Line, Source

Json = dict[str, Any]
# Makes an environment of this archive and these variables that reads from and prints to these
# descriptors; a descriptor of its process.
Fork = Callable[[Path, Mapping[str, str], int, int], int]

PROGRAM = Path(__file__).parent / "environment.py"
# A function that works without sleeping takes no virtual time; so many real seconds are enough.
PATIENCE = 120

_keeping = threading.Lock()


@dataclass(frozen=True)
class Function:
    """What an execution environment is made of; another revision needs another one."""

    arn: str
    revision: str
    handler: str
    timeout: float
    variables: Mapping[str, str]


@dataclass(frozen=True)
class Outcome:
    """What an invocation came to; error is {"errorType", "errorMessage", ...} or None."""

    result: Any
    error: Json | None
    log: str
    stream: str


def _kept(code: bytes, home: Path) -> Path:
    """Where this archive is kept, once for all environments."""
    archive = home / f"{hashlib.sha256(code).hexdigest()}.zip"
    with _keeping:
        if not archive.exists():
            archive.write_bytes(code)
    return archive


def start_runtime(directory: Path) -> Source:
    """Start the process that environments are forked from.

    It makes the directory in which it unpacks code, once for all environments since a function
    only reads its own, and removes it when it ends.
    """
    return Source(PROGRAM, str(directory))


class Environment:
    """One process, and what it has printed."""

    def __init__(self, fork: Fork, function: Function, code: bytes, home: Path, when: str) -> None:
        self.function = function
        # Lambda names a log stream after the day and the environment.
        self.stream = f"{when}/[$LATEST]{uuid.uuid4().hex}"
        self._home = Path(tempfile.mkdtemp(prefix="function-", dir=home))
        variables = {
            **function.variables,
            "AWS_LAMBDA_LOG_STREAM_NAME": self.stream,
            "_HANDLER": function.handler,
        }
        self._log = (self._home / "log").open("w+b", buffering=0)
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = fork(_kept(code, home), variables, theirs.fileno(), self._log.fileno())
        self._socket = ours
        self._socket.settimeout(PATIENCE)
        self._lines = self._socket.makefile("r", encoding="utf-8")
        self._read = 0
        self._ready = False

    def invoke(
        self, event: Any, request_id: str, clock: Clock, death: Callable[[str], bool]
    ) -> Outcome:
        """Run the handler; death says whether the process dies "before" or "after" its work."""
        end = clock.now() + self.function.timeout
        try:
            if not self._ready:
                started = self._receive()
                if "failed" in started:
                    return self._outcome(None, started["failed"])
                self._ready = True
            moment = next((moment for moment in ("before", "after") if death(moment)), None)
            self._send(
                {
                    "event": event,
                    "request_id": request_id,
                    "arn": self.function.arn,
                    "timeout": self.function.timeout,
                    "die": moment,
                }
            )
            while True:
                message = self._receive()
                if "sleep" not in message:
                    break
                left = end - clock.now()
                clock.sleep(min(float(message["sleep"]), left))
                if message["sleep"] >= left:
                    return self._outcome(None, self._timed_out(request_id))
                self._send({})
        except TimeoutError:
            return self._outcome(None, self._timed_out(request_id))
        except (EOFError, OSError):
            return self._outcome(None, _exited(request_id, "signal: killed"))
        if "exit" in message:
            return self._outcome(None, _exited(request_id, f"exit status {message['exit']}"))
        if clock.now() >= end:
            return self._outcome(None, self._timed_out(request_id))
        return self._outcome(message.get("result"), message.get("raised"))

    @property
    def alive(self) -> bool:
        """Whether it can take another invocation."""
        return self._ready and not self._ended(0)

    def kill(self) -> None:
        """End the process, whatever it does."""
        self._end()
        os.close(self._process)
        self._lines.close()
        self._socket.close()
        self._log.close()
        shutil.rmtree(self._home, ignore_errors=True)

    def _end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._process, signal.SIGKILL)
        self._ended(None)

    def _ended(self, seconds: float | None) -> bool:
        """Whether the process has ended, or ends within so many real seconds; None: wait for it."""
        poll = select.poll()
        poll.register(self._process, select.POLLIN)
        return bool(poll.poll(None if seconds is None else seconds * 1000))

    def _timed_out(self, request_id: str) -> Json:
        self._end()
        problem = f"Task timed out after {self.function.timeout:.2f} seconds"
        return {
            "errorType": "Sandbox.Timedout",
            "errorMessage": f"RequestId: {request_id} Error: {problem}",
        }

    def _outcome(self, result: Any, error: Json | None) -> Outcome:
        if error and not self._ready:
            self._ended(None)
        self._log.seek(self._read)
        log = self._log.read()
        self._read += len(log)
        return Outcome(result, error, log.decode(errors="replace"), self.stream)

    def _send(self, message: Json) -> None:
        self._socket.sendall((json.dumps(message) + "\n").encode())

    def _receive(self) -> Json:
        line = self._lines.readline()
        if not line:
            self._ended(None)
            raise EOFError
        message: Json = json.loads(line)
        return message


def _exited(request_id: str, how: str) -> Json:
    return {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {request_id} Error: Runtime exited with error: {how}",
    }


class Pool:
    """The environments that exist; one that is idle is used again.

    They are forked from the runtime at the other end of the connection, or else from one of the
    pool's own that is started with the first of them.
    """

    def __init__(self, home: Path, connection: socket.socket | None = None) -> None:
        self._home = home
        self._runtime = Line(lambda: start_runtime(home / "runtime"), connection)
        self._idle: dict[str, list[Environment]] = {}
        self._all: set[Environment] = set()
        self._lock = threading.Lock()

    def take(self, function: Function, code: bytes, when: str) -> Environment:
        """An idle environment of this very revision, or a new one; `when` names the day.

        Raises OSError once the pool is closed.
        """
        with self._lock:
            idle = self._idle.get(function.arn, [])
            stale = [each for each in idle if each.function != function]
            fresh = [each for each in idle if each.function == function]
            environment = fresh.pop() if fresh else None
            self._idle[function.arn] = fresh
        for each in stale:
            self._end(each)
        if environment is None:
            environment = Environment(self._fork, function, code, self._home, when)
            with self._lock:
                self._all.add(environment)
        return environment

    def give_back(self, environment: Environment) -> None:
        """Keep an environment warm, if it still lives."""
        if not environment.alive:
            self._end(environment)
            return
        with self._lock:
            self._idle.setdefault(environment.function.arn, []).append(environment)

    def retire(self, arn: str) -> None:
        """The function is gone: end its idle environments."""
        with self._lock:
            idle = self._idle.pop(arn, [])
        for each in idle:
            self._end(each)

    def close(self) -> None:
        """End every environment, also those at work."""
        with self._lock:
            doomed, self._all = self._all, set()
            self._idle.clear()
        for environment in doomed:
            with contextlib.suppress(OSError, ValueError):
                environment.kill()
        self._runtime.close()
        for archive in self._home.glob("*.zip"):
            archive.unlink()

    def _fork(self, code: Path, variables: Mapping[str, str], channel: int, log: int) -> int:
        wanted = {"code": str(code), "variables": {**variables}}
        [handle] = self._runtime.ask(wanted, [channel, log])
        return handle

    def _end(self, environment: Environment) -> None:
        with self._lock:
            self._all.discard(environment)
        environment.kill()
