"""One local AWS for all tests of the engine, and a stack of its own for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from localaws.client import LocalAws
from tests.localaws.ministack.custom_resource_function import Things
from tests.localaws.ministack.support import Try


@pytest.fixture(scope="session", name="aws")
def _aws() -> Iterator[LocalAws]:
    with LocalAws() as aws:
        yield aws


@pytest.fixture(name="stack")
def _stack(aws: LocalAws) -> Iterator[Try]:
    """A stack to be; what a test leaves of it is deleted, and time goes on."""
    stack = Try(aws)
    yield stack
    aws.admin.resume()
    if stack.id != stack.name and stack.status() != "DELETE_COMPLETE":
        stack.wait()
        stack.delete()


@pytest.fixture(name="things")
def _things(stack: Try) -> Things:
    """The same stack, with custom resources in it."""
    return Things(stack)
