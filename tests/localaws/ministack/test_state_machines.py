from __future__ import annotations

import json
from typing import Any

import pytest

from localaws.client import LocalAws
from localaws.ministack.state_machine_definitions import definition_errors
from localaws.ministack.state_machines import LOG_ACTIONS
from tests.localaws.ministack.support import (
    Json,
    SampleStack,
    error_from,
    function,
    machine,
    role,
    unique_name,
)

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

CATCH: Json = {"ErrorEquals": ["States.ALL"], "Next": "A"}
RETRY: Json = {"ErrorEquals": ["States.ALL"]}
TASK: Json = {"Type": "Task", "Resource": "arn:aws:lambda:r:a:function:f", "End": True}
SAME = {"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}
BRANCH = {"StartAt": "X", "States": {"X": {"Type": "Pass", "Next": "Y"}}}
NO_ITEMS = {"Type": "Map", "ItemProcessor": {"StartAt": "X", "States": {}}, "End": True}
INVOKE = "arn:aws:states:::lambda:invoke"


def choice(rule: Json) -> Json:
    return {"Type": "Choice", "Choices": [rule]}


def calling(expression: str) -> Json:
    return {"A": {"Type": "Pass", "Parameters": {"a.$": expression}, "End": True}}


# Invalid states by the error that AWS reports.
INVALID: list[tuple[str, Json]] = [
    ("Missing 'Next' target: B", {"A": {"Type": "Pass", "Next": "B"}}),
    ('"B" is not reachable', {"A": {"Type": "Pass", "End": True}, "B": {"Type": "Succeed"}}),
    ("Exactly one of Next and End", {"A": {"Type": "Pass"}}),
    ("Exactly one of Next and End", {"A": {"Type": "Pass", "End": True, "Next": "A"}}),
    ("not a valid resource ARN", {"A": {"Type": "Task", "Resource": "", "End": True}}),
    ("not a valid resource ARN", {"A": {"Type": "Task", "Resource": "x", "End": True}}),
    ("must appear alone", {"A": {**TASK, "Retry": [{"ErrorEquals": ["States.ALL", "X"]}]}}),
    ("must appear alone", {"A": {**TASK, "Retry": [{"ErrorEquals": ["X", "States.ALL"]}]}}),
    ("not substituted", {"A": {**TASK, "Resource": "arn:${Missing}"}}),
    ("Missing 'Next' target: Y", {"A": {"Type": "Parallel", "Branches": [BRANCH], "End": True}}),
    ("no states", {"A": NO_ITEMS}),
    ("'Banana' is not one of ['Pass', 'Task',", {"A": {"Type": "Banana", "End": True}}),
    (
        'The field "Colour" is not supported by Step Functions at /States/A/Colour',
        {"A": {"Type": "Pass", "Colour": "red", "End": True}},
    ),
    ("is not a valid Reference Path", {"A": {"Type": "Pass", "ResultPath": "x", "End": True}}),
    ("is not a valid Reference Path", {"A": {"Type": "Pass", "ResultPath": "$.a[*]", "End": True}}),
    ("is not a valid Reference Path", {"A": {**TASK, "Catch": [{**CATCH, "ResultPath": "$.."}]}}),
    (
        "InputPath is not a valid JSONPath",
        {"A": {"Type": "Pass", "InputPath": "$.a.", "End": True}},
    ),
    ("must be a valid JSONPath or", {"A": {**TASK, "Parameters": {"In": [{"B.$": "C"}]}}}),
    ('The field "Delay" is not supported', {"A": {**TASK, "Retry": [{**RETRY, "Delay": 1}]}}),
    ("BackoffRate must be greater", {"A": {**TASK, "Retry": [{**RETRY, "BackoffRate": 0.5}]}}),
    ("IntervalSeconds must be", {"A": {**TASK, "Retry": [{**RETRY, "IntervalSeconds": 0}]}}),
    ("ErrorEquals must not be empty", {"A": {**TASK, "Retry": [{"ErrorEquals": []}]}}),
    ("'5' is not of type 'number'", {"A": {"Type": "Wait", "Seconds": "5", "End": True}}),
    ("Only one of", {"A": {"Type": "Choice", "Choices": [{"Variable": "$.x", "Next": "A"}]}}),
    ("Exactly one of Seconds, SecondsPath", {"A": {"Type": "Wait", "End": True}}),
    ("Choices must not be empty", {"A": {"Type": "Choice", "Choices": []}}),
    ("must be smaller", {"A": {**TASK, "TimeoutSeconds": 5, "HeartbeatSeconds": 5}}),
    ("Duplicate State name: A", {"A": {"Type": "Parallel", "Branches": [SAME], "End": True}}),
    (
        "must appear in the last element of Retry",
        {"A": {**TASK, "Retry": [RETRY, {"ErrorEquals": ["X"]}]}},
    ),
    (
        "must appear in the last element of Catch",
        {"A": {**TASK, "Catch": [CATCH, {**CATCH, "ErrorEquals": ["X"]}]}},
    ),
    ("TimeoutSeconds must be at most", {"A": {**TASK, "TimeoutSeconds": 100000000}}),
    ("MaxAttempts must be at most", {"A": {**TASK, "Retry": [{**RETRY, "MaxAttempts": 10**8}]}}),
    ("A rule needs a Variable", {"A": choice({"StringEquals": "a", "Next": "A"})}),
    (
        "Next is not permitted in a nested rule",
        {"A": choice({"Not": {"Variable": "$.x", "IsNull": True, "Next": "A"}, "Next": "A"})},
    ),
    ("RFC 3339", {"A": {"Type": "Wait", "Timestamp": "tomorrow", "End": True}}),
    ("States.Banana is not an intrinsic", calling("States.Banana($.x)")),
    ("is not a valid intrinsic function call", calling("States.Format('x'")),
    ("States.MathAdd takes 2 to 2 arguments", calling("States.MathAdd(1)")),
    ("States.UUID takes 0 to 0", calling("States.Format('{}', States.UUID(1))")),
    (
        "exclude each other",
        {"A": {"Type": "Pass", "Parameters": {"a.$": "$.x", "a": 1}, "End": True}},
    ),
    ("CausePath is not a valid JSONPath", {"A": {"Type": "Fail", "CausePath": "banana"}}),
    ('The field "FunctionName" is required', {"A": {**TASK, "Resource": INVOKE}}),
    (
        'The field "Banana" is not supported',
        {"A": {**TASK, "Resource": INVOKE, "Parameters": {"FunctionName": "f", "Banana": 1}}},
    ),
    (
        "is of another partition",
        {"A": {**TASK, "Resource": "arn:aws-us-gov:lambda:r:a:function:f"}},
    ),
    ("Error and ErrorPath exclude", {"A": {"Type": "Fail", "Error": "x", "ErrorPath": "$.x"}}),
]


def test_every_error_in_a_definition_is_found() -> None:
    missed = [
        (error, states)
        for error, states in INVALID
        if error not in "".join(definition_errors(json.dumps({"StartAt": "A", "States": states})))
    ]
    assert missed == []
    wrong_version = json.dumps({"Version": "2.0", "StartAt": "A", "States": {"A": TASK}})
    assert "Version must be 1.0" in "".join(definition_errors(wrong_version))
    assert "INVALID_JSON_DESCRIPTION" in "".join(definition_errors("{"))


def test_a_valid_definition_has_no_errors() -> None:
    states = {
        "A": {**TASK, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "C"}]},
        "C": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.x", "IsPresent": True, "Next": "D"}],
            "Default": "E",
        },
        "D": {"Type": "Fail"},
        "E": {"Type": "Succeed"},
    }
    assert list(definition_errors(json.dumps({"StartAt": "A", "States": states}))) == []


