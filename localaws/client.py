"""Starts a local AWS as a process of its own and drives it: for the runner and for tests."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import select
import signal
import subprocess  # nosec B404 # runs this Python and make
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
from botocore.config import Config

from localaws.core.partitions import REGION
from localaws.fork_server import ForkServer
from localaws.lambda_runtime.pool import RUNTIME

Json = dict[str, Any]

# The bucket for uploads of deployments; it exists from the start, as an operator's would.
BUCKET = "rehearsal-artifacts"
ROOT = Path(__file__).resolve().parent.parent
# Real seconds; limits in virtual time are elsewhere.
START_SECONDS = 60
STACK_SECONDS = 180
STOP_SECONDS = 5
# Real seconds between two polls; each costs the server some of its time.
POLL_SECONDS = 0.2


class LocalAwsError(Exception):
    """The local AWS did not start, rejected a request or exceeded a time limit."""


class AdminApi:
    """A client of the admin API; admin_api.py documents the requests."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self.token = url, token
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def _ask(self, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            self.url + path, None if body is None else json.dumps(body).encode(), self._headers
        )
        try:
            with self._opener.open(request, timeout=START_SECONDS) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise LocalAwsError(f"{path}: {error.read().decode(errors='replace')}") from error

    def clock(self) -> Json:
        """Virtual time: now (epoch seconds), elapsed (seconds since the start), jumps, paused."""
        clock: Json = self._ask("/clock")
        return clock

    def timings(self) -> dict[str, float]:
        """How long each AWS operation takes, in virtual seconds."""
        timings: dict[str, float] = self._ask("/timings")
        return timings

    def hsm_roots(self) -> dict[str, str]:
        """The root certificates of AWS ("aws") and of the HSMs' manufacturer ("hsm1", "hsm2m")."""
        roots: dict[str, str] = self._ask("/hsm-roots")
        return roots

    def event_log(self, since: float = 0) -> list[Json]:
        """The events from this virtual second on, in order."""
        events: list[Json] = self._ask("/event-log?" + urllib.parse.urlencode({"since": since}))
        return events

    def inventory(self) -> Json:
        """What exists now, by service."""
        inventory: Json = self._ask("/inventory")
        return inventory

    def decisions(self) -> list[Json]:
        """The IAM decisions so far, without repetitions."""
        decisions: list[Json] = self._ask("/decisions")
        return decisions

    def processes(self) -> dict[str, list[list[str]]]:
        """The argument list of every process that scripts have started, by instance."""
        processes: dict[str, list[list[str]]] = self._ask("/processes")
        return processes

    def calls(self) -> dict[str, list[dict[str, str]]]:
        """The "calls" of functions and Tasks so far, and "commands" of scripts."""
        calls: dict[str, list[dict[str, str]]] = self._ask("/calls")
        return calls

    def unused_faults(self) -> list[Json]:
        """The injected faults that are not used up."""
        faults: list[Json] = self._ask("/faults")
        return faults

    def records(self) -> list[tuple[str, str]]:
        """Every text that AWS has recorded or shown, also of deleted resources, by place."""
        return [(place, text) for place, text in self._ask("/records")]

    def secrets(self) -> list[tuple[str, str]]:
        """Every secret that has existed, and every ResponseURL, by name."""
        return [(name, value) for name, value in self._ask("/secrets")]

    def responses(self) -> list[str]:
        """The bodies that custom resources have sent to CloudFormation."""
        responses: list[str] = self._ask("/responses")
        return responses

    def is_idle(self, stack: str | None = None) -> bool:
        """Whether a stack (name or id), or without one every workflow, is at rest.

        Waits for it for some real seconds. A request that has just been accepted may not have
        started yet.
        """
        query = "?" + urllib.parse.urlencode({"stack": stack}) if stack else ""
        return bool(self._ask(f"/idle{query}")["idle"])

    def fault(self, fault: Json | None = None, /, **more: Any) -> None:
        """Inject a fault: operation="CreateHsm", code=..., or a dict such as {"lambda": ...}."""
        self._ask("/faults", {**(fault or {}), **more})

    def faults(self, faults: Sequence[Json]) -> None:
        """Inject several faults at once."""
        self._ask("/faults", [*faults])

    def clear_faults(self) -> None:
        """Forget the injected faults that are not used up."""
        self._ask("/clear-faults", {})

    def advance(self, seconds: float) -> None:
        """Move virtual time on."""
        self._ask("/advance", {"seconds": seconds})

    def data_plane(self, operation: str, **parameters: str) -> Json:
        """Send the HSMs a request of cloudhsm-cli."""
        response: Json = self._ask(
            "/data-plane", {"operation": operation, "parameters": parameters}
        )
        return response

    def shell(self, instance: str) -> list[str]:
        """The command that opens a shell on an instance."""
        return list(self._ask("/shell", {"instance": instance}))

    def aws_event(self, event: str, **details: Any) -> Any:
        """Cause an event that no API request causes, such as the replacement of an HSM by AWS."""
        return self._ask("/aws-events", {event: details})

    def pause_after(self, operation: str) -> None:
        """Pause virtual time once the next call of this operation has had its effect."""
        self.fault(operation=operation, pause=True)

    def wait_for_pause(self) -> None:
        """Wait until virtual time is paused by `pause_after`."""
        until(lambda: self.clock()["paused"], "virtual time was never paused")

    def pause(self) -> None:
        """Pause virtual time, except for `advance`."""
        self._ask("/advance", {"pause": True})

    def resume(self) -> None:
        """Resume virtual time."""
        self._ask("/advance", {"resume": True})


