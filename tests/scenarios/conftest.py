"""A quick local AWS for each test; each is checked for invariants and secrets when it stops."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from types import TracebackType

import pytest

from localaws.client import LocalAws
from rehearsal.checks import invariants, secret_scan
from rehearsal.drivers.stack import StackDriver
from rehearsal.report.failure import failure_report
from rehearsal.timings import QUICK

_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Record whether the test itself failed, for the `driver` fixture."""
    report = yield
    if report.when == "call":
        item.stash[_FAILED] = report.failed
    return report


# Per module, not per session: other directories violate invariants on purpose.
@pytest.fixture(scope="module", autouse=True)
def _check_invariants() -> Iterator[None]:
    """Check invariants and scan for secrets when a test of this directory stops a local AWS."""
    stop = LocalAws.__exit__

    def check_and_stop(
        aws: LocalAws,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            # The test's own error takes precedence.
            if error is None:
                assert invariants.violations(aws.admin.event_log()) == []
                assert secret_scan.violations(aws) == []
        finally:
            stop(aws, kind, error, trace)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalAws, "__exit__", check_and_stop)
        yield


@pytest.fixture(name="local_aws")
def _local_aws() -> Iterator[LocalAws]:
    with LocalAws(timings=QUICK) as aws:
        yield aws


@pytest.fixture(name="driver")
def _driver(local_aws: LocalAws, request: pytest.FixtureRequest) -> Iterator[StackDriver]:
    """A driver in a new local AWS; a failed test prints the failure report."""
    driver = StackDriver(local_aws)
    yield driver
    if request.node.stash.get(_FAILED, False):
        print("\n".join(failure_report(driver)))