def test_every_kind_of_state_and_path_is_valid() -> None:
    parameters = {
        "a.$": "$.x[0].y",
        "b.$": "$$.Execution.Id",
        "c.$": "States.Format('{}', $.x)",
        "d.$": r"States.Format('it\'s {}, ({})', $.x['a, b'], States.ArrayGetItem($.y, -1))",
        "e.$": "States.UUID()",
    }
    branch = {"StartAt": "X", "States": {"X": {"Type": "Pass", "End": True}}}
    item = {"StartAt": "Y", "States": {"Y": {"Type": "Pass", "End": True}}}
    states = {
        "A": {"Type": "Pass", "Parameters": parameters, "ResultPath": "$.a['b c'][1]", "Next": "B"},
        "B": {"Type": "Wait", "SecondsPath": "$.seconds", "Next": "C"},
        "C": {"Type": "Parallel", "Branches": [branch], "ResultPath": None, "Next": "D"},
        "D": {"Type": "Map", "ItemsPath": "$.items", "ItemProcessor": item, "Next": "E"},
        "E": {
            **TASK,
            "Retry": [
                {
                    **RETRY,
                    "IntervalSeconds": 1,
                    "BackoffRate": 1.5,
                    "MaxAttempts": 3,
                    "MaxDelaySeconds": 60,
                    "JitterStrategy": "FULL",
                }
            ],
            "TimeoutSeconds": 10,
        },
    }
    assert list(definition_errors(json.dumps({"StartAt": "A", "States": states}))) == []


