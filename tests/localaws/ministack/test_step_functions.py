from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from localaws.client import LocalAws, until
from tests.localaws.ministack.support import (
    Json,
    SampleStack,
    elapsed,
    error_from,
    function,
    machine,
    role,
    unique_name,
)

ROLES = {
    "MachineRole": role("states", everything=True),
    "FunctionRole": role("lambda", everything=True),
}
SYNC = "arn:aws:states:::states:startExecution.sync:2"


def task(**more: Any) -> Json:
    return {"Type": "Task", "Resource": "${Function.Arn}", "End": True, **more}


def wait(seconds: int, **more: Any) -> Json:
    return {"Type": "Wait", "Seconds": seconds, "End": True, **more}


def nested(name: str = "Child", **more: Any) -> Json:
    parameters = {"StateMachineArn": f"${{{name}}}", "Input": {"from": "parent"}}
    return {"Type": "Task", "Resource": SYNC, "Parameters": parameters, "End": True, **more}


def create(
    stack: SampleStack, states: Json, code: str = "def handler(e, c): return e", **more: Any
) -> SampleStack:
    """Create a stack with a state machine and a function."""
    properties = more.pop("Function", {})
    resources = {**ROLES, "Function": function(code, **properties), **more.pop("others", {})}
    assert stack.create({**resources, "Machine": machine(states, **more)}) == "CREATE_COMPLETE"
    return stack


def start_paused(stack: SampleStack, given: Any = None, name: str | None = None) -> str:
    """Start an execution and pause the clock at its first wait."""
    stack.aws.admin.pause_after("StartExecution")
    arn = stack.start("Machine", given, name)
    stack.aws.admin.wait_for_pause()
    return arn


def status(aws: LocalAws, arn: str) -> str:
    return str(aws.client("stepfunctions").describe_execution(executionArn=arn)["status"])


def history(aws: LocalAws, arn: str) -> list[Json]:
    found = aws.client("stepfunctions").get_execution_history(executionArn=arn, maxResults=1000)
    return list(found["events"])


# --- Time ---


def test_a_wait_state_waits_in_virtual_time(aws: LocalAws, stack: SampleStack) -> None:
    create(stack, {"Wait": wait(1800)})
    began = elapsed(aws)
    execution = stack.run("Machine")
    assert execution["status"] == "SUCCEEDED"
    assert elapsed(aws) - began == 1800
    assert (execution["stopDate"] - execution["startDate"]).total_seconds() == 1800


def test_a_wait_until_a_timestamp_ends_at_that_virtual_time(
    aws: LocalAws, stack: SampleStack
) -> None:
    states = {"Wait": {"Type": "Wait", "TimestampPath": "$.Until", "End": True}}
    create(stack, states)
    now = aws.admin.clock()["now"]
    moment = dt.datetime.fromtimestamp(now + 600, dt.UTC)
    began = elapsed(aws)
    stack.run("Machine", {"Until": f"{moment:%Y-%m-%dT%H:%M:%SZ}"})
    assert 599 <= elapsed(aws) - began <= 600


def test_the_context_object_has_virtual_timestamps(aws: LocalAws, stack: SampleStack) -> None:
    entered = {"Type": "Pass", "End": True, "Parameters": {"At.$": "$$.State.EnteredTime"}}
    waiting = {"Type": "Wait", "Seconds": 3600, "Next": "Entered"}
    create(stack, {"Wait": waiting, "Entered": entered})
    execution = stack.run("Machine")
    entered_at = dt.datetime.fromisoformat(json.loads(execution["output"])["At"])
    assert entered_at == execution["stopDate"]


def test_an_execution_times_out_in_virtual_time(aws: LocalAws, stack: SampleStack) -> None:
    create(stack, {"Wait": wait(5000)}, TimeoutSeconds=2800)
    began = elapsed(aws)
    execution = stack.run("Machine")
    assert (execution["status"], execution["error"]) == ("TIMED_OUT", "States.Timeout")
    assert elapsed(aws) - began == 2800
    assert history(aws, execution["executionArn"])[-1]["type"] == "ExecutionTimedOut"


