"""One request overtakes another: time is up, nobody answers, or the stack is deleted meanwhile."""

from __future__ import annotations

from rehearsal.drivers.operator import run_on_client
from rehearsal.drivers.stack import LEFT_BY_CLOUDHSM, LEFT_WITH_BACKUPS, StackDriver

# For `time_runs_out`: two HSMs one after the other are more than a workflow has time for.
SLOW_HSMS = ("--timings", '{"create_hsm": 1613}')
# The state machine tries so often to answer, and then Lambda for the rule of EventBridge.
ATTEMPTS_TO_ANSWER = 7 + 3
FIVE_MINUTES = 300
ANOTHER_IMAGE = "ami-0d12c3d4e5f6a7b83"


def time_runs_out(driver: StackDriver) -> None:
    """HSMs take so long that the workflow's limit ends the update; the rollback waits for them."""
    with driver.step("Create: 1 HSM in 1 subnet"):
        driver.request(pSubnets=driver.aws.subnets[0])
        driver.expect_stack("CREATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=1, zones=1)

    with driver.step("Grow to 2, but the second comes up DEGRADED"):
        driver.fault(hsm="DEGRADED")
        driver.request(pHsmsPerSubnet=2)
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("is still CREATE_IN_PROGRESS after 52 minutes")
        driver.expect_cluster(state="ACTIVE", hsms=1, zones=1)

    with driver.step("Delete"):
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_remaining(*LEFT_WITH_BACKUPS)


def nobody_answers_a_creation(driver: StackDriver) -> None:
    """No answer reaches CloudFormation, which gives up: its rollback finds the cluster by tag."""
    with driver.step("Create, but nobody answers"):
        _silence(driver)
        driver.request()
        driver.expect_stack("ROLLBACK_COMPLETE")
        driver.expect_remaining(*LEFT_WITH_BACKUPS, "stack hsm")

    with driver.step("Delete"):
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_remaining(*LEFT_WITH_BACKUPS)


def nobody_answers_an_update(driver: StackDriver) -> None:
    """No answer reaches CloudFormation, which gives up after an hour: all is as it was before."""
    with driver.step("Create: 1 HSM in 1 subnet"):
        driver.request(pSubnets=driver.aws.subnets[0])
        driver.expect_stack("CREATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=1, zones=1)

    with driver.step("Grow to 2, but nobody answers"):
        _silence(driver)
        driver.request(pHsmsPerSubnet=2)
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=1, zones=1)

    with driver.step("Delete"):
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_remaining(*LEFT_WITH_BACKUPS)


def cloudformation_gives_up(driver: StackDriver) -> None:
    """CloudFormation gives up while HSMs are being made: the rollback takes over, with the old."""
    with driver.step("Create: 1 HSM in 1 subnet"):
        driver.request(pSubnets=driver.aws.subnets[0])
        driver.expect_stack("CREATE_COMPLETE")
        before = driver.expect_cluster(state="ACTIVE", hsms=1, zones=1)

    with driver.step("Grow to 2, but CloudFormation waits for five minutes only"):
        # The hour that it waits in truth is longer than any workflow of ours may take.
        driver.stack.edits = {"ServiceTimeout: 3600": f"ServiceTimeout: {FIVE_MINUTES}"}
        driver.request(pHsmsPerSubnet=2)
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("did not receive a response")
        driver.expect("workflows that were stopped", _stopped(driver), True)
        after = driver.expect_cluster(state="ACTIVE", hsms=1, zones=1)
        driver.expect("cluster id", after["ClusterId"], before["ClusterId"])

    with driver.step("Delete"):
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_remaining(*LEFT_WITH_BACKUPS)


def update_is_cancelled(driver: StackDriver) -> None:
    """An update is cancelled while it adds HSMs: the old number of them is ACTIVE again."""
    with driver.step("Create: 1 HSM per subnet"):
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")
        before = driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)

    with driver.step("Grow to 2 per subnet, cancelled"):
        driver.fault(operation="CreateHsm", pause=True)
        driver.start(pHsmsPerSubnet=2)
        with driver.standing_still():
            driver.cancel()
        driver.wait()
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        after = driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        driver.expect("cluster id", after["ClusterId"], before["ClusterId"])

    with driver.step("Delete"):
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_remaining(*LEFT_WITH_BACKUPS)


def update_is_cancelled_anywhere(driver: StackDriver) -> None:
    """Cancelled while HSMs go, a script runs, backups or the client change: all is as before."""
    with driver.step("Create: 2 HSMs in 1 subnet"):
        driver.request(pSubnets=driver.aws.subnets[0], pHsmsPerSubnet=2)
        driver.expect_stack("CREATE_COMPLETE")
        client = driver.stack.outputs()["oClientInstanceId"]

    for what, operation, changes in (
        ("an HSM is deleted", "DeleteHsm", {"pHsmsPerSubnet": 0}),
        ("backups are kept for longer", "ModifyCluster", {"pBackupRetentionDays": 379}),
        ("a script runs on the client", "SendCommand", {"pReconcile": "again"}),
        ("a new client is configured", "SendCommand", {"pClientAmiId": ANOTHER_IMAGE}),
    ):
        with driver.step(f"Cancelled while {what}"):
            before, usual = driver.cluster(), dict(driver.stack.parameters)
            driver.fault(operation=operation, pause=True)
            driver.start(**changes)
            with driver.standing_still():
                driver.cancel()
            driver.wait()
            driver.stack.parameters = usual
            driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
            after = driver.expect_cluster(state="ACTIVE", hsms=2, zones=1)
            for kept in ("BackupRetentionPolicy", "TagList", "Users"):
                driver.expect(kept, after[kept], before[kept])
            driver.expect("client", driver.stack.outputs()["oClientInstanceId"], client)
            answer = run_on_client(driver, "/opt/cloudhsm/bin/cloudhsm-cli user list")
            driver.expect("error code of user list", '"error_code": 0' in answer, True)

    with driver.step("Delete"):
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_remaining(*LEFT_WITH_BACKUPS)


def deletion_overtakes_creation(driver: StackDriver) -> None:
    """The stack is deleted when CreateCluster was sent and its effect is still to come."""
    with driver.step("Create, and delete at CreateCluster"):
        driver.fault(late="CreateCluster", seconds=90)
        driver.fault(operation="CreateCluster", pause=True)
        driver.start()
        with driver.standing_still():
            driver.expect("clusters", _made(driver), 0)
            driver.stack.start_delete()
        driver.wait()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect("clusters", _made(driver), 1)
        driver.expect_remaining("role AWSServiceRoleForCloudHSM")

    with driver.step("Create, and delete at InitializeCluster"):
        driver.fault(operation="InitializeCluster", pause=True)
        driver.start()
        with driver.standing_still():
            driver.stack.start_delete()
        driver.wait()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_remaining(*LEFT_BY_CLOUDHSM)


def _silence(driver: StackDriver) -> None:
    driver.fault({"lambda": "answer"}, times=ATTEMPTS_TO_ANSWER)


def _stopped(driver: StackDriver) -> bool:
    """Whether an update was still at work when it was stopped."""
    return any(
        event["event"] == "ExecutionAborted" and event["subject"].endswith("-update-cluster")
        for event in driver.admin.event_log()
    )


def _made(driver: StackDriver) -> int:
    """How many clusters were ever made, whatever became of them."""
    return sum(
        event["event"] == "CREATE_IN_PROGRESS"
        for event in driver.admin.event_log()
        if event["service"] == "cloudhsm" and event["subject"].startswith("cluster-")
    )
