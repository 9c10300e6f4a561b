"""One local AWS for all tests of ministack's patches; each test has a stack of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from localaws.client import LocalAws
from tests.localaws.ministack.custom_resource_function import CustomResourceStack
from tests.localaws.ministack.support import SampleStack


@pytest.fixture(scope="session", name="aws")
def _aws() -> Iterator[LocalAws]:
    with LocalAws() as aws:
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
