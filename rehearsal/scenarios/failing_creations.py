"""Creations that fail: the stack event says in which step, of what and why, and nothing is left."""

from __future__ import annotations

from typing import Any

from rehearsal.drivers.stack import LEFT_BY_CLOUDHSM, LEFT_WITH_BACKUPS, StackDriver

Event = dict[str, Any]

# For `quota_is_used_up` and `quota_is_nearly_used_up`.
NO_HSM, ONE_HSM = ("--quotas", '{"hsms": 0}'), ("--quotas", '{"hsms": 1}')
# For `creation_takes_too_long`.
SLOW_INITIALIZATION = ("--timings", '{"initialize": 5003}')


def quota_is_used_up(driver: StackDriver) -> None:
    """AWS refuses the first HSM in each subnet by quota: the cluster and its secrets go again."""
    with driver.step("Create, but no HSM is allowed"):
        driver.request()
        driver.expect_stack("ROLLBACK_COMPLETE")
        driver.expect_reason("CreateFirstHsm", "You have reached the limit of 0 HSMs", "[cluster-")
        # The log group comes with the first HSM.
        driver.expect_remaining("role AWSServiceRoleForCloudHSM", "stack hsm")

    with driver.step("Delete"):
        driver.delete()
        driver.expect_remaining("role AWSServiceRoleForCloudHSM")


def quota_is_nearly_used_up(driver: StackDriver) -> None:
    """AWS refuses the second HSM by quota: the cluster was ACTIVE, so its backup is left."""
    with driver.step("Create, but one HSM is allowed"):
        driver.request()
        driver.expect_stack("ROLLBACK_COMPLETE")
        driver.expect_reason("CreateHsm", "You have reached the limit of 1 HSMs", "[cluster-")
        driver.expect_remaining(*LEFT_WITH_BACKUPS, "stack hsm")

    with driver.step("Delete"):
        driver.delete()
        driver.expect_remaining(*LEFT_WITH_BACKUPS)


def activation_fails(driver: StackDriver) -> None:
    """The script that activates the cluster fails: the creation is undone and says what it said."""
    with driver.step("Create, but the activation fails"):
        driver.fault(script="ActivateCluster", exit=1, stderr="no route to HSM")
        driver.request()
        driver.expect_stack("ROLLBACK_COMPLETE")
        driver.expect_reason("ActivateCluster", "no route to HSM", "[cluster-")
        driver.expect_remaining(*LEFT_BY_CLOUDHSM, "stack hsm")

    with driver.step("Delete"):
        driver.delete()
        driver.expect_remaining(*LEFT_BY_CLOUDHSM)


def creation_takes_too_long(driver: StackDriver) -> None:
    """AWS initializes for over an hour: the workflow gives up, the deletion waits and deletes."""
    with driver.step("Create, but AWS does not come to an end"):
        driver.request()
        driver.expect_stack("ROLLBACK_COMPLETE")
        driver.expect_reason(
            "DescribeCluster: The cluster is still INITIALIZE_IN_PROGRESS", "[cluster-"
        )
        driver.expect_remaining(*LEFT_BY_CLOUDHSM, "stack hsm")

    with driver.step("Delete"):
        driver.delete()
        driver.expect_remaining(*LEFT_BY_CLOUDHSM)


def creation_is_asked_for_twice(driver: StackDriver) -> None:
    """The event of a creation comes again, at once or while it is undone: there is one cluster."""
    with driver.step("Create, but it fails, and the event comes again in the rollback"):
        driver.fault(script="ActivateCluster", exit=1, stderr="no route to HSM")
        driver.fault(deliver="twice", request="Create", after="Delete")
        driver.request()
        driver.expect_stack("ROLLBACK_COMPLETE")
        driver.expect_reason("ActivateCluster", "no route to HSM", "[cluster-")
        driver.expect(
            "since the rollback's Delete", _since_the_deletion(driver), ["DeliveredAgain"]
        )
        driver.expect_remaining(*LEFT_BY_CLOUDHSM, "stack hsm")
        first = driver.admin.inventory()["cloudhsm"]["clusters"][0]["ClusterId"]

    with driver.step("Delete, and create with an event that comes twice at once"):
        driver.delete()
        driver.fault(deliver="twice", request="Create")
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        driver.expect("calls of CreateCluster", _calls(driver, "CreateCluster"), 2)

    with driver.step("Delete"):
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_remaining(f"log group /aws/cloudhsm/{first}", *LEFT_WITH_BACKUPS)


def _since_the_deletion(driver: StackDriver) -> list[str]:
    """What the event_log tells of the cluster as a resource of the stack, from its deletion on."""
    told = [
        str(event["event"])
        for event in driver.admin.event_log()
        if event["service"] == "cloudformation" and event["subject"] == "rCloudHsmCluster"
    ]
    begun, done = told.index("DELETE_IN_PROGRESS"), told.index("DELETE_COMPLETE")
    return told[begun + 1 : done]


def _calls(driver: StackDriver, operation: str) -> int:
    return sum(event["event"] == operation for event in driver.admin.event_log())
