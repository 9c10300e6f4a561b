"""CreateCluster loses its response and takes effect later, when it has been called again."""

from __future__ import annotations

from rehearsal.drivers.stack import RETAINED_BY_CLOUDHSM, RETAINED_WITH_BACKUPS, StackDriver


def cluster_created_late(driver: StackDriver) -> None:
    """CreateCluster takes effect 20, 90 and 300 seconds late: the stack has one cluster."""
    retained: set[str] = set()
    for seconds in (20, 90, 300):
        with driver.step(f"Create: CreateCluster takes effect {seconds} seconds late"):
            driver.fault(late="CreateCluster", seconds=seconds)
            driver.request()
            driver.expect_stack("CREATE_COMPLETE")
            cluster = driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)["ClusterId"]

        retained |= {name.format(cluster=cluster) for name in RETAINED_WITH_BACKUPS}
        driver.delete_step(*retained)


def creation_lost(driver: StackDriver) -> None:
    """Calls of CreateCluster take effect after the creation has failed: the rollback finds all."""
    with driver.step("Create: four calls of CreateCluster take effect 300 seconds late"):
        driver.fault(late="CreateCluster", seconds=300, times=4)
        driver.request()
        driver.expect_stack("ROLLBACK_COMPLETE")
        driver.expect_reason("TransientError: CreateCluster: ")
        driver.expect_retained(RETAINED_BY_CLOUDHSM[1], "stack hsm")

    with driver.step("Delete, and create: fails while the effect of a lost call is outstanding"):
        driver.delete()
        driver.fault(late="CreateCluster", seconds=300)
        driver.fault(operation="CreateSecret", code="AccessDeniedException", times=8)
        driver.request()
        driver.expect_stack("ROLLBACK_COMPLETE")
        driver.expect_reason("CreateSecret: AccessDeniedException", "[cluster-")
        driver.expect_retained(RETAINED_BY_CLOUDHSM[1], "stack hsm")

    driver.delete_step(RETAINED_BY_CLOUDHSM[1])
