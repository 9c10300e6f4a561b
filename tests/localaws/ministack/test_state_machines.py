from __future__ import annotations

import json
from typing import Any

import pytest

from localaws.client import LocalAws
from localaws.ministack.state_machines import LOG_ACTIONS, definition_errors
from tests.localaws.ministack.support import Json, Try, fresh, function, machine, refusal, role

SYNC = "arn:aws:states:::states:startExecution.sync:2"
MANAGED_RULE = {
    "Sid": "Rule",
    "Effect": "Allow",
    "Action": ["events:PutTargets", "events:PutRule", "events:DescribeRule"],
    "Resource": {
        "Fn::Sub": "arn:aws:events:${AWS::Region}:${AWS::AccountId}:"
        "rule/StepFunctionsGetEventsForStepFunctionsExecutionRule"
    },
}
LOGS = {"Sid": "Logs", "Effect": "Allow", "Action": list(LOG_ACTIONS), "Resource": "*"}
PASS = {"Pass": {"Type": "Pass", "End": True}}
GROUP = {"Type": "AWS::Logs::LogGroup", "DeletionPolicy": "Delete"}


def allow(*actions: str) -> Json:
    return {"Sid": "It", "Effect": "Allow", "Action": list(actions), "Resource": "*"}


def nested() -> Json:
    parameters = {"StateMachineArn": "${Child}"}
    return {"Type": "Task", "Resource": SYNC, "Parameters": parameters, "End": True}


def logging(**more: Any) -> Json:
    destination = {"CloudWatchLogsLogGroup": {"LogGroupArn": {"Fn::GetAtt": ["Group", "Arn"]}}}
    return {"Level": "ALL", "Destinations": [destination], **more}


# --- Definitions ---

TASK = {"Type": "Task", "Resource": "arn:aws:lambda:r:a:function:f", "End": True}
WRONG: dict[str, Json] = {
    "no such state": {"A": {"Type": "Pass", "Next": "B"}},
    "not reachable": {"A": {"Type": "Pass", "End": True}, "B": {"Type": "Succeed"}},
    "neither Next nor End": {"A": {"Type": "Pass"}},
    "both Next and End": {"A": {"Type": "Pass", "End": True, "Next": "A"}},
    "no resource": {"A": {"Type": "Task", "Resource": "", "End": True}},
    "States.ALL and more": {"A": {**TASK, "Retry": [{"ErrorEquals": ["States.ALL", "X"]}]}},
    "a placeholder": {"A": {**TASK, "Resource": "arn:${Nobody}"}},
    "a bad branch": {
        "A": {
            "Type": "Parallel",
            "Branches": [{"StartAt": "X", "States": {"X": {"Type": "Pass", "Next": "Y"}}}],
            "End": True,
        }
    },
    "no items": {
        "A": {"Type": "Map", "ItemProcessor": {"StartAt": "X", "States": {}}, "End": True}
    },
}


@pytest.mark.parametrize("states", WRONG.values(), ids=WRONG)
def test_a_definition_with_a_flaw_has_one(states: Json) -> None:
    assert list(definition_errors(json.dumps({"StartAt": "A", "States": states})))


def test_what_is_no_json_is_a_flaw() -> None:
    assert list(definition_errors("{"))


def test_a_definition_without_a_flaw_has_none() -> None:
    states = {
        "A": {**TASK, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "C"}]},
        "C": {"Type": "Choice", "Choices": [{"Next": "D"}], "Default": "E"},
        "D": {"Type": "Fail"},
        "E": {"Type": "Succeed"},
    }
    assert list(definition_errors(json.dumps({"StartAt": "A", "States": states}))) == []


def test_a_flawed_machine_is_refused_by_a_stack_and_by_the_api(aws: LocalAws, stack: Try) -> None:
    resources = {"MachineRole": role("states"), "Good": machine(PASS)}
    resources["Bad"] = machine({"A": {"Type": "Pass", "Next": "B"}})
    assert stack.create(resources) == "ROLLBACK_COMPLETE"
    assert "MISSING_TRANSITION_TARGET" in stack.reason("Bad")


