"""Calls whose response is lost and whose effect comes late, also after the request has ended."""

from __future__ import annotations

import pytest

from rehearsal.drivers.stack import StackDriver

TEN_MINUTES = 600
LATE = (20, 60, 176, 300)  # virtual seconds


@pytest.fixture(name="created")
def _created(driver: StackDriver) -> StackDriver:
    driver.request(pSubnets=driver.aws.subnets[0])
    driver.expect_stack("CREATE_COMPLETE")
    return driver


def test_a_command_that_is_sent_late_changes_nothing(created: StackDriver) -> None:
    for seconds in LATE:
        created.fault(late="SendCommand", seconds=seconds)
        created.request(pReconcile=f"{seconds} seconds")
        created.expect_stack("UPDATE_COMPLETE")
        created.admin.advance(TEN_MINUTES)
        assert created.admin.unused_faults() == []
    created.delete()
    created.expect_stack("DELETE_COMPLETE")


def test_executions_that_start_late_run_once(created: StackDriver) -> None:
    for number, seconds in enumerate(LATE):
        created.fault(late="StartExecution", seconds=seconds)
        for task in ("RunLifecycle", "AlignHsms", "ConfigureClient"):
            created.fault(late="StartExecution", task=task, seconds=seconds)
        created.request(pHsmsPerSubnet=1 + number % 2, pReconcile=f"{seconds} seconds")
        created.expect_stack("UPDATE_COMPLETE")
        created.admin.advance(TEN_MINUTES)
        assert created.admin.unused_faults() == []
        created.expect_cluster(state="ACTIVE", hsms=1 + number % 2, zones=1)
