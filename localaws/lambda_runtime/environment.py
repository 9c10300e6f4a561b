"""A Lambda execution environment: runs a handler for one invocation after another.

Started with the number of a socket, on which it exchanges one JSON object a line with pool.py.
Standard library only: a function imports from its zip and from the runtime's site-packages.
`time.sleep` takes virtual time: the pool is asked to let it pass.
"""

from __future__ import annotations

import datetime as dt
import http.client
import importlib
import json
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NoReturn

Json = dict[str, Any]

# Of the runtime, for load(); a function's own modules come from its zip.
MODULES = ("boto3", "botocore.handlers", "botocore.signers", "http.client", "urllib.request")
MODELS = ("cloudformation", "cloudhsmv2", "ec2", "kms", "secretsmanager", "ssm", "stepfunctions")


class Channel:
    """The connection to the pool."""

    def __init__(self, number: int) -> None:
        self._socket = socket.socket(fileno=number)
        self._lines = self._socket.makefile("r", encoding="utf-8")
        self._lock = threading.Lock()

    def receive(self) -> Json:
        """The next message; exits if the pool has closed the connection."""
        line = self._lines.readline()
        if not line:
            os._exit(0)
        message: Json = json.loads(line)
        return message

    def send(self, message: Json) -> None:
        """Send a message, after everything printed so far."""
        sys.stdout.flush()
        sys.stderr.flush()
        self._socket.sendall((json.dumps(message) + "\n").encode())

    def ask(self, message: Json) -> Json:
        """Send a message and wait for the response; one thread at a time."""
        with self._lock:
            self.send(message)
            return self.receive()


class LogHandler(logging.Handler):
    """The root logger's handler, for the log formats Text and JSON."""

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
    """The context object of an invocation."""

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
        """Until the function's Timeout; sleep counts in virtual time, work in real time."""
        return max(0, int((self._end - time.monotonic() - self._slept()) * 1000))


def load() -> None:
    """Import and read what functions take from the runtime; called by the fork server."""
    for module in MODULES:
        importlib.import_module(module)
    sessions = importlib.import_module("botocore.session")
    # Every session of every function reads through this one, which remembers what it has read.
    loader = sessions.create_loader()
    for name in ("endpoints", "partitions", "sdk-default-configuration"):
        loader.load_data(name)
    for service in MODELS:
        loader.load_service_model(service, "service-2")
        loader.load_service_model(service, "endpoint-rule-set-1")
    vars(sessions)["create_loader"] = lambda search_path_string=None: loader


def main(number: int) -> NoReturn:
    """Serve invocations until the pool closes the socket."""
    # A function imports from its own directory, not from this program's.
    sys.path[0] = os.environ["LAMBDA_TASK_ROOT"]
    threading.Thread(target=_exit_with_pool, args=(number,), daemon=True).start()
    channel = Channel(number)
    slept = 0.0

    def sleep(seconds: float) -> None:
        nonlocal slept
        channel.ask({"sleep": seconds})
        slept += seconds

    vars(time)["sleep"] = sleep
    _die_on_marked_responses()
    _resolve(*os.environ.get("LOCALAWS_RESPONSES", "").split())
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
        # https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
        os.environ["_X_AMZN_TRACE_ID"] = f"Root={_trace_id(handler.request_id)};Sampled=0"
        _die_if(invocation.get("die") == "before")
        try:
            response = _response(function(invocation["event"], Context(invocation, lambda: slept)))
        except SystemExit as leaving:
            channel.send({"exit": leaving.code if isinstance(leaving.code, int) else 1})
            os._exit(1)
        except Exception as problem:
            response = {"raised": _error(problem)}
        _die_if(invocation.get("die") == "after")
        channel.send(response)


def _resolve(host: str = "", port: str = "") -> None:
    """Let a host of AWS lead to a port of this machine, as DNS would to AWS."""
    original = socket.getaddrinfo

    def getaddrinfo(name: Any, service: Any, *more: Any, **named: Any) -> Any:
        here = ("127.0.0.1", port) if host and name == host else (name, service)
        return original(*here, *more, **named)

    vars(socket)["getaddrinfo"] = getaddrinfo


def _trace_id(request_id: str) -> str:
    """As core/calls.py computes it."""
    digits = request_id.replace("-", "")
    return f"1-{digits[:8]}-{digits[8:]}"


def _die_on_marked_responses() -> None:
    """Die when a response of the local AWS says so: an injected fault."""
    original = http.client.HTTPResponse.begin

    def begin(self: http.client.HTTPResponse) -> None:
        original(self)
        _die_if("x-localaws-die" in self.headers)

    http.client.HTTPResponse.begin = begin  # type: ignore[method-assign]  # urllib3 uses it too


def _exit_with_pool(number: int) -> None:
    """End the process, even inside a handler, when the server at the other end is killed."""
    poll = select.poll()
    poll.register(number, select.POLLRDHUP)
    poll.poll()
    os._exit(1)


def _handler(name: str) -> Callable[[Any, Context], Any]:
    module, _, function = name.rpartition(".")
    found: Callable[[Any, Context], Any] = getattr(
        importlib.import_module(module.replace("/", ".")), function
    )
    return found


def _response(result: Any) -> Json:
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
    """An exception as the runtime reports it; also printed to the log."""
    trace = traceback.format_list(traceback.extract_tb(problem.__traceback__)[1:])
    print(f"[ERROR] {type(problem).__name__}: {problem}\nTraceback (most recent call last):")
    print("".join(trace), end="", flush=True)
    return {
        "errorMessage": str(problem),
        "errorType": type(problem).__name__,
        "stackTrace": trace,
    }


def _die_if(injected: bool) -> None:
    if injected:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]))
