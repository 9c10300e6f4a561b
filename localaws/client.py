"""Start a local AWS in a process of its own and drive it: for the runner and for the tests."""

from __future__ import annotations

import contextlib
import functools
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
from botocore.config import Config

from localaws.core.forking import Source
from localaws.lambda_runtime.pool import start_runtime
from localaws.sandbox.command_server import start_command_server

Json = dict[str, Any]

# What a deployment uploads goes here; there from the start, as an operator's would be.
BUCKET = "rehearsal-artifacts"
ROOT = Path(__file__).resolve().parent.parent
# Real seconds that this machine may take; virtual time has limits of its own.
START_SECONDS = 60
STACK_SECONDS = 180
STOP_SECONDS = 5
# Real seconds between two looks; each look takes the local AWS some of its time.
LOOK_SECONDS = 0.2
# A server is forked from a process that has all of it imported, which takes longer than the rest.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["localaws.preloaded"])


class LocalAwsError(Exception):
    """The local AWS did not start, did not answer, or did not do in time what was waited for."""


class AdminApi:
    """The admin API of a local AWS: what it shows, and what can be planted in it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def _ask(self, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            self.url + path, None if body is None else json.dumps(body).encode()
        )
        try:
            with self._opener.open(request, timeout=START_SECONDS) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refused:
            raise LocalAwsError(f"{path}: {refused.read().decode(errors='replace')}") from refused

    def clock(self) -> Json:
        """Virtual time: now (epoch seconds), elapsed (seconds since the start), jumps, paused."""
        answer: Json = self._ask("/clock")
        return answer

    def event_log(self, since: float = 0) -> list[Json]:
        """What happened, in order, from this virtual second on."""
        answer: list[Json] = self._ask("/event-log?" + urllib.parse.urlencode({"since": since}))
        return answer

    def inventory(self) -> Json:
        """What exists now, by service."""
        answer: Json = self._ask("/inventory")
        return answer

    def decisions(self) -> list[Json]:
        """Every IAM decision taken so far, each once."""
        answer: list[Json] = self._ask("/decisions")
        return answer

    def processes(self) -> dict[str, list[list[str]]]:
        """The arguments of every process that a script started so far, by instance."""
        answer: dict[str, list[list[str]]] = self._ask("/processes")
        return answer

    def answers(self) -> list[str]:
        """Everything that custom resources have answered CloudFormation so far."""
        answer: list[str] = self._ask("/answers")
        return answer

    def rests(self, stack: str | None = None) -> bool:
        """Whether a stack (name or id) is at rest, or else all workflows are.

        If not, that is waited for, a few real seconds long. What has been asked for this instant
        may not have begun.
        """
        query = "?" + urllib.parse.urlencode({"stack": stack}) if stack else ""
        return bool(self._ask(f"/rest{query}")["rests"])

    def fault(self, fault: Json | None = None, /, **more: Any) -> None:
        """Plant one fault: operation="CreateHsm", code=..., or a dict such as {"lambda": ...}."""
        self._ask("/faults", {**(fault or {}), **more})

    def advance(self, seconds: float) -> None:
        """Move virtual time on by so many seconds."""
        self._ask("/advance", {"seconds": seconds})

    def data_plane(self, operation: str, **given: str) -> Json:
        """Have the HSMs do what cloudhsm-cli on an instance would ask of them."""
        answer: Json = self._ask("/hsm", {"op": operation, "params": given})
        return answer

    def act(self, act: str, **details: Any) -> Any:
        """Have AWS, or another account, do something unasked, as POST /act takes it."""
        return self._ask("/act", {act: details})

    def pause_after(self, operation: str) -> None:
        """Stop virtual time once the next call of this operation has had its effect."""
        self.fault(operation=operation, pause=True)

    def wait_for_pause(self) -> None:
        """Return once virtual time stands still because of `pause_after`."""
        until(lambda: self.clock()["paused"], "virtual time was never paused")

    def pause(self) -> None:
        """Have virtual time stand still, but for `advance`."""
        self._ask("/advance", {"pause": True})

    def resume(self) -> None:
        """Let virtual time go on."""
        self._ask("/advance", {"resume": True})


class LocalAws:
    """A fresh local AWS for as long as the with block lasts; arguments as `python -m localaws` has."""

    endpoint: str
    region: str
    vpc: str
    subnets: list[str]
    admin: AdminApi

    def __init__(self, *arguments: str, timings: Json | None = None) -> None:
        self._arguments = ["--port", "0", "--admin-port", "0", *arguments]
        if timings:
            self._arguments += ["--timings", json.dumps(timings)]
        self._exit = contextlib.ExitStack()
        self._clients: dict[str, Any] = {}
        # The templates (stacks.py) that are there with all that they name.
        self.packaged: set[str] = set()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            self.scratch = Path(
                undo.enter_context(
                    tempfile.TemporaryDirectory(prefix="rehearsal-", ignore_cleanup_errors=True)
                )
            )
            self._log = self.scratch / "server.log"
            undo.callback(self._stop)
            self._start()
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
        home = self.scratch / "server"
        home.mkdir()
        hears, tells = _PROCESSES.Pipe(duplex=False)
        with (
            hears,
            _runtime().connect() as runtime,
            _command_server().connect() as command_server,
        ):
            with tells:
                self._server = _PROCESSES.Process(
                    target=_serve,
                    args=(
                        *(self._arguments, home, self._log, _cleared(os.environ), tells),
                        *(runtime, command_server),
                    ),
                )
                self._server.start()
            try:
                facts = hears.recv() if hears.poll(START_SECONDS) else None
            except EOFError:
                facts = None
        if facts is None:
            raise LocalAwsError(f"the local AWS did not start:\n{self.server_log()}")
        self.endpoint, self.region = facts["endpoint"], facts["region"]
        self.vpc, self.subnets = facts["vpc"], facts["subnets"]
        self.admin = AdminApi(facts["admin"])
        elsewhere = {"LocationConstraint": self.region}
        self.client("s3").create_bucket(
            Bucket=BUCKET,
            **({} if self.region == "us-east-1" else {"CreateBucketConfiguration": elsewhere}),
        )

    def _stop(self) -> None:
        server = getattr(self, "_server", None)
        if server is None:
            return
        server.terminate()
        server.join(STOP_SECONDS)
        # Whatever it left of its group, itself included if it did not listen.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process_id, signal.SIGKILL)
        server.join()

    @property
    def process_id(self) -> int:
        """The server's process, which leads a group of its own."""
        process = self._server.pid
        assert process
        return process

    def server_log(self) -> str:
        """The end of what the server process has written to its standard error."""
        return self._log.read_text(errors="replace")[-4000:]

    # What clients need

    @property
    def env(self) -> dict[str, str]:
        """The environment that points the stock aws CLI (and make, which calls it) here."""
        own = str(Path(__file__).parent / "cli_runtime")
        return {
            **_cleared(os.environ),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": own,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }

    def client(self, service: str) -> Any:
        """The boto3 client of this service, with the rights of the account itself."""
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                endpoint_url=self.endpoint,
                region_name=self.region,
                aws_access_key_id="test",
                aws_secret_access_key="test",
                config=Config(proxies={}, retries={"total_max_attempts": 1}),
            )
        return self._clients[service]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the repository (make, aws, a script) against this local AWS."""
        return subprocess.run(
            command, cwd=ROOT, env=self.env, text=True, capture_output=True, check=False
        )


def _cleared(environment: os._Environ[str]) -> dict[str, str]:
    """The environment without what leads to a real account, and without what another make set."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith("AWS_") and name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    }