def test_a_task_times_out_in_virtual_time_and_its_function_continues(
    aws: LocalAws, stack: SampleStack
) -> None:
    code = "import time\ndef handler(e, c):\n    time.sleep(500)\n    print('done later')"
    catch = [{"ErrorEquals": ["States.Timeout"], "Next": "Done"}]
    states = {
        "Task": {
            "Type": "Task",
            "Resource": "${Function.Arn}",
            "TimeoutSeconds": 60,
            "Catch": catch,
            "Next": "Done",
        },
        "Done": {"Type": "Pass", "End": True},
    }
    create(stack, states, code, Function={"Timeout": 900})
    began = elapsed(aws)
    execution = stack.run("Machine")
    assert execution["status"] == "SUCCEEDED"
    assert json.loads(execution["output"])["Error"] == "States.Timeout"
    assert (execution["stopDate"] - execution["startDate"]).total_seconds() == 60
    group = f"/aws/lambda/{stack.physical_id('Function')}"
    until(lambda: "done later" in "".join(stack.logs(group)), "the function did not end")
    assert elapsed(aws) - began == 500


def test_a_retry_backs_off_up_to_max_delay_seconds(aws: LocalAws, stack: SampleStack) -> None:
    retry = [
        {
            "ErrorEquals": ["NotYet"],
            "IntervalSeconds": 100,
            "BackoffRate": 4,
            "MaxAttempts": 3,
            "MaxDelaySeconds": 500,
        }
    ]
    code = "class NotYet(Exception): pass\ndef handler(e, c): raise NotYet('no')"
    create(stack, {"Task": task(Retry=retry)}, code)
    began = elapsed(aws)
    execution = stack.run("Machine")
    assert (execution["status"], execution["error"]) == ("FAILED", "NotYet")
    assert elapsed(aws) - began == 100 + 400 + 500


# --- Start and stop ---


def test_start_execution_is_idempotent_while_the_execution_runs(
    aws: LocalAws, stack: SampleStack
) -> None:
    create(stack, {"Wait": wait(100)})
    first = start_paused(stack, {"a": 1}, "same")
    assert stack.start("Machine", {"a": 1}, "same") == first
    client = aws.client("stepfunctions")
    arn = stack.physical_id("Machine")
    code, _ = error_from(client.start_execution, stateMachineArn=arn, name="same", input='{"a": 2}')
    assert code == "ExecutionAlreadyExists"
    aws.admin.resume()
    stack.execution(first)
    code, _ = error_from(client.start_execution, stateMachineArn=arn, name="same", input='{"a": 1}')
    assert code == "ExecutionAlreadyExists"


@pytest.mark.parametrize("name", ["a b", "a/b", "a:b"])
def test_an_invalid_execution_name_is_rejected(
    aws: LocalAws, stack: SampleStack, name: str
) -> None:
    create(stack, {"Done": {"Type": "Succeed"}})
    code, _ = error_from(
        aws.client("stepfunctions").start_execution,
        stateMachineArn=stack.physical_id("Machine"),
        name=name,
    )
    assert code == "InvalidName"


def test_a_stopped_execution_stays_aborted_when_its_function_fails_later(
    aws: LocalAws, stack: SampleStack
) -> None:
    code = (
        "import time\n"
        "def handler(e, c):\n"
        "    time.sleep(30)\n"
        "    print('still here')\n"
        "    raise ValueError('too late')\n"
    )
    create(stack, {"Task": task()}, code, Function={"Timeout": 60})
    arn = start_paused(stack)
    aws.client("stepfunctions").stop_execution(executionArn=arn, error="Superseded", cause="so")
    aws.admin.resume()
    group = f"/aws/lambda/{stack.physical_id('Function')}"
    until(lambda: "still here" in "".join(stack.logs(group)), "the function did not continue")
    execution = stack.execution(arn)
    assert (execution["status"], execution["error"]) == ("ABORTED", "Superseded")
    assert history(aws, arn)[-1]["type"] == "ExecutionAborted"


def test_stop_execution_is_idempotent(aws: LocalAws, stack: SampleStack) -> None:
    create(stack, {"Wait": wait(100)})
    arn = start_paused(stack)
    client = aws.client("stepfunctions")
    first = client.stop_execution(executionArn=arn)["stopDate"]
    assert client.stop_execution(executionArn=arn)["stopDate"] == first


