"""No single failure of a call that Step Functions makes itself fails a request."""

from __future__ import annotations

from typing import Any

import pytest

from rehearsal.drivers.key_store import KeyStoreDriver
from rehearsal.drivers.stack import StackDriver
from rehearsal.fixtures import existing_cluster
from tests.support.state_machines import MACHINES

FAILURES = pytest.mark.parametrize(
    "failure",
    [{"code": "ThrottlingException"}, {"code": "ConnectionLost", "when": "after"}],
    ids=["refused", "lost"],
)


def fail_each_task_once(driver: StackDriver, failure: dict[str, Any]) -> None:
    """Each Task's next call fails, Invoke or StartExecution."""
    for machine in MACHINES.values():
        for task in machine.of_type("Task"):
            driver.fault(task=task, machine=f"-{machine.stem}", **failure)


@pytest.mark.long
@FAILURES
def test_a_cluster_is_managed_although_each_call_fails_once(
    driver: StackDriver, failure: dict[str, Any]
) -> None:
    fail_each_task_once(driver, failure)
    driver.request(pSubnets=driver.aws.subnets[0])
    driver.expect_stack("CREATE_COMPLETE")
    fail_each_task_once(driver, failure)
    driver.request(pHsmsPerSubnet=2)
    driver.expect_stack("UPDATE_COMPLETE")
    driver.expect_cluster(state="ACTIVE", hsms=2, zones=1)
    fail_each_task_once(driver, failure)
    driver.delete()
    driver.expect_stack("DELETE_COMPLETE")


@pytest.mark.long
@FAILURES
def test_a_key_store_is_managed_although_each_call_fails_once(
    driver: StackDriver, failure: dict[str, Any]
) -> None:
    store = KeyStoreDriver(driver, existing_cluster(driver.aws).parameters)
    fail_each_task_once(driver, failure)
    store.request()
    store.expect_stack("CREATE_COMPLETE")
    store.disconnect_manually()
    fail_each_task_once(driver, failure)
    store.request(pReconcile="connect")
    store.expect_stack("UPDATE_COMPLETE")
    store.expect_store("CONNECTED")
    fail_each_task_once(driver, failure)
    store.delete()
    store.expect_stack("DELETE_COMPLETE")


def test_a_lifecycle_that_ended_before_a_retry_of_its_start_is_run_again(
    driver: StackDriver,
) -> None:
    driver.fault(task="RunLifecycle", code="ConnectionLost", when="after")
    driver.request(pHsmsPerSubnet=0)
    driver.expect_stack("ROLLBACK_COMPLETE")
    driver.expect_reason("pHsmsPerSubnet")
    started = [
        event["execution"]
        for event in driver.admin.event_log()
        if event["event"] == "ExecutionStarted" and event["subject"].endswith("-create-cluster")
    ]
    assert [name.endswith("-again") for name in started] == [False, True]


# Of a role without the permission, for good.
DENIED = {
    "code": "AccessDeniedException",
    "message": "User: arn:aws:sts::123456789012:assumed-role/role/x is not authorized to perform: "
    "states:Any on resource: arn:aws:states:us-east-1:123456789012:stateMachine:the-resource",
    "times": 7,
}


@pytest.mark.parametrize("task", ["AdmitClient", "AlignHsms"])
def test_a_call_that_is_denied_for_good_is_named_with_its_cluster(
    driver: StackDriver, task: str
) -> None:
    driver.fault({"task": task, "machine": "-create-cluster", **DENIED})
    driver.request(pSubnets=driver.aws.subnets[0])
    driver.expect_stack("ROLLBACK_COMPLETE")
    driver.expect_reason(
        f"{task} of cloudhsm-1-create-cluster: states:Any on the-resource was denied"
        " (AccessDeniedException). Allow it, also in SCPs. Delete the stack and create it again."
        " [cluster-"
    )


def test_a_deletion_that_is_denied_for_good_says_how_to_continue(driver: StackDriver) -> None:
    driver.request(pSubnets=driver.aws.subnets[0])
    driver.fault({"task": "DescribeHsms", "machine": "-align-hsms", **DENIED})
    driver.delete()
    driver.expect_stack("DELETE_FAILED")
    driver.expect_reason("DescribeHsms of cloudhsm-1-align-hsms: ", "Delete the stack again.")
    driver.delete()
    driver.expect_stack("DELETE_COMPLETE")
