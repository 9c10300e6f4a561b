"""`python -m localaws`: keep a local AWS up, and say where when it is ready."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import functools
import gc
import importlib
import json
import multiprocessing
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import botocore.session

from localaws import admin_api, tls
from localaws.core.clock import Clock
from localaws.core.decision_log import DecisionLog
from localaws.core.event_log import EventLog
from localaws.core.faults import Faults
from localaws.core.jump_clock import JumpClock
from localaws.core.real_clock import RealClock
from localaws.lambda_runtime.pool import Pool
from localaws.ministack import access, install
from localaws.sandbox.command_server import CommandServer
from localaws.services.cloudhsmv2.settings import Assumptions, Quotas, Timings
from localaws.state import EmulatorState, Ports

Json = dict[str, Any]

ACCOUNT = "123456789012"
HOST = "127.0.0.1"
REGION = "us-east-1"
# Real seconds that requests in flight are given when the server is told to end.
GRACE = 0.2
# What is not imported with this module, because ministack reads its settings then.
MODULES = ("hypercorn.asyncio", "ministack.app", "ministack.services.cloudformation")
# Services, as ministack calls them, whose descriptions it reads in any driver.
SERVICES = (
    "cloudformation",
    "cloudhsm",
    "ec2",
    "events",
    "iam",
    "kms",
    "lambda",
    "logs",
    "s3",
    "secretsmanager",
    "ssm",
    "states",
)
# Objects between two looks of the collector: a server lives for a minute, and has memory enough.
LOOK_FOR_GARBAGE = 100_000


class Sources(NamedTuple):
    """Connections to what a server has others forked from: Lambda's runtime and the AWS CLI."""

    runtime: socket.socket | None = None
    command_server: socket.socket | None = None


def parser() -> argparse.ArgumentParser:
    """The arguments of `serve`."""
    arguments = argparse.ArgumentParser(prog="python -m localaws", description=__doc__)
    arguments.add_argument("--port", type=int, default=4566, help="of AWS; 0 for a free one")
    arguments.add_argument("--admin-port", type=int, default=4567, help="0 for a free one")
    arguments.add_argument("--no-auth", action="store_true", help="let everybody do everything")
    arguments.add_argument("--timings", type=_overrides(Timings), default=Timings(), metavar="JSON")
    arguments.add_argument("--quotas", type=_overrides(Quotas), default=Quotas(), metavar="JSON")
    arguments.add_argument("--year", type=int, default=2026, help="whose HSM types AWS offers")
    arguments.add_argument(
        "--one-hsm-at-a-time",
        action="store_true",
        help="refuse an HSM while another of its cluster comes or goes (not documented)",
    )
    arguments.add_argument("--clock", choices=("jump", "real"), default="jump")
    arguments.add_argument("--region", default=REGION)
    return arguments


def _overrides(kind: Any) -> Any:
    def parse(text: str) -> Any:
        given = json.loads(text)
        unknown = set(given) - {field.name for field in dataclasses.fields(kind)}
        if unknown:
            raise argparse.ArgumentTypeError(f"there is no {', '.join(sorted(unknown))}")
        return kind(**given)

    return parse


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT, and leave nothing behind."""
    serve(argv, lambda ready: print(json.dumps(ready), flush=True))
    return 0


def serve(
    argv: Sequence[str] | None,
    announce: Callable[[Json], object],
    sources: Sources | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, or until the process is gone that had this one forked.

    What clients have to know is announced when it is ready. What is forked is forked from the
    sources, if they are given, else from the server's own.
    """
    given = parser().parse_args(argv)
    # In a directory of its own, so that whatever anybody leaves there goes with it.
    home = Path(tempfile.mkdtemp(prefix="rehearsal-"))
    try:
        _serve(given, home, announce, sources or Sources())
    finally:
        shutil.rmtree(home, ignore_errors=True)


