"""Lambda's execution environments: processes that run functions on virtual time and stay warm.

Independent of ministack and HTTP. The caller of an invocation holds the clock, except while the
function sleeps.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
import socket
import tempfile
import threading
import uuid
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localaws.core.clock import Clock
from localaws.fork_server import Connection, ForkServer

Json = dict[str, Any]

PROGRAM = Path(__file__).parent / "environment.py"
# The module that a fork server loads for environments.
RUNTIME = "localaws.lambda_runtime.environment"
# Real seconds that a handler may work between two sleeps; work takes no virtual time.
HUNG_AFTER = 120
# The only variables of this process that functions and instances see.
BASE_VARIABLES = ("PATH", "LANG", "TZ")


@dataclass(frozen=True)
class Function:
    """What an execution environment is made for; a new revision needs a new environment."""

    arn: str
    revision: str
    handler: str
    timeout: float
    variables: Mapping[str, str]


@dataclass(frozen=True)
class Outcome:
    """The result of an invocation; error is {"errorType", "errorMessage", ...} or None."""

    result: Any
    error: Json | None
    log: str
    stream: str


def base_variables() -> dict[str, str]:
    """The part of this process's environment that functions and instances see."""
    return {name: os.environ[name] for name in BASE_VARIABLES if name in os.environ}


class Environment:
    """One process and its output."""

    def __init__(
        self, runtime: Connection, function: Function, task_root: Path, home: Path, day: str
    ) -> None:
        self.function = function
        # Lambda names a log stream after the day and the environment.
        self.stream = f"{day}/[$LATEST]{uuid.uuid4().hex}"
        self._home = Path(tempfile.mkdtemp(prefix="function-", dir=home))
        self._log = (self._home / "log").open("w+b", buffering=0)
        self._socket, theirs = socket.socketpair()
        with theirs, open(os.devnull, "rb") as nothing:
            log = self._log.fileno()
            self._process = runtime.start(
                [str(PROGRAM), "3"],
                cwd=task_root,
                env={
                    **function.variables,
                    "AWS_LAMBDA_LOG_STREAM_NAME": self.stream,
                    "LAMBDA_TASK_ROOT": str(task_root),
                    "_HANDLER": function.handler,
                },
                descriptors=[nothing.fileno(), log, log, theirs.fileno()],
            )
        self._socket.settimeout(HUNG_AFTER)
        self._lines = self._socket.makefile("r", encoding="utf-8")
        self._read = 0
        self._ready = False

    def invoke(
        self, event: Any, request_id: str, clock: Clock, dies: Callable[[str], bool]
    ) -> Outcome:
        """Run the handler.

        `dies` returns whether the process dies at a moment, "before" or "after" the handler's work.
        """
        end = clock.now() + self.function.timeout
        try:
            if not self._ready:
                started = self._receive()
                if "failed" in started:
                    return self._outcome(None, started["failed"])
                self._ready = True
            moment = next((moment for moment in ("before", "after") if dies(moment)), None)
            self._send(
                {
                    "event": event,
                    "request_id": request_id,
                    "arn": self.function.arn,
                    "timeout": self.function.timeout,
                    "die": moment,
                }
            )
            while "sleep" in (message := self._receive()):
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
        return self._ready and not self._process.has_ended()

    def kill(self) -> None:
        """End the process and remove its files."""
        self._end()
        self._process.close()
        self._lines.close()
        self._socket.close()
        self._log.close()
        shutil.rmtree(self._home, ignore_errors=True)

    def _end(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.has_ended(None)

    def _timed_out(self, request_id: str) -> Json:
        self._end()
        problem = f"Task timed out after {self.function.timeout:.2f} seconds"
        return {
            "errorType": "Sandbox.Timedout",
            "errorMessage": f"RequestId: {request_id} Error: {problem}",
        }

    def _outcome(self, result: Any, error: Json | None) -> Outcome:
        if error and not self._ready:
            self._process.has_ended(None)
        self._log.seek(self._read)
        log = self._log.read()
        self._read += len(log)
        return Outcome(result, error, log.decode(errors="replace"), self.stream)

    def _send(self, message: Json) -> None:
        self._socket.sendall((json.dumps(message) + "\n").encode())

    def _receive(self) -> Json:
        line = self._lines.readline()
        if not line:
            self._process.has_ended(None)
            raise EOFError
        message: Json = json.loads(line)
        return message


def _exited(request_id: str, reason: str) -> Json:
    return {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {request_id} Error: Runtime exited with error: {reason}",
    }


class Pool:
    """All environments; an idle one is reused.

    Without the connection to a runtime, the first one starts a runtime of the pool's own.
    """

    def __init__(self, home: Path, runtime: Connection | None = None) -> None:
        self._home = home
        self._runtime = runtime
        self._task_roots: set[Path] = set()
        self._idle: dict[str, list[Environment]] = {}
        self._all: set[Environment] = set()
        self._closed = False
        self._lock = threading.Lock()

    def take(self, function: Function, code: bytes, day: str) -> Environment:
        """An idle environment of this revision, or a new one.

        Raises OSError if the pool is closed.
        """
        with self._lock:
            if self._closed:
                raise OSError("the pool is closed")
            idle = self._idle.get(function.arn, [])
            stale = [each for each in idle if each.function != function]
            fresh = [each for each in idle if each.function == function]
            environment = fresh.pop() if fresh else None
            self._idle[function.arn] = fresh
            if environment is None:
                self._runtime = self._runtime or ForkServer(RUNTIME)
                environment = Environment(
                    self._runtime, function, self._unpack(code), self._home, day
                )
                self._all.add(environment)
        for each in stale:
            self._end(each)
        return environment

    def give_back(self, environment: Environment) -> None:
        """Keep an environment for reuse if its process is alive."""
        if not environment.alive:
            self._end(environment)
            return
        with self._lock:
            self._idle.setdefault(environment.function.arn, []).append(environment)

    def retire(self, arn: str) -> None:
        """End the idle environments of a function that was deleted."""
        with self._lock:
            idle = self._idle.pop(arn, [])
        for each in idle:
            self._end(each)

    def close(self) -> None:
        """End every environment, also those that are running a handler."""
        with self._lock:
            self._closed = True
            environments, self._all = self._all, set()
            task_roots, self._task_roots = self._task_roots, set()
            self._idle.clear()
            runtime, self._runtime = self._runtime, None
        for environment in environments:
            with contextlib.suppress(OSError, ValueError):
                environment.kill()
        if runtime:
            runtime.close()
        for task_root in task_roots:
            shutil.rmtree(task_root)

    def _unpack(self, code: bytes) -> Path:
        """The directory of this archive's content, shared by all environments: they only read."""
        task_root = self._home / f"task-{hashlib.sha256(code).hexdigest()}"
        if task_root not in self._task_roots:
            with zipfile.ZipFile(io.BytesIO(code)) as archive:
                archive.extractall(task_root)
            self._task_roots.add(task_root)
        return task_root

    def _end(self, environment: Environment) -> None:
        with self._lock:
            self._all.discard(environment)
        environment.kill()
