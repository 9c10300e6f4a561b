from __future__ import annotations

import itertools
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

FAILS = "class HsmDegraded(Exception): pass\ndef handler(e, c): raise HsmDegraded('hsm-1')"
LOGS_TO = {
    "Sid": "Logs",
    "Effect": "Allow",
    "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
    "Resource": {"Fn::GetAtt": ["Group", "Arn"]},
}


def create(
    stack: SampleStack, code: str, others: Json | None = None, **properties: Any
) -> SampleStack:
    """Create a stack with a function that has all permissions."""
    resources = {"FunctionRole": role("lambda", everything=True), **(others or {})}
    resources["Function"] = function(code, **properties)
    assert stack.create(resources) == "CREATE_COMPLETE", stack.events()
    return stack


def invoked(aws: LocalAws, name: str) -> list[float]:
    return [
        event["at"]
        for event in aws.admin.event_log()
        if (event["subject"], event["event"]) == (name, "Invoked")
    ]


# --- Results and errors ---


def test_a_function_returns_its_result(stack: SampleStack) -> None:
    create(stack, "def handler(e, c): return {'got': e}")
    assert stack.invoke("Function", {"a": 1}) == {"payload": {"got": {"a": 1}}, "error": None}


def test_an_error_has_its_class_name_and_stack_trace(stack: SampleStack) -> None:
    create(stack, FAILS)
    result = stack.invoke("Function")
    assert result["error"] == "Unhandled"
    payload = result["payload"]
    assert (payload["errorType"], payload["errorMessage"]) == ("HsmDegraded", "hsm-1")
    assert "in handler" in payload["stackTrace"][-1]


def test_a_state_machine_catches_an_error_by_its_class_name(stack: SampleStack) -> None:
    catch = [{"ErrorEquals": ["HsmDegraded"], "ResultPath": "$.Error", "Next": "Caught"}]
    states = {
        "Task": {"Type": "Task", "Resource": "${Function.Arn}", "Catch": catch, "End": True},
        "Caught": {"Type": "Pass", "InputPath": "$.Error.Error", "End": True},
    }
    others = {"MachineRole": role("states", everything=True), "Machine": machine(states)}
    create(stack, FAILS, others)
    assert stack.run("Machine")["output"] == '"HsmDegraded"'


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import nothing_of_that_name", "Runtime.ImportModuleError"),
        ("def other(e, c): pass", "Runtime.HandlerNotFound"),
        ("def handler(e, c): return object()", "Runtime.MarshalError"),
        ("import os\ndef handler(e, c): os._exit(3)", "Runtime.ExitError"),
        ("import time\ndef handler(e, c): time.sleep(60)", "Sandbox.Timedout"),
    ],
)
def test_failures_of_the_runtime_have_their_own_error_types(
    stack: SampleStack, code: str, error: str
) -> None:
    create(stack, code)
    assert stack.invoke("Function")["payload"]["errorType"] == error


def test_an_updated_function_runs_its_new_code(stack: SampleStack) -> None:
    create(stack, "def handler(e, c): return 1")
    assert stack.invoke("Function")["payload"] == 1
    changed = {
        "FunctionRole": role("lambda", everything=True),
        "Function": function(
            "import os\ndef handler(e, c): return os.environ['WORD']",
            Environment={"Variables": {"WORD": "new"}},
        ),
    }
    stack.update(changed)
    assert stack.invoke("Function")["payload"] == "new"


def test_a_function_has_the_permissions_of_its_role(stack: SampleStack) -> None:
    code = (
        "import boto3\n"
        "def handler(e, c):\n"
        "    boto3.client('sts').get_caller_identity()\n"
        "    boto3.client('ec2').describe_vpcs()\n"
    )
    stack.create({"FunctionRole": role("lambda"), "Function": function(code, Timeout=60)})
    payload = stack.invoke("Function")["payload"]
    assert payload["errorType"] == "ClientError"
    assert "ec2:DescribeVpcs" in payload["errorMessage"]


