from __future__ import annotations

import json
import re

import pytest
from botocore.exceptions import ClientError

from hsm_lifecycle.custom_resource import response_url
from hsm_lifecycle.custom_resource.execution import execution_name
from hsm_lifecycle.custom_resource.request import take
from hsm_lifecycle.custom_resource.response import respond
from tests.support.custom_resource import (
    CLUSTER,
    CREATE,
    DELETE,
    HANDLE_REQUEST,
    PROPERTIES,
    REQUEST_ID,
    STACK_ID,
    UPDATE,
    Context,
    description,
    failed,
    request,
    succeeded,
)
from tests.support.executions import Executions, Stacks
from tests.support.response_endpoint import Endpoint

# ---- execution_name


def test_a_repeated_delivery_has_the_same_execution_name() -> None:
    sent = request("Create", "https://host/one")
    assert execution_name(sent) == execution_name(dict(sent))


def test_a_retried_deployment_has_another_execution_name() -> None:
    first, again = (request("Create", f"https://host/{url}") for url in ("one", "two"))
    assert execution_name(first) != execution_name(again)


@pytest.mark.parametrize("kind", ["Create", "Update", "Delete"])
def test_the_execution_name_is_valid_and_tells_the_request_type(kind: str) -> None:
    name = execution_name(request(kind, "https://host/one"))
    # https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
    assert re.fullmatch(r"[a-z0-9-]{1,80}", name)
    assert name.startswith(f"{kind.lower()}-{REQUEST_ID}-")


# ---- take


@pytest.mark.parametrize(
    ("kind", "lifecycle"), [("Create", CREATE), ("Update", UPDATE), ("Delete", DELETE)]
)
def test_take_starts_the_lifecycle_of_the_request_type(
    states: Executions, responses: Endpoint, kind: str, lifecycle: str
) -> None:
    sent = request(kind, responses.url)
    take(sent, Context())
    (started,) = states.started
    assert started["stateMachineArn"] == HANDLE_REQUEST
    given = json.loads(started["input"])
    assert given["LifecycleArn"] == lifecycle
    assert response_url.unseal(given["SealedResponseURL"], given["Request"]) == responses.url
    assert responses.url not in started["input"]
    assert "ResponseURL" not in given["Request"]
    assert {**given["Request"], "ResponseURL": responses.url} == {**sent, "CurrentSince": ""}
    assert responses.responses == []


@pytest.mark.parametrize(
    ("old", "new", "seconds"),
    [
        ({}, {"TemplateVersion": "1.1.0"}, 10),
        ({"TemplateVersion": "1.1.0"}, {}, 10),
        ({"TemplateVersion": "1.1.0"}, {"TemplateVersion": "1.2.0"}, 10),
        ({"TemplateVersion": "1.1.0"}, {"TemplateVersion": "1.1.0"}, 0),
    ],
)
def test_take_waits_until_updated_state_machines_take_effect(
    states: Executions,
    responses: Endpoint,
    slept: list[float],
    old: dict[str, str],
    new: dict[str, str],
    seconds: int,
) -> None:
    # For a few seconds, executions may start with the previous definition (F6.47).
    sent = request(
        "Update",
        responses.url,
        ResourceProperties={**PROPERTIES, **new},
        OldResourceProperties={**PROPERTIES, **old},
    )
    take(sent, Context())
    assert sum(slept) == seconds
    assert len(states.started) == 1


@pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED", "FAILED"])
def test_take_ignores_a_repeated_delivery(
    states: Executions, responses: Endpoint, status: str
) -> None:
    sent = request("Create", responses.url)
    states.add(HANDLE_REQUEST, execution_name(sent), status=status)
    running = states.add(CREATE, execution_name(sent))
    take(sent, Context())
    assert states.started == []
    assert states.stopped == []
    assert running.status == "RUNNING"
    assert responses.responses == []


def test_take_responds_with_its_own_failure(states: Executions, responses: Endpoint) -> None:
    states.refusal = RuntimeError("StartExecution: AccessDeniedException: not yet")
    take(request("Create", responses.url), Context())
    assert responses.response["Status"] == "FAILED"
    assert responses.response["Reason"] == (
        "RuntimeError: StartExecution: AccessDeniedException: not yet"
    )


