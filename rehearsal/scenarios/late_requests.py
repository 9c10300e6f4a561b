"""Events that Lambda delivers late or again, and request functions that are killed."""

from __future__ import annotations

from rehearsal.drivers.stack import RETAINED_WITH_BACKUPS, StackDriver

# Virtual seconds.
LATE = (20, 60, 176, 300)
UNTIL_CANCELLED = 10
TEN_MINUTES = 600
KILLED = {"lambda": "-request", "die": "before"}


def events_late(driver: StackDriver) -> None:
    """Events are delivered up to 300 s late: requests that are no longer current change nothing."""
    with driver.step("Create: the event is delivered 176 seconds late"):
        driver.fault(deliver="late", request="Create", seconds=176)
        driver.request(pSubnets=driver.aws.subnets[0])
        driver.expect_stack("CREATE_COMPLETE")

    for seconds in LATE:
        with driver.step(f"Scale up: {seconds} s late, cancelled after {UNTIL_CANCELLED} s"):
            before = len(driver.events("DeliveredLate"))
            with driver.expect_no_cluster_changes():
                driver.fault(deliver="late", request="Update", seconds=seconds)
                driver.start(pHsmsPerSubnet=2)
                driver.admin.advance(UNTIL_CANCELLED)
                driver.cancel()
                driver.wait()
                driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
                driver.admin.advance(TEN_MINUTES)
                driver.expect("deliveries", len(driver.events("DeliveredLate")), before + 1)

    with (
        driver.step("Scale up: cancelled, and the rollback's event is late too"),
        driver.expect_no_cluster_changes(),
    ):
        driver.fault(deliver="late", request="Update", seconds=60)
        driver.fault(deliver="late", request="Update", seconds=20)
        driver.start(pHsmsPerSubnet=2)
        driver.admin.advance(UNTIL_CANCELLED)
        driver.cancel()
        driver.wait()
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.admin.advance(TEN_MINUTES)

    with driver.step("Scale up: the event is delivered again when the rollback's is"):
        driver.fault(deliver="twice", request="Update", after="Update")
        driver.fault(operation="CreateHsm", pause=True)
        driver.start(pHsmsPerSubnet=2)
        with driver.while_paused():
            driver.cancel()
        driver.wait()
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.admin.advance(TEN_MINUTES)
        driver.expect_cluster(state="ACTIVE", hsms=1, zones=1)

    driver.fault(deliver="twice", request="Delete")
    driver.delete_step(*RETAINED_WITH_BACKUPS, title="Delete: the event is delivered twice")

    with driver.step("Create: late, and deleted meanwhile"):
        driver.fault(deliver="late", request="Create", seconds=60)
        driver.start()
        driver.admin.advance(UNTIL_CANCELLED)
        driver.stack.start_delete()
        driver.wait()
        driver.expect_stack("DELETE_COMPLETE")
        driver.admin.advance(TEN_MINUTES)


def request_handler_killed(driver: StackDriver) -> None:
    """The request function is killed once: the request succeeds. Killed twice: it fails at once."""
    driver.fault(KILLED)
    driver.create_step(
        "Create: killed before its work", hsms=1, zones=1, pSubnets=driver.aws.subnets[0]
    )

    with driver.step("Scale up: killed before its work"):
        driver.fault(KILLED)
        driver.request(pHsmsPerSubnet=2)
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=1)

    with driver.step("Scale down: killed after its work"):
        driver.fault(KILLED, die="after")
        driver.request(pHsmsPerSubnet=1)
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=1, zones=1)

    with driver.step("Scale up: cancelled, and killed before the rollback"):
        driver.fault(operation="CreateHsm", pause=True)
        driver.start(pHsmsPerSubnet=2)
        with driver.while_paused():
            driver.fault(KILLED)
            driver.cancel()
        driver.wait()
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.admin.advance(TEN_MINUTES)
        driver.expect_cluster(state="ACTIVE", hsms=1, zones=1)

    with (
        driver.step("Scale up: cancelled, and killed afterwards"),
        driver.expect_no_cluster_changes(),
    ):
        driver.fault(KILLED, skip=1)  # of the rollback's event, which comes first
        driver.fault(deliver="late", request="Update", seconds=60)
        driver.start(pHsmsPerSubnet=2)
        driver.admin.advance(UNTIL_CANCELLED)
        driver.cancel()
        driver.wait()
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.admin.advance(TEN_MINUTES)

    with driver.step("Scale up: killed twice"):
        driver.fault(KILLED, times=2)
        with driver.expect_seconds(120 + LATE[-1]):  # for which the rollback waits
            driver.request(pHsmsPerSubnet=2)
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("No workflow was started", "signal: killed", "pReconcile")
        driver.expect_cluster(state="ACTIVE", hsms=1, zones=1)

    with driver.step("Scale up: killed twice, also in the rollback"):
        driver.fault(KILLED, times=4)
        with driver.expect_seconds(120):
            driver.request(pHsmsPerSubnet=2)
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=1, zones=1)

    driver.fault(KILLED)
    driver.delete_step(*RETAINED_WITH_BACKUPS, title="Delete: killed before its work")