# --- Rejected by CloudFormation ---


def test_missing_code_is_rejected(stack: SampleStack) -> None:
    resources = {
        "FunctionRole": role("lambda"),
        "Function": function("", Code={"S3Bucket": "rehearsal-artifacts", "S3Key": "nothing.zip"}),
    }
    assert stack.create(resources) == "ROLLBACK_COMPLETE"
    assert "NoSuchKey" in stack.reason("Function")


@pytest.mark.parametrize("seconds", [0, 901])
def test_a_timeout_must_be_between_one_second_and_fifteen_minutes(
    stack: SampleStack, seconds: int
) -> None:
    resources = {"FunctionRole": role("lambda"), "Function": function("", Timeout=seconds)}
    assert stack.create(resources) == "ROLLBACK_COMPLETE"
    assert "Timeout" in "".join([*stack.invalid_properties(), *stack.reasons("Function")])


@pytest.mark.parametrize(
    ("properties", "problem"),
    [
        ({"Runtime": "python2.7"}, "The runtime parameter of python2.7 is no longer supported"),
        (
            {"Environment": {"Variables": {"AWS_REGION": "eu-west-1"}}},
            "Reserved keys used in this request: AWS_REGION",
        ),
        ({"Environment": {"Variables": {"TEXT": "x" * 4096}}}, "exceeded the 4KB limit"),
    ],
)
def test_a_function_that_lambda_would_refuse_is_rejected(
    stack: SampleStack, properties: Json, problem: str
) -> None:
    resources = {"FunctionRole": role("lambda"), "Function": function("", **properties)}
    assert stack.create(resources) == "ROLLBACK_COMPLETE"
    assert problem in stack.reason("Function")


def test_the_api_refuses_runtimes_that_lambda_no_longer_supports(
    aws: LocalAws, stack: SampleStack
) -> None:
    create(stack, "def handler(e, c): pass")
    name, client = stack.physical_id("Function"), aws.client("lambda")
    code, _ = error_from(
        client.update_function_configuration, FunctionName=name, Runtime="nodejs12.x"
    )
    assert code == "InvalidParameterValueException"


def test_a_function_with_an_existing_name_is_rejected(stack: SampleStack) -> None:
    code, name = "def handler(e, c): pass", unique_name("function")
    resources = {
        "FunctionRole": role("lambda"),
        "First": function(code, FunctionName=name),
        "Second": {**function(code, FunctionName=name), "DependsOn": "First"},
    }
    assert stack.create(resources) == "ROLLBACK_COMPLETE"
    assert "already exists" in stack.reason("Second")


# --- Logs ---


