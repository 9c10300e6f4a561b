"""No test can reach AWS: nothing of a real account in the environment, no network but loopback."""

from __future__ import annotations

import gc
import ipaddress
import os
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest

_ADDRESSES = ("socket.connect", "socket.sendto", "socket.sendmsg")
_NAMES = ("socket.getaddrinfo", "socket.gethostbyname")


class NetworkError(Exception):
    """A test tried to reach something beyond this machine."""


def refuse_network(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: whatever library it is, Python asks here before it connects or looks up."""
    if event in _ADDRESSES:
        connection, address = arguments
        # Without an address it goes where a refused or allowed connect has led already.
        if connection.family in (socket.AF_INET, socket.AF_INET6) and address is not None:
            _demand_loopback(address[0])
    elif event in _NAMES and arguments[0] is not None:
        _demand_loopback(arguments[0])


def _demand_loopback(host: str | bytes) -> None:
    name = host.decode() if isinstance(host, bytes) else host
    if name in ("", "localhost") or name.endswith(".localhost"):
        return
    try:
        allowed = (
            ipaddress.ip_address(name).is_loopback or ipaddress.ip_address(name).is_unspecified
        )
    except ValueError:
        allowed = False
    if not allowed:
        raise NetworkError(f"tests may use no network beyond this machine, not even {name}")


sys.addaudithook(refuse_network)
# Until all tests are collected, since all that is imported and collected stays.
gc.disable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole lives take the longest: begun first, none is left for one processor at the end."""
    items.sort(key=lambda item: item.path.parent.name != "lives")


def pytest_collection_finish() -> None:
    """Thousands of tests stay to the end: the collector need not look at them again and again.

    Nor at all that moto makes for one test, and again for the next: there is memory enough.
    """
    gc.freeze()
    gc.enable()
    gc.set_threshold(100_000)


@pytest.fixture(scope="session", autouse=True)
def _no_account() -> Iterator[None]:
    """Nothing that a developer's shell knows of AWS reaches a test; fakes are there instead."""
    with pytest.MonkeyPatch.context() as patch:
        # A make that runs the tests must not steer one that a test runs.
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
