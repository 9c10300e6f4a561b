"""Stack events, executions and histories as AWS returns them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from scripts.stack.request import CLUSTER, STACK

Json = dict[str, Any]

STACK_ID = "arn:aws:cloudformation:us-east-1:123456789012:stack/hsm/0123"
START = datetime(2026, 11, 28, 12, tzinfo=UTC)
REGION = "arn:aws:states:us-east-1:123456789012"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def stack_event(seconds: float, status: str, reason: str = "") -> Json:
    return event(seconds, "hsm", STACK, status, reason, STACK_ID)


def event(
    seconds: float, name: str, kind: str, status: str, reason: str = "", physical_id: str = ""
) -> Json:
    found: Json = {
        "EventId": f"{name}-{status}-{seconds}",
        "StackId": STACK_ID,
        "StackName": "hsm",
        "LogicalResourceId": name,
        "PhysicalResourceId": physical_id,
        "ResourceType": kind,
        "ResourceStatus": status,
        "Timestamp": at(seconds),
    }
    return {**found, "ResourceStatusReason": reason} if reason else found


# A failed update of a stack that was created before, from the oldest event on.
FAILED_UPDATE = [
    stack_event(0, "REVIEW_IN_PROGRESS"),
    stack_event(1, "CREATE_IN_PROGRESS"),
    event(40, "rCloudHsmCluster", CLUSTER, "CREATE_COMPLETE", physical_id="cluster-a"),
    stack_event(41, "CREATE_COMPLETE"),
    stack_event(100, "UPDATE_IN_PROGRESS", "User Initiated"),
    event(110, "rClientInstance", "AWS::EC2::Instance", "UPDATE_IN_PROGRESS"),
    event(120, "rCloudHsmCluster", CLUSTER, "UPDATE_IN_PROGRESS"),
    event(
        160, "rCloudHsmCluster", CLUSTER, "UPDATE_FAILED", "CheckUpdate: pSubnets: ... [cluster-a]"
    ),
    event(
        160,
        "rClientInstance",
        "AWS::EC2::Instance",
        "UPDATE_FAILED",
        "Resource update cancelled",
    ),
    stack_event(161, "UPDATE_ROLLBACK_IN_PROGRESS"),
    stack_event(200, "UPDATE_ROLLBACK_COMPLETE"),
]


class Executions:
    """A client of Step Functions that knows these executions, by machine and name."""

    def __init__(self) -> None:
        self._known: dict[str, Json] = {}
        self._histories: dict[str, list[Json]] = {}

    def add(self, machine: str, name: str, *states: str, **about: Any) -> str:
        """An execution with a state a second; returns its ARN."""
        arn = f"{REGION}:execution:hsm-1-{machine}:{name}"
        self._known[arn] = {
            "executionArn": arn,
            "stateMachineArn": f"{REGION}:stateMachine:hsm-1-{machine}",
            "name": name,
            "status": "FAILED",
            "startDate": at(120),
            "stopDate": at(160),
            **about,
        }
        started = self._known[arn]["startDate"]
        self._histories[arn] = [
            {
                "timestamp": started + timedelta(seconds=second),
                "type": f"{'Wait' if state.startswith('Wait') else kind_of(state)}StateEntered",
                "stateEnteredEventDetails": {"name": state},
            }
            for second, state in enumerate(states)
        ]
        return arn

    def machines(self) -> list[str]:
        return sorted({each["stateMachineArn"] for each in self._known.values()})

    def list_executions(self, **request: Any) -> Json:
        machine, status = request["stateMachineArn"], request["statusFilter"]
        known = self._known.values()
        return {
            "executions": [
                each
                for each in known
                if each["stateMachineArn"] == machine and each["status"] == status
            ]
        }

    def describe_execution(self, **request: Any) -> Json:
        return self._known[request["executionArn"]]

    def get_execution_history(self, **request: Any) -> Json:
        assert request["includeExecutionData"] is False
        return {"events": self._histories[request["executionArn"]][::-1]}


def kind_of(state: str) -> str:
    return "Choice" if state.startswith("Is") else "Fail" if state.endswith("Failed") else "Task"