def test_the_api_rejects_an_invalid_definition(aws: LocalAws) -> None:
    code, message = error_from(
        aws.client("stepfunctions").create_state_machine,
        name="invalid",
        definition=json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass"}}}),
        roleArn="arn:aws:iam::123456789012:role/none",
    )
    assert code == "InvalidDefinition"
    assert "Exactly one of Next and End" in message


def test_a_stack_with_an_invalid_definition_is_rolled_back(
    aws: LocalAws, stack: SampleStack
) -> None:
    resources = {"MachineRole": role("states"), "Good": machine(PASS)}
    resources["Bad"] = machine({"A": {"Type": "Pass", "Next": "B"}})
    assert stack.create(resources) == "ROLLBACK_COMPLETE"
    assert "MISSING_TRANSITION_TARGET" in stack.reason("Bad")


def test_an_update_to_an_invalid_definition_is_rejected(aws: LocalAws, stack: SampleStack) -> None:
    stack.create({"MachineRole": role("states"), "Machine": machine(PASS)})
    code, _ = error_from(
        aws.client("stepfunctions").update_state_machine,
        stateMachineArn=stack.physical_id("Machine"),
        definition='{"StartAt": "A", "States": {}}',
    )
    assert code == "InvalidDefinition"
    bad = machine({"A": {"Type": "Pass", "Next": "B"}})
    changed = {"MachineRole": role("states"), "Machine": bad}
    assert stack.update(changed) == "UPDATE_ROLLBACK_COMPLETE"


def test_a_state_machine_is_updated_in_place(aws: LocalAws, stack: SampleStack) -> None:
    stack.create({"MachineRole": role("states"), "Machine": machine(PASS)})
    before = stack.physical_id("Machine")
    changed = {"Pass": {"Type": "Pass", "Result": 2, "End": True}}
    stack.update({"MachineRole": role("states"), "Machine": machine(changed)})
    assert stack.physical_id("Machine") == before
    aws.admin.advance(6)
    assert stack.run("Machine")["output"] == "2"


def test_executions_use_the_previous_definition_for_some_seconds_after_an_update(
    aws: LocalAws, stack: SampleStack
) -> None:
    stack.create({"MachineRole": role("states"), "Machine": machine(PASS)})
    aws.admin.pause()
    for result in (2, 3):
        changed = {"Pass": {"Type": "Pass", "Result": result, "End": True}}
        stack.update({"MachineRole": role("states"), "Machine": machine(changed)})
    assert stack.run("Machine")["output"] == "{}"
    aws.admin.advance(6)
    assert stack.run("Machine")["output"] == "3"


