"""Small templates, and the stacks created from them."""

from __future__ import annotations

import itertools
import json
from typing import Any

from botocore.exceptions import ClientError

from localaws.client import LocalAws, until

Json = dict[str, Any]

_numbers = itertools.count(1)


def unique_name(stem: str = "try") -> str:
    """A name that no other test uses."""
    return f"{stem}-{next(_numbers)}"


def role(service: str, *statements: Json, everything: bool = False) -> Json:
    """An AWS::IAM::Role that trusts a service."""
    if everything:
        statements = ({"Sid": "Everything", "Effect": "Allow", "Action": "*", "Resource": "*"},)
    policy = {"Version": "2012-10-17", "Statement": list(statements)}
    policies = [{"PolicyName": "inline", "PolicyDocument": policy}] if statements else []
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": f"{service}.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    properties: Json = {"AssumeRolePolicyDocument": trust, "Policies": policies}
    return {"Type": "AWS::IAM::Role", "Properties": properties}


def function(code: str, role_id: str = "FunctionRole", **properties: Any) -> Json:
    """An AWS::Lambda::Function with inline code that defines `handler`."""
    return {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Runtime": "python3.13",
            "Handler": "index.handler",
            "Code": {"ZipFile": code},
            "Role": {"Fn::GetAtt": [role_id, "Arn"]},
            **properties,
        },
    }


def machine(states: Json, role_id: str = "MachineRole", **properties: Any) -> Json:
    """An AWS::StepFunctions::StateMachine that starts at the first of the states."""
    top = {key: properties.pop(key) for key in ("TimeoutSeconds",) if key in properties}
    definition = {"StartAt": next(iter(states)), "States": states, **top}
    return {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {
            "DefinitionString": {"Fn::Sub": json.dumps(definition)},
            "RoleArn": {"Fn::GetAtt": [role_id, "Arn"]},
            **properties,
        },
    }


