"""Fixtures: sandboxes to run scripts in, one local AWS, and a stack for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from localaws.client import LocalAws
from localaws.sandbox.sandbox import Sandbox
from rehearsal.timings import FREE
from tests.localaws.ministack.custom_resource_function import CustomResourceStack
from tests.localaws.ministack.support import SampleStack
from tests.support.data_plane import DataPlaneStub


@pytest.fixture(name="make_sandbox")
def _make_sandbox(hsms: DataPlaneStub) -> Iterator[Callable[..., Sandbox]]:
    sandboxes: list[Sandbox] = []

    def make(
        instance_id: str = "i-0123456789abcdef0",
        sleep: Callable[[float], object] = lambda seconds: None,
        **environment: str,
    ) -> Sandbox:
        sandboxes.append(Sandbox(instance_id, environment, sleep, hsms.sockets))
        return sandboxes[-1]

    yield make
    for sandbox in sandboxes:
        sandbox.destroy()


@pytest.fixture(name="sandbox")
def _sandbox(make_sandbox: Callable[..., Sandbox]) -> Sandbox:
    return make_sandbox()


@pytest.fixture(scope="session", name="aws")
def _aws() -> Iterator[LocalAws]:
    """One local AWS for all tests; each has a stack of its own."""
    with LocalAws(timings=FREE) as aws:
        yield aws


@pytest.fixture(name="stack")
def _stack(aws: LocalAws) -> Iterator[SampleStack]:
    """A stack to create; afterwards it is deleted and the clock resumed."""
    stack = SampleStack(aws)
    yield stack
    aws.admin.resume()
    if stack.id != stack.name and stack.status() != "DELETE_COMPLETE":
        stack.wait()
        stack.delete()


@pytest.fixture(name="custom")
def _custom(stack: SampleStack) -> CustomResourceStack:
    """The same stack, with custom resources."""
    return CustomResourceStack(stack)
