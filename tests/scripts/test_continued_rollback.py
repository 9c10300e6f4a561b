"""The documented way out of UPDATE_ROLLBACK_FAILED, which breaks the invariants of scenarios."""

from __future__ import annotations

import pytest

from localaws.client import LocalAws
from rehearsal.drivers.stack import StackDriver
from rehearsal.timings import QUICK
from tests.scenarios.test_documented_commands import Sitting, commands


@pytest.mark.long
def test_a_failed_rollback_continues_once_its_cause_is_undone() -> None:
    with LocalAws(timings=QUICK) as aws:
        driver = StackDriver(aws)
        driver.request(pSubnets=aws.subnets[0])
        driver.fault(operation="PutResponse", code="AccessDenied", times=1000)
        driver.request(pHsmsPerSubnet=2)
        driver.expect_stack("UPDATE_ROLLBACK_FAILED")
        aws.admin.clear_faults()
        proceed, watch = commands()["docs/troubleshooting.md", "UPDATE_ROLLBACK_FAILED"]
        assert Sitting(aws).paste(proceed, **{"my-cluster": "hsm"}).returncode == 0
        # The update has failed, although its rollback ends well.
        watched = Sitting(aws).paste(watch, **{"my-cluster": "hsm"})
        assert (watched.returncode, "UPDATE_ROLLBACK_COMPLETE" in watched.stdout) == (2, True)
        driver.expect_cluster(state="ACTIVE", hsms=1, zones=1)
        driver.request(pHsmsPerSubnet=2)
        driver.expect_stack("UPDATE_COMPLETE")