def test_an_update_to_a_flawed_machine_is_refused(aws: LocalAws, stack: Try) -> None:
    stack.create({"MachineRole": role("states"), "Machine": machine(PASS)})
    code, _ = refusal(
        aws.client("stepfunctions").update_state_machine,
        stateMachineArn=stack.physical_id("Machine"),
        definition='{"StartAt": "A", "States": {}}',
    )
    assert code == "InvalidDefinition"
    bad = machine({"A": {"Type": "Pass", "Next": "B"}})
    changed = {"MachineRole": role("states"), "Machine": bad}
    assert stack.update(changed) == "UPDATE_ROLLBACK_COMPLETE"


def test_a_machine_is_changed_in_place(stack: Try) -> None:
    stack.create({"MachineRole": role("states"), "Machine": machine(PASS)})
    before = stack.physical_id("Machine")
    changed = {"Pass": {"Type": "Pass", "Result": 2, "End": True}}
    stack.update({"MachineRole": role("states"), "Machine": machine(changed)})
    assert stack.physical_id("Machine") == before
    assert stack.run("Machine")["output"] == "2"


def test_a_definition_may_come_from_a_bucket_with_placeholders(aws: LocalAws, stack: Try) -> None:
    definition = {
        "StartAt": "Pass",
        "States": {"Pass": {"Type": "Pass", "Result": "${Word}", "End": True}},
    }
    key = f"{fresh()}.json"
    aws.client("s3").put_object(
        Bucket="rehearsal-artifacts", Key=key, Body=json.dumps(definition).encode()
    )
    made = machine(PASS)
    properties = made["Properties"]
    del properties["DefinitionString"]
    properties["DefinitionS3Location"] = {"Bucket": "rehearsal-artifacts", "Key": key}
    properties["DefinitionSubstitutions"] = {"Word": "said"}
    assert stack.create({"MachineRole": role("states"), "Machine": made}) == "CREATE_COMPLETE"
    assert stack.run("Machine")["output"] == '"said"'
    aws.client("s3").delete_object(Bucket="rehearsal-artifacts", Key=key)


def test_a_name_that_is_taken_is_refused(stack: Try) -> None:
    name = fresh("machine")
    resources = {
        "MachineRole": role("states"),
        "First": machine(PASS, StateMachineName=name),
        "Second": {**machine(PASS, StateMachineName=name), "DependsOn": "First"},
    }
    assert stack.create(resources) == "ROLLBACK_COMPLETE"
    assert "already exists" in stack.reason("Second")


# --- What its role has to allow as it is made ---


def test_a_role_that_states_may_not_take_is_refused(stack: Try) -> None:
    resources = {"MachineRole": role("lambda"), "Machine": machine(PASS)}
    assert stack.create(resources) == "ROLLBACK_COMPLETE"
    assert "authorized to assume the provided role" in stack.reason("Machine")


@pytest.mark.parametrize("missing", MANAGED_RULE["Action"])
def test_waiting_for_executions_needs_the_managed_rule(stack: Try, missing: str) -> None:
    actions = [action for action in MANAGED_RULE["Action"] if action != missing]
    resources = {
        "MachineRole": role("states", {**MANAGED_RULE, "Action": actions}, allow("states:*")),
        "Child": machine(PASS),
        "Machine": machine({"Run": nested()}),
    }
    assert stack.create(resources) == "ROLLBACK_COMPLETE"
    assert "is not authorized to create managed-rule" in stack.reason("Machine")


@pytest.mark.parametrize("missing", LOG_ACTIONS)
def test_a_log_needs_every_right_of_log_delivery(stack: Try, missing: str) -> None:
    actions = [action for action in LOG_ACTIONS if action != missing]
    resources = {
        "Group": GROUP,
        "MachineRole": role("states", {**LOGS, "Action": actions}),
        "Machine": machine(PASS, LoggingConfiguration=logging()),
    }
    assert stack.create(resources) == "ROLLBACK_COMPLETE"
    assert "is not authorized to access the Log Destination" in stack.reason("Machine")


def test_a_log_destination_is_a_group_that_exists(stack: Try) -> None:
    destination = {
        "CloudWatchLogsLogGroup": {
            "LogGroupArn": "arn:aws:logs:us-east-1:123456789012:log-group:/nobody:*"
        }
    }
    resources = {
        "MachineRole": role("states", LOGS),
        "Machine": machine(PASS, LoggingConfiguration=logging(Destinations=[destination])),
    }
    assert stack.create(resources) == "ROLLBACK_COMPLETE"
    assert "Invalid Logging Configuration" in stack.reason("Machine")


