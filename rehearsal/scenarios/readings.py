"""AWS as it may be where its documents leave open how it is: the harsher reading."""

from __future__ import annotations

from rehearsal.life import LEFT_WITH_BACKUPS, Life

# For `one_hsm_at_a_time`.
ONE_AT_A_TIME = ("--one-hsm-at-a-time",)


def one_hsm_at_a_time(life: Life) -> None:
    """AWS takes no HSM while another one comes: those that an update adds come one by one."""
    with life.step("Create: 1 HSM per subnet"):
        life.request()
        life.expect_stack("CREATE_COMPLETE")
        life.expect_cluster(state="ACTIVE", hsms=2, zones=2)

    with life.step("Grow to 2 per subnet"):
        life.request(pHsmsPerSubnet=2)
        life.expect_stack("UPDATE_COMPLETE")
        life.expect_cluster(state="ACTIVE", hsms=4, zones=2)
        life.expect("HSMs on their way at a time", _most_at_a_time(life), 1)

    with life.step("Delete"):
        life.delete()
        life.expect_stack("DELETE_COMPLETE")
        life.expect_remaining(*LEFT_WITH_BACKUPS)


def _most_at_a_time(life: Life) -> int:
    """How many HSMs were in CREATE_IN_PROGRESS at the same time, at most."""
    coming, most = set(), 0
    for event in life.control.timeline():
        if event["service"] == "cloudhsm" and event["subject"].startswith("hsm-"):
            if event["event"] == "CREATE_IN_PROGRESS":
                coming.add(event["subject"])
            elif event["event"].isupper():
                coming.discard(event["subject"])
            most = max(most, len(coming))
    return most
