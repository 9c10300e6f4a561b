from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from localaws.client import LocalAws, until
from tests.localaws.ministack.support import (
    Json,
    Try,
    elapsed,
    fresh,
    function,
    machine,
    refusal,
    role,
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


def made(stack: Try, states: Json, code: str = "def handler(e, c): return e", **more: Any) -> Try:
    """A stack with one machine and one function, made."""
    properties = more.pop("Function", {})
    resources = {**ROLES, "Function": function(code, **properties), **more.pop("others", {})}
    assert stack.create({**resources, "Machine": machine(states, **more)}) == "CREATE_COMPLETE"
    return stack


def start_paused(stack: Try, given: Any = None, name: str | None = None) -> str:
    """Start the machine; virtual time stands still as soon as it waits for something."""
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


def test_a_wait_state_takes_virtual_time(aws: LocalAws, stack: Try) -> None:
    made(stack, {"Wait": wait(1800)})
    began = elapsed(aws)
    execution = stack.run("Machine")
    assert execution["status"] == "SUCCEEDED"
    assert elapsed(aws) - began == 1800
    assert (execution["stopDate"] - execution["startDate"]).total_seconds() == 1800


def test_a_wait_until_a_timestamp_ends_at_that_virtual_time(aws: LocalAws, stack: Try) -> None:
    states = {"Wait": {"Type": "Wait", "TimestampPath": "$.Until", "End": True}}
    made(stack, states)
    now = aws.admin.clock()["now"]
    moment = dt.datetime.fromtimestamp(now + 600, dt.UTC)
    began = elapsed(aws)
    stack.run("Machine", {"Until": f"{moment:%Y-%m-%dT%H:%M:%SZ}"})
    assert 599 <= elapsed(aws) - began <= 600


def test_the_dates_in_the_context_are_virtual(aws: LocalAws, stack: Try) -> None:
    entered = {"Type": "Pass", "End": True, "Parameters": {"At.$": "$$.State.EnteredTime"}}
    waiting = {"Type": "Wait", "Seconds": 3600, "Next": "Entered"}
    made(stack, {"Wait": waiting, "Entered": entered})
    execution = stack.run("Machine")
    entered_at = dt.datetime.fromisoformat(json.loads(execution["output"])["At"])
    assert entered_at == execution["stopDate"]


def test_a_machine_times_out_in_virtual_time(aws: LocalAws, stack: Try) -> None:
    made(stack, {"Wait": wait(5000)}, TimeoutSeconds=2800)
    began = elapsed(aws)
    execution = stack.run("Machine")
    assert (execution["status"], execution["error"]) == ("TIMED_OUT", "States.Timeout")
    assert elapsed(aws) - began == 2800
    assert history(aws, execution["executionArn"])[-1]["type"] == "ExecutionTimedOut"


def test_a_task_times_out_in_virtual_time_and_the_function_goes_on(
    aws: LocalAws, stack: Try
) -> None:
    code = "import time\ndef handler(e, c):\n    time.sleep(500)\n    print('done after all')"
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
    made(stack, states, code, Function={"Timeout": 900})
    began = elapsed(aws)
    execution = stack.run("Machine")
    assert execution["status"] == "SUCCEEDED"
    assert json.loads(execution["output"])["Error"] == "States.Timeout"
    assert (execution["stopDate"] - execution["startDate"]).total_seconds() == 60
    group = f"/aws/lambda/{stack.physical_id('Function')}"
    until(lambda: "done after all" in "".join(stack.logs(group)), "the function never ended")
    assert elapsed(aws) - began == 500


def test_a_retry_waits_as_long_as_it_says_and_no_longer_than_the_most(
    aws: LocalAws, stack: Try
) -> None:
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
    made(stack, {"Task": task(Retry=retry)}, code)
    began = elapsed(aws)
    execution = stack.run("Machine")
    assert (execution["status"], execution["error"]) == ("FAILED", "NotYet")
    assert elapsed(aws) - began == 100 + 400 + 500


# --- Beginning and ending ---


def test_a_repeated_start_of_the_same_name_and_input_is_the_same_execution(
    aws: LocalAws, stack: Try
) -> None:
    made(stack, {"Wait": wait(100)})
    first = start_paused(stack, {"a": 1}, "same")
    assert stack.start("Machine", {"a": 1}, "same") == first
    client = aws.client("stepfunctions")
    arn = stack.physical_id("Machine")
    code, _ = refusal(client.start_execution, stateMachineArn=arn, name="same", input='{"a": 2}')
    assert code == "ExecutionAlreadyExists"
    aws.admin.resume()
    stack.execution(first)
    code, _ = refusal(client.start_execution, stateMachineArn=arn, name="same", input='{"a": 1}')
    assert code == "ExecutionAlreadyExists"


@pytest.mark.parametrize("name", ["a b", "a/b", "a" * 81, "a:b"])
def test_a_name_that_aws_does_not_take_is_refused(aws: LocalAws, stack: Try, name: str) -> None:
    made(stack, {"Done": {"Type": "Succeed"}})
    code, _ = refusal(
        aws.client("stepfunctions").start_execution,
        stateMachineArn=stack.physical_id("Machine"),
        name=name,
    )
    assert code == "InvalidName"


def test_a_stopped_execution_stays_aborted_whatever_its_function_does_then(
    aws: LocalAws, stack: Try
) -> None:
    code = (
        "import time\n"
        "def handler(e, c):\n"
        "    time.sleep(30)\n"
        "    print('still here')\n"
        "    raise ValueError('too late')\n"
    )
    made(stack, {"Task": task()}, code, Function={"Timeout": 60})
    arn = start_paused(stack)
    aws.client("stepfunctions").stop_execution(executionArn=arn, error="Superseded", cause="so")
    aws.admin.resume()
    group = f"/aws/lambda/{stack.physical_id('Function')}"
    until(lambda: "still here" in "".join(stack.logs(group)), "the function did not go on")
    execution = stack.execution(arn)
    assert (execution["status"], execution["error"]) == ("ABORTED", "Superseded")
    assert history(aws, arn)[-1]["type"] == "ExecutionAborted"


def test_stopping_twice_is_the_same_as_once(aws: LocalAws, stack: Try) -> None:
    made(stack, {"Wait": wait(100)})
    arn = start_paused(stack)
    client = aws.client("stepfunctions")
    first = client.stop_execution(executionArn=arn)["stopDate"]
    assert client.stop_execution(executionArn=arn)["stopDate"] == first


def test_an_execution_ends_at_its_next_state_when_its_machine_is_gone(
    aws: LocalAws, stack: Try
) -> None:
    first = {"Type": "Wait", "Seconds": 60, "Next": "Second"}
    others = {"Other": machine({"Wait": first, "Second": wait(60)})}
    made(stack, {"Done": {"Type": "Succeed"}}, others=others)
    client = aws.client("stepfunctions")
    aws.admin.pause_after("StartExecution")
    arn = stack.start("Other")
    aws.admin.wait_for_pause()
    stack.update({**ROLES, "Function": function("def handler(e, c): return e")})
    aws.admin.resume()
    until(lambda: status(aws, arn) != "RUNNING", "it went on")
    assert client.describe_execution(executionArn=arn)["status"] == "ABORTED"


# --- Nested executions ---


def test_a_child_is_an_execution_of_its_own(aws: LocalAws, stack: Try) -> None:
    made(stack, {"Run": nested()}, others={"Child": machine({"Wait": wait(10)})})
    output = json.loads(stack.run("Machine")["output"])
    (child,) = stack.executions("Child")
    assert output["ExecutionArn"] == child["executionArn"]
    assert (output["Status"], output["Input"]) == ("SUCCEEDED", {"from": "parent"})
    assert output["StopDate"] - output["StartDate"] == 10000
    assert list(output) == sorted(output)


def test_a_failed_child_comes_up_as_a_failed_task_that_describes_it(
    aws: LocalAws, stack: Try
) -> None:
    fail = {"Type": "Fail", "Error": "HsmDegraded", "Cause": "hsm-abc is DEGRADED."}
    made(stack, {"Run": nested()}, others={"Child": machine({"Fail": fail})})
    execution = stack.run("Machine")
    assert (execution["status"], execution["error"]) == ("FAILED", "States.TaskFailed")
    cause = json.loads(execution["cause"])
    assert (cause["Error"], cause["Cause"]) == ("HsmDegraded", "hsm-abc is DEGRADED.")
    assert (cause["Status"], cause["RedriveStatus"]) == ("FAILED", "REDRIVABLE")
    assert json.loads(cause["Input"]) == {"from": "parent"}
    assert "Output" not in cause


def test_a_child_that_times_out_has_no_cause(aws: LocalAws, stack: Try) -> None:
    child = machine({"Wait": wait(100)}, TimeoutSeconds=50)
    made(stack, {"Run": nested()}, others={"Child": child})
    execution = stack.run("Machine")
    assert execution["error"] == "States.TaskFailed"
    cause = json.loads(execution["cause"])
    assert (cause["Status"], "Cause" in cause) == ("TIMED_OUT", False)


def test_a_stop_reaches_children_late(aws: LocalAws, stack: Try) -> None:
    middle = machine({"Run": nested("Leaf")})
    others = {"Child": middle, "Leaf": machine({"Wait": wait(1000)})}
    made(stack, {"Run": nested()}, others=others)
    arn = start_paused(stack)
    until(lambda: stack.executions("Leaf"), "the leaf never began")
    aws.client("stepfunctions").stop_execution(executionArn=arn)
    (child,), (leaf,) = stack.executions("Child"), stack.executions("Leaf")
    assert (child["status"], leaf["status"]) == ("RUNNING", "RUNNING")
    aws.admin.resume()
    ends = [stack.execution(each["executionArn"])["stopDate"] for each in (child, leaf)]
    stopped = stack.execution(arn)["stopDate"]
    assert [(end - stopped).total_seconds() for end in ends] == [3, 6]


def test_a_task_that_times_out_leaves_its_child_running(aws: LocalAws, stack: Try) -> None:
    run = nested(TimeoutSeconds=100)
    made(stack, {"Run": run}, others={"Child": machine({"Wait": wait(1000)})})
    execution = stack.run("Machine")
    assert execution["error"] == "States.Timeout"
    (child,) = stack.executions("Child")
    ended = stack.execution(child["executionArn"])
    assert ended["status"] == "SUCCEEDED"
    assert (ended["stopDate"] - execution["stopDate"]).total_seconds() == 900


def test_nesting_without_waiting_goes_on_at_once(aws: LocalAws, stack: Try) -> None:
    run = nested(Resource="arn:aws:states:::states:startExecution")
    made(stack, {"Run": run}, others={"Child": machine({"Wait": wait(1000)})})
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
def test_integrations_that_are_not_rehearsed_fail(stack: Try, resource: str, given: Json) -> None:
    made(stack, {"Task": task(Resource=resource, Parameters=given)})
    execution = stack.run("Machine")
    assert execution["status"] == "FAILED"
    assert "does not support" in execution["cause"]


# --- Parallel, Map ---


# --- Quotas ---


def test_data_beyond_the_quota_fails_the_task_and_states_all_does_not_catch_it(
    stack: Try,
) -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Done"}]
    states = {
        "Task": {"Type": "Task", "Resource": "${Function.Arn}", "Catch": catch, "Next": "Done"},
        "Done": {"Type": "Pass", "End": True},
    }
    made(stack, states, "def handler(e, c): return 'x' * 262145")
    execution = stack.run("Machine")
    assert (execution["status"], execution["error"]) == ("FAILED", "States.DataLimitExceeded")


def test_data_within_the_quota_passes(stack: Try) -> None:
    made(stack, {"Task": task()}, "def handler(e, c): return 'x' * 262000")
    assert stack.run("Machine")["status"] == "SUCCEEDED"


def test_input_beyond_the_quota_is_refused(aws: LocalAws, stack: Try) -> None:
    made(stack, {"Done": {"Type": "Succeed"}})
    code, _ = refusal(
        aws.client("stepfunctions").start_execution,
        stateMachineArn=stack.physical_id("Machine"),
        input=json.dumps("x" * 262144),
    )
    assert code == "InvalidExecutionInput"


def test_a_cause_is_cut_off_at_its_longest(stack: Try) -> None:
    made(stack, {"Task": task()}, "def handler(e, c): raise ValueError('x' * 40000)")
    assert len(stack.run("Machine")["cause"]) == 32768


# --- What is shown ---


def test_the_timeline_tells_of_executions_and_states(aws: LocalAws, stack: Try) -> None:
    name = fresh("machine")
    states = {"First": {"Type": "Pass", "Next": "Second"}, "Second": {"Type": "Succeed"}}
    made(stack, states, StateMachineName=name)
    arn = stack.start("Machine", {}, "run-1")
    stack.execution(arn)
    told = [
        (event["event"], event.get("state"))
        for event in aws.admin.event_log()
        if event["service"] == "states" and event["subject"] == name
    ]
    assert told == [
        ("ExecutionStarted", None),
        ("StateEntered", "First"),
        ("StateEntered", "Second"),
        ("ExecutionSucceeded", None),
    ]
