"""Lambda execution environments: each runs a handler, again and again, as the Python runtime does.

This program is the runtime. It is started with the number of a socket on which it is given
connections, and forks an environment for each request on one of these, because a new Python would
spend most of its time importing the SDK and the descriptions of services. An environment reads from
a socket of its own what to do, and writes what came of it, one JSON object a line. None of this
knows anything of the rehearsal's package: what a function can import is its zip and the runtime.
time.sleep takes virtual time: the other side is asked to let it pass.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import gc
import importlib
import json
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, NoReturn

import boto3
import botocore.client
import botocore.session

Json = dict[str, Any]

# Services whose descriptions are read ahead.
SERVICES = (
    "cloudformation",
    "cloudhsmv2",
    "ec2",
    "events",
    "iam",
    "kms",
    "lambda",
    "logs",
    "secretsmanager",
    "ssm",
    "stepfunctions",
)
# The longest request for an environment, in bytes; its variables are at most 4 KB on AWS.
LONGEST_REQUEST = 65536


class Channel:
    """The line to the other side."""

    def __init__(self, number: int) -> None:
        self._socket = socket.socket(fileno=number)
        self._lines = self._socket.makefile("r", encoding="utf-8")
        self._lock = threading.Lock()

    def receive(self) -> Json:
        """The next message; the process ends with the other side."""
        line = self._lines.readline()
        if not line:
            os._exit(0)
        message: Json = json.loads(line)
        return message

    def send(self, message: Json) -> None:
        """Say something."""
        sys.stdout.flush()
        sys.stderr.flush()
        self._socket.sendall((json.dumps(message) + "\n").encode())

    def ask(self, message: Json) -> Json:
        """Say something and wait for the answer; one thread at a time."""
        with self._lock:
            self.send(message)
            return self.receive()


class LogHandler(logging.Handler):
    """The root logger's handler as the runtime installs it, for the log formats Text and JSON."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self._form = form
        self.request_id = ""

    def emit(self, record: logging.LogRecord) -> None:
        moment = dt.datetime.fromtimestamp(record.created, dt.UTC)
        stamp = f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"
        if self._form == "JSON":
            print(json.dumps(self._fields(record, stamp)), flush=True)
            return
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + "".join(traceback.format_exception(*record.exc_info))
        print(f"[{record.levelname}]\t{stamp}\t{self.request_id}\t{text}", flush=True)

    def _fields(self, record: logging.LogRecord, stamp: str) -> Json:
        known = vars(logging.makeLogRecord({})).keys() | {"message", "asctime"}
        fields: Json = {
            "timestamp": stamp,
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
            "requestId": self.request_id,
        }
        if record.exc_info and record.exc_info[0]:
            fields["errorType"] = record.exc_info[0].__name__
            fields["errorMessage"] = str(record.exc_info[1])
            fields["stackTrace"] = traceback.format_tb(record.exc_info[2])
        extra = {name: value for name, value in vars(record).items() if name not in known}
        return {**fields, **json.loads(json.dumps(extra, default=str))}


class Context:
    """What a handler gets beside its event."""

    def __init__(self, invocation: Json, slept: Callable[[], float]) -> None:
        self.aws_request_id = invocation["request_id"]
        self.invoked_function_arn = invocation["arn"]
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.identity = SimpleNamespace(cognito_identity_id=None, cognito_identity_pool_id=None)
        self.client_context = None
        self._slept, self._end = slept, time.monotonic() + invocation["timeout"] + slept()

    def get_remaining_time_in_millis(self) -> int:
        """Until the function's Timeout: sleeping counts virtual seconds, working real ones."""
        return max(0, int((self._end - time.monotonic() - self._slept()) * 1000))


def main(number: int, directory: str) -> None:
    """Serve whoever is connected; a message with a descriptor connects another one.

    Code is unpacked in a directory that is made for it, and removed at the end.
    """
    os.mkdir(directory, 0o700)
    # Whoever started it says when it ends, also at a terminal.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _read_ahead()
    # What is here stays, in every environment: the collector need not look at it again.
    gc.freeze()
    with socket.socket(fileno=number) as starter:
        while True:
            message, descriptors, _, _ = socket.recv_fds(starter, 1, 1)
            if not message:
                break
            list(_reap(os.WNOHANG))
            [connection] = descriptors
            if not os.fork():
                starter.close()
                try:
                    _fork_environments(connection, directory)
                finally:
                    os._exit(0)
            os.close(connection)
    list(_reap(0))
    shutil.rmtree(directory)


def _fork_environments(number: int, directory: str) -> None:
    """Fork an environment for each request, and give out a descriptor of its process."""
    environments: set[int] = set()
    with socket.socket(fileno=number) as requests:
        while True:
            request, descriptors, _, _ = socket.recv_fds(requests, LONGEST_REQUEST, 2)
            if not request:
                break
            environments -= set(_reap(os.WNOHANG))
            wanted = json.loads(request)
            task = _unpacked(wanted["code"], directory)
            process = os.fork()
            if not process:
                requests.close()
                _become({**wanted["variables"], "LAMBDA_TASK_ROOT": task}, *descriptors)
            environments.add(process)
            # Until it is reaped nobody else can have its number.
            handle = os.pidfd_open(process)
            socket.send_fds(requests, [b"\n"], [handle])
            for descriptor in (*descriptors, handle):
                os.close(descriptor)
    # The other side is gone, perhaps killed, and one of them may be at endless work.
    for process in environments:
        os.kill(process, signal.SIGKILL)
    list(_reap(0))


