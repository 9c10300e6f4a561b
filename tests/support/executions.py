"""Step Functions, Run Command and EC2 as the front door meets them: what runs, and how it ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


class ExecutionDoesNotExist(Exception):
    """There is no execution of that ARN."""


class ValidationException(Exception):
    """The execution cannot be stopped: it has ended."""


@dataclass
class Execution:
    """One execution; once it was asked to stop, it still takes so many looks until it has."""

    arn: str
    status: str = "RUNNING"
    looks_to_stop: int = 0
    looks_left: int | None = None  # of one that ends by itself, or was asked to stop
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

    class exceptions:
        """The errors that boto3 makes for this client."""

        ExecutionDoesNotExist = ExecutionDoesNotExist
        ValidationException = ValidationException

    def add(self, machine: str, name: str, **how: Any) -> Execution:
        """An execution that is at work already."""
        arn = f"{machine.replace(':stateMachine:', ':execution:')}:{name}"
        execution = Execution(arn, **how)
        self.running.append(execution)
        return execution

    def time_passes(self) -> None:
        """Another look: what was asked to stop comes closer to its end."""
        for execution in self.running:
            if execution.status == "RUNNING" and execution.looks_left is not None:
                execution.looks_left -= 1
                if execution.looks_left <= 0:
                    execution.status = "ABORTED"

    def describe_execution(self, *, executionArn: str) -> dict[str, Any]:
        for execution in self.running:
            if execution.arn == executionArn:
                return {"executionArn": execution.arn, "status": execution.status}
        raise ExecutionDoesNotExist

    def get_paginator(self, operation: str) -> Executions:
        assert operation == "list_executions"
        return self

    def paginate(self, *, stateMachineArn: str, statusFilter: str) -> Iterator[Any]:
        assert statusFilter == "RUNNING"
        for execution in self.running:
            if execution.machine == stateMachineArn and execution.status == "RUNNING":
                yield {"executions": [{"executionArn": execution.arn}]}

    def stop_execution(self, *, executionArn: str, error: str, cause: str) -> None:
        assert error == "Superseded"
        assert cause.endswith(".")
        (execution,) = (e for e in self.running if e.arn == executionArn)
        if execution.status != "RUNNING":
            raise ValidationException
        self.stopped.append(executionArn)
        if execution.looks_left is None:
            execution.looks_left = execution.looks_to_stop
        if not execution.looks_left:
            execution.status = "ABORTED"

    def start_execution(self, **request: Any) -> dict[str, Any]:
        if self.refusal:
            raise self.refusal
        self.started.append(request)
        execution = self.add(request["stateMachineArn"], request["name"], input=request["input"])
        return {"executionArn": execution.arn}


@dataclass
class Stacks:
    """A client of CloudFormation that describes the one stack there is, unless it refuses."""

    status: str = "UPDATE_IN_PROGRESS"
    refusal: Exception | None = None

    def describe_stacks(self, *, StackName: str) -> dict[str, Any]:
        if self.refusal:
            raise self.refusal
        return {"Stacks": [{"StackId": StackName, "StackStatus": self.status}]}


@dataclass
class Commands:
    """A client of Systems Manager that lists and cancels commands."""

    listed: list[dict[str, Any]] = field(default_factory=list)
    cancelled: list[tuple[str, list[str]]] = field(default_factory=list)

    def get_paginator(self, operation: str) -> Commands:
        assert operation == "list_commands"
        return self

    def paginate(self, *, InstanceId: str) -> Iterator[dict[str, Any]]:
        for command in self.listed:
            if InstanceId in command["InstanceIds"]:
                yield {"Commands": [command]}

    def cancel_command(self, *, CommandId: str, InstanceIds: list[str]) -> None:
        self.cancelled.append((CommandId, InstanceIds))


@dataclass
class Instances:
    """A client of EC2 that knows which state machine has started which instance."""

    started_by: dict[str, str] = field(default_factory=dict)
    # The state of each instance at each look, and from then on the last one.
    states: dict[str, list[str]] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    refusal: Exception | None = None

    def describe_instances(self, *, Filters: list[dict[str, Any]]) -> dict[str, Any]:
        if self.refusal:
            raise self.refusal
        wanted = {each["Name"]: each["Values"] for each in Filters}
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
