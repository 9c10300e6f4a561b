"""A command that goes on after its workflow has failed ends before the next request works."""

from __future__ import annotations

import pytest

from localaws.client import LocalAws
from rehearsal.drivers.stack import StackDriver
from rehearsal.timings import QUICK

pytestmark = pytest.mark.long


def test_a_rollback_cancels_the_command_of_an_update_that_cannot_follow_it() -> None:
    # Longer than the seven attempts of a step. The fixture of this directory checks that the
    # rollback's workflow does not start while a command runs.
    with LocalAws(timings={**QUICK, "run_command": 250}) as aws:
        driver = StackDriver(aws)
        driver.request(pSubnets=aws.subnets[0])
        driver.expect_stack("CREATE_COMPLETE")
        driver.fault(
            task="DescribeCommand",
            machine="-run-on-client",
            code="AccessDeniedException",
            message="not authorized to perform: lambda:InvokeFunction",
            times=7,
        )
        driver.request(pHsmsPerSubnet=2)
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("DescribeCommand of cloudhsm-1-run-on-client: lambda:InvokeFunction")
        cancelled = [event for event in aws.admin.event_log() if event["event"] == "Cancelled"]
        assert len(cancelled) == 1
