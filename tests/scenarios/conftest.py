"""A local AWS for each test that lives a driver in it, and the words to tell it in."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from types import TracebackType

import pytest

from localaws.client import LocalAws
from rehearsal.checks import invariants
from rehearsal.drivers.stack import StackDriver
from rehearsal.report.failure import failure_report
from tests.support.timings import QUICK

_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember whether the test itself failed, for those who explain it."""
    report = yield
    if report.when == "call":
        item.stash[_FAILED] = report.failed
    return report


# Not for the session: the tests of other directories have their own use for what is unlawful.
@pytest.fixture(scope="module", autouse=True)
def _lawful() -> Iterator[None]:
    """Whatever local AWS a test of this directory starts: no law was broken in it when it ends."""
    leave = LocalAws.__exit__

    def leave_if_lawful(
        aws: LocalAws,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            # What a driver that failed has to say comes first.
            assert error or invariants.violations(aws.admin.event_log()) == []
        finally:
            leave(aws, kind, error, trace)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalAws, "__exit__", leave_if_lawful)
        yield


@pytest.fixture(name="local_aws")
def _local_aws() -> Iterator[LocalAws]:
    """A fresh local AWS, and a quick one."""
    with LocalAws(timings=QUICK) as aws:
        yield aws


@pytest.fixture(name="driver")
def _life(local_aws: LocalAws, request: pytest.FixtureRequest) -> Iterator[StackDriver]:
    """A stack to be, in a fresh local AWS; if the test fails, what AWS has to say about it."""
    driver = StackDriver(local_aws)
    yield driver
    if request.node.stash.get(_FAILED, False):
        print("\n".join(failure_report(driver)))