def test_a_definition_in_s3_can_have_substitutions(aws: LocalAws, stack: SampleStack) -> None:
    definition = {
        "StartAt": "Pass",
        "States": {"Pass": {"Type": "Pass", "Result": "${Word}", "End": True}},
    }
    key = f"{unique_name()}.json"
    aws.client("s3").put_object(
        Bucket="rehearsal-artifacts", Key=key, Body=json.dumps(definition).encode()
    )
    from_s3 = machine(PASS)
    properties = from_s3["Properties"]
    del properties["DefinitionString"]
    properties["DefinitionS3Location"] = {"Bucket": "rehearsal-artifacts", "Key": key}
    properties["DefinitionSubstitutions"] = {"Word": "substituted"}
    assert stack.create({"MachineRole": role("states"), "Machine": from_s3}) == "CREATE_COMPLETE"
    assert stack.run("Machine")["output"] == '"substituted"'
    aws.client("s3").delete_object(Bucket="rehearsal-artifacts", Key=key)


def test_a_state_machine_with_an_existing_name_is_rejected(stack: SampleStack) -> None:
    name = unique_name("machine")
    resources = {
        "MachineRole": role("states"),
        "First": machine(PASS, StateMachineName=name),
        "Second": {**machine(PASS, StateMachineName=name), "DependsOn": "First"},
    }
    assert stack.create(resources) == "ROLLBACK_COMPLETE"
    assert "already exists" in stack.reason("Second")


def test_a_fail_state_without_an_error_reports_none(stack: SampleStack) -> None:
    stack.create({"MachineRole": role("states"), "Machine": machine({"Fail": {"Type": "Fail"}})})
    execution = stack.run("Machine")
    assert execution["status"] == "FAILED"
    assert {"error", "cause", "output"} & set(execution) == set()
    history = stack.aws.client("stepfunctions").get_execution_history(
        executionArn=execution["executionArn"], reverseOrder=True
    )
    assert history["events"][0]["executionFailedEventDetails"] == {}


def test_a_fail_state_without_an_error_is_caught_by_states_all(stack: SampleStack) -> None:
    branch = {"StartAt": "Fail", "States": {"Fail": {"Type": "Fail", "Cause": "why"}}}
    catch = {"ErrorEquals": ["States.ALL"], "Next": "Caught"}
    states = {
        "Parallel": {"Type": "Parallel", "Branches": [branch], "Catch": [catch], "End": True},
        "Caught": {"Type": "Succeed"},
    }
    stack.create({"MachineRole": role("states"), "Machine": machine(states)})
    assert stack.run("Machine")["status"] == "SUCCEEDED"


# --- Permissions on creation ---


@pytest.mark.parametrize(
    ("region", "status"), [("us-east-1", "CREATE_COMPLETE"), ("us-west-2", "ROLLBACK_COMPLETE")]
)
def test_a_role_may_trust_step_functions_in_the_machine_s_region(
    stack: SampleStack, region: str, status: str
) -> None:
    resources = {"MachineRole": role(f"states.{region}"), "Machine": machine(PASS)}
    assert stack.create(resources) == status


def test_a_role_that_does_not_trust_step_functions_is_rejected(stack: SampleStack) -> None:
    resources = {"MachineRole": role("lambda"), "Machine": machine(PASS)}
    assert stack.create(resources) == "ROLLBACK_COMPLETE"
    assert "authorized to assume the provided role" in stack.reason("Machine")


def create_with_role_lacking(
    stack: SampleStack, statement: Json, request: Json
) -> dict[str, tuple[str, str]]:
    """Call CreateStateMachine once without each action of a statement; the errors by action."""
    actions = statement["Action"]
    resources = {
        f"Role{number}": role(
            "states", {**statement, "Action": [each for each in actions if each != missing]}
        )
        for number, missing in enumerate(actions)
    }
    assert stack.update({**resources, "Group": GROUP}) == "UPDATE_COMPLETE"
    return {
        missing: error_from(
            stack.aws.client("stepfunctions").create_state_machine,
            name=unique_name("machine"),
            roleArn=f"arn:aws:iam::123456789012:role/{stack.physical_id(f'Role{number}')}",
            **request,
        )
        for number, missing in enumerate(actions)
    }


