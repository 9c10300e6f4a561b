"""The life that every cluster of the template should be able to have."""

from __future__ import annotations

from rehearsal.life import LEFT_WITH_BACKUPS, Life


def standard(life: Life) -> None:
    """A cluster is created, grows, shrinks to nothing, comes back and is deleted."""
    with life.step("Create: 1 HSM per subnet"):
        life.deploy()
        life.expect_stack("CREATE_COMPLETE")
        created = life.expect_cluster(state="ACTIVE", hsms=2, zones=2)

    with life.step("Grow to 2 per subnet"):
        life.deploy(pHsmsPerSubnet=2)
        life.expect_stack("UPDATE_COMPLETE")
        life.expect_cluster(state="ACTIVE", hsms=4, zones=2)

    with life.step("Shrink to 0"):
        life.deploy(pHsmsPerSubnet=0)
        life.expect_stack("UPDATE_COMPLETE")
        life.expect_cluster(state="ACTIVE", hsms=0)

    with life.step("Back to 1 per subnet"):
        life.deploy(pHsmsPerSubnet=1)
        life.expect_stack("UPDATE_COMPLETE")
        back = life.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        life.expect("cluster id", back["ClusterId"], created["ClusterId"])
        life.expect("users", back["Users"], created["Users"])

    with life.step("Delete"):
        life.destroy()
        life.expect_stack("DELETE_COMPLETE")
        life.expect_remaining(*LEFT_WITH_BACKUPS)
