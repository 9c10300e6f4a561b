from __future__ import annotations

from typing import Any

import pytest

from rehearsal.benchmarks.activities import activities
from rehearsal.benchmarks.waterfall import Waterfall, waterfall

TIMINGS = {"deleted_hsm_visible": 11.0, "deleted_hsm_lingers": 19.0, "cloudhsm_cli": 2.0}
STACK = {"stack": "hsm"}
MACHINE = {"execution": "x"}


def event(at: float, service: str, subject: str, name: str, **details: Any) -> dict[str, Any]:
    return {"at": at, "service": service, "subject": subject, "event": name, **details}


def measured(events: list[dict[str, Any]]) -> Waterfall:
    return waterfall(0, events[-1]["at"], activities(events, TIMINGS), events)


def segments(found: Waterfall) -> list[tuple[str, float, bool]]:
    return [(each.name, each.seconds, each.is_lost) for each in found.segments]


GROWTH = [
    event(0, "cloudformation", "rCloudHsmCluster", "UPDATE_IN_PROGRESS", **STACK),
    event(0, "lambda", "hsm-1-request", "Invoked"),
    event(10, "lambda", "hsm-1-request", "Succeeded"),
    event(10, "states", "hsm-1-align-hsms", "ExecutionStarted", **MACHINE),
    event(10, "states", "hsm-1-align-hsms", "StateEntered", state="WaitForHsms", **MACHINE),
    event(10, "cloudhsm", "hsm-a", "CREATE_IN_PROGRESS"),
    event(12, "cloudhsm", "hsm-b", "CREATE_IN_PROGRESS"),
    event(110, "cloudhsm", "hsm-a", "ACTIVE"),
    event(112, "cloudhsm", "hsm-b", "ACTIVE"),
    event(120, "states", "hsm-1-align-hsms", "ExecutionSucceeded", **MACHINE),
    event(122, "cloudformation", "rCloudHsmCluster", "UPDATE_COMPLETE", **STACK),
]


def test_hsms_that_are_created_together_count_once_and_each_lost_second_has_a_name() -> None:
    found = measured(GROWTH)
    assert segments(found) == [
        ("function: request", 10, True),
        ("polling: WaitForHsms (align-hsms)", 2, True),
        ("create HSMs", 100, False),
        ("polling: WaitForHsms (align-hsms)", 8, True),
        ("CloudFormation processes the response", 2, True),
    ]
    assert (found.elapsed, found.own, found.ratio) == (122, 100, 1.22)
    assert found.losses()["polling: WaitForHsms (align-hsms)"] == 10


def test_hsms_that_are_created_one_after_another_all_count() -> None:
    found = measured(
        [
            event(0, "cloudhsm", "hsm-a", "CREATE_IN_PROGRESS"),
            event(100, "cloudhsm", "hsm-a", "ACTIVE"),
            event(103, "cloudhsm", "hsm-b", "CREATE_IN_PROGRESS"),
            event(203, "cloudhsm", "hsm-b", "ACTIVE"),
        ]
    )
    assert (found.own, found.elapsed) == (200, 203)
    assert found.chain == ("create HSMs", "create HSMs")


def test_resources_on_the_way_to_the_cluster_are_aws_time_and_its_client_is_not() -> None:
    def created(at: float, end: float, name: str, kind: str) -> list[dict[str, Any]]:
        details = {**STACK, "type": kind}
        return [
            event(at, "cloudformation", name, "CREATE_IN_PROGRESS", **details),
            event(end, "cloudformation", name, "CREATE_COMPLETE", **details),
        ]

    events = [
        *created(0, 17, "rRole", "AWS::IAM::Role"),
        *created(17, 23, "rFunction", "AWS::Lambda::Function"),
        *created(17, 61, "rClientInstance", "AWS::EC2::Instance"),
        event(61, "cloudhsm", "cluster-a", "CREATE_IN_PROGRESS"),
        event(161, "cloudhsm", "cluster-a", "UNINITIALIZED"),
    ]
    found = measured(sorted(events, key=lambda each: each["at"]))
    assert segments(found) == [
        ("create a role", 17, False),
        ("create a function", 6, False),
        ("stack: rClientInstance", 38, True),
        ("create the cluster", 100, False),
    ]
    assert found.chain == ("create the cluster",)


def test_activation_counts_with_one_command_and_other_commands_are_lost() -> None:
    command = {"command": 1, "instance": "i-1"}
    found = measured(
        [
            event(0, "ssm", "hsm-rConfigureClientDocument-0123456789AB", "SendCommand", **command),
            event(8, "ssm", "hsm-rConfigureClientDocument-0123456789AB", "Success", **command),
            event(11, "cloudhsm", "cluster-a", "activate"),
            event(52, "cloudhsm", "cluster-a", "ACTIVE"),
        ]
    )
    assert segments(found) == [
        ("client: rConfigureClientDocument runs", 8, True),
        ("run the activation", 3, False),
        ("activate", 41, False),
    ]


@pytest.mark.parametrize(("accepted", "own"), [(130, 130), (135, 130)])
def test_deleted_hsms_block_the_deletion_of_their_cluster(accepted: float, own: float) -> None:
    found = measured(
        [
            event(0, "cloudhsm", "hsm-a", "DELETE_IN_PROGRESS"),
            event(100, "cloudhsm", "hsm-a", "DELETED"),
            event(accepted, "cloudhsm", "cluster-a", "DeleteCluster"),
            event(accepted, "cloudhsm", "cluster-a", "DELETE_IN_PROGRESS"),
            event(accepted + 50, "cloudhsm", "cluster-a", "DELETED"),
        ]
    )
    assert found.own == own + 50
    assert found.chain == ("delete HSMs", "let go of HSMs", "delete the cluster")


def test_a_second_role_on_the_way_to_the_cluster_is_lost() -> None:
    role = {**STACK, "type": "AWS::IAM::Role"}
    found = measured(
        [
            event(0, "cloudformation", "rOne", "CREATE_IN_PROGRESS", **role),
            event(17, "cloudformation", "rOne", "CREATE_COMPLETE", **role),
            event(17, "cloudformation", "rTwo", "CREATE_IN_PROGRESS", **role),
            event(34, "cloudformation", "rTwo", "CREATE_COMPLETE", **role),
            event(34, "cloudhsm", "cluster-a", "CREATE_IN_PROGRESS"),
            event(134, "cloudhsm", "cluster-a", "UNINITIALIZED"),
        ]
    )
    assert segments(found) == [
        ("stack: rOne", 17, True),
        ("create a role", 17, False),
        ("create the cluster", 100, False),
    ]