class SampleStack:
    """A stack in a local AWS, created from resources as dicts."""

    def __init__(self, aws: LocalAws, name: str | None = None) -> None:
        self.aws, self.name = aws, name or unique_name()
        self._cloudformation = aws.client("cloudformation")
        self.id = self.name

    def create(
        self, resources: Json, parameters: Json | None = None, wait: bool = True, **sections: Any
    ) -> str:
        """Create the stack; return its final status, or "" without waiting.

        `parameters` are values of its parameters, `sections` other sections of the template.
        """
        self.id = self._cloudformation.create_stack(
            **self._request(resources, parameters, sections)
        )["StackId"]
        return self.wait() if wait else ""

    def update(
        self, resources: Json, parameters: Json | None = None, wait: bool = True, **sections: Any
    ) -> str:
        """Update the stack; as for create."""
        self._cloudformation.update_stack(**self._request(resources, parameters, sections))
        return self.wait() if wait else ""

    def _request(self, resources: Json, parameters: Json | None, sections: Json) -> Json:
        return {
            "StackName": self.name,
            "TemplateBody": json.dumps({"Resources": resources, **sections}),
            "Capabilities": ["CAPABILITY_NAMED_IAM"],
            "Parameters": [
                {"ParameterKey": key, "ParameterValue": value}
                for key, value in (parameters or {}).items()
            ],
        }

    def delete(self, wait: bool = True) -> str:
        """Delete the stack."""
        self._cloudformation.delete_stack(StackName=self.id)
        return self.wait() if wait else ""

    def cancel(self) -> None:
        """Cancel the update in progress."""
        self._cloudformation.cancel_update_stack(StackName=self.name)

    def status(self) -> str:
        """The stack's status, looked up by id so that a deleted stack has one."""
        stacks = self._cloudformation.describe_stacks(StackName=self.id)["Stacks"]
        return str(stacks[0]["StackStatus"])

    def wait(self) -> str:
        """The stack's final status."""
        until(
            lambda: self.aws.admin.is_idle(self.id) and not self.status().endswith("IN_PROGRESS"),
            f"{self.name} is still in progress",
        )
        return self.status()

    def physical_id(self, logical_id: str) -> str:
        """The physical id of a resource."""
        found = self._cloudformation.describe_stack_resource(
            StackName=self.id, LogicalResourceId=logical_id
        )
        return str(found["StackResourceDetail"]["PhysicalResourceId"])

    def output(self, key: str) -> str:
        """An output of the stack."""
        stack = self._cloudformation.describe_stacks(StackName=self.id)["Stacks"][0]
        return next(
            str(output["OutputValue"]) for output in stack["Outputs"] if output["OutputKey"] == key
        )

    def events(self, logical_id: str | None = None) -> list[tuple[str, str, str]]:
        """Logical id, status and reason of each stack event, earliest first."""
        found = self._cloudformation.describe_stack_events(StackName=self.id)["StackEvents"]
        return [
            (
                event["LogicalResourceId"],
                event["ResourceStatus"],
                event.get("ResourceStatusReason", ""),
            )
            for event in reversed(found)
            if logical_id in (None, event["LogicalResourceId"])
        ]

    def reason(self, logical_id: str) -> str:
        """Why a resource last failed."""
        return self.reasons(logical_id)[-1]

    def reasons(self, logical_id: str) -> list[str]:
        """Why a resource failed each time, earliest first."""
        return [reason for _, status, reason in self.events(logical_id) if "FAILED" in status]

    def invalid_properties(self) -> list[str]:
        """What the validation before the last operation found, with the logical ids."""
        found = self._cloudformation.describe_events(StackName=self.id)["OperationEvents"]
        return [
            f"{event['LogicalResourceId']}{event['ValidationStatusReason']}"
            for event in found
            if event["EventType"] == "VALIDATION_ERROR"
        ]

    # --- Functions, executions and logs ---

    def invoke(self, logical_id: str, event: Any = None, **more: Any) -> Json:
        """Invoke a function synchronously: {"payload", "error"}."""
        response = self.aws.client("lambda").invoke(
            FunctionName=self.physical_id(logical_id), Payload=json.dumps(event), **more
        )
        return {
            "payload": json.loads(response["Payload"].read() or b"null"),
            "error": response.get("FunctionError"),
        }

    def start(self, logical_id: str, given: Any = None, name: str | None = None) -> str:
        """Start an execution of a state machine; return its ARN."""
        response = self.aws.client("stepfunctions").start_execution(
            stateMachineArn=self.physical_id(logical_id),
            input=json.dumps({} if given is None else given),
            **({"name": name} if name else {}),
        )
        return str(response["executionArn"])

    def run(self, logical_id: str, given: Any = None) -> Json:
        """Run a state machine and return the ended execution."""
        return self.execution(self.start(logical_id, given))

    def execution(self, arn: str) -> Json:
        """An execution, after waiting for its end."""
        client = self.aws.client("stepfunctions")
        until(
            lambda: client.describe_execution(executionArn=arn)["status"] != "RUNNING",
            f"{arn} does not end",
        )
        found: Json = client.describe_execution(executionArn=arn)
        return found

    def executions(self, logical_id: str) -> list[Json]:
        """All executions of a state machine, earliest first."""
        client = self.aws.client("stepfunctions")
        listed = client.list_executions(stateMachineArn=self.physical_id(logical_id))
        found = [
            client.describe_execution(executionArn=e["executionArn"]) for e in listed["executions"]
        ]
        return sorted(found, key=lambda execution: str(execution["startDate"]))

    def logs(self, group: str) -> list[str]:
        """All messages in a log group."""
        client = self.aws.client("logs")
        try:
            events = client.filter_log_events(logGroupName=group)["events"]
        except client.exceptions.ResourceNotFoundException:
            return []
        return [event["message"] for event in events]


def error_from(call: Any, **params: Any) -> tuple[str, str]:
    """The code and message of the error that a call raises."""
    try:
        call(**params)
    except ClientError as error:
        details = error.response["Error"]
        return details["Code"], details["Message"]
    raise AssertionError("the call succeeded")


def elapsed(aws: LocalAws) -> float:
    """Virtual seconds since the start."""
    return float(aws.admin.clock()["elapsed"])