class LocalAws:
    """A local AWS for the duration of the with block; arguments as of `python -m localaws`."""

    endpoint: str
    region: str
    access_key_id: str
    secret_access_key: str
    vpc: str
    subnets: list[str]
    admin: AdminApi

    def __init__(self, *arguments: str, timings: Json | None = None) -> None:
        self._arguments = ["--port", "0", "--admin-port", "0", "--exit-on-stdin-eof", *arguments]
        if timings:
            self._arguments += ["--timings", json.dumps(timings)]
        self._exit = contextlib.ExitStack()
        self._clients: dict[str, Any] = {}
        # The templates that have been uploaded with their artifacts.
        self.packaged: set[str] = set()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            self.scratch = Path(
                undo.enter_context(
                    tempfile.TemporaryDirectory(prefix="localaws-", ignore_cleanup_errors=True)
                )
            )
            self._log = self.scratch / "server.log"
            undo.callback(self._stop)
            self._start()
            _running.add(self)
            if ended.is_set():
                raise SystemExit("a signal has ended this process")
            self._exit = undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exit.close()

    def _start(self) -> None:
        stdin, self._stdin = os.pipe()
        stdout, written = os.pipe()
        given = dict(zip(self._arguments, self._arguments[1:], strict=False))
        with self._log.open("wb") as log, _starting, _runtime().connect() as runtime:
            self._server = _fork_server(given.get("--region", REGION)).start(
                ["-m", "localaws", "--runtime", "3", *self._arguments],
                cwd=ROOT,
                env={**_without_aws_settings(), "TMPDIR": str(self.scratch)},
                # The server ends when its standard input is closed, even if this process is killed.
                descriptors=[stdin, written, log.fileno(), runtime.fileno()],
            )
        os.close(stdin)
        os.close(written)
        with open(stdout, "rb") as output:
            readable, _, _ = select.select([output], [], [], START_SECONDS)
            line = output.readline() if readable else b""
        if not line:
            raise LocalAwsError(f"the local AWS did not start:\n{self.server_log()}")
        ready = json.loads(line)
        self.endpoint, self.region = ready["endpoint"], ready["region"]
        self.access_key_id = ready["access_key_id"]
        self.secret_access_key = ready["secret_access_key"]
        self.vpc, self.subnets = ready["vpc"], ready["subnets"]
        self.admin = AdminApi(ready["admin"], ready["admin_token"])
        elsewhere = {"LocationConstraint": self.region}
        self.client("s3").create_bucket(
            Bucket=BUCKET,
            **({} if self.region == "us-east-1" else {"CreateBucketConfiguration": elsewhere}),
        )

    def _stop(self) -> None:
        _running.discard(self)
        server = getattr(self, "_server", None)
        if server is None:
            return
        server.send_signal(signal.SIGTERM)
        server.has_ended(STOP_SECONDS)
        # Whatever is left of its group, including a server that did not end.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.has_ended(None)
        server.close()
        os.close(self._stdin)

    @property
    def process_id(self) -> int:
        """The server's process, which leads a group of its own."""
        return self._server.pid

    def server_log(self) -> str:
        """The end of the server's standard error."""
        return self._log.read_text(errors="replace")[-4000:]

    # What clients need

    @property
    def env(self) -> dict[str, str]:
        """The environment that points the stock AWS CLI (and make, which calls it) here."""
        return {
            **_without_aws_settings(),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(Path(__file__).parent / "cli_runtime"),
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }

    def client(self, service: str) -> Any:
        """The boto3 client of this service, with the permissions of the account's root user."""
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                endpoint_url=self.endpoint,
                region_name=self.region,
                aws_access_key_id=self.access_key_id,
                aws_secret_access_key=self.secret_access_key,
                config=Config(proxies={}, retries={"total_max_attempts": 1}),
            )
        return self._clients[service]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the repository (make, aws, a script) against this local AWS."""
        with subprocess.Popen(  # nosec B603 # without a shell
            command,
            cwd=ROOT,
            env=self.env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # A group of its own, with what make starts.
            start_new_session=True,
        ) as process:
            try:
                output, errors = process.communicate()
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        return subprocess.CompletedProcess(command, process.returncode, output, errors)


# Those whose with block is being executed, in any thread.
_running: set[LocalAws] = set()
# Whether a signal has ended this process: what fails from then on fails because of it.
ended = threading.Event()


def end_on_signals() -> None:
    """At SIGTERM or SIGINT, end every local AWS and leave the main thread by an exception.

    Without it, SIGTERM leaves their directories, and other threads go on after Ctrl-C.
    """

    def end(number: int, _: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        ended.set()
        for aws in list(_running):
            aws._server.send_signal(signal.SIGTERM)
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    atexit.register(_clean_up)


def _clean_up() -> None:
    """Clean up for the threads that end with this process."""
    for aws in list(_running):
        aws.__exit__(None, None, None)


# Both fork servers are shared by all threads, and take one request at a time.
_starting = threading.Lock()


@functools.cache
def _fork_server(region: str) -> ForkServer:
    """Starts the servers for a Region."""
    return ForkServer("localaws.ministack.loading", region)


@functools.cache
def _runtime() -> ForkServer:
    """Starts the Lambda environments of all servers of this process."""
    return ForkServer(RUNTIME)


def _without_aws_settings() -> dict[str, str]:
    """The environment without settings of a real account or of the make that started us."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AWS_") and name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    }


def until(probe: Any, otherwise: str, seconds: float = STACK_SECONDS) -> Any:
    """Poll for so many real seconds until the probe's result is true; the result.

    Raises LocalAwsError with the text of `otherwise`.
    """
    end = time.monotonic() + seconds
    while not (found := probe()):
        if time.monotonic() > end:
            raise LocalAwsError(f"{otherwise} within {seconds:g} real seconds")
        time.sleep(POLL_SECONDS)
    return found
