"""Requests that supersede another: after a timeout, a lost response, a cancel or a delete."""

from __future__ import annotations

from rehearsal.drivers.operator import expect_cli_works
from rehearsal.drivers.stack import RETAINED_BY_CLOUDHSM, RETAINED_WITH_BACKUPS, StackDriver

# For `update_times_out`: two HSMs in succession exceed the workflow's time limit.
SLOW_HSMS = ("--timings", '{"create_hsm": 1613}')
# The state machine's attempts to send a response, then Lambda's for the EventBridge rule.
RESPONSE_ATTEMPTS = 7 + 3
FIVE_MINUTES = 300
OTHER_IMAGE = "ami-0d12c3d4e5f6a7b83"


def update_times_out(driver: StackDriver) -> None:
    """No HSM is ACTIVE when the workflow's time is over; the rollback waits for what AWS makes."""
    _create_with_one_hsm(driver)

    with driver.step("Scale down to 0"):
        driver.request(pHsmsPerSubnet=0)
        driver.expect_stack("UPDATE_COMPLETE")

    with driver.step("Scale up to 1 HSM, which comes up DEGRADED"):
        driver.fault(hsm="DEGRADED")
        driver.request(pHsmsPerSubnet=1)
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("is still CREATE_IN_PROGRESS after 52 minutes")
        driver.expect_cluster(state="ACTIVE", hsms=0)

    driver.delete_step(*RETAINED_WITH_BACKUPS)


def no_response_to_create(driver: StackDriver) -> None:
    """CloudFormation gets no response and times out: its rollback finds the cluster by tag."""
    with driver.step("Create: no response"):
        _suppress_response(driver)
        driver.request()
        driver.expect_stack("ROLLBACK_COMPLETE")
        driver.expect_retained(*RETAINED_WITH_BACKUPS, "stack hsm")

    driver.delete_step(*RETAINED_WITH_BACKUPS)


def no_response_to_update(driver: StackDriver) -> None:
    """CloudFormation gets no response for an hour and times out: the update rolls back."""
    _create_with_one_hsm(driver)

    with driver.step("Scale up to 2 HSMs: no response"):
        _suppress_response(driver)
        driver.request(pHsmsPerSubnet=2)
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=1, zones=1)

    driver.delete_step(*RETAINED_WITH_BACKUPS)


def cloudformation_times_out(driver: StackDriver) -> None:
    """CloudFormation times out while HSMs are being created: the rollback stops the update."""
    before = _create_with_one_hsm(driver)

    with driver.step("Scale up to 2 HSMs: CloudFormation waits for five minutes only"):
        # With the real timeout of an hour, every workflow ends in time.
        driver.stack.edits = {"ServiceTimeout: 3600": f"ServiceTimeout: {FIVE_MINUTES}"}
        driver.request(pHsmsPerSubnet=2)
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("did not receive a response")
        aborted = [event["subject"] for event in driver.events("ExecutionAborted")]
        is_aborted = any(machine.endswith("-update-cluster") for machine in aborted)
        driver.expect("the update was aborted", is_aborted, True)
        after = driver.expect_cluster(state="ACTIVE", hsms=1, zones=1)
        driver.expect("cluster ID", after["ClusterId"], before["ClusterId"])

    driver.delete_step(*RETAINED_WITH_BACKUPS)


def update_cancelled(driver: StackDriver) -> None:
    """An update is cancelled while it adds HSMs: the previous number is ACTIVE again."""
    before = driver.create_step("Create: 1 HSM per subnet", hsms=2, zones=2)

    with driver.step("Scale up to 2 HSMs per subnet: cancelled"):
        driver.fault(operation="CreateHsm", pause=True)
        driver.start(pHsmsPerSubnet=2)
        with driver.while_paused():
            driver.cancel()
        driver.wait()
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        after = driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        driver.expect("cluster ID", after["ClusterId"], before["ClusterId"])

    driver.delete_step(*RETAINED_WITH_BACKUPS)


def update_cancelled_at_each_stage(driver: StackDriver) -> None:
    """Updates are cancelled during DeleteHsm, ModifyCluster and commands: each rolls back fully."""
    with driver.step("Create: 2 HSMs in 1 subnet"):
        driver.request(pSubnets=driver.aws.subnets[0], pHsmsPerSubnet=2)
        driver.expect_stack("CREATE_COMPLETE")
        client = driver.stack.outputs()["oClientInstanceId"]

    for stage, operation, changes in (
        ("an HSM is deleted", "DeleteHsm", {"pHsmsPerSubnet": 0}),
        ("backup retention is changed", "ModifyCluster", {"pBackupRetentionDays": 379}),
        ("a script runs on the client", "SendCommand", {"pReconcile": "again"}),
        ("a new client is configured", "SendCommand", {"pClientAmiId": OTHER_IMAGE}),
    ):
        with driver.step(f"Cancelled while {stage}"):
            before, parameters = driver.cluster(), dict(driver.stack.parameters)
            driver.fault(operation=operation, pause=True)
            driver.start(**changes)
            with driver.while_paused():
                driver.cancel()
            driver.wait()
            driver.stack.parameters = parameters
            driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
            after = driver.expect_cluster(state="ACTIVE", hsms=2, zones=1)
            for attribute in ("BackupRetentionPolicy", "TagList", "Users"):
                driver.expect(attribute, after[attribute], before[attribute])
            driver.expect("client", driver.stack.outputs()["oClientInstanceId"], client)
            expect_cli_works(driver)

    driver.delete_step(*RETAINED_WITH_BACKUPS)


def delete_during_create(driver: StackDriver) -> None:
    """The stack is deleted before CreateCluster takes effect, and again during initialization."""
    with driver.step("Create, and delete at CreateCluster"):
        driver.fault(late="CreateCluster", seconds=90)
        driver.fault(operation="CreateCluster", pause=True)
        driver.start()
        with driver.while_paused():
            driver.expect("clusters", _created_clusters(driver), 0)
            driver.stack.start_delete()
        driver.wait()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect("clusters", _created_clusters(driver), 1)
        driver.expect_retained("role AWSServiceRoleForCloudHSM")

    with driver.step("Create, and delete at InitializeCluster"):
        driver.fault(operation="InitializeCluster", pause=True)
        driver.start()
        with driver.while_paused():
            driver.stack.start_delete()
        driver.wait()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_retained(*RETAINED_BY_CLOUDHSM)


def _create_with_one_hsm(driver: StackDriver) -> dict[str, object]:
    title, subnet = "Create: 1 HSM in 1 subnet", driver.aws.subnets[0]
    return driver.create_step(title, hsms=1, zones=1, pSubnets=subnet)


def _suppress_response(driver: StackDriver) -> None:
    driver.fault({"lambda": "response"}, times=RESPONSE_ATTEMPTS)


def _created_clusters(driver: StackDriver) -> int:
    """The number of clusters ever created, including deleted ones."""
    created = driver.events("CREATE_IN_PROGRESS")
    return sum(
        event["service"] == "cloudhsm" and event["subject"].startswith("cluster-")
        for event in created
    )
