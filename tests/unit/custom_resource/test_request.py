"""What CloudFormation asks and is answered, whatever is at work meanwhile and however it ends."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import crhelper.utils
import pytest
from botocore.exceptions import ClientError

from hsm_lifecycle import aws, errors
from hsm_lifecycle.custom_resource import failure_reason, response, supersede
from hsm_lifecycle.custom_resource import request as request_module
from tests.support import response_endpoint as endpoints
from tests.support.executions import Commands, Executions, Instances, Stacks
from tests.templates.template import TEMPLATES

STACK = (
    "arn:aws:cloudformation:us-east-1:123456789012:stack/hsm/5b4c7a10-7a35-11ef-8f77-0e0b0c0d0e0f"
)
REQUEST = "b7a1c9c2-6d0e-4f5a-9a55-0d7f1d2c3b4a"
MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:hsm-1-"
HANDLE, CREATE, UPDATE, DELETE, ALIGN, RUN = (
    MACHINE + stem
    for stem in (
        "handle-request",
        "create-cluster",
        "update-cluster",
        "delete-cluster",
        "align-hsms",
        "run-on-client",
    )
)
CLUSTER = "cluster-2example3id"
CLIENT = "i-0123456789abcdef0"
RUNNER = "hsm-1-run-on-client"
COMMENT = "hsm-lifecycle hsm-1-run-on-client:"
OLD = f"update-{REQUEST}-0123456789ab"


class Context:
    """What Lambda tells a function of its invocation."""

    aws_request_id = "8f507cfc-example"
    seconds = 50.0

    def get_remaining_time_in_millis(self) -> float:
        return self.seconds * 1000


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[endpoints.Endpoint]:
    with endpoints.serve(tmp_path) as (endpoint, certificate):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        yield endpoint


@pytest.fixture
def states() -> Executions:
    return Executions()


@pytest.fixture
def commands() -> Commands:
    return Commands()


@pytest.fixture
def instances() -> Instances:
    return Instances()


@pytest.fixture
def stacks() -> Stacks:
    return Stacks()


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def door(
    monkeypatch: pytest.MonkeyPatch,
    states: Executions,
    commands: Commands,
    instances: Instances,
    stacks: Stacks,
    slept: list[float],
) -> Any:
    """front_door, as it is loaded in a Lambda, with fakes behind aws.client."""
    variables = {
        "AWS_REGION": "us-east-1",
        "HANDLE_REQUEST": HANDLE,
        "CREATE": CREATE,
        "UPDATE": UPDATE,
        "DELETE": DELETE,
        "MACHINES": json.dumps([CREATE, UPDATE, DELETE, ALIGN, RUN]),
        "CLIENT_INSTANCE": CLIENT,
        "ATTRIBUTES": "ClusterId State Warnings",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    response.helper.cache_clear()
    services = {
        "stepfunctions": states,
        "ssm": commands,
        "ec2": instances,
        "cloudformation": stacks,
    }
    monkeypatch.setattr(aws, "client", lambda service, attempts=1: services[service])

    def sleep(seconds: float) -> None:
        if seconds:
            slept.append(seconds)
        states.time_passes()

    for module in (request_module, supersede):
        monkeypatch.setattr(module, "time", types.SimpleNamespace(sleep=sleep))
    return types.SimpleNamespace(
        start=request_module.take,
        answer=response.respond,
        execution_name=request_module.execution_name,
        innermost_cause=failure_reason.of,
        half_made=failure_reason.created_id,
        helper=response.helper(),
    )


def request(kind: str, url: str, **more: Any) -> dict[str, Any]:
    """A request as CloudFormation sends it."""
    asked = {
        "RequestType": kind,
        "RequestId": REQUEST,
        "StackId": STACK,
        "LogicalResourceId": "rCloudHsmCluster",
        "ResourceType": "Custom::CloudHsmCluster",
        "ResourceProperties": {"HsmsPerSubnet": "1"},
        "ResponseURL": url,
        **more,
    }
    return asked if kind == "Create" else {"PhysicalResourceId": CLUSTER, **asked}


def outcome(kind: str, url: str, **end: Any) -> dict[str, Any]:
    """What handle-request gives to the answer: its input and the end of the lifecycle."""
    asked = request(kind, url)
    bare = {key: value for key, value in asked.items() if key != "ResponseURL"}
    return {"LifecycleArn": CREATE, "Request": bare, "ResponseURL": url, **end}


def succeeded(**data: Any) -> dict[str, Any]:
    return {"Report": {"PhysicalResourceId": CLUSTER, "Data": data}}


def described(**more: Any) -> str:
    """A failed child as startExecution.sync:2 gives it to whoever catches."""
    return json.dumps(
        {
            "ExecutionArn": f"{CREATE.replace(':stateMachine:', ':execution:')}:{OLD}",
            "Input": {"StackId": STACK},
            "InputDetails": {"Included": True},
            "Name": OLD,
            "StartDate": 1790000000000,
            "StateMachineArn": CREATE,
            "Status": "FAILED",
            "StopDate": 1790000100000,
            **more,
        }
    )


def failed(error: str, cause: str) -> dict[str, str]:
    return {"Error": error, "Cause": cause}


# ---- the name of an execution


def test_a_repeated_delivery_has_the_same_name(door: Any) -> None:
    asked = request("Create", "https://host/one")
    assert door.execution_name(asked) == door.execution_name(dict(asked))


def test_a_retried_deployment_has_another_name_though_it_has_the_same_request_id(door: Any) -> None:
    first, again = (request("Create", f"https://host/{url}") for url in ("one", "two"))
    assert door.execution_name(first) != door.execution_name(again)


@pytest.mark.parametrize("kind", ["Create", "Update", "Delete"])
def test_a_name_says_what_was_asked_and_is_one_that_step_functions_takes(
    door: Any, kind: str
) -> None:
    name = door.execution_name(request(kind, "https://host/one"))
    # https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
    assert re.fullmatch(r"[a-z0-9-]{1,80}", name)
    assert name.startswith(f"{kind.lower()}-{REQUEST}-")


# ---- taking a request


@pytest.mark.parametrize(
    ("kind", "lifecycle"), [("Create", CREATE), ("Update", UPDATE), ("Delete", DELETE)]
)
def test_a_request_starts_the_lifecycle_it_asks_for(
    door: Any, states: Executions, answers: endpoints.Endpoint, kind: str, lifecycle: str
) -> None:
    asked = request(kind, answers.url)
    door.start(asked, Context())
    (started,) = states.started
    assert started["stateMachineArn"] == HANDLE
    given = json.loads(started["input"])
    assert given["LifecycleArn"] == lifecycle
    assert given["ResponseURL"] == answers.url
    assert "ResponseURL" not in json.dumps(given["Request"])
    assert {**given["Request"], "ResponseURL": answers.url} == asked
    assert answers.answers == []


@pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED", "FAILED"])
def test_a_request_that_was_taken_before_changes_nothing(
    door: Any, states: Executions, answers: endpoints.Endpoint, status: str
) -> None:
    asked = request("Create", answers.url)
    states.add(HANDLE, door.execution_name(asked), status=status)
    at_work = states.add(CREATE, door.execution_name(asked))
    door.start(asked, Context())
    assert states.started == []
    assert states.stopped == []
    assert at_work.status == "RUNNING"
    assert answers.answers == []


def test_a_failure_of_the_front_door_is_answered_at_once(
    door: Any, states: Executions, answers: endpoints.Endpoint
) -> None:
    states.refusal = RuntimeError("StartExecution: AccessDeniedException: not yet")
    door.start(request("Create", answers.url), Context())
    assert answers.answer["Status"] == "FAILED"
    assert answers.answer["Reason"] == (
        "RuntimeError: StartExecution: AccessDeniedException: not yet"
    )


def test_a_failure_of_the_front_door_keeps_the_physical_id(
    door: Any, states: Executions, answers: endpoints.Endpoint
) -> None:
    states.refusal = RuntimeError("no")
    door.start(request("Update", answers.url), Context())
    assert answers.answer["PhysicalResourceId"] == CLUSTER


def test_the_front_door_goes_on_answering_because_nobody_else_would(
    door: Any, states: Executions, answers: endpoints.Endpoint
) -> None:
    states.refusal = RuntimeError("no")
    answers.statuses = [503, 503]
    door.start(request("Create", answers.url), Context())
    assert [answer["Status"] for answer in answers.answers] == ["FAILED"] * 3


# ---- rollbacks


def test_what_fails_in_a_rollback_is_a_warning_because_a_rollback_must_pass(
    door: Any, states: Executions, stacks: Stacks, answers: endpoints.Endpoint
) -> None:
    stacks.status = "UPDATE_ROLLBACK_IN_PROGRESS"
    door.start(request("Update", answers.url), Context())
    given = json.loads(states.started[0]["input"])
    cause = described(Error="TransientError", Cause=f"FindCluster: Throttling. [{CLUSTER}]")
    door.answer({**given, "Failure": failed("States.TaskFailed", cause)}, Context())
    assert answers.answer["Status"] == "SUCCESS"
    assert answers.answer["PhysicalResourceId"] == CLUSTER
    # Each output of the stack finds its attribute.
    assert answers.answer["Data"] == {
        "ClusterId": "unknown",
        "State": "unknown",
        "Warnings": "Rollback incomplete. Set pReconcile to a new value to retry. Cause:"
        f" TransientError: FindCluster: Throttling. [{CLUSTER}]",
    }


def test_what_a_rollback_reports_is_not_touched(
    door: Any, states: Executions, stacks: Stacks, answers: endpoints.Endpoint
) -> None:
    stacks.status = "UPDATE_ROLLBACK_IN_PROGRESS"
    door.start(request("Update", answers.url), Context())
    given = json.loads(states.started[0]["input"])
    door.answer({**given, "Outcome": succeeded(State="ACTIVE")}, Context())
    assert answers.answer["Data"] == {"State": "ACTIVE"}


def test_a_rollback_that_the_front_door_cannot_begin_passes_too(
    door: Any, states: Executions, stacks: Stacks, answers: endpoints.Endpoint
) -> None:
    stacks.status = "UPDATE_ROLLBACK_IN_PROGRESS"
    states.refusal = RuntimeError("no")
    door.start(request("Update", answers.url), Context())
    assert answers.answer["Status"] == "SUCCESS"
    assert answers.answer["Data"]["Warnings"].endswith("RuntimeError: no")


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("Update", "UPDATE_IN_PROGRESS"),
        ("Create", "UPDATE_ROLLBACK_IN_PROGRESS"),
        ("Create", "ROLLBACK_IN_PROGRESS"),
        ("Delete", "UPDATE_ROLLBACK_IN_PROGRESS"),
    ],
)
def test_nothing_but_the_rollback_of_an_update_passes_when_it_fails(
    door: Any,
    states: Executions,
    stacks: Stacks,
    answers: endpoints.Endpoint,
    kind: str,
    status: str,
) -> None:
    stacks.status = status
    states.refusal = RuntimeError("no")
    door.start(request(kind, answers.url), Context())
    assert answers.answer["Status"] == "FAILED"


def test_an_update_of_which_nobody_can_tell_begins_and_is_not_taken_for_a_rollback(
    door: Any, states: Executions, stacks: Stacks, answers: endpoints.Endpoint
) -> None:
    stacks.refusal = ClientError({"Error": {"Code": "Throttling"}}, "DescribeStacks")
    door.start(request("Update", answers.url), Context())
    given = json.loads(states.started[0]["input"])
    door.answer({**given, "Failure": failed("Sad", f"No. [{CLUSTER}]")}, Context())
    assert answers.answer["Status"] == "FAILED"


# ---- making way


def test_nothing_is_waited_for_when_nothing_runs(
    door: Any, answers: endpoints.Endpoint, slept: list[float]
) -> None:
    door.start(request("Update", answers.url), Context())
    assert slept == []


def test_a_cancelled_update_is_stopped_with_all_it_runs_before_the_rollback_begins(
    door: Any, states: Executions, answers: endpoints.Endpoint
) -> None:
    old = [
        states.add(HANDLE, OLD),
        states.add(UPDATE, OLD),
        states.add(ALIGN, "a-child", looks_to_stop=2),
        states.add(RUN, "a-grandchild", looks_to_stop=4),
    ]
    door.start(request("Update", answers.url), Context())
    assert {execution.status for execution in old} == {"ABORTED"}
    assert {execution.arn for execution in old} == set(states.stopped)
    assert len(states.started) == 1


def test_after_stopping_it_waits_longer_than_a_worker_in_flight_can_run(
    door: Any, states: Executions, answers: endpoints.Endpoint, slept: list[float]
) -> None:
    states.add(UPDATE, OLD)
    door.start(request("Update", answers.url), Context())
    limits = [
        function["Timeout"]
        for template in TEMPLATES
        for logical_id, function in template.of_type("AWS::Lambda::Function").items()
        if logical_id != "rRequestFunction"
    ]
    assert slept[-1] > max(limits)


def test_the_whole_of_making_way_fits_into_the_front_door_s_own_limit(
    door: Any,
    states: Executions,
    instances: Instances,
    answers: endpoints.Endpoint,
    slept: list[float],
) -> None:
    states.add(UPDATE, OLD, looks_to_stop=29)
    instances.started_by, instances.states = {CLIENT: RUNNER}, {CLIENT: ["pending"]}
    door.start(request("Update", answers.url), Context())
    assert len(states.started) == 1
    for template in TEMPLATES:
        limit = template.resources["rRequestFunction"]["Properties"]["Timeout"]
        assert sum(slept) < limit - 30


def test_commands_of_the_stopped_work_are_cancelled_on_the_client(
    door: Any, states: Executions, commands: Commands, answers: endpoints.Endpoint
) -> None:
    def command(name: str, status: str, comment: str) -> dict[str, Any]:
        return {"CommandId": name, "Status": status, "Comment": comment, "InstanceIds": [CLIENT]}

    commands.listed = [
        command("ours", "InProgress", f"{COMMENT}a-child"),
        command("ours-pending", "Pending", f"{COMMENT}another"),
        command("ours-of-yesterday", "Success", f"{COMMENT}a-child"),
        command("somebody-elses", "InProgress", "patching"),
    ]
    states.add(UPDATE, OLD)
    door.start(request("Update", answers.url), Context())
    assert commands.cancelled == [("ours", [CLIENT]), ("ours-pending", [CLIENT])]


def test_they_are_cancelled_as_well_on_a_client_that_a_rollback_moves_back_from(
    door: Any, states: Executions, commands: Commands, answers: endpoints.Endpoint
) -> None:
    commands.listed = [
        {
            "CommandId": "ours",
            "Status": "InProgress",
            "Comment": f"{COMMENT}a-child",
            "InstanceIds": ["i-another"],
        }
    ]
    states.add(UPDATE, OLD)
    old = {"HsmsPerSubnet": "1", "ClientInstanceId": "i-another"}
    door.start(request("Update", answers.url, OldResourceProperties=old), Context())
    assert commands.cancelled == [("ours", ["i-another"])]


def test_commands_of_another_stack_on_the_same_client_are_left_alone(
    door: Any, states: Executions, commands: Commands, answers: endpoints.Endpoint
) -> None:
    # The key store's stack works on the client of the cluster's stack.
    commands.listed = [
        {
            "CommandId": "theirs",
            "Status": "InProgress",
            "Comment": COMMENT.replace("hsm-1-", "hsm-ks-1-") + "a-child",
            "InstanceIds": [CLIENT],
        }
    ]
    states.add(UPDATE, OLD)
    door.start(request("Update", answers.url), Context())
    assert commands.cancelled == []


def test_nothing_is_cancelled_on_the_client_when_nothing_ran(
    door: Any, commands: Commands, answers: endpoints.Endpoint
) -> None:
    commands.listed = [
        {
            "CommandId": "late",
            "Status": "InProgress",
            "Comment": f"{COMMENT}a-child",
            "InstanceIds": [CLIENT],
        }
    ]
    door.start(request("Update", answers.url), Context())
    assert commands.cancelled == []


def test_a_client_that_was_found_stopped_is_stopped_again_once_nothing_works_on_it(
    door: Any, states: Executions, instances: Instances, answers: endpoints.Endpoint
) -> None:
    instances.started_by = {CLIENT: RUNNER, "i-theirs": RUNNER.replace("hsm-1-", "hsm-ks-1-")}
    instances.states = {CLIENT: ["pending", "running"], "i-theirs": ["running"]}
    states.add(RUN, "a-grandchild")
    door.start(request("Update", answers.url), Context())
    assert instances.stopped == [CLIENT]
    assert [*instances.started_by] == ["i-theirs"]
    assert len(states.started) == 1


def test_it_is_stopped_as_well_when_what_started_it_is_long_over(
    door: Any, instances: Instances, answers: endpoints.Endpoint, slept: list[float]
) -> None:
    instances.started_by, instances.states = {CLIENT: RUNNER}, {CLIENT: ["running"]}
    door.start(request("Delete", answers.url), Context())
    assert instances.stopped == [CLIENT]
    assert slept == []


def test_a_client_that_nobody_can_stop_holds_up_no_request(
    door: Any, states: Executions, instances: Instances, answers: endpoints.Endpoint
) -> None:
    instances.refusal = ClientError({"Error": {"Code": "UnauthorizedOperation"}}, "Describe")
    door.start(request("Update", answers.url), Context())
    assert len(states.started) == 1


def test_a_request_that_is_only_being_answered_is_left_to_it(
    door: Any, states: Executions, answers: endpoints.Endpoint
) -> None:
    answering = states.add(HANDLE, OLD, looks_left=3)
    door.start(request("Update", answers.url), Context())
    assert answering.arn not in states.stopped
    assert len(states.started) == 1


def test_an_answer_that_never_ends_is_stopped_after_all(
    door: Any, states: Executions, answers: endpoints.Endpoint
) -> None:
    answering = states.add(HANDLE, OLD)
    door.start(request("Update", answers.url), Context())
    assert states.stopped == [answering.arn]
    assert len(states.started) == 1


def test_what_ends_by_itself_while_it_is_stopped_is_no_failure(
    door: Any, states: Executions, answers: endpoints.Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending = states.add(UPDATE, OLD)
    stop = states.stop_execution

    def end_first(**given: Any) -> None:
        ending.status = "SUCCEEDED"
        stop(**given)

    monkeypatch.setattr(states, "stop_execution", end_first)
    door.start(request("Update", answers.url), Context())
    assert len(states.started) == 1
    assert answers.answers == []


@pytest.mark.parametrize("kind", ["Create", "Update"])
@pytest.mark.parametrize("machine", [DELETE, HANDLE])
def test_a_running_delete_is_never_stopped_by_a_create_or_an_update(
    door: Any, states: Executions, answers: endpoints.Endpoint, kind: str, machine: str
) -> None:
    deleting = states.add(machine, f"delete-{REQUEST}-0123456789ab")
    child = states.add(ALIGN, "a-child")
    door.start(request(kind, answers.url), Context())
    assert deleting.status == child.status == "RUNNING"
    assert states.stopped == []
    assert states.started == []
    assert answers.answer["Status"] == "FAILED"
    assert answers.answer["Reason"].startswith(f"{errors.SupersededError.__name__}: This stack is")


def test_a_delete_takes_the_place_of_a_create(
    door: Any, states: Executions, answers: endpoints.Endpoint
) -> None:
    creating = states.add(CREATE, f"create-{REQUEST}-0123456789ab")
    door.start(request("Delete", answers.url), Context())
    assert states.stopped == [creating.arn]
    assert len(states.started) == 1


def test_a_delete_takes_the_place_of_a_delete_that_cloudformation_gave_up(
    door: Any, states: Executions, answers: endpoints.Endpoint
) -> None:
    deleting = states.add(DELETE, f"delete-{REQUEST}-0123456789ab")
    door.start(request("Delete", answers.url), Context())
    assert states.stopped == [deleting.arn]
    assert len(states.started) == 1


def test_work_that_does_not_stop_is_answered_and_nothing_begins_beside_it(
    door: Any, states: Executions, answers: endpoints.Endpoint
) -> None:
    stubborn = states.add(UPDATE, OLD, looks_to_stop=10_000)
    door.start(request("Update", answers.url), Context())
    assert states.started == []
    assert answers.answer["Status"] == "FAILED"
    assert stubborn.arn in answers.answer["Reason"]


# ---- answering


def test_a_success_is_answered_with_the_id_and_the_attributes(
    door: Any, answers: endpoints.Endpoint
) -> None:
    door.answer(outcome("Create", answers.url, Outcome=succeeded(State="ACTIVE")), Context())
    assert answers.answer == {
        "Status": "SUCCESS",
        "PhysicalResourceId": CLUSTER,
        "StackId": STACK,
        "RequestId": REQUEST,
        "LogicalResourceId": "rCloudHsmCluster",
        "Reason": "",
        "Data": {"State": "ACTIVE"},
        "NoEcho": False,
    }
    # The signature of the URL covers an empty content type (F6.15).
    assert answers.headers[0]["content-type"] == ""


@pytest.mark.parametrize("kind", ["Update", "Delete"])
def test_the_given_id_is_echoed_whatever_the_report_says(
    door: Any, answers: endpoints.Endpoint, kind: str
) -> None:
    report = {"Report": {"PhysicalResourceId": "cluster-2another3id", "Data": {}}}
    door.answer(outcome(kind, answers.url, Outcome=report), Context())
    assert answers.answer["Status"] == "SUCCESS"
    assert answers.answer["PhysicalResourceId"] == CLUSTER


def test_attributes_of_one_answer_are_not_in_the_next(
    door: Any, answers: endpoints.Endpoint
) -> None:
    door.answer(outcome("Create", answers.url, Outcome=succeeded(State="ACTIVE")), Context())
    door.answer(outcome("Update", answers.url, Outcome=succeeded(Warnings="none")), Context())
    assert answers.answers[1]["Data"] == {"Warnings": "none"}


def test_a_failed_creation_is_answered_with_the_id_of_what_it_made(
    door: Any, answers: endpoints.Endpoint
) -> None:
    cause = described(Error="HsmsUnhealthy", Cause=f"hsm-abc is DEGRADED. [{CLUSTER}]")
    door.answer(
        outcome("Create", answers.url, Failure=failed("States.TaskFailed", cause)), Context()
    )
    assert answers.answer["Status"] == "FAILED"
    assert answers.answer["PhysicalResourceId"] == CLUSTER
    assert answers.answer["Reason"] == f"HsmsUnhealthy: hsm-abc is DEGRADED. [{CLUSTER}]"


def test_a_creation_that_made_nothing_is_answered_with_some_id(
    door: Any, answers: endpoints.Endpoint
) -> None:
    cause = described(Error="ParameterError", Cause="pSubnets: the subnets are of two VPCs.")
    door.answer(
        outcome("Create", answers.url, Failure=failed("States.TaskFailed", cause)), Context()
    )
    assert answers.answer["PhysicalResourceId"]
    assert not answers.answer["PhysicalResourceId"].startswith("cluster-")


def test_a_failed_update_keeps_its_id(door: Any, answers: endpoints.Endpoint) -> None:
    cause = described(Error="Sad", Cause="Not this one. [cluster-2another3id]")
    door.answer(
        outcome("Update", answers.url, Failure=failed("States.TaskFailed", cause)), Context()
    )
    assert answers.answer["Status"] == "FAILED"
    assert answers.answer["PhysicalResourceId"] == CLUSTER


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("TIMED_OUT", "The workflow hsm-1-handle-request did not end within its time limit."),
        ("ABORTED", "The workflow hsm-1-handle-request was stopped by an operator."),
        ("FAILED", "The workflow hsm-1-handle-request failed: no cause given."),
    ],
)
def test_the_net_answers_when_handle_request_did_not(
    door: Any, answers: endpoints.Endpoint, status: str, reason: str
) -> None:
    asked = request("Create", answers.url)
    bare = {key: value for key, value in asked.items() if key != "ResponseURL"}
    given = {"LifecycleArn": CREATE, "Request": bare, "ResponseURL": answers.url}
    # https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
    event = {
        "source": "aws.states",
        "detail-type": "Step Functions Execution Status Change",
        "detail": {
            "executionArn": f"{HANDLE.replace(':stateMachine:', ':execution:')}:{OLD}",
            "stateMachineArn": HANDLE,
            "status": status,
            "input": json.dumps(given),
            "inputDetails": {"included": True},
            "output": None,
            "error": None,
            "cause": None,
        },
    }
    door.answer(event, Context())
    assert answers.answer["Status"] == "FAILED"
    assert answers.answer["Reason"] == reason


def test_an_answer_that_is_not_accepted_raises_so_that_the_machine_repeats_it(
    door: Any, answers: endpoints.Endpoint
) -> None:
    answers.statuses = [503]
    with pytest.raises(Exception, match="503"):
        door.answer(outcome("Create", answers.url, Outcome=succeeded()), Context())


def test_a_success_that_is_not_accepted_is_never_followed_by_a_failure(
    door: Any, answers: endpoints.Endpoint
) -> None:
    answers.statuses = [503, 200]
    try:
        door.answer(outcome("Create", answers.url, Outcome=succeeded()), Context())
    except Exception:  # however it says that it was not accepted
        door.answer(outcome("Create", answers.url, Outcome=succeeded()), Context())
    assert {answer["Status"] for answer in answers.answers} == {"SUCCESS"}


def test_a_connection_that_hangs_never_turns_a_success_into_a_failure(
    door: Any, answers: endpoints.Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Half a second before a function's time is over, crhelper itself answers FAILED.
    answers.hanging = 0.5
    monkeypatch.setattr(Context, "seconds", 0.6)
    door.answer(outcome("Create", answers.url, Outcome=succeeded()), Context())
    assert [answer["Status"] for answer in answers.answers if answer["Status"] == "FAILED"] == []


def test_an_answer_that_cannot_be_delivered_raises_within_the_limit_of_the_function(
    door: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if sum(waited) > 50:
            pytest.fail("it goes on trying until Lambda ends it", pytrace=False)

    monkeypatch.setattr(crhelper.utils, "time", types.SimpleNamespace(sleep=sleep))
    nowhere = "https://127.0.0.1:9/refused"
    with pytest.raises(Exception, match=r"(?i)refused"):
        door.answer(outcome("Create", nowhere, Outcome=succeeded()), Context())


def test_crhelper_neither_logs_the_request_nor_waits_for_its_logs(
    door: Any, answers: endpoints.Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"):
        door.answer(outcome("Delete", answers.url, Outcome=succeeded()), Context())
    assert door.helper._sleep_on_delete == 0
    assert "of-the-url" not in caplog.text


# ---- causes


BOOM = json.dumps(
    {"errorMessage": "Subnets a and b are in one zone.", "errorType": "ParameterError"}
)


def nested(levels: int, error: str, cause: str) -> dict[str, str]:
    """A failure that came up through so many executions."""
    for _ in range(levels):
        error, cause = "States.TaskFailed", described(Error=error, Cause=cause)
    return failed(error, cause)


@pytest.mark.parametrize("levels", [0, 1, 2, 3])
def test_the_cause_of_a_function_is_found_however_deep_it_lies(door: Any, levels: int) -> None:
    failure = nested(levels, "ParameterError", BOOM)
    assert door.innermost_cause(failure) == "ParameterError: Subnets a and b are in one zone."


@pytest.mark.parametrize("levels", [0, 1, 2, 3])
def test_the_cause_of_a_fail_state_is_found_however_deep_it_lies(door: Any, levels: int) -> None:
    failure = nested(levels, "HsmDegraded", f"hsm-abc is DEGRADED. [{CLUSTER}]")
    assert door.innermost_cause(failure) == f"HsmDegraded: hsm-abc is DEGRADED. [{CLUSTER}]"
    assert door.half_made(failure) == CLUSTER


@pytest.mark.parametrize(
    ("end", "sentence"),
    [
        (
            {"Status": "TIMED_OUT", "Error": "States.Timeout"},
            "The workflow hsm-1-create-cluster did not end within its time limit.",
        ),
        ({"Status": "ABORTED"}, "The workflow hsm-1-create-cluster was stopped by an operator."),
        (
            {"Error": "States.Runtime"},
            "The workflow hsm-1-create-cluster failed: States.Runtime.",
        ),
    ],
)
def test_an_execution_without_a_cause_gets_a_sentence(
    door: Any, end: dict[str, str], sentence: str
) -> None:
    assert door.innermost_cause(failed("States.TaskFailed", described(**end))) == sentence


def test_a_failure_that_says_nothing_is_told_by_its_name(door: Any) -> None:
    assert door.innermost_cause({"Error": "States.Timeout"}) == "States.Timeout"


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_a_cause_that_was_cut_off_still_says_what_a_function_said(door: Any, levels: int) -> None:
    failure = nested(levels, "ParameterError", BOOM)
    said = failure["Cause"].index("one zone.") + len("one zone.")
    for end in (said, said + 5, len(failure["Cause"]) - 1):
        cut = {**failure, "Cause": failure["Cause"][:end]}
        assert "Subnets a and b are in one zone." in door.innermost_cause(cut)


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_a_cause_that_was_cut_off_still_says_what_a_fail_state_said(door: Any, levels: int) -> None:
    failure = nested(levels, "HsmDegraded", f"hsm-abc is DEGRADED. [{CLUSTER}]")
    said = failure["Cause"].index("DEGRADED.") + len("DEGRADED.")
    reason = door.innermost_cause({**failure, "Cause": failure["Cause"][:said]})
    assert "hsm-abc is DEGRADED." in reason
    assert "ExecutionArn" not in reason


def test_a_long_cause_loses_its_middle_and_keeps_its_end(door: Any) -> None:
    words = "First it says what happened, and then " + "very " * 200 + f"much more. [{CLUSTER}]"
    reason = door.innermost_cause(failed("CommandFailed", words))
    assert len(reason) <= 240
    assert reason.startswith("CommandFailed: First it says what happened")
    assert reason.endswith(f"much more. [{CLUSTER}]")
    assert " ... " in reason


def test_crhelper_leaves_a_shortened_cause_as_it_is(door: Any, answers: endpoints.Endpoint) -> None:
    words = "very " * 200 + f"[{CLUSTER}]"
    failure = failed("CommandFailed", words)
    door.answer(outcome("Create", answers.url, Failure=failure), Context())
    assert answers.answer["Reason"] == door.innermost_cause(failure)


def test_a_cause_becomes_one_line(door: Any) -> None:
    failure = failed("CommandFailed", "It said:\n  no\n\tway")
    assert door.innermost_cause(failure) == "CommandFailed: It said: no way"


@pytest.mark.parametrize(
    "words",
    [
        "Nothing was made.",
        "[cluster-2example3id] stood at the beginning.",
        "an array [1]",
        "[Not-an-id]",
    ],
)
def test_only_an_id_in_brackets_at_the_end_is_what_was_made(door: Any, words: str) -> None:
    assert door.half_made(failed("Sad", words)) is None
