"""Serves a local AWS until SIGTERM or SIGINT.

When it is ready, it prints one line of JSON: endpoint, region, access_key_id and secret_access_key,
admin (a URL) and admin_token, vpc, subnets, clock and auth; then commands that point the AWS CLI
here. The credentials are new at each start. Requests to stacks, executions, HSMs and key stores are
shown on standard error, a line for each change.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import errno
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from botocore.exceptions import UnknownRegionError
from hypercorn.asyncio import serve
from hypercorn.config import Config

from localaws import activity, admin_api, json_http, tls
from localaws.assumptions import take
from localaws.core.decision_log import DecisionLog
from localaws.core.event_log import EventLog
from localaws.core.faults import Faults
from localaws.core.jump_clock import JumpClock
from localaws.core.partitions import REGION, partition_of, response_host
from localaws.core.real_clock import RealClock
from localaws.credentials import Credentials
from localaws.fork_server import Connection
from localaws.lambda_runtime.pool import Pool
from localaws.ministack import gateway, install
from localaws.ministack.loading import ACCOUNT, HOST, load
from localaws.services.cloudhsmv2.settings import Assumptions, Quotas, Timings
from localaws.state import EmulatorState, Ports

# Real seconds that requests in flight get after SIGTERM.
GRACE = 0.2


def parser() -> argparse.ArgumentParser:
    """The command-line parser; its help includes the admin API."""
    arguments = argparse.ArgumentParser(
        prog="python -m localaws",
        description=__doc__,
        epilog=admin_api.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    arguments.add_argument("--port", type=int, default=4566, help="AWS over HTTP; 0: any free port")
    arguments.add_argument("--admin-port", type=int, default=4567, help="0: any free port")
    arguments.add_argument("--region", type=_region, default=REGION)
    arguments.add_argument("--no-auth", action="store_true", help="allow every signed request")
    arguments.add_argument(
        "--clock",
        choices=("jump", "real"),
        default="jump",
        help="jump: skip virtual time in which nothing happens",
    )
    for option, settings in (("--timings", Timings), ("--quotas", Quotas)):
        arguments.add_argument(
            option,
            type=_overrides(settings),
            default=settings(),
            metavar="JSON",
            help=f"an object with any of {_names(settings)}",
        )
    arguments.add_argument(
        "--year", type=int, default=2026, help="which HSM types AWS offers to new clusters"
    )
    arguments.add_argument(
        "--assume",
        action="append",
        default=[],
        metavar="ID=READING",
        help='a reading of an open question about AWS; "harsher": the harsher of each',
    )
    arguments.add_argument(
        "--exit-on-stdin-eof",
        action="store_true",
        help="also end when standard input is closed, for example by a parent that was killed",
    )
    arguments.add_argument(
        "--runtime",
        type=int,
        metavar="NUMBER",
        help="the descriptor of a connection to the fork server of Lambda environments",
    )
    return arguments


def _region(name: str) -> str:
    try:
        partition_of(name)
    except UnknownRegionError as unknown:
        raise argparse.ArgumentTypeError(str(unknown)) from unknown
    return name


def _overrides(settings: Any) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        given = json.loads(text)
        unknown = set(given) - {field.name for field in dataclasses.fields(settings)}
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
        return settings(**given)

    return parse


def _names(settings: Any) -> str:
    return ", ".join(field.name for field in dataclasses.fields(settings))


def main(argv: Sequence[str] | None = None) -> int:
    """Serve, and remove all files and processes at the end."""
    options = parser()
    arguments = options.parse_args(argv)
    try:
        arguments.assumptions = take(arguments.assume, Assumptions(year=arguments.year))
    except ValueError as unknown:
        options.error(str(unknown))
    # Until _run handles it.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    load(arguments.region)
    home = Path(tempfile.mkdtemp(prefix="localaws-"))
    try:
        _serve(arguments, home)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return 0


def _serve(arguments: argparse.Namespace, home: Path) -> None:
    credentials = Credentials()
    with _free(arguments.port):
        plain, secure = _listen(arguments.port), _listen(0)
    with _free(arguments.admin_port):
        admin = json_http.PortServer(arguments.admin_port, credentials.admin_token)
    ports = Ports(plain.getsockname()[1], secure.getsockname()[1], admin.port)
    (home / "sockets").mkdir()
    local = json_http.listen_in(home / "sockets", "aws")
    commands = json_http.SocketServer(json_http.listen_in(home / "sockets", "commands"))
    certificate, key = map(
        str, tls.write_loopback_certificate(home, response_host(arguments.region))
    )
    # Temporary files of libraries go with the directory.
    tempfile.tempdir = str(home)
    os.environ.update(
        GATEWAY_PORT=str(ports.gateway),
        # Functions send the responses of custom resources over HTTPS.
        SSL_CERT_FILE=certificate,
        TMPDIR=str(home),
    )
    emulator = _emulator(arguments, ports, home, credentials)
    # A program that starts it reads the event log instead.
    if not arguments.exit_on_stdin_eof:
        emulator.event_log.listen(activity.show)
    installed = install.install(emulator)
    api = admin_api.AdminApi(emulator, ACCOUNT)
    json_http.serve(admin, api.routes)
    json_http.serve(commands, api.routes_of_sandboxes)
    facts = {**installed.network(), "clock": arguments.clock, "auth": emulator.auth}
    ready = "\n".join([json.dumps({**_access(emulator), **facts}), *_exports(emulator), ""])
    application = gateway.holding(emulator, installed.application)
    config = _config([plain, local], secure, certificate, key)
    # Not asyncio.run: it would wait for requests whose threads wait for virtual time to pass.
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(_run(application, config, ready, arguments.exit_on_stdin_eof))
    finally:
        loop.set_exception_handler(lambda *_: None)
        installed.close()


def _access(emulator: EmulatorState) -> dict[str, str]:
    """Where it is served, and the credentials of this start."""
    return {
        "endpoint": emulator.gateway_url,
        "region": emulator.region,
        "access_key_id": emulator.credentials.access_key_id,
        "secret_access_key": emulator.credentials.secret_access_key,
        "admin": emulator.admin_url,
        "admin_token": emulator.credentials.admin_token,
    }


def _exports(emulator: EmulatorState) -> list[str]:
    """The commands that point the AWS CLI here."""
    credentials = emulator.credentials
    settings = {
        "AWS_ENDPOINT_URL": emulator.gateway_url,
        "AWS_DEFAULT_REGION": emulator.region,
        "AWS_ACCESS_KEY_ID": credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
        "LOCALAWS_ADMIN_URL": emulator.admin_url,
        "LOCALAWS_ADMIN_TOKEN": credentials.admin_token,
    }
    return [f"export {name}={value}" for name, value in settings.items()]


def _emulator(
    arguments: argparse.Namespace, ports: Ports, home: Path, credentials: Credentials
) -> EmulatorState:
    clock = JumpClock() if arguments.clock == "jump" else RealClock()
    runtime = None
    if arguments.runtime is not None:
        runtime = Connection(socket.socket(fileno=arguments.runtime))
    return EmulatorState(
        clock=clock,
        home=home,
        ports=ports,
        region=arguments.region,
        auth=not arguments.no_auth,
        timings=arguments.timings,
        quotas=arguments.quotas,
        assumptions=arguments.assumptions,
        faults=Faults(clock.pause),
        event_log=EventLog(clock),
        decisions=DecisionLog(),
        credentials=credentials,
        environments=Pool(home, runtime),
    )


@contextlib.contextmanager
def _free(port: int) -> Iterator[None]:
    """Say so if another process listens on the port."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        sys.exit(
            f"Port {port} is in use, perhaps by another local AWS. Stop that, or choose others:"
            f" make serve PORT={port + 1000}, which also uses the port after it."
        )


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, port))
    listener.listen(128)
    return listener


def _config(
    plain: Sequence[socket.socket], secure: socket.socket, certificate: str, key: str
) -> Any:
    """The settings of the HTTP server, which takes over the sockets and closes them."""
    config = Config()
    config.bind = [f"fd://{secure.detach()}"]
    config.insecure_bind = [f"fd://{each.detach()}" for each in plain]
    config.certfile, config.keyfile = certificate, key
    config.loglevel = "CRITICAL"
    config.keep_alive_timeout = 75
    config.graceful_timeout = config.shutdown_timeout = GRACE
    return config


async def _run(application: Any, config: Any, ready: str, exit_on_stdin_eof: bool) -> None:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    if exit_on_stdin_eof:
        loop.add_reader(sys.stdin, over.set)
    # The sockets are already listening, so clients may connect at once.
    # At once: some read the first line only.
    sys.stdout.write(ready)
    sys.stdout.flush()
    await serve(application, config, shutdown_trigger=over.wait)
