"""Stacks of a released version are updated with this version's templates."""

from __future__ import annotations

from rehearsal.drivers.deployment import released
from rehearsal.drivers.stack import CLUSTER_TEMPLATE, RETAINED_WITH_BACKUPS, StackDriver

# A stack of 1.0.0 exists only where CloudHSM accepted its CA, which has no subject key identifier.
WHERE_1_0_0_WORKS = ("--assume", "trust-anchor-rfc5280=accepted")


def upgrade_from_1_0_0(driver: StackDriver) -> None:
    """A stack of 1.0.0 is upgraded without a change to cluster or HSMs, then scaled and deleted."""
    driver.stack.template = released(CLUSTER_TEMPLATE, "1.0.0")
    driver.create_step("Create with 1.0.0", hsms=2, zones=2)
    with driver.step("Upgrade"):
        driver.stack.template = CLUSTER_TEMPLATE
        driver.deploy()
        driver.expect("failures", driver.stack.reasons(), [])
        driver.expect_stack("UPDATE_COMPLETE")
    driver.delete_step(*RETAINED_WITH_BACKUPS)
