"""Requests that fail or are cancelled, and what becomes of the stack then."""

from __future__ import annotations

from rehearsal.life import LEFT_BY_CLOUDHSM, LEFT_WITH_BACKUPS, Life


def quota_refuses_hsms(life: Life) -> None:
    """AWS refuses every HSM by quota: the creation is undone and the stack event says why."""
    with life.step("Create, but HSMs are refused"):
        life.fault(
            operation="CreateHsm",
            times=99,
            code="CloudHsmResourceLimitExceededException",
            message="The maximum number of HSMs has been reached.",
        )
        life.request()
        life.expect_stack("ROLLBACK_COMPLETE")
        life.expect_reason("CreateFirstHsm", "cluster-", "maximum number of HSMs")

    with life.step("Delete"):
        life.delete()
        # The log group comes with the first HSM.
        life.expect_remaining("role AWSServiceRoleForCloudHSM")


def activation_fails(life: Life) -> None:
    """The script that activates the cluster fails: the creation is undone and says what it said."""
    with life.step("Create, but the activation fails"):
        life.fault(script="ActivateCluster", exit=1, stderr="no route to HSM")
        life.request()
        life.expect_stack("ROLLBACK_COMPLETE")
        life.expect_reason("ActivateCluster", "cluster-", "no route to HSM")

    with life.step("Delete"):
        life.delete()
        life.expect_remaining(*LEFT_BY_CLOUDHSM)


def update_is_cancelled(life: Life) -> None:
    """An update is cancelled while it adds HSMs: the old number of them is ACTIVE again."""
    with life.step("Create: 1 HSM per subnet"):
        life.request()
        life.expect_cluster(state="ACTIVE", hsms=2, zones=2)

    with life.step("Grow to 2 per subnet, cancelled"):
        life.fault(operation="CreateHsm", pause=True)
        life.start(pHsmsPerSubnet=2)
        with life.standing_still():
            life.cancel()
        life.wait()
        life.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        life.expect_cluster(state="ACTIVE", hsms=2, zones=2)

    with life.step("Delete"):
        life.delete()
        life.expect_stack("DELETE_COMPLETE")
        life.expect_remaining(*LEFT_WITH_BACKUPS)
