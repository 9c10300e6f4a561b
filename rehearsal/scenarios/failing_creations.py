"""Creations that fail: the stack event says in which step, of what and why, and nothing is left."""

from __future__ import annotations

from typing import Any

from rehearsal.life import LEFT_BY_CLOUDHSM, LEFT_WITH_BACKUPS, Life

Event = dict[str, Any]

# For `quota_is_used_up` and `quota_is_nearly_used_up`.
NO_HSM, ONE_HSM = ("--quotas", '{"hsms": 0}'), ("--quotas", '{"hsms": 1}')
# For `creation_takes_too_long`.
SLOW_INITIALIZATION = ("--timings", '{"initialize": 5003}')


def quota_is_used_up(life: Life) -> None:
    """AWS refuses the first HSM in each subnet by quota: the cluster and its secrets go again."""
    with life.step("Create, but no HSM is allowed"):
        life.request()
        life.expect_stack("ROLLBACK_COMPLETE")
        life.expect_reason("CreateFirstHsm", "You have reached the limit of 0 HSMs", "[cluster-")
        # The log group comes with the first HSM.
        life.expect_remaining("role AWSServiceRoleForCloudHSM", "stack hsm")

    with life.step("Delete"):
        life.delete()
        life.expect_remaining("role AWSServiceRoleForCloudHSM")


def quota_is_nearly_used_up(life: Life) -> None:
    """AWS refuses the second HSM by quota: the cluster was ACTIVE, so its backup is left."""
    with life.step("Create, but one HSM is allowed"):
        life.request()
        life.expect_stack("ROLLBACK_COMPLETE")
        life.expect_reason("CreateHsm", "You have reached the limit of 1 HSMs", "[cluster-")
        life.expect_remaining(*LEFT_WITH_BACKUPS, "stack hsm")

    with life.step("Delete"):
        life.delete()
        life.expect_remaining(*LEFT_WITH_BACKUPS)


def activation_fails(life: Life) -> None:
    """The script that activates the cluster fails: the creation is undone and says what it said."""
    with life.step("Create, but the activation fails"):
        life.fault(script="ActivateCluster", exit=1, stderr="no route to HSM")
        life.request()
        life.expect_stack("ROLLBACK_COMPLETE")
        life.expect_reason("ActivateCluster", "no route to HSM", "[cluster-")
        life.expect_remaining(*LEFT_BY_CLOUDHSM, "stack hsm")

    with life.step("Delete"):
        life.delete()
        life.expect_remaining(*LEFT_BY_CLOUDHSM)


def creation_takes_too_long(life: Life) -> None:
    """AWS initializes for over an hour: the workflow gives up, the deletion waits and deletes."""
    with life.step("Create, but AWS does not come to an end"):
        life.request()
        life.expect_stack("ROLLBACK_COMPLETE")
        life.expect_reason(
            "DescribeCluster: The cluster is still INITIALIZE_IN_PROGRESS", "[cluster-"
        )
        life.expect_remaining(*LEFT_BY_CLOUDHSM, "stack hsm")

    with life.step("Delete"):
        life.delete()
        life.expect_remaining(*LEFT_BY_CLOUDHSM)


def creation_is_asked_for_twice(life: Life) -> None:
    """The event of a creation comes again, at once or while it is undone: there is one cluster."""
    with life.step("Create, but it fails, and the event comes again in the rollback"):
        life.fault(script="ActivateCluster", exit=1, stderr="no route to HSM")
        life.fault(deliver="twice", request="Create", after="Delete")
        life.request()
        life.expect_stack("ROLLBACK_COMPLETE")
        life.expect_reason("ActivateCluster", "no route to HSM", "[cluster-")
        life.expect("since the rollback's Delete", _since_the_deletion(life), ["DeliveredAgain"])
        life.expect_remaining(*LEFT_BY_CLOUDHSM, "stack hsm")
        first = life.control.inventory()["cloudhsm"]["clusters"][0]["ClusterId"]

    with life.step("Delete, and create with an event that comes twice at once"):
        life.delete()
        life.fault(deliver="twice", request="Create")
        life.request()
        life.expect_stack("CREATE_COMPLETE")
        life.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        life.expect("calls of CreateCluster", _calls(life, "CreateCluster"), 2)

    with life.step("Delete"):
        life.delete()
        life.expect_stack("DELETE_COMPLETE")
        life.expect_remaining(f"log group /aws/cloudhsm/{first}", *LEFT_WITH_BACKUPS)


def _since_the_deletion(life: Life) -> list[str]:
    """What the timeline tells of the cluster as a resource of the stack, from its deletion on."""
    told = [
        str(event["event"])
        for event in life.control.timeline()
        if event["service"] == "cloudformation" and event["subject"] == "rCloudHsmCluster"
    ]
    begun, done = told.index("DELETE_IN_PROGRESS"), told.index("DELETE_COMPLETE")
    return told[begun + 1 : done]


def _calls(life: Life, operation: str) -> int:
    return sum(event["event"] == operation for event in life.control.timeline())