def test_an_execution_of_a_deleted_state_machine_is_aborted_at_its_next_state(
    aws: LocalAws, stack: SampleStack
) -> None:
    first = {"Type": "Wait", "Seconds": 60, "Next": "Second"}
    others = {"Other": machine({"Wait": first, "Second": wait(60)})}
    create(stack, {"Done": {"Type": "Succeed"}}, others=others)
    client = aws.client("stepfunctions")
    aws.admin.pause_after("StartExecution")
    arn = stack.start("Other")
    aws.admin.wait_for_pause()
    stack.update({**ROLES, "Function": function("def handler(e, c): return e")})
    aws.admin.resume()
    until(lambda: status(aws, arn) != "RUNNING", "it is still running")
    assert client.describe_execution(executionArn=arn)["status"] == "ABORTED"


# --- Nested executions ---


def test_a_child_is_a_separate_execution(aws: LocalAws, stack: SampleStack) -> None:
    create(stack, {"Run": nested()}, others={"Child": machine({"Wait": wait(10)})})
    output = json.loads(stack.run("Machine")["output"])
    (child,) = stack.executions("Child")
    assert output["ExecutionArn"] == child["executionArn"]
    assert (output["Status"], output["Input"]) == ("SUCCEEDED", {"from": "parent"})
    assert output["StopDate"] - output["StartDate"] == 10000
    assert list(output) == sorted(output)


def test_a_failed_child_fails_the_task_with_its_description_as_cause(
    aws: LocalAws, stack: SampleStack
) -> None:
    fail = {"Type": "Fail", "Error": "HsmDegraded", "Cause": "hsm-abc is DEGRADED."}
    create(stack, {"Run": nested()}, others={"Child": machine({"Fail": fail})})
    execution = stack.run("Machine")
    assert (execution["status"], execution["error"]) == ("FAILED", "States.TaskFailed")
    cause = json.loads(execution["cause"])
    assert (cause["Error"], cause["Cause"]) == ("HsmDegraded", "hsm-abc is DEGRADED.")
    assert (cause["Status"], cause["RedriveStatus"]) == ("FAILED", "REDRIVABLE")
    assert json.loads(cause["Input"]) == {"from": "parent"}
    assert "Output" not in cause


def test_a_timed_out_child_has_no_cause(aws: LocalAws, stack: SampleStack) -> None:
    child = machine({"Wait": wait(100)}, TimeoutSeconds=50)
    create(stack, {"Run": nested()}, others={"Child": child})
    execution = stack.run("Machine")
    assert execution["error"] == "States.TaskFailed"
    cause = json.loads(execution["cause"])
    assert (cause["Status"], "Cause" in cause) == ("TIMED_OUT", False)


def test_children_are_aborted_three_seconds_after_their_parent(
    aws: LocalAws, stack: SampleStack
) -> None:
    middle = machine({"Run": nested("Leaf")})
    others = {"Child": middle, "Leaf": machine({"Wait": wait(1000)})}
    create(stack, {"Run": nested()}, others=others)
    arn = start_paused(stack)
    until(lambda: stack.executions("Leaf"), "the leaf did not start")
    aws.client("stepfunctions").stop_execution(executionArn=arn)
    (child,), (leaf,) = stack.executions("Child"), stack.executions("Leaf")
    assert (child["status"], leaf["status"]) == ("RUNNING", "RUNNING")
    aws.admin.resume()
    ends = [stack.execution(each["executionArn"])["stopDate"] for each in (child, leaf)]
    stopped = stack.execution(arn)["stopDate"]
    assert [(end - stopped).total_seconds() for end in ends] == [3, 6]


def test_a_new_execution_is_listed_after_a_while() -> None:
    with LocalAws(timings={"execution_listed": 3}) as aws:
        stack = SampleStack(aws)
        create(stack, {"Wait": wait(10)})
        machine_arn, client = stack.physical_id("Machine"), aws.client("stepfunctions")
        aws.admin.pause()
        arn = stack.start("Machine")
        assert client.describe_execution(executionArn=arn)["status"] == "RUNNING"
        assert client.list_executions(stateMachineArn=machine_arn)["executions"] == []
        aws.admin.advance(3)
        (listed,) = client.list_executions(stateMachineArn=machine_arn)["executions"]
        assert listed["executionArn"] == arn


def test_children_of_a_stopped_parent_may_continue() -> None:
    with LocalAws("--assume", "parent-stops-children=never") as aws:
        stack = SampleStack(aws)
        create(stack, {"Run": nested()}, others={"Child": machine({"Wait": wait(1000)})})
        arn = start_paused(stack)
        until(lambda: stack.executions("Child"), "the child did not start")
        aws.client("stepfunctions").stop_execution(executionArn=arn)
        aws.admin.resume()
        (child,) = stack.executions("Child")
        assert stack.execution(child["executionArn"])["status"] == "SUCCEEDED"


