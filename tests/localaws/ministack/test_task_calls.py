"""Step Functions' own calls fail: Invoke and StartExecution of Tasks."""

from __future__ import annotations

from typing import Any

from localaws.client import LocalAws
from tests.localaws.ministack.support import Json, SampleStack, function, machine, role

SYNC = "arn:aws:states:::states:startExecution.sync:2"


def create(stack: SampleStack, retried: str, seconds: int = 5) -> None:
    """A machine that calls a function and runs a child of a fixed name, retrying one error."""
    retry = [{"ErrorEquals": [retried], "IntervalSeconds": 2, "MaxAttempts": 1}]
    parameters = {"StateMachineArn": "${Child}", "Name.$": "$$.Execution.Name", "Input": {}}
    states: Json = {
        "Call": {"Type": "Task", "Resource": "${Function.Arn}", "Next": "Run", "Retry": retry},
        "Run": {
            "Type": "Task",
            "Resource": SYNC,
            "Parameters": parameters,
            "Retry": retry,
            "End": True,
        },
    }
    resources = {
        "MachineRole": role("states", everything=True),
        "FunctionRole": role("lambda", everything=True),
        "Function": function("def handler(e, c): return {}"),
        "Child": machine({"Wait": {"Type": "Wait", "Seconds": seconds, "End": True}}),
        "Machine": machine(states),
    }
    assert stack.create(resources) == "CREATE_COMPLETE"


def run(stack: SampleStack, **fault: Any) -> tuple[str, list[str]]:
    """The execution's error and the events of functions and executions meanwhile."""
    began = len(stack.aws.admin.event_log())
    stack.aws.admin.fault(fault)
    execution = stack.run("Machine")
    events = [
        str(event["event"])
        for event in stack.aws.admin.event_log()[began:]
        if event["event"] in ("Invoked", "ExecutionStarted")
    ]
    return str(execution.get("error", "")), events


def test_a_call_fails_before_its_effect_and_is_retried(stack: SampleStack) -> None:
    create(stack, "Lambda.TooManyRequestsException")
    given = {"task": "Call", "code": "TooManyRequestsException"}
    assert run(stack, **given) == ("", ["ExecutionStarted", "Invoked", "ExecutionStarted"])


def test_an_invocation_whose_response_is_lost_happens_twice(stack: SampleStack) -> None:
    create(stack, "Lambda.SdkClientException")
    error, events = run(stack, task="Call", code="ConnectionLost", when="after")
    assert (error, events.count("Invoked")) == ("", 2)


def test_a_start_whose_response_is_lost_returns_the_running_child(stack: SampleStack) -> None:
    create(stack, "StepFunctions.SdkClientException")
    error, events = run(stack, task="*", code="ConnectionLost", when="after", skip=1)
    assert (error, events.count("ExecutionStarted")) == ("", 2)


def test_a_start_whose_response_is_lost_fails_if_the_child_has_ended(stack: SampleStack) -> None:
    create(stack, "StepFunctions.SdkClientException", seconds=1)
    error, _ = run(stack, task="Run", code="ConnectionLost", when="after")
    assert error == "StepFunctions.ExecutionAlreadyExistsException"


def test_errors_without_a_model_are_named_by_their_code_or_by_the_client(
    stack: SampleStack,
) -> None:
    create(stack, "None")
    errors = [
        run(stack, task=task, machine=stack.name, code=code)[0]
        for task in ("Call", "Run")
        for code in ("ThrottlingException", "ConnectionLost", "InternalFailure")
    ]
    assert errors == [
        "Lambda.AWSLambdaException",
        "Lambda.SdkClientException",
        "Lambda.AWSLambdaException",
        "StepFunctions.ThrottlingException",
        "StepFunctions.SdkClientException",
        "StepFunctions.InternalFailureException",
    ]


def test_a_denied_start_has_the_name_of_the_sdk_class_in_the_harsher_reading() -> None:
    allowed = role("states")
    with LocalAws("--assume", "start-error-names=sdk") as aws:
        stack = SampleStack(aws)
        rule = {"Action": ["events:*"], "Resource": "*", "Effect": "Allow", "Sid": "Rule"}
        resources = {
            "MachineRole": role("states", rule),
            "Child": machine({"Done": {"Type": "Succeed"}}, "Other"),
            "Other": allowed,
            "Machine": machine(
                {
                    "Run": {
                        "Type": "Task",
                        "Resource": SYNC,
                        "Parameters": {"StateMachineArn": "${Child}"},
                        "End": True,
                    }
                }
            ),
        }
        assert stack.create(resources) == "CREATE_COMPLETE"
        execution = stack.run("Machine")
    assert execution["error"] == "StepFunctions.AWSStepFunctionsException"
    assert "Error Code: AccessDeniedException" in execution["cause"]
