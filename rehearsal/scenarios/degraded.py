"""HSMs that come up DEGRADED or become so, and zones that have none to give."""

from __future__ import annotations

from rehearsal.life import LEFT_WITH_BACKUPS, Life

# What is left of a cluster that never had an ACTIVE HSM.
LEFT_BY_NOTHING = ("role AWSServiceRoleForCloudHSM",)


def first_hsm_degraded(life: Life) -> None:
    """One zone has no HSM to give, the next a DEGRADED one: the first HSM comes up in the third."""
    with life.step("Create in 3 subnets"):
        life.fault(
            operation="CreateHsm",
            code="CloudHsmServiceException",
            message="There is no capacity in this zone.",
        )
        life.fault(hsm="DEGRADED")
        life.request(pSubnets=",".join(life.aws.subnets))
        life.expect_stack("CREATE_COMPLETE")
        life.expect_cluster(state="ACTIVE", hsms=3, zones=3)
        zones = [event["zone"] for event in _events(life, "CreateHsm")]
        life.expect("zones of the first two HSMs", zones[:2], ["us-east-1b", "us-east-1c"])

    with life.step("Delete"):
        life.delete()
        life.expect_stack("DELETE_COMPLETE")
        life.expect_remaining(*LEFT_WITH_BACKUPS)


def no_first_hsm(life: Life) -> None:
    """No zone gives a first HSM that works: each was tried once, and the creation is undone."""
    with life.step("Create: DEGRADED in both zones"):
        life.fault(hsm="DEGRADED", times=2)
        life.request()
        life.expect_stack("ROLLBACK_COMPLETE")
        life.expect_reason("CreateHsm gave no HSM in us-east-1a, us-east-1b", "is DEGRADED")
        life.expect("HSMs that were made", len(_events(life, "CreateHsm")), 2)
        life.expect_remaining(*LEFT_BY_NOTHING, "stack hsm")

    with life.step("Delete"):
        life.delete()
        life.expect_stack("DELETE_COMPLETE")
        life.expect_remaining(*LEFT_BY_NOTHING)


def no_time_for_another_zone(life: Life) -> None:
    """The first HSM comes up DEGRADED so late that there is no time for one in another zone."""
    with life.step("Create: DEGRADED, and late"):
        life.fault(hsm="DEGRADED")
        life.request()
        life.expect_stack("ROLLBACK_COMPLETE")
        life.expect_reason("no HSM in us-east-1a, and no time is left for other zones")
        life.expect("HSMs that were made", len(_events(life, "CreateHsm")), 1)
        life.expect_remaining(*LEFT_BY_NOTHING, "stack hsm")

    with life.step("Delete"):
        life.delete()
        life.expect_stack("DELETE_COMPLETE")
        life.expect_remaining(*LEFT_BY_NOTHING)


def hsms_degrade(life: Life) -> None:
    """DEGRADED HSMs are replaced in their zone, once; they stop neither rollback nor deletion."""
    with life.step("Create: 1 HSM per subnet"):
        life.request()
        life.expect_stack("CREATE_COMPLETE")
        life.expect_cluster(state="ACTIVE", hsms=2, zones=2)

    with life.step("Grow to 2 per subnet, one DEGRADED"):
        life.fault(hsm="DEGRADED")
        life.request(pHsmsPerSubnet=2)
        life.expect_stack("UPDATE_COMPLETE")
        life.expect_cluster(state="ACTIVE", hsms=4, zones=2)

    with life.step("Grow to 3 per subnet, all DEGRADED"):
        life.fault(hsm="DEGRADED", times=4)
        made = len(_events(life, "CreateHsm"))
        life.request(pHsmsPerSubnet=3)
        life.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        life.expect_reason("is DEGRADED like the one before", "pReconcile")
        life.expect("HSMs that were made", len(_events(life, "CreateHsm")) - made, 4)
        life.expect_cluster(state="ACTIVE", hsms=4, zones=2)

    with life.step("An ACTIVE one has become DEGRADED"):
        lost = life.cluster()["Hsms"][0]
        life.control.act("degrade_hsm", hsm_id=lost["HsmId"])
        life.request(pHsmsPerSubnet=2, pReconcile="degraded")
        life.expect_stack("UPDATE_COMPLETE")
        cluster = life.expect_cluster(state="ACTIVE", hsms=4, zones=2)
        there = [hsm["HsmId"] for hsm in cluster["Hsms"] if hsm["State"] == "ACTIVE"]
        life.expect("the lost one is there", lost["HsmId"] in there, False)
        life.expect(
            "zone of the new one", _events(life, "CreateHsm")[-1]["zone"], lost["AvailabilityZone"]
        )

    with life.step("Delete, with one DEGRADED"):
        life.control.act("degrade_hsm", hsm_id=there[0])
        life.delete()
        life.expect_stack("DELETE_COMPLETE")
        life.expect_remaining(*LEFT_WITH_BACKUPS)


def _events(life: Life, name: str) -> list[dict[str, str]]:
    return [event for event in life.control.timeline() if event["event"] == name]
