"""A detached execution whose start takes effect late starts once, or refuses to work."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from localaws.client import LocalAws
from rehearsal.drivers.stack import StackDriver
from rehearsal.events import starts_execution
from rehearsal.timings import QUICK

pytestmark = pytest.mark.long

TEN_MINUTES = 600
# Two HSMs in succession take longer than the workflow of a request.
SLOW_HSMS = {**QUICK, "create_hsm": 1613}
ATTEMPTS = 7  # of Step Functions


@pytest.fixture(name="created")
def _created() -> Iterator[StackDriver]:
    with LocalAws(timings=SLOW_HSMS) as aws:
        driver = StackDriver(aws)
        driver.request(pSubnets=aws.subnets[0])
        driver.expect_stack("CREATE_COMPLETE")
        yield driver


def detached(driver: StackDriver) -> list[str]:
    """The detached executions that have started."""
    names = [str(e["execution"]) for e in driver.admin.event_log() if starts_execution(e)]
    return [name for name in names if name.endswith("-detached")]


def test_a_detached_execution_that_starts_late_runs_once(created: StackDriver) -> None:
    for number, seconds in enumerate((20, 300), start=1):
        created.fault(hsm="DEGRADED")
        created.fault(late="StartExecution", task="ContinueDetached", seconds=seconds)
        created.request(pHsmsPerSubnet=1 + number)
        created.expect_stack("UPDATE_COMPLETE")
        created.admin.advance(2 * SLOW_HSMS["create_hsm"])
        assert created.admin.unused_faults() == []
        assert len(detached(created)) == number
        created.expect_cluster(state="ACTIVE", hsms=1 + number, zones=1)


def test_a_detached_execution_that_starts_after_the_rollback_changes_nothing(
    created: StackDriver,
) -> None:
    created.fault(hsm="DEGRADED")
    created.fault(
        late="StartExecution", task="ContinueDetached", seconds=TEN_MINUTES, times=ATTEMPTS
    )
    created.request(pHsmsPerSubnet=2)
    created.expect_stack("UPDATE_ROLLBACK_COMPLETE")
    created.expect_reason("AlignHsms of", "did not end within its time limit. Set pReconcile")
    created.admin.advance(TEN_MINUTES)
    with created.expect_no_cluster_changes():
        created.admin.advance(TEN_MINUTES)
    assert created.admin.unused_faults() == []
    assert len(detached(created)) == 1
    (failed,) = [
        e for e in created.events("ExecutionFailed") if e["execution"] in detached(created)
    ]
    assert failed["error"] == "SupersededError"
    created.expect_cluster(state="ACTIVE", hsms=1, zones=1)


def test_a_detached_execution_whose_update_is_cancelled_at_once_is_stopped(
    created: StackDriver,
) -> None:
    # Its first look comes while the one that starts it waits until it is listed.
    created.fault(
        operation="DescribeStackResource", function="cluster", step="DescribeHsms", pause=True
    )
    created.fault(hsm="DEGRADED")
    created.start(pHsmsPerSubnet=2)
    with created.while_paused():
        created.expect_stack("UPDATE_IN_PROGRESS")
        created.cancel()
    created.wait()
    created.expect_stack("UPDATE_ROLLBACK_COMPLETE")
    created.admin.advance(TEN_MINUTES)
    assert len(detached(created)) == 1
    assert [e["execution"] for e in created.events("ExecutionAborted")].count(
        detached(created)[0]
    ) == 1
    created.expect_cluster(state="ACTIVE", hsms=1, zones=1)


def test_a_rollback_that_aws_outlasts_leaves_the_rest_to_a_detached_execution(
    created: StackDriver,
) -> None:
    created.request(pHsmsPerSubnet=2)
    created.expect_stack("UPDATE_COMPLETE")
    created.fault(operation="DeleteHsm", pause=True)
    created.start(pHsmsPerSubnet=1)
    with created.while_paused():
        created.fault(hsm="DEGRADED")
        created.cancel()
    created.wait()
    created.expect_stack("UPDATE_ROLLBACK_COMPLETE")
    created.admin.advance(SLOW_HSMS["create_hsm"])
    assert len(detached(created)) == 1
    created.expect_cluster(state="ACTIVE", hsms=2, zones=1)
