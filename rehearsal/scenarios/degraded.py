"""HSMs that come up or become DEGRADED, and zones without capacity."""

from __future__ import annotations

from collections import Counter

from rehearsal.drivers.stack import RETAINED_WITH_BACKUPS, StackDriver

# For a cluster that never had an ACTIVE HSM.
RETAINED_WITHOUT_HSM = ("role AWSServiceRoleForCloudHSM",)


def first_hsm_degraded(driver: StackDriver) -> None:
    """No capacity in one zone, a DEGRADED HSM in the next: the third gets the first HSM."""
    with driver.step("Create in 3 subnets"):
        driver.fault(
            operation="CreateHsm",
            code="CloudHsmServiceException",
            message="There is no capacity in this zone.",
        )
        driver.fault(hsm="DEGRADED")
        driver.request(pSubnets=",".join(driver.aws.subnets))
        driver.expect_stack("CREATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=3, zones=3)
        zones = [event["zone"] for event in driver.events("CreateHsm")]
        driver.expect("zones of the first two HSMs", zones[:2], ["us-east-1b", "us-east-1c"])

    driver.delete_step(*RETAINED_WITH_BACKUPS)


def no_first_hsm(driver: StackDriver) -> None:
    """No zone yields a working first HSM: each is tried once, then the creation rolls back."""
    with driver.step("Create: DEGRADED in both zones"):
        driver.fault(hsm="DEGRADED", times=2)
        driver.request()
        driver.expect_stack("ROLLBACK_COMPLETE")
        driver.expect_reason("No working HSM in us-east-1a, us-east-1b", "is DEGRADED")
        driver.expect("created HSMs", len(driver.events("CreateHsm")), 2)
        driver.expect_retained(*RETAINED_WITHOUT_HSM, "stack hsm")

    driver.delete_step(*RETAINED_WITHOUT_HSM)


def no_time_for_another_zone(driver: StackDriver) -> None:
    """The first HSM comes up DEGRADED too late to try another zone."""
    with driver.step("Create: DEGRADED, and late"):
        driver.fault(hsm="DEGRADED")
        driver.request()
        driver.expect_stack("ROLLBACK_COMPLETE")
        driver.expect_reason("No working HSM in us-east-1a, and no time is left for other zones")
        driver.expect("created HSMs", len(driver.events("CreateHsm")), 1)
        driver.expect_retained(*RETAINED_WITHOUT_HSM, "stack hsm")

    driver.delete_step(*RETAINED_WITHOUT_HSM)


def hsms_degraded(driver: StackDriver) -> None:
    """DEGRADED HSMs are replaced once in their zone; they block neither rollback nor deletion."""
    driver.create_step("Create: 1 HSM per subnet", hsms=2, zones=2)

    with driver.step("Scale up to 2 HSMs per subnet, one DEGRADED"):
        driver.fault(hsm="DEGRADED")
        driver.request(pHsmsPerSubnet=2)
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)

    with driver.step("Scale up to 3 HSMs per subnet, all DEGRADED"):
        driver.fault(hsm="DEGRADED", times=4)
        created = len(driver.events("CreateHsm"))
        driver.request(pHsmsPerSubnet=3)
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("is DEGRADED like the one before", "pReconcile")
        zones = Counter(event["zone"] for event in driver.events("CreateHsm")[created:])
        driver.expect("HSMs created in a zone", max(zones.values()), 2)
        # Left if AWS makes one HSM at a time (F1.31).
        driver.admin.clear_faults()
        driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)

    with driver.step("Reconcile: an ACTIVE HSM has become DEGRADED"):
        lost = driver.cluster()["Hsms"][0]
        driver.admin.aws_event("degrade_hsm", hsm_id=lost["HsmId"])
        driver.request(pHsmsPerSubnet=2, pReconcile="degraded")
        driver.expect_stack("UPDATE_COMPLETE")
        cluster = driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)
        active = [hsm["HsmId"] for hsm in cluster["Hsms"] if hsm["State"] == "ACTIVE"]
        driver.expect("lost HSM is ACTIVE", lost["HsmId"] in active, False)
        new = driver.events("CreateHsm")[-1]
        driver.expect("zone of the new HSM", new["zone"], lost["AvailabilityZone"])

    driver.admin.aws_event("degrade_hsm", hsm_id=active[0])
    driver.delete_step(*RETAINED_WITH_BACKUPS, title="Delete with a DEGRADED HSM")


def cluster_degraded(driver: StackDriver) -> None:
    """A DEGRADED cluster: HSMs, backup retention and deletion still work."""
    driver.create_step("Create: 1 HSM per subnet", hsms=2, zones=2)
    driver.admin.aws_event("degrade_cluster", cluster_id=driver.cluster()["ClusterId"])

    with driver.step("Reconcile, and change backup retention"):
        driver.request(pReconcile="degraded", pBackupRetentionDays=30)
        driver.expect_stack("UPDATE_COMPLETE")
        cluster = driver.expect_cluster(state="DEGRADED", hsms=2, zones=2)
        driver.expect("retention", cluster["BackupRetentionPolicy"]["Value"], "30")

    with driver.step("Scale up: the cluster recovers"):
        driver.request(pHsmsPerSubnet=2)
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)

    driver.admin.aws_event("degrade_cluster", cluster_id=driver.cluster()["ClusterId"])
    driver.delete_step(*RETAINED_WITH_BACKUPS, title="Delete the DEGRADED cluster")
