"""No test can reach AWS: no setting of a real account, and no network except loopback."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.data_plane import DataPlaneStub
from tests.support.plain_http import serving

ROOT = Path(__file__).resolve().parent.parent
# What these tests deploy or examine.
BUILT = (
    "build/functions.zip",
    "build/rehearsal/build/functions.zip",
    "build/rehearsal/templates",
    *(
        f"build/released/{released.name}/build/functions.zip"
        for released in sorted((ROOT / "tests" / "fixtures" / "released").iterdir())
    ),
)
NEED_BUILT = (
    "tests/iam/",
    "tests/rehearsal/drivers/",
    "tests/rehearsal/fault_matrix/",
    "tests/scenarios/",
    "tests/scripts/",
)
# Each run tries the same examples, and so few that all take seconds. To search at length and at
# random: --hypothesis-profile thorough
_COMMON = settings(
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("repeatable", _COMMON, derandomize=True, max_examples=100)
settings.register_profile("thorough", _COMMON, max_examples=1000)
settings.load_profile("repeatable")

_ADDRESSES = ("socket.connect", "socket.sendto", "socket.sendmsg")
_NAMES = ("socket.getaddrinfo", "socket.gethostbyname")


# Fixtures clean up at SIGTERM as at Ctrl-C.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGTERM, signal.default_int_handler)


class NetworkError(Exception):
    """A test tried to reach something outside of this machine."""


def refuse_network(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: Python calls it before any library connects or resolves a name."""
    if event in _ADDRESSES:
        connection, address = arguments
        # Without an address, the socket is connected already, so this was checked before.
        if connection.family in (socket.AF_INET, socket.AF_INET6) and address is not None:
            _demand_loopback(address[0])
    elif event in _NAMES and arguments[0] is not None:
        _demand_loopback(arguments[0])


def _demand_loopback(host: str | bytes) -> None:
    name = host.decode() if isinstance(host, bytes) else host
    if name in ("", "localhost") or name.endswith(".localhost"):
        return
    try:
        address = ipaddress.ip_address(name)
        allowed = address.is_loopback or address.is_unspecified
    except ValueError:
        allowed = False
    if not allowed:
        raise NetworkError(f"tests may only use the network of this machine, not {name}")


sys.addaudithook(refuse_network)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Deal the scenarios to all processes, the long ones first: none should run alone at the end.

    With `--dist worksteal`, each process begins with one part of the list.
    """
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    scenarios = [item for item in items if item.path.name == "test_scenarios.py"]
    scenarios.sort(key=lambda item: item.get_closest_marker("long") is None)
    others = [item for item in items if item.path.name != "test_scenarios.py"]
    others.sort(key=lambda item: item.path.parent.name != "scenarios")
    size = -(-len(others) // processes)
    items[:] = [
        item
        for number in range(processes)
        for item in scenarios[number::processes] + others[number * size : (number + 1) * size]
    ]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Say what to build first, instead of failing many tests."""
    missing = [path for path in BUILT if not (ROOT / path).exists()]
    need = [item.nodeid for item in session.items if item.nodeid.startswith(NEED_BUILT)]
    if missing and need and not session.config.option.collectonly:
        raise pytest.UsageError(f"Run `make build` first: {missing[0]} does not exist.")


@pytest.fixture(scope="session", autouse=True)
def _no_account() -> Iterator[None]:
    """Replace the AWS settings of a developer's shell with fake ones."""
    with pytest.MonkeyPatch.context() as patch:
        # A make that runs the tests must not affect one that a test runs.
        for name in [*os.environ]:
            if name.startswith("AWS_") or name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
                patch.delenv(name)
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_SESSION_TOKEN", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        yield


@pytest.fixture(name="hsms")
def _hsms() -> Iterator[DataPlaneStub]:
    # Not tmp_path: the path of a socket has at most 107 bytes.
    with tempfile.TemporaryDirectory() as directory:
        stub = DataPlaneStub(Path(directory))
        with serving(stub.sockets / "commands", stub.handler):
            yield stub
