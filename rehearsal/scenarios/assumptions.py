"""AWS as it may be where its documents leave open how it is: the harsher reading."""

from __future__ import annotations

from rehearsal.drivers.stack import LEFT_WITH_BACKUPS, StackDriver

# For `one_hsm_at_a_time`.
ONE_AT_A_TIME = ("--one-hsm-at-a-time",)


def one_hsm_at_a_time(driver: StackDriver) -> None:
    """AWS takes no HSM while another one comes: those that an update adds come one by one."""
    with driver.step("Create: 1 HSM per subnet"):
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)

    with driver.step("Grow to 2 per subnet"):
        driver.request(pHsmsPerSubnet=2)
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)
        driver.expect("HSMs on their way at a time", _most_at_a_time(driver), 1)

    with driver.step("Delete"):
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_remaining(*LEFT_WITH_BACKUPS)


def _most_at_a_time(driver: StackDriver) -> int:
    """How many HSMs were in CREATE_IN_PROGRESS at the same time, at most."""
    coming, most = set(), 0
    for event in driver.admin.event_log():
        if event["service"] == "cloudhsm" and event["subject"].startswith("hsm-"):
            if event["event"] == "CREATE_IN_PROGRESS":
                coming.add(event["subject"])
            elif event["event"].isupper():
                coming.discard(event["subject"])
            most = max(most, len(coming))
    return most
