"""HSMs that come up DEGRADED or become so, and zones that have none to give."""

from __future__ import annotations

from rehearsal.drivers.stack import LEFT_WITH_BACKUPS, StackDriver

# What is left of a cluster that never had an ACTIVE HSM.
LEFT_BY_NOTHING = ("role AWSServiceRoleForCloudHSM",)


def first_hsm_degraded(driver: StackDriver) -> None:
    """One zone has no HSM to give, the next a DEGRADED one: the first HSM comes up in the third."""
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
        zones = [event["zone"] for event in _events(driver, "CreateHsm")]
        driver.expect("zones of the first two HSMs", zones[:2], ["us-east-1b", "us-east-1c"])

    with driver.step("Delete"):
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_remaining(*LEFT_WITH_BACKUPS)


def no_first_hsm(driver: StackDriver) -> None:
    """No zone gives a first HSM that works: each was tried once, and the creation is undone."""
    with driver.step("Create: DEGRADED in both zones"):
        driver.fault(hsm="DEGRADED", times=2)
        driver.request()
        driver.expect_stack("ROLLBACK_COMPLETE")
        driver.expect_reason("CreateHsm gave no HSM in us-east-1a, us-east-1b", "is DEGRADED")
        driver.expect("HSMs that were made", len(_events(driver, "CreateHsm")), 2)
        driver.expect_remaining(*LEFT_BY_NOTHING, "stack hsm")

    with driver.step("Delete"):
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_remaining(*LEFT_BY_NOTHING)


def no_time_for_another_zone(driver: StackDriver) -> None:
    """The first HSM comes up DEGRADED so late that there is no time for one in another zone."""
    with driver.step("Create: DEGRADED, and late"):
        driver.fault(hsm="DEGRADED")
        driver.request()
        driver.expect_stack("ROLLBACK_COMPLETE")
        driver.expect_reason("no HSM in us-east-1a, and no time is left for other zones")
        driver.expect("HSMs that were made", len(_events(driver, "CreateHsm")), 1)
        driver.expect_remaining(*LEFT_BY_NOTHING, "stack hsm")

    with driver.step("Delete"):
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_remaining(*LEFT_BY_NOTHING)


def hsms_degrade(driver: StackDriver) -> None:
    """DEGRADED HSMs are replaced in their zone, once; they stop neither rollback nor deletion."""
    with driver.step("Create: 1 HSM per subnet"):
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)

    with driver.step("Grow to 2 per subnet, one DEGRADED"):
        driver.fault(hsm="DEGRADED")
        driver.request(pHsmsPerSubnet=2)
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)

    with driver.step("Grow to 3 per subnet, all DEGRADED"):
        driver.fault(hsm="DEGRADED", times=4)
        made = len(_events(driver, "CreateHsm"))
        driver.request(pHsmsPerSubnet=3)
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("is DEGRADED like the one before", "pReconcile")
        driver.expect("HSMs that were made", len(_events(driver, "CreateHsm")) - made, 4)
        driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)

    with driver.step("An ACTIVE one has become DEGRADED"):
        lost = driver.cluster()["Hsms"][0]
        driver.admin.act("degrade_hsm", hsm_id=lost["HsmId"])
        driver.request(pHsmsPerSubnet=2, pReconcile="degraded")
        driver.expect_stack("UPDATE_COMPLETE")
        cluster = driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)
        there = [hsm["HsmId"] for hsm in cluster["Hsms"] if hsm["State"] == "ACTIVE"]
        driver.expect("the lost one is there", lost["HsmId"] in there, False)
        driver.expect(
            "zone of the new one",
            _events(driver, "CreateHsm")[-1]["zone"],
            lost["AvailabilityZone"],
        )

    with driver.step("Delete, with one DEGRADED"):
        driver.admin.act("degrade_hsm", hsm_id=there[0])
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_remaining(*LEFT_WITH_BACKUPS)


def _events(driver: StackDriver, name: str) -> list[dict[str, str]]:
    return [event for event in driver.admin.event_log() if event["event"] == name]
