"""One request overtakes another: time is up, nobody answers, or the stack is deleted meanwhile."""

from __future__ import annotations

from rehearsal.by_hand import run_on_client
from rehearsal.life import LEFT_BY_CLOUDHSM, LEFT_WITH_BACKUPS, Life

# For `time_runs_out`: two HSMs one after the other are more than a workflow has time for.
SLOW_HSMS = ("--timings", '{"create_hsm": 1613}')
# The state machine tries so often to answer, and then Lambda for the rule of EventBridge.
ATTEMPTS_TO_ANSWER = 7 + 3
FIVE_MINUTES = 300
ANOTHER_IMAGE = "ami-0d12c3d4e5f6a7b83"


def time_runs_out(life: Life) -> None:
    """HSMs take so long that the workflow's limit ends the update; the rollback waits for them."""
    with life.step("Create: 1 HSM in 1 subnet"):
        life.request(pSubnets=life.aws.subnets[0])
        life.expect_stack("CREATE_COMPLETE")
        life.expect_cluster(state="ACTIVE", hsms=1, zones=1)

    with life.step("Grow to 2, but the second comes up DEGRADED"):
        life.fault(hsm="DEGRADED")
        life.request(pHsmsPerSubnet=2)
        life.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        life.expect_reason("is still CREATE_IN_PROGRESS after 52 minutes")
        life.expect_cluster(state="ACTIVE", hsms=1, zones=1)

    with life.step("Delete"):
        life.delete()
        life.expect_stack("DELETE_COMPLETE")
        life.expect_remaining(*LEFT_WITH_BACKUPS)


def nobody_answers_a_creation(life: Life) -> None:
    """No answer reaches CloudFormation, which gives up: its rollback finds the cluster by tag."""
    with life.step("Create, but nobody answers"):
        _silence(life)
        life.request()
        life.expect_stack("ROLLBACK_COMPLETE")
        life.expect_remaining(*LEFT_WITH_BACKUPS, "stack hsm")

    with life.step("Delete"):
        life.delete()
        life.expect_stack("DELETE_COMPLETE")
        life.expect_remaining(*LEFT_WITH_BACKUPS)


def nobody_answers_an_update(life: Life) -> None:
    """No answer reaches CloudFormation, which gives up after an hour: all is as it was before."""
    with life.step("Create: 1 HSM in 1 subnet"):
        life.request(pSubnets=life.aws.subnets[0])
        life.expect_stack("CREATE_COMPLETE")
        life.expect_cluster(state="ACTIVE", hsms=1, zones=1)

    with life.step("Grow to 2, but nobody answers"):
        _silence(life)
        life.request(pHsmsPerSubnet=2)
        life.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        life.expect_cluster(state="ACTIVE", hsms=1, zones=1)

    with life.step("Delete"):
        life.delete()
        life.expect_stack("DELETE_COMPLETE")
        life.expect_remaining(*LEFT_WITH_BACKUPS)


def cloudformation_gives_up(life: Life) -> None:
    """CloudFormation gives up while HSMs are being made: the rollback takes over, with the old."""
    with life.step("Create: 1 HSM in 1 subnet"):
        life.request(pSubnets=life.aws.subnets[0])
        life.expect_stack("CREATE_COMPLETE")
        before = life.expect_cluster(state="ACTIVE", hsms=1, zones=1)

    with life.step("Grow to 2, but CloudFormation waits for five minutes only"):
        # The hour that it waits in truth is longer than any workflow of ours may take.
        life.stack.edits = {"ServiceTimeout: 3600": f"ServiceTimeout: {FIVE_MINUTES}"}
        life.request(pHsmsPerSubnet=2)
        life.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        life.expect_reason("did not receive a response")
        life.expect("workflows that were stopped", _stopped(life), True)
        after = life.expect_cluster(state="ACTIVE", hsms=1, zones=1)
        life.expect("cluster id", after["ClusterId"], before["ClusterId"])

    with life.step("Delete"):
        life.delete()
        life.expect_stack("DELETE_COMPLETE")
        life.expect_remaining(*LEFT_WITH_BACKUPS)


