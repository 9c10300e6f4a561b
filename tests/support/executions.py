"""Fake clients of AWS for the functions of the custom resource."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError


class ExecutionDoesNotExist(ClientError):  # type: ignore[misc]  # of botocore, untyped
    """No execution has this ARN."""

    def __init__(self) -> None:
        super().__init__({"Error": {"Code": "ExecutionDoesNotExist"}}, "DescribeExecution")


class ExecutionAlreadyExists(Exception):
    """An execution of this name exists, with another input."""


class ValidationException(Exception):
    """The execution cannot be stopped because it has ended."""


@dataclass
class Execution:
    """An execution; after StopExecution it runs for `attempts_to_stop` more attempts."""

    arn: str
    status: str = "RUNNING"
    attempts_to_stop: int = 0
    attempts_left: int | None = None  # None: runs until it is stopped
    unlisted: int = 0  # ListExecutions omits it so many times (F6.37)
    input: str = ""

    @property
    def machine(self) -> str:
        """The ARN of its state machine."""
        return self.arn.rpartition(":")[0].replace(":execution:", ":stateMachine:")


@dataclass
class Executions:
    """A client of Step Functions."""

    running: list[Execution] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    started: list[dict[str, Any]] = field(default_factory=list)
    refusal: Exception | None = None
    history: list[dict[str, Any]] = field(default_factory=list)  # of any execution, latest first

    class exceptions:
        """The error classes of the client."""

        ExecutionAlreadyExists = ExecutionAlreadyExists
        ExecutionDoesNotExist = ExecutionDoesNotExist
        ValidationException = ValidationException

    def add(self, machine: str, name: str, **how: Any) -> Execution:
        """Add a running execution."""
        arn = f"{machine.replace(':stateMachine:', ':execution:')}:{name}"
        execution = Execution(arn, **how)
        self.running.append(execution)
        return execution

    def time_passes(self) -> None:
        """Let the next attempt find stopped executions closer to their end."""
        for execution in self.running:
            if execution.status == "RUNNING" and execution.attempts_left is not None:
                execution.attempts_left -= 1
                if execution.attempts_left <= 0:
                    execution.status = "ABORTED"

    def describe_execution(self, *, executionArn: str) -> dict[str, Any]:
        for execution in self.running:
            if execution.arn == executionArn:
                return {"executionArn": execution.arn, "status": execution.status}
        raise ExecutionDoesNotExist

    def get_execution_history(
        self, *, executionArn: str, reverseOrder: bool, maxResults: int
    ) -> dict[str, Any]:
        assert executionArn
        assert reverseOrder
        return {"events": self.history[:maxResults]}

    def get_paginator(self, operation: str) -> Executions:
        assert operation == "list_executions"
        return self

    def paginate(self, *, stateMachineArn: str, statusFilter: str) -> Iterator[Any]:
        assert statusFilter == "RUNNING"
        for execution in self.running:
            if execution.machine == stateMachineArn and execution.status == "RUNNING":
                if execution.unlisted:
                    execution.unlisted -= 1
                    continue
                yield {"executions": [{"executionArn": execution.arn}]}

    def stop_execution(self, *, executionArn: str, error: str, cause: str) -> None:
        assert error == "Superseded"
        assert cause.endswith(".")
        (execution,) = (e for e in self.running if e.arn == executionArn)
        if execution.status != "RUNNING":
            raise ValidationException
        self.stopped.append(executionArn)
        if execution.attempts_left is None:
            execution.attempts_left = execution.attempts_to_stop
        if not execution.attempts_left:
            execution.status = "ABORTED"

    def start_execution(self, **request: Any) -> dict[str, Any]:
        if self.refusal:
            raise self.refusal
        name = f":{request['name']}"
        if any(execution.arn.endswith(name) for execution in self.running):
            raise ExecutionAlreadyExists
        self.started.append(request)
        execution = self.add(request["stateMachineArn"], request["name"], input=request["input"])
        return {"executionArn": execution.arn}


@dataclass
class Stacks:
    """A client of CloudFormation that describes one stack, or raises `refusal`."""

    status: str = "UPDATE_IN_PROGRESS"
    refusal: Exception | None = None
    # Status of the custom resource and its time in ISO 8601; the last of the records repeats.
    records: list[tuple[str, str]] = field(default_factory=list)
    # Status and time of the stack's own events, the newest first.
    events: list[tuple[str, str]] = field(default_factory=list)

    def describe_stack_events(self, *, StackName: str) -> dict[str, Any]:
        if self.refusal:
            raise self.refusal
        return {
            "StackEvents": [
                {
                    "PhysicalResourceId": physical_id,
                    "ResourceStatus": status,
                    "Timestamp": dt.datetime.fromisoformat(time),
                }
                for status, time in self.events
                for physical_id in ("cluster-2example3id", StackName)
            ]
        }

    def describe_stacks(self, *, StackName: str) -> dict[str, Any]:
        if self.refusal:
            raise self.refusal
        return {"Stacks": [{"StackId": StackName, "StackStatus": self.status}]}

    def describe_stack_resource(self, *, StackName: str, LogicalResourceId: str) -> dict[str, Any]:
        if self.refusal or not self.records:
            raise self.refusal or ClientError(
                {"Error": {"Code": "ValidationError"}}, "DescribeStackResource"
            )
        status, since = self.records.pop(0) if len(self.records) > 1 else self.records[0]
        return {
            "StackResourceDetail": {
                "StackId": StackName,
                "LogicalResourceId": LogicalResourceId,
                "ResourceStatus": status,
                "LastUpdatedTimestamp": dt.datetime.fromisoformat(since),
            }
        }


@dataclass
class Functions:
    """A client of Lambda that takes events, or raises `refusal`."""

    events: list[dict[str, Any]] = field(default_factory=list)
    refusal: Exception | None = None

    def invoke(self, *, FunctionName: str, InvocationType: str, Payload: str) -> None:
        assert (FunctionName, InvocationType) == ("hsm-1-request", "Event")
        if self.refusal:
            raise self.refusal
        self.events.append(json.loads(Payload))


@dataclass
class Commands:
    """A client of Systems Manager that lists and cancels commands."""

    listed: list[dict[str, Any]] = field(default_factory=list)
    cancelled: list[tuple[str, list[str]]] = field(default_factory=list)
    ends: bool = True  # whether a command ends once it is cancelled
    refusal: Exception | None = None

    def get_paginator(self, operation: str) -> Commands:
        assert operation == "list_commands"
        return self

    def paginate(self, *, InstanceId: str) -> Iterator[dict[str, Any]]:
        if self.refusal:
            raise self.refusal
        for command in self.listed:
            if InstanceId in command["InstanceIds"]:
                yield {"Commands": [command]}

    def cancel_command(self, *, CommandId: str, InstanceIds: list[str]) -> None:
        self.cancelled.append((CommandId, InstanceIds))
        for command in self.listed:
            if command["CommandId"] == CommandId:
                command["Status"] = "Cancelled" if self.ends else "Cancelling"


@dataclass
class Instances:
    """A client of EC2 with instances that state machines started."""

    started_by: dict[str, str] = field(default_factory=dict)
    # The states of each instance in successive calls; the last one repeats.
    states: dict[str, list[str]] = field(default_factory=dict)
    # That CloudFormation launched.
    of_stack: list[str] = field(default_factory=lambda: ["i-0123456789abcdef0"])
    stopped: list[str] = field(default_factory=list)
    refusal: Exception | None = None

    def describe_instances(self, *, Filters: list[dict[str, Any]]) -> dict[str, Any]:
        if self.refusal:
            raise self.refusal
        wanted = {each["Name"]: each["Values"] for each in Filters}
        if "tag:aws:cloudformation:stack-id" in wanted:
            own = [{"InstanceId": instance} for instance in self.of_stack]
            return {"Reservations": [{"Instances": own}]}
        found = []
        for instance, machine in self.started_by.items():
            seen = self.states[instance]
            state = seen.pop(0) if len(seen) > 1 else seen[0]
            if (
                machine in wanted["tag:hsm-lifecycle:started-by"]
                and state in wanted["instance-state-name"]
            ):
                tags = [{"Key": "hsm-lifecycle:started-by", "Value": machine}]
                found.append({"InstanceId": instance, "State": {"Name": state}, "Tags": tags})
        return {"Reservations": [{"Instances": found}]}

    def stop_instances(self, *, InstanceIds: list[str]) -> None:
        self.stopped += InstanceIds
        self.states.update((instance, ["stopping"]) for instance in InstanceIds)

    def delete_tags(self, *, Resources: list[str], Tags: list[dict[str, str]]) -> None:
        assert Tags == [{"Key": "hsm-lifecycle:started-by"}]
        for instance in Resources:
            self.started_by.pop(instance)


@dataclass
class Secrets:
    """A client of Secrets Manager with one secret, the key of the ResponseURL."""

    versions: dict[str, str] = field(default_factory=lambda: {"v1": "key of the first version"})
    refusals: list[Exception] = field(default_factory=list)

    def get_secret_value(self, SecretId: str, VersionId: str = "") -> dict[str, str]:
        """The text of a version, by default of the latest."""
        if self.refusals:
            raise self.refusals.pop(0)
        version = VersionId or max(self.versions)
        return {"VersionId": version, "SecretString": self.versions[version]}