def _read_ahead() -> None:
    """Have what sessions make for themselves made once: of the SDK's files, and of the clients."""
    vars(botocore.session)["create_loader"] = functools.cache(botocore.session.create_loader)
    _make_client_classes_once()
    session = boto3.Session("nobody", "nothing", region_name="us-east-1")
    for service in SERVICES:
        client = session.client(service)
        # Which operations have pages is described in a file of its own.
        client.can_paginate(next(iter(client.meta.method_to_api_mapping)))


def _make_client_classes_once() -> None:
    """A client's class has a method for each operation of its service, 700 in the case of EC2."""
    make, made = botocore.client.ClientCreator._create_client_class, {}

    def make_once(creator: Any, service: str, model: Any) -> Any:
        if service not in made:
            made[service] = make(creator, service, model)
        return made[service]

    botocore.client.ClientCreator._create_client_class = make_once


def _reap(options: int) -> Iterator[int]:
    """Let go of the children that have ended; without WNOHANG, wait for all to end."""
    while True:
        try:
            process, _ = os.waitpid(-1, options)
        except ChildProcessError:
            return
        if not process:
            return
        yield process


def _unpacked(archive: str, directory: str) -> str:
    """Where this code is; its name says which it is."""
    task = os.path.join(directory, os.path.basename(archive))
    if not os.path.exists(task):
        # All at once: somebody else who is connected may be unpacking the same.
        scratch = tempfile.mkdtemp(dir=directory)
        with zipfile.ZipFile(archive) as code:
            code.extractall(scratch)
        with contextlib.suppress(OSError):
            os.rename(scratch, task)
    return task


def _become(variables: dict[str, str], channel: int, log: int) -> NoReturn:
    """Be an environment, with nothing of the runtime's own environment or standard streams."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    os.environ.clear()
    os.environ.update(variables)
    time.tzset()
    task = os.environ["LAMBDA_TASK_ROOT"]
    os.chdir(task)
    # Not this program's directory: a function imports from its own.
    sys.path[0] = task
    try:
        _serve(channel)
    finally:
        # Never back into the loop that forked it.
        os._exit(1)


def _serve(number: int) -> NoReturn:
    """Serve invocations until the other side is gone."""
    channel = Channel(number)
    slept = 0.0

    def sleep(seconds: float) -> None:
        nonlocal slept
        channel.ask({"sleep": seconds})
        slept += seconds

    vars(time)["sleep"] = sleep
    handler = LogHandler(os.environ["AWS_LAMBDA_LOG_FORMAT"])
    logging.root.addHandler(handler)
    logging.root.setLevel(os.environ.get("AWS_LAMBDA_LOG_LEVEL") or logging.WARNING)
    try:
        function = _handler(os.environ["_HANDLER"])
    except BaseException as problem:
        channel.send({"failed": _import_error(problem)})
        os._exit(1)
    channel.send({"ready": True})
    while True:
        invocation = channel.receive()
        handler.request_id = invocation["request_id"]
        _die_if(invocation.get("die") == "before")
        try:
            answer = _answer(function(invocation["event"], Context(invocation, lambda: slept)))
        except SystemExit as left:
            channel.send({"exit": left.code if isinstance(left.code, int) else 1})
            os._exit(1)
        except Exception as problem:
            answer = {"raised": _error(problem)}
        _die_if(invocation.get("die") == "after")
        channel.send(answer)


def _handler(name: str) -> Callable[[Any, Context], Any]:
    module, _, function = name.rpartition(".")
    found: Callable[[Any, Context], Any] = getattr(
        importlib.import_module(module.replace("/", ".")), function
    )
    return found


def _answer(result: Any) -> Json:
    try:
        return {"result": json.loads(json.dumps(result))}
    except TypeError as problem:
        message = f"Unable to marshal response: {problem}"
        return {"raised": {"errorMessage": message, "errorType": "Runtime.MarshalError"}}


def _import_error(problem: BaseException) -> Json:
    traceback.print_exception(problem)
    if isinstance(problem, ImportError):
        module = os.environ["_HANDLER"].rpartition(".")[0]
        message = f"Unable to import module '{module}': {problem}"
        return {"errorMessage": message, "errorType": "Runtime.ImportModuleError"}
    if isinstance(problem, AttributeError):
        return {"errorMessage": str(problem), "errorType": "Runtime.HandlerNotFound"}
    return {"errorMessage": str(problem), "errorType": type(problem).__name__}


def _error(problem: Exception) -> Json:
    """As the runtime reports an exception; it prints it to the log too."""
    trace = traceback.format_list(traceback.extract_tb(problem.__traceback__)[1:])
    print(f"[ERROR] {type(problem).__name__}: {problem}\nTraceback (most recent call last):")
    print("".join(trace), end="", flush=True)
    return {
        "errorMessage": str(problem),
        "errorType": type(problem).__name__,
        "stackTrace": trace,
    }


def _die_if(told: bool) -> None:
    if told:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
