from __future__ import annotations

import json
from typing import Any

from localaws.client import LocalAws, until
from tests.localaws.ministack.support import Json, SampleStack, function, machine, role

PRINTS = "import json\ndef handler(e, c): print(json.dumps(e))"
PERMISSION: Json = {
    "Type": "AWS::Lambda::Permission",
    "Properties": {
        "FunctionName": {"Ref": "Function"},
        "Action": "lambda:InvokeFunction",
        "Principal": "events.amazonaws.com",
        "SourceArn": {"Fn::GetAtt": ["Rule", "Arn"]},
    },
}


def create(
    stack: SampleStack, permission: Json | None = PERMISSION, code: str = PRINTS
) -> SampleStack:
    """Create a stack with a rule that invokes a function for failed executions."""
    pattern = {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {
            "status": ["FAILED", "TIMED_OUT"],
            "stateMachineArn": [{"Ref": "Machine"}],
        },
    }
    target = {"Id": "Function", "Arn": {"Fn::GetAtt": ["Function", "Arn"]}}
    resources: Json = {
        "MachineRole": role("states"),
        "Machine": machine(
            {
                "Wait": {"Type": "Wait", "Seconds": 30, "Next": "Choose"},
                "Choose": {
                    "Type": "Choice",
                    "Choices": [{"Variable": "$.fail", "BooleanEquals": True, "Next": "Fail"}],
                    "Default": "Succeed",
                },
                "Fail": {"Type": "Fail", "Error": "Bad", "Cause": "because"},
                "Succeed": {"Type": "Succeed"},
            },
            TimeoutSeconds=3600,
        ),
        "FunctionRole": role("lambda", everything=True),
        "Function": function(code),
        "Rule": {
            "Type": "AWS::Events::Rule",
            "Properties": {"EventPattern": pattern, "Targets": [target]},
        },
    }
    if permission:
        resources["Permission"] = permission
    assert stack.create(resources) == "CREATE_COMPLETE", stack.events()
    return stack


def received(stack: SampleStack) -> list[Any]:
    lines = stack.logs(f"/aws/lambda/{stack.physical_id('Function')}")
    return [json.loads(line) for line in lines if line.startswith("{")]


def test_a_rule_invokes_a_function_for_a_failed_execution(stack: SampleStack) -> None:
    create(stack)
    stack.execution(stack.start("Machine", {"fail": False}))
    arn = stack.start("Machine", {"fail": True})
    stack.execution(arn)
    until(lambda: received(stack), "the function was not invoked")
    (event,) = received(stack)
    assert event["detail"]["executionArn"] == arn
    assert (event["detail"]["status"], event["detail"]["cause"]) == ("FAILED", "because")


def test_a_rule_without_permission_invokes_no_function(aws: LocalAws, stack: SampleStack) -> None:
    create(stack, permission=None)
    stack.execution(stack.start("Machine", {"fail": True}))
    aws.admin.advance(1000)
    assert received(stack) == []


def test_a_permission_applies_to_its_source_rule_only(aws: LocalAws, stack: SampleStack) -> None:
    another = {"Fn::Sub": "${Rule.Arn}-other"}
    create(stack, {**PERMISSION, "Properties": {**PERMISSION["Properties"], "SourceArn": another}})
    stack.execution(stack.start("Machine", {"fail": True}))
    aws.admin.advance(1000)
    assert received(stack) == []


def test_a_failing_target_function_is_retried_twice(aws: LocalAws, stack: SampleStack) -> None:
    create(stack, code="def handler(e, c): raise ValueError('no')")
    stack.execution(stack.start("Machine", {"fail": True}))
    aws.admin.advance(1000)
    name = stack.physical_id("Function")
    invoked = [
        event
        for event in aws.admin.event_log()
        if (event["subject"], event["event"]) == (name, "Invoked")
    ]
    assert len(invoked) == 3


def test_deleting_the_stack_deletes_the_rule(aws: LocalAws, stack: SampleStack) -> None:
    create(stack)
    rule = stack.physical_id("Rule")
    assert rule in aws.admin.inventory()["events"]
    assert stack.delete() == "DELETE_COMPLETE"
    assert rule not in aws.admin.inventory()["events"]