def test_a_function_logs_to_its_configured_group(stack: SampleStack) -> None:
    name = unique_name("/group")
    group = {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": name}}
    code = "import logging\ndef handler(e, c):\n    print('printed')\n    logging.warning('logged')"
    resources = {
        "Group": group,
        "FunctionRole": role("lambda", LOGS_TO),
        "Function": function(code, LoggingConfig={"LogGroup": {"Ref": "Group"}}),
    }
    assert stack.create(resources) == "CREATE_COMPLETE"
    stack.invoke("Function")
    lines = stack.logs(name)
    assert lines[0].startswith("START RequestId: ")
    assert lines[1] == "printed"
    assert lines[2].startswith("[WARNING]")
    assert lines[-2].startswith("END RequestId: ")


def test_a_function_can_log_json(stack: SampleStack) -> None:
    name = unique_name("/group")
    group = {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": name}}
    code = (
        "import logging\n"
        "def handler(e, c):\n"
        "    logging.getLogger('x').info('logged', extra={'step': 'One'})\n"
        "    logging.getLogger('x').debug('suppressed')\n"
    )
    resources = {
        "Group": group,
        "FunctionRole": role("lambda", LOGS_TO),
        "Function": function(
            code, LoggingConfig={"LogGroup": {"Ref": "Group"}, "LogFormat": "JSON"}
        ),
    }
    assert stack.create(resources) == "CREATE_COMPLETE"
    stack.invoke("Function")
    start, line, report = (json.loads(line) for line in stack.logs(name))
    assert (start["type"], report["type"]) == ("platform.start", "platform.report")
    assert (line["level"], line["message"], line["step"]) == ("INFO", "logged", "One")


@pytest.mark.parametrize("missing", ["logs:CreateLogStream", "logs:PutLogEvents"])
def test_logs_are_lost_without_permission_to_write_them(stack: SampleStack, missing: str) -> None:
    name = unique_name("/group")
    actions = [action for action in LOGS_TO["Action"] if action != missing]
    resources = {
        "Group": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": name}},
        "FunctionRole": role("lambda", {**LOGS_TO, "Action": actions}),
        "Function": function("def handler(e, c): pass", LoggingConfig={"LogGroup": name}),
    }
    stack.create(resources)
    assert stack.invoke("Function")["error"] is None
    assert stack.logs(name) == []


def test_the_log_group_is_created_only_with_permission(aws: LocalAws, stack: SampleStack) -> None:
    resources = {"FunctionRole": role("lambda"), "Function": function("def handler(e, c): pass")}
    stack.create(resources)
    stack.invoke("Function")
    assert f"/aws/lambda/{stack.physical_id('Function')}" not in aws.admin.inventory()["logs"]


# --- Asynchronous invocations ---


def asynchronous(stack: SampleStack) -> str:
    name = stack.physical_id("Function")
    stack.aws.client("lambda").invoke(FunctionName=name, InvocationType="Event", Payload=b"{}")
    return name


def test_a_failed_event_is_retried_after_one_and_two_minutes(
    aws: LocalAws, stack: SampleStack
) -> None:
    name = asynchronous(create(stack, FAILS))
    until(lambda: len(invoked(aws, name)) == 3, "it was not invoked three times")
    moments = invoked(aws, name)
    assert [later - earlier for earlier, later in itertools.pairwise(moments)] == [60, 120]
    aws.admin.advance(1000)
    assert len(invoked(aws, name)) == 3


@pytest.mark.parametrize(
    ("setting", "times"),
    [
        ({"MaximumRetryAttempts": 0}, 1),
        ({"MaximumRetryAttempts": 1}, 2),
        ({"MaximumEventAgeInSeconds": 60}, 2),
        ({"MaximumEventAgeInSeconds": 180}, 3),
    ],
)
def test_the_number_of_retries_is_configurable(
    aws: LocalAws, stack: SampleStack, setting: Json, times: int
) -> None:
    properties = {"FunctionName": {"Ref": "Function"}, "Qualifier": "$LATEST", **setting}
    others = {"Setting": {"Type": "AWS::Lambda::EventInvokeConfig", "Properties": properties}}
    name = asynchronous(create(stack, FAILS, others))
    aws.admin.advance(1000)
    assert len(invoked(aws, name)) == times


def test_a_successful_event_is_not_retried(aws: LocalAws, stack: SampleStack) -> None:
    name = asynchronous(create(stack, "def handler(e, c): pass"))
    aws.admin.advance(1000)
    assert len(invoked(aws, name)) == 1


# --- Destinations of failed events ---


def with_destination(code: str, may: str = "lambda:InvokeFunction", **setting: Any) -> Json:
    """A function, and another that prints the records of its failed events."""
    invoke = {"Sid": "Invoke", "Effect": "Allow", "Action": may, "Resource": "*"}
    arn = {"Fn::GetAtt": ["Other", "Arn"]}
    return {
        "FunctionRole": role("lambda", invoke),
        "OtherRole": role("lambda", everything=True),
        "Function": function(code),
        "Other": function("import json\ndef handler(e, c): print(json.dumps(e))", "OtherRole"),
        "Setting": {
            "Type": "AWS::Lambda::EventInvokeConfig",
            "Properties": {
                "FunctionName": {"Ref": "Function"},
                "Qualifier": "$LATEST",
                "DestinationConfig": {"OnFailure": {"Destination": arn}},
                "MaximumRetryAttempts": 0,
                **setting,
            },
        },
    }


def records(stack: SampleStack) -> list[Json]:
    """What the destination was invoked with."""
    lines = stack.logs(f"/aws/lambda/{stack.physical_id('Other')}")
    return [json.loads(line) for line in lines if line.startswith("{")]


def test_a_failed_event_goes_to_its_destination_at_once(aws: LocalAws, stack: SampleStack) -> None:
    stack.create(with_destination(FAILS))
    began = elapsed(aws)
    name = asynchronous(stack)
    until(lambda: records(stack), "the destination was not invoked")
    assert elapsed(aws) - began < 5
    (record,) = records(stack)
    arn = f"arn:aws:lambda:us-east-1:123456789012:function:{name}:$LATEST"
    context, response = record["requestContext"], record["responseContext"]
    assert (record["version"], record["requestPayload"]) == ("1.0", {})
    assert (context["functionArn"], context["condition"]) == (arn, "RetriesExhausted")
    assert context["approximateInvokeCount"] == 1
    assert response["functionError"] == "Unhandled"
    assert "errorMessage" in record["responsePayload"]


def test_the_record_of_a_killed_function_has_its_event(aws: LocalAws, stack: SampleStack) -> None:
    stack.create(with_destination("def handler(e, c): pass"))
    aws.admin.fault({"lambda": stack.physical_id("Function"), "die": "before"})
    asynchronous(stack)
    until(lambda: records(stack), "the destination was not invoked")
    (record,) = records(stack)
    assert record["responsePayload"]["errorType"] == "Runtime.ExitError"


def test_an_event_that_became_too_old_goes_there_without_a_response(
    aws: LocalAws, stack: SampleStack
) -> None:
    stack.create(with_destination(FAILS, MaximumRetryAttempts=2, MaximumEventAgeInSeconds=60))
    asynchronous(stack)
    aws.admin.advance(1000)
    until(lambda: records(stack), "the destination was not invoked")
    (record,) = records(stack)
    assert record["requestContext"]["condition"] == "EventAgeExceeded"
    assert "responsePayload" not in record


def test_a_successful_event_has_no_destination(aws: LocalAws, stack: SampleStack) -> None:
    stack.create(with_destination("def handler(e, c): pass"))
    name = asynchronous(stack)
    until(lambda: invoked(aws, name), "it was not invoked")
    aws.admin.advance(1000)
    assert records(stack) == []


def test_a_destination_that_the_role_may_not_invoke_is_refused(stack: SampleStack) -> None:
    assert stack.create(with_destination(FAILS, may="lambda:GetFunction")) == "ROLLBACK_COMPLETE"
    assert "does not have permissions to call InvokeFunction" in stack.reason("Setting")


# --- Time and faults ---


def test_virtual_time_does_not_pass_while_a_function_computes(
    aws: LocalAws, stack: SampleStack
) -> None:
    code = "def handler(e, c): return sum(range(3_000_000)) and None"
    create(stack, code, Timeout=1)
    began = elapsed(aws)
    assert stack.invoke("Function")["error"] is None
    assert elapsed(aws) == began


def test_a_function_sleeps_in_virtual_time(aws: LocalAws, stack: SampleStack) -> None:
    create(stack, "import time\ndef handler(e, c): time.sleep(500)", Timeout=900)
    began = elapsed(aws)
    stack.invoke("Function")
    assert elapsed(aws) - began == 500


@pytest.mark.parametrize(("moment", "printed"), [("before", False), ("after", True)])
def test_a_fault_can_end_a_worker_before_or_after_a_step(
    aws: LocalAws, stack: SampleStack, moment: str, printed: bool
) -> None:
    name = unique_name("worker")
    create(stack, "def handler(e, c): print('done')", FunctionName=name)
    aws.admin.fault({"lambda": name, "step": "CreateHsm", "die": moment})
    assert stack.invoke("Function", {"Step": "Other"})["error"] is None
    result = stack.invoke("Function", {"Step": "CreateHsm"})
    assert result["payload"]["errorType"] == "Runtime.ExitError"
    done = [line for line in stack.logs(f"/aws/lambda/{name}") if line == "done"]
    assert len(done) == (2 if printed else 1)
    assert stack.invoke("Function", {"Step": "CreateHsm"})["error"] is None


def test_a_fault_lets_a_worker_run_until_its_timeout(aws: LocalAws, stack: SampleStack) -> None:
    name = unique_name("worker")
    create(stack, "def handler(e, c): print('done')", FunctionName=name, Timeout=40)
    aws.admin.fault({"lambda": name, "die": "timeout"})
    began = elapsed(aws)
    assert stack.invoke("Function")["payload"]["errorType"] == "Sandbox.Timedout"
    assert elapsed(aws) - began == 40
    assert "done" in stack.logs(f"/aws/lambda/{name}")


PUTS = """
import boto3
def handler(event, context):
    boto3.client("ssm").put_parameter(Name=event["Name"], Value="x", Type="String")
    print("went on")
"""


def test_a_fault_kills_a_worker_right_after_a_call_of_its_step(
    aws: LocalAws, stack: SampleStack
) -> None:
    name = unique_name("worker")
    create(stack, PUTS, FunctionName=name, Timeout=60)
    of_step = {"operation": "PutParameter", "function": name, "step": "Put"}
    aws.admin.fault({**of_step, "kill": True})
    assert stack.invoke("Function", {"Step": "Other", "Name": f"{name}-1"})["error"] is None
    killed = stack.invoke("Function", {"Step": "Put", "Name": f"{name}-2"})
    assert killed["payload"]["errorType"] == "Runtime.ExitError"
    assert stack.logs(f"/aws/lambda/{name}").count("went on") == 1
    parameters = aws.admin.inventory()["ssm"]["parameters"]
    assert {f"{name}-1", f"{name}-2"} <= {*parameters}
    for number in (1, 2):
        aws.client("ssm").delete_parameter(Name=f"{name}-{number}")


def test_a_fault_of_a_function_fails_no_call_of_others(aws: LocalAws, stack: SampleStack) -> None:
    name = unique_name("worker")
    create(stack, PUTS, FunctionName=name, Timeout=60)
    ssm = aws.client("ssm")
    aws.admin.fault(operation="PutParameter", function=name, code="Broken")
    ssm.put_parameter(Name=name, Value="x", Type="String")
    ssm.delete_parameter(Name=name)
    assert "Broken" in stack.invoke("Function", {"Name": name})["payload"]["errorMessage"]


def test_calls_of_functions_are_recorded_with_their_step(aws: LocalAws, stack: SampleStack) -> None:
    name = unique_name("worker")
    create(stack, PUTS, FunctionName=name, Timeout=60)
    stack.invoke("Function", {"Step": "Put", "Name": name})
    call = {"function": name, "step": "Put", "service": "ssm", "operation": "PutParameter"}
    assert [each for each in aws.admin.calls()["calls"] if each.get("function") == name] == [call]
    aws.client("ssm").delete_parameter(Name=name)


def test_the_event_log_has_invocations_with_their_steps(aws: LocalAws, stack: SampleStack) -> None:
    name = unique_name("worker")
    create(stack, FAILS, FunctionName=name)
    stack.invoke("Function", {"Step": "CreateHsm"})
    events = [
        (event["event"], event["step"], event.get("error"))
        for event in aws.admin.event_log()
        if (event["service"], event["subject"]) == ("lambda", name)
    ]
    assert events == [("Invoked", "CreateHsm", None), ("Failed", "CreateHsm", "HsmDegraded")]