def update_is_cancelled(life: Life) -> None:
    """An update is cancelled while it adds HSMs: the old number of them is ACTIVE again."""
    with life.step("Create: 1 HSM per subnet"):
        life.request()
        life.expect_stack("CREATE_COMPLETE")
        before = life.expect_cluster(state="ACTIVE", hsms=2, zones=2)

    with life.step("Grow to 2 per subnet, cancelled"):
        life.fault(operation="CreateHsm", pause=True)
        life.start(pHsmsPerSubnet=2)
        with life.standing_still():
            life.cancel()
        life.wait()
        life.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        after = life.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        life.expect("cluster id", after["ClusterId"], before["ClusterId"])

    with life.step("Delete"):
        life.delete()
        life.expect_stack("DELETE_COMPLETE")
        life.expect_remaining(*LEFT_WITH_BACKUPS)


def update_is_cancelled_anywhere(life: Life) -> None:
    """Cancelled while HSMs go, a script runs, backups or the client change: all is as before."""
    with life.step("Create: 2 HSMs in 1 subnet"):
        life.request(pSubnets=life.aws.subnets[0], pHsmsPerSubnet=2)
        life.expect_stack("CREATE_COMPLETE")
        client = life.stack.outputs()["oClientInstanceId"]

    for what, operation, changes in (
        ("an HSM is deleted", "DeleteHsm", {"pHsmsPerSubnet": 0}),
        ("backups are kept for longer", "ModifyCluster", {"pBackupRetentionDays": 379}),
        ("a script runs on the client", "SendCommand", {"pReconcile": "again"}),
        ("a new client is configured", "SendCommand", {"pClientAmiId": ANOTHER_IMAGE}),
    ):
        with life.step(f"Cancelled while {what}"):
            before, usual = life.cluster(), dict(life.stack.parameters)
            life.fault(operation=operation, pause=True)
            life.start(**changes)
            with life.standing_still():
                life.cancel()
            life.wait()
            life.stack.parameters = usual
            life.expect_stack("UPDATE_ROLLBACK_COMPLETE")
            after = life.expect_cluster(state="ACTIVE", hsms=2, zones=1)
            for kept in ("BackupRetentionPolicy", "TagList", "Users"):
                life.expect(kept, after[kept], before[kept])
            life.expect("client", life.stack.outputs()["oClientInstanceId"], client)
            answer = run_on_client(life, "/opt/cloudhsm/bin/cloudhsm-cli user list")
            life.expect("error code of user list", '"error_code": 0' in answer, True)

    with life.step("Delete"):
        life.delete()
        life.expect_stack("DELETE_COMPLETE")
        life.expect_remaining(*LEFT_WITH_BACKUPS)


def deletion_overtakes_creation(life: Life) -> None:
    """The stack is deleted when CreateCluster was sent and its effect is still to come."""
    with life.step("Create, and delete at CreateCluster"):
        life.fault(late="CreateCluster", seconds=90)
        life.fault(operation="CreateCluster", pause=True)
        life.start()
        with life.standing_still():
            life.expect("clusters", _made(life), 0)
            life.stack.start_delete()
        life.wait()
        life.expect_stack("DELETE_COMPLETE")
        life.expect("clusters", _made(life), 1)
        life.expect_remaining("role AWSServiceRoleForCloudHSM")

    with life.step("Create, and delete at InitializeCluster"):
        life.fault(operation="InitializeCluster", pause=True)
        life.start()
        with life.standing_still():
            life.stack.start_delete()
        life.wait()
        life.expect_stack("DELETE_COMPLETE")
        life.expect_remaining(*LEFT_BY_CLOUDHSM)


def _silence(life: Life) -> None:
    life.fault({"lambda": "answer"}, times=ATTEMPTS_TO_ANSWER)


def _stopped(life: Life) -> bool:
    """Whether an update was still at work when it was stopped."""
    return any(
        event["event"] == "ExecutionAborted" and event["subject"].endswith("-update-cluster")
        for event in life.control.timeline()
    )


def _made(life: Life) -> int:
    """How many clusters were ever made, whatever became of them."""
    return sum(
        event["event"] == "CREATE_IN_PROGRESS"
        for event in life.control.timeline()
        if event["service"] == "cloudhsm" and event["subject"].startswith("cluster-")
    )