def load(region: str) -> None:
    """Import all that a server for this Region consists of, and read the SDK's descriptions.

    ministack reads its settings as it is imported, and is imported anew for another Region. The
    ports, which it reads then too, matter to none of the services that are rehearsed.
    """
    # Also for what has it imported already, since a server's environment is its starter's.
    os.environ.update(
        AWS_EC2_METADATA_DISABLED="true",
        BIND_HOST=HOST,
        IOT_MTLS_ENABLED="0",
        LAMBDA_EXECUTOR="local",
        LOG_LEVEL=os.environ.get("LOG_LEVEL", "CRITICAL"),
        MINISTACK_ACCOUNT_ID=ACCOUNT,
        MINISTACK_HOST="localhost",
        MINISTACK_REGION=region,
        NO_PROXY="localhost,127.0.0.1",
        SFN_WAIT_SCALE="1",
        SFTP_ENABLED="0",
        # Nothing can be kept there, and nothing of one run is to be found by another.
        STATE_DIR=os.devnull,
    )
    _import(region)


@functools.lru_cache(maxsize=1)
def _import(region: str) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "ministack"]:
        del sys.modules[name]
    for name in MODULES:
        importlib.import_module(name)
    # ministack looks each service up in a session of its own: one loader reads for all of them.
    vars(botocore.session)["create_loader"] = functools.cache(botocore.session.create_loader)
    access.preload(SERVICES)


def _serve(
    given: argparse.Namespace,
    home: Path,
    announce: Callable[[Json], object],
    sources: Sources,
) -> None:
    load(given.region)
    from localaws.ministack import gateway as patched_gateway

    gateway, secure = _listen(given.port), _listen(0)
    listener = admin_api.listen(given.admin_port)
    ports = Ports(gateway.getsockname()[1], secure.getsockname()[1], listener.server_address[1])
    certificate, key = map(str, tls.write_loopback_certificate(home))
    tempfile.tempdir = str(home)
    # The functions answer CloudFormation over HTTPS.
    os.environ.update(GATEWAY_PORT=str(ports.gateway), SSL_CERT_FILE=certificate, TMPDIR=str(home))
    emulator = _emulator(given, ports, home, sources)
    installed = install.install(emulator)
    admin_api.serve(emulator, ACCOUNT, listener)
    ready = {
        "endpoint": emulator.gateway_url,
        "admin": emulator.admin_url,
        "region": emulator.region,
        **installed.network(),
        "clock": given.clock,
        "auth": emulator.auth,
    }
    application = patched_gateway.holding(emulator, installed.application)
    config = _config(gateway, secure, certificate, key)
    # What is here now stays: the collector need not look at it again and again.
    gc.freeze()
    gc.set_threshold(LOOK_FOR_GARBAGE)
    try:
        asyncio.run(_run(application, config, lambda: announce(ready)))
    finally:
        installed.close()


def _emulator(
    given: argparse.Namespace, ports: Ports, home: Path, sources: Sources
) -> EmulatorState:
    clock: Clock = JumpClock() if given.clock == "jump" else RealClock()
    return EmulatorState(
        clock=clock,
        home=home,
        ports=ports,
        region=given.region,
        auth=not given.no_auth,
        timings=given.timings,
        quotas=given.quotas,
        assumptions=Assumptions(year=given.year, concurrent_create=not given.one_hsm_at_a_time),
        faults=Faults(clock.pause),
        event_log=EventLog(clock),
        decisions=DecisionLog(),
        environments=Pool(home, sources.runtime),
        command_server=CommandServer(sources.command_server),
    )


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, port))
    listener.listen(128)
    return listener


def _config(gateway: socket.socket, secure: socket.socket, certificate: str, key: str) -> Any:
    """The settings of the HTTP server, which takes the sockets over and closes them."""
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"fd://{secure.detach()}"]
    config.insecure_bind = [f"fd://{gateway.detach()}"]
    config.certfile, config.keyfile = certificate, key
    config.loglevel = "CRITICAL"
    config.keep_alive_timeout = 75
    config.graceful_timeout = config.shutdown_timeout = GRACE
    return config


async def _run(application: Any, config: Any, announce: Callable[[], object]) -> None:
    from hypercorn.asyncio import serve

    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    if starter := multiprocessing.parent_process():
        loop.add_reader(starter.sentinel, over.set)
    # The sockets listen already: whoever hears of it may connect.
    announce()
    await serve(application, config, shutdown_trigger=over.wait)