def test_a_timed_out_task_leaves_its_child_running(aws: LocalAws, stack: SampleStack) -> None:
    run = nested(TimeoutSeconds=100)
    create(stack, {"Run": run}, others={"Child": machine({"Wait": wait(1000)})})
    execution = stack.run("Machine")
    assert execution["error"] == "States.Timeout"
    (child,) = stack.executions("Child")
    ended = stack.execution(child["executionArn"])
    assert ended["status"] == "SUCCEEDED"
    assert (ended["stopDate"] - execution["stopDate"]).total_seconds() == 900


def test_start_execution_without_sync_continues_at_once(aws: LocalAws, stack: SampleStack) -> None:
    run = nested(Resource="arn:aws:states:::states:startExecution")
    create(stack, {"Run": run}, others={"Child": machine({"Wait": wait(1000)})})
    execution = stack.run("Machine")
    assert set(json.loads(execution["output"])) == {"ExecutionArn", "StartDate"}
    assert execution["stopDate"] == execution["startDate"]


@pytest.mark.parametrize(
    ("resource", "given"),
    [
        ("arn:aws:states:::aws-sdk:cloudhsmv2:describeClusters", {}),
        (
            "arn:aws:states:::lambda:invoke.waitForTaskToken",
            {"FunctionName": "${Function}", "Payload": {"token.$": "$$.Task.Token"}},
        ),
    ],
)
def test_a_task_that_is_not_offered_is_refused_by_name(
    stack: SampleStack, resource: str, given: Json
) -> None:
    resources = {
        "FunctionRole": role("lambda"),
        "Function": function("def handler(e, c): pass"),
        "MachineRole": role("states", everything=True),
        "Machine": machine({"Task": task(Resource=resource, Parameters=given)}),
    }
    assert stack.create(resources) == "ROLLBACK_COMPLETE"
    assert f"The local AWS does not offer the task {resource}" in stack.reason("Machine")


# --- Quotas ---


def test_states_all_does_not_catch_data_limit_exceeded(
    stack: SampleStack,
) -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Done"}]
    states = {
        "Task": {"Type": "Task", "Resource": "${Function.Arn}", "Catch": catch, "Next": "Done"},
        "Done": {"Type": "Pass", "End": True},
    }
    create(stack, states, "def handler(e, c): return 'x' * 262145")
    execution = stack.run("Machine")
    assert (execution["status"], execution["error"]) == ("FAILED", "States.DataLimitExceeded")


def test_data_within_the_quota_is_accepted(stack: SampleStack) -> None:
    create(stack, {"Task": task()}, "def handler(e, c): return 'x' * 262000")
    assert stack.run("Machine")["status"] == "SUCCEEDED"


def test_input_beyond_the_quota_is_rejected(aws: LocalAws, stack: SampleStack) -> None:
    create(stack, {"Done": {"Type": "Succeed"}})
    code, _ = error_from(
        aws.client("stepfunctions").start_execution,
        stateMachineArn=stack.physical_id("Machine"),
        input=json.dumps("x" * 262144),
    )
    assert code == "ValidationException"


def test_a_cause_is_truncated_to_its_maximum_length(stack: SampleStack) -> None:
    create(stack, {"Task": task()}, "def handler(e, c): raise ValueError('x' * 40000)")
    assert len(stack.run("Machine")["cause"]) == 32768


# --- The event log ---


def test_the_event_log_has_executions_and_states(aws: LocalAws, stack: SampleStack) -> None:
    name = unique_name("machine")
    states = {"First": {"Type": "Pass", "Next": "Second"}, "Second": {"Type": "Succeed"}}
    create(stack, states, StateMachineName=name)
    arn = stack.start("Machine", {}, "run-1")
    stack.execution(arn)
    events = [
        (event["event"], event.get("state"))
        for event in aws.admin.event_log()
        if event["service"] == "states" and event["subject"] == name
    ]
    assert events == [
        ("ExecutionStarted", None),
        ("StateEntered", "First"),
        ("StateEntered", "Second"),
        ("ExecutionSucceeded", None),
    ]