@functools.cache
def _runtime() -> Source:
    """Lambda's runtime, one for all that this process starts; it ends with this process."""
    return start_runtime(Path(tempfile.gettempdir()) / f"rehearsal-runtime-{uuid.uuid4().hex}")


@functools.cache
def _command_server() -> Source:
    """What runs the fake commands of sandboxes, likewise."""
    return start_command_server()


def _serve(
    arguments: Sequence[str],
    home: Path,
    log: Path,
    environment: Mapping[str, str],
    tells: Connection,
    runtime: socket.socket,
    command_server: socket.socket,
) -> None:
    """Be a server, in a process that was forked for it; its standard streams are the log."""
    # A group of its own, so that all that it starts can be ended with it.
    os.setsid()
    with log.open("wb") as written:
        for stream in (1, 2):
            os.dup2(written.fileno(), stream)
    os.environ.clear()
    os.environ.update(environment, TMPDIR=str(home))
    tempfile.tempdir = None

    from localaws import server

    with tells:
        server.serve(arguments, tells.send, server.Sources(runtime, command_server))


def until(probe: Any, otherwise: str, seconds: float = STACK_SECONDS) -> Any:
    """The first true answer of the probe, asked again and again for so many real seconds."""
    end = time.monotonic() + seconds
    while not (found := probe()):
        if time.monotonic() > end:
            raise LocalAwsError(f"{otherwise} within {seconds:g} real seconds")
        time.sleep(LOOK_SECONDS)
    return found
