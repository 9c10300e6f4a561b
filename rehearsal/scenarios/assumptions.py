"""The stricter of two readings where AWS's documentation is ambiguous."""

from __future__ import annotations

from rehearsal.drivers.stack import RETAINED_WITH_BACKUPS, StackDriver

# For `one_hsm_at_a_time`.
ONE_AT_A_TIME = ("--one-hsm-at-a-time",)


def one_hsm_at_a_time(driver: StackDriver) -> None:
    """AWS rejects CreateHsm while another HSM is being created: an update adds HSMs one by one."""
    driver.create_step("Create: 1 HSM per subnet", hsms=2, zones=2)

    with driver.step("Scale up to 2 HSMs per subnet"):
        driver.request(pHsmsPerSubnet=2)
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)
        driver.expect("HSMs being created at a time", _most_in_creation(driver), 1)

    driver.delete_step(*RETAINED_WITH_BACKUPS)


def _most_in_creation(driver: StackDriver) -> int:
    """The largest number of HSMs in CREATE_IN_PROGRESS at the same time."""
    in_creation, most = set(), 0
    for event in driver.admin.event_log():
        if event["service"] == "cloudhsm" and event["subject"].startswith("hsm-"):
            if event["event"] == "CREATE_IN_PROGRESS":
                in_creation.add(event["subject"])
            elif event["event"].isupper():
                in_creation.discard(event["subject"])
            most = max(most, len(in_creation))
    return most