def test_take_retains_the_physical_id_in_a_failure(states: Executions, responses: Endpoint) -> None:
    states.refusal = RuntimeError("no")
    take(request("Update", responses.url), Context())
    assert responses.response["PhysicalResourceId"] == CLUSTER


def test_take_retries_its_response(states: Executions, responses: Endpoint) -> None:
    states.refusal = RuntimeError("no")
    responses.statuses = [503, 503]
    take(request("Create", responses.url), Context())
    assert [sent["Status"] for sent in responses.responses] == ["FAILED"] * 3


@pytest.mark.parametrize("kind", ["Create", "Update", "Delete"])
def test_take_refuses_a_request_of_another_stack(
    states: Executions, stacks: Stacks, responses: Endpoint, kind: str
) -> None:
    stacks.status = "UPDATE_ROLLBACK_IN_PROGRESS" if kind == "Update" else stacks.status
    running = states.add(CREATE, "of-this-stack")
    other = STACK_ID[:-1] + "0"
    take(request(kind, responses.url, StackId=other), Context())
    assert (states.started, states.stopped, running.status) == ([], [], "RUNNING")
    assert responses.response["Status"] == "FAILED"
    assert responses.response["Reason"].startswith(
        f"NotOwnedError: The request is of another stack: {other}."
    )


# ---- rollbacks


def test_a_failed_rollback_succeeds_with_a_warning(
    states: Executions, stacks: Stacks, responses: Endpoint
) -> None:
    stacks.status = "UPDATE_ROLLBACK_IN_PROGRESS"
    take(request("Update", responses.url), Context())
    given = json.loads(states.started[0]["input"])
    cause = description(Error="TransientError", Cause=f"FindCluster: Throttling. [{CLUSTER}]")
    respond({**given, "Failure": failed("States.TaskFailed", cause)}, Context())
    assert responses.response["Status"] == "SUCCESS"
    assert responses.response["PhysicalResourceId"] == CLUSTER
    # Every attribute that an output needs is there.
    assert responses.response["Data"] == {
        "ClusterId": "unknown",
        "State": "unknown",
        "Warnings": "Rollback incomplete. Set pReconcile to a new value to retry. Cause:"
        " TransientError: FindCluster: Throttling. Set pReconcile to a new value to retry."
        f" [{CLUSTER}]",
    }


def test_a_successful_rollback_reports_its_attributes(
    states: Executions, stacks: Stacks, responses: Endpoint
) -> None:
    stacks.status = "UPDATE_ROLLBACK_IN_PROGRESS"
    take(request("Update", responses.url), Context())
    given = json.loads(states.started[0]["input"])
    respond({**given, "Outcome": succeeded(State="ACTIVE")}, Context())
    assert responses.response["Data"] == {"State": "ACTIVE"}


def test_a_rollback_that_cannot_start_succeeds_with_a_warning(
    states: Executions, stacks: Stacks, responses: Endpoint
) -> None:
    stacks.status = "UPDATE_ROLLBACK_IN_PROGRESS"
    states.refusal = RuntimeError("no")
    take(request("Update", responses.url), Context())
    assert responses.response["Status"] == "SUCCESS"
    assert responses.response["Data"]["Warnings"].endswith("RuntimeError: no")


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("Update", "UPDATE_IN_PROGRESS"),
        ("Create", "UPDATE_ROLLBACK_IN_PROGRESS"),
        ("Create", "ROLLBACK_IN_PROGRESS"),
        ("Delete", "UPDATE_ROLLBACK_IN_PROGRESS"),
    ],
)
def test_only_the_rollback_of_an_update_succeeds_when_it_fails(
    states: Executions,
    stacks: Stacks,
    responses: Endpoint,
    kind: str,
    status: str,
) -> None:
    stacks.status = status
    states.refusal = RuntimeError("no")
    take(request(kind, responses.url), Context())
    assert responses.response["Status"] == "FAILED"


def test_an_update_of_an_unknown_stack_status_can_fail(
    states: Executions, stacks: Stacks, responses: Endpoint
) -> None:
    stacks.refusal = ClientError({"Error": {"Code": "Throttling"}}, "DescribeStacks")
    take(request("Update", responses.url), Context())
    given = json.loads(states.started[0]["input"])
    respond({**given, "Failure": failed("Sad", f"No. [{CLUSTER}]")}, Context())
    assert responses.response["Status"] == "FAILED"