# --- What it logs ---


def logged(stack: Try, **configuration: Any) -> list[Json]:
    """What is logged of an execution that fails with a cause that must not get out."""
    fail = {"Type": "Fail", "Error": "Bad", "Cause": "the secret"}
    name = fresh("/aws/vendedlogs/states/try")
    resources = {
        "Group": {**GROUP, "Properties": {"LogGroupName": name}},
        "MachineRole": role("states", LOGS),
        "Machine": machine(
            {"Pass": {"Type": "Pass", "Next": "Fail"}, "Fail": fail},
            LoggingConfiguration=logging(**configuration),
        ),
    }
    assert stack.create(resources) == "CREATE_COMPLETE"
    stack.run("Machine", {"password": "the secret"})
    return [json.loads(line) for line in stack.logs(name)]


def test_a_log_has_every_event_and_no_data_unless_told_to(stack: Try) -> None:
    events = logged(stack, Level="ALL")
    assert [event["type"] for event in events] == [
        "ExecutionStarted",
        "PassStateEntered",
        "PassStateExited",
        "FailStateEntered",
        "ExecutionFailed",
    ]
    assert "the secret" not in json.dumps(events)


def test_a_log_has_data_if_told_to(stack: Try) -> None:
    events = logged(stack, Level="ALL", IncludeExecutionData=True)
    assert "the secret" in json.dumps(events)


def test_a_log_of_errors_has_only_errors(stack: Try) -> None:
    assert [event["type"] for event in logged(stack, Level="ERROR")] == ["ExecutionFailed"]


def test_a_log_that_is_off_is_empty(stack: Try) -> None:
    assert logged(stack, Level="OFF") == []


# --- What its role has to allow as it runs ---


def test_a_task_may_only_invoke_what_its_role_may(stack: Try) -> None:
    task = {"Type": "Task", "Resource": "${Function.Arn}", "End": True}
    resources = {
        "FunctionRole": role("lambda"),
        "Function": function("def handler(e, c): return 1"),
        "MachineRole": role("states"),
        "Machine": machine({"Task": task}),
    }
    assert stack.create(resources) == "CREATE_COMPLETE"
    execution = stack.run("Machine")
    assert execution["error"] == "Lambda.AWSLambdaException"
    assert "is not authorized to perform: lambda:InvokeFunction" in execution["cause"]
    resources["MachineRole"] = role("states", allow("lambda:InvokeFunction"))
    assert stack.update(resources) == "UPDATE_COMPLETE"
    assert stack.run("Machine")["status"] == "SUCCEEDED"


@pytest.mark.parametrize(
    "missing", ["states:StartExecution", "states:DescribeExecution", "states:StopExecution"]
)
def test_waiting_for_an_execution_needs_the_rights_to_it(stack: Try, missing: str) -> None:
    actions = ["states:StartExecution", "states:DescribeExecution", "states:StopExecution"]
    resources = {
        "MachineRole": role(
            "states", MANAGED_RULE, allow(*[each for each in actions if each != missing])
        ),
        "Child": machine(PASS),
        "Machine": machine({"Run": nested()}),
    }
    assert stack.create(resources) == "CREATE_COMPLETE"
    execution = stack.run("Machine")
    assert execution["error"] == "StepFunctions.AccessDeniedException"
    assert missing in execution["cause"]


def test_what_a_role_is_asked_for_besides_is_on_record_as_such(aws: LocalAws, stack: Try) -> None:
    resources = {
        "MachineRole": role("states", MANAGED_RULE, allow("states:*")),
        "Child": machine(PASS),
        "Machine": machine({"Run": nested()}),
    }
    assert stack.create(resources) == "CREATE_COMPLETE"
    stack.run("Machine")
    name = stack.physical_id("MachineRole")
    assert {
        (each["action"], each["behind"])
        for each in aws.admin.decisions()
        if each["principal"] == name
    } == {
        *((action, "states:CreateStateMachine") for action in MANAGED_RULE["Action"]),
        ("states:StartExecution", None),
        ("states:DescribeExecution", "states:StartExecution"),
        ("states:StopExecution", "states:StartExecution"),
    }
