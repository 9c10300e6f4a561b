"""An HSM that shows late, after the HSMs of its cluster were deleted."""

from __future__ import annotations

from rehearsal.drivers.stack import StackDriver


def test_a_deletion_goes_back_for_an_hsm_that_shows_late(driver: StackDriver) -> None:
    driver.request(pSubnets=driver.aws.subnets[0])
    driver.expect_stack("CREATE_COMPLETE")
    cluster = driver.cluster()
    # RevokeClient follows the deletion of the HSMs.
    driver.fault(operation="RevokeSecurityGroupEgress", pause=True)
    driver.stack.start_delete()
    with driver.while_paused():
        driver.aws.client("cloudhsmv2").create_hsm(
            ClusterId=cluster["ClusterId"],
            AvailabilityZone=next(iter(cluster["SubnetMapping"])),
        )
    driver.wait()
    driver.expect_stack("DELETE_COMPLETE")
