from __future__ import annotations

import json
from typing import Any

from localaws.client import LocalAws, until
from tests.localaws.ministack.support import Json, Try, function, machine, role

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


def made(stack: Try, permission: Json | None = PERMISSION, code: str = PRINTS) -> Try:
    """A stack whose function hears of every execution of its machine that fails."""
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


def heard(stack: Try) -> list[Any]:
    lines = stack.logs(f"/aws/lambda/{stack.physical_id('Function')}")
    return [json.loads(line) for line in lines if line.startswith("{")]


def test_a_rule_tells_a_function_of_an_execution_that_failed(stack: Try) -> None:
    made(stack)
    stack.execution(stack.start("Machine", {"fail": False}))
    arn = stack.start("Machine", {"fail": True})
    stack.execution(arn)
    until(lambda: heard(stack), "nothing was heard")
    (event,) = heard(stack)
    assert event["detail"]["executionArn"] == arn
    assert (event["detail"]["status"], event["detail"]["cause"]) == ("FAILED", "because")


def test_a_rule_without_permission_reaches_no_function(aws: LocalAws, stack: Try) -> None:
    made(stack, permission=None)
    stack.execution(stack.start("Machine", {"fail": True}))
    aws.admin.advance(1000)
    assert heard(stack) == []


def test_a_permission_for_another_rule_is_none_for_this_one(aws: LocalAws, stack: Try) -> None:
    another = {"Fn::Sub": "${Rule.Arn}-other"}
    made(stack, {**PERMISSION, "Properties": {**PERMISSION["Properties"], "SourceArn": another}})
    stack.execution(stack.start("Machine", {"fail": True}))
    aws.admin.advance(1000)
    assert heard(stack) == []


def test_a_function_that_fails_is_told_again(aws: LocalAws, stack: Try) -> None:
    made(stack, code="def handler(e, c): raise ValueError('no')")
    stack.execution(stack.start("Machine", {"fail": True}))
    aws.admin.advance(1000)
    name = stack.physical_id("Function")
    invoked = [
        event
        for event in aws.admin.event_log()
        if (event["subject"], event["event"]) == (name, "Invoked")
    ]
    assert len(invoked) == 3


def test_a_rule_goes_with_its_stack(aws: LocalAws, stack: Try) -> None:
    made(stack)
    rule = stack.physical_id("Rule")
    assert rule in aws.admin.inventory()["events"]
    assert stack.delete() == "DELETE_COMPLETE"
    assert rule not in aws.admin.inventory()["events"]