def test_sync_executions_require_every_permission_for_the_managed_rule(stack: SampleStack) -> None:
    stack.create({"Group": GROUP})
    definition = json.dumps({"StartAt": "Run", "States": {"Run": nested()}})
    request = {"definition": definition.replace("${Child}", "arn:aws:states:r:a:stateMachine:c")}
    accepted = [
        (missing, error)
        for missing, error in create_with_role_lacking(stack, MANAGED_RULE, request).items()
        if "is not authorized to create managed-rule" not in error[1]
    ]
    assert accepted == []


def test_logging_requires_every_log_delivery_permission(stack: SampleStack) -> None:
    stack.create({"Group": GROUP})
    group = f"arn:aws:logs:us-east-1:123456789012:log-group:{stack.physical_id('Group')}:*"
    request = {
        "definition": json.dumps({"StartAt": "Pass", "States": PASS}),
        "loggingConfiguration": {
            "level": "ALL",
            "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": group}}],
        },
    }
    accepted = [
        (missing, error)
        for missing, error in create_with_role_lacking(stack, LOGS, request).items()
        if "is not authorized to access the Log Destination" not in error[1]
    ]
    assert accepted == []


def test_a_log_destination_must_exist(stack: SampleStack) -> None:
    destination = {
        "CloudWatchLogsLogGroup": {
            "LogGroupArn": "arn:aws:logs:us-east-1:123456789012:log-group:/missing:*"
        }
    }
    resources = {
        "MachineRole": role("states", LOGS),
        "Machine": machine(PASS, LoggingConfiguration=logging(Destinations=[destination])),
    }
    assert stack.create(resources) == "ROLLBACK_COMPLETE"
    assert "Invalid Logging Configuration" in stack.reason("Machine")


# --- Logs ---


def logged(stack: SampleStack, **configuration: Any) -> list[Json]:
    """The logged events of an execution that fails with sensitive data in its input and cause."""
    fail = {"Type": "Fail", "Error": "Bad", "Cause": "the secret"}
    name = unique_name("/aws/vendedlogs/states/try")
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


def test_level_all_logs_every_event_without_execution_data(stack: SampleStack) -> None:
    events = logged(stack, Level="ALL")
    assert [event["type"] for event in events] == [
        "ExecutionStarted",
        "PassStateEntered",
        "PassStateExited",
        "FailStateEntered",
        "ExecutionFailed",
    ]
    assert "the secret" not in json.dumps(events)


def test_include_execution_data_logs_the_data(stack: SampleStack) -> None:
    events = logged(stack, Level="ALL", IncludeExecutionData=True)
    assert "the secret" in json.dumps(events)


def test_level_error_logs_only_errors(stack: SampleStack) -> None:
    assert [event["type"] for event in logged(stack, Level="ERROR")] == ["ExecutionFailed"]


def test_level_off_logs_nothing(stack: SampleStack) -> None:
    assert logged(stack, Level="OFF") == []


# --- Permissions of tasks ---


def test_a_task_requires_permission_to_invoke_its_function(stack: SampleStack) -> None:
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


def test_a_sync_task_requires_permission_to_start_describe_and_stop_executions(
    stack: SampleStack,
) -> None:
    actions = ["states:StartExecution", "states:DescribeExecution", "states:StopExecution"]
    resources = {"MachineRole": role("states"), "Child": machine(PASS)}
    for number, missing in enumerate(actions):
        allowed = [action for action in actions if action != missing]
        resources[f"Role{number}"] = role("states", MANAGED_RULE, allow(*allowed))
        resources[f"Machine{number}"] = machine({"Run": nested()}, f"Role{number}")
    assert stack.create(resources) == "CREATE_COMPLETE"
    wrong = [
        (missing, execution)
        for number, missing in enumerate(actions)
        if (execution := stack.run(f"Machine{number}")).get("error")
        != "StepFunctions.AccessDeniedException"
        or missing not in execution["cause"]
    ]
    assert wrong == []


def test_dependent_permissions_are_recorded_with_the_action_they_depend_on(
    aws: LocalAws, stack: SampleStack
) -> None:
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
