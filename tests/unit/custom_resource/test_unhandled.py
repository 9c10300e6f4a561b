"""Requests whose function was killed: Lambda invokes the response function with their record."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from hsm_lifecycle import currency
from hsm_lifecycle.custom_resource import response_url
from hsm_lifecycle.custom_resource.execution import execution_name
from hsm_lifecycle.custom_resource.response import respond
from tests.support.custom_resource import (
    CLUSTER,
    HANDLE_REQUEST,
    Context,
    request,
)
from tests.support.executions import Executions, Functions, Stacks
from tests.support.response_endpoint import Endpoint

KILLED = {
    "errorType": "Runtime.ExitError",
    "errorMessage": "RequestId: 1 Error: Runtime exited with error: signal: killed",
}


def record(sent: Any, response: dict[str, str] | None) -> dict[str, Any]:
    """An invocation record; without a response, the event was too old."""
    condition = "RetriesExhausted" if response else "EventAgeExceeded"
    return {
        "version": "1.0",
        "timestamp": "2026-11-28T10:00:00.000Z",
        "requestContext": {"condition": condition, "approximateInvokeCount": 1},
        "requestPayload": sent,
        **({"responsePayload": response} if response else {}),
    }


@pytest.mark.parametrize(
    ("kind", "advice"),
    [
        ("Create", "Delete the stack and create it again."),
        ("Update", "Set pReconcile to a new value to retry."),
        ("Delete", "Delete the stack again."),
    ],
)
def test_a_request_whose_function_was_killed_fails(
    states: Executions, responses: Endpoint, kind: str, advice: str
) -> None:
    respond(record(request(kind, responses.url), KILLED), Context())
    assert states.started == []
    assert responses.response["Status"] == "FAILED"
    assert responses.response["Reason"] == (
        f"Runtime.ExitError: No workflow was started: {KILLED['errorMessage']}. {advice}"
    )
    if kind != "Create":
        assert responses.response["PhysicalResourceId"] == CLUSTER


def test_a_request_that_was_not_delivered_in_time_fails(responses: Endpoint) -> None:
    respond(record(request("Update", responses.url), None), Context())
    assert responses.response["Reason"].startswith(
        "RequestNotHandled: No workflow was started: EventAgeExceeded."
    )


@pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED", "FAILED"])
def test_handle_request_responds_if_it_was_started(
    states: Executions, responses: Endpoint, status: str
) -> None:
    sent = request("Update", responses.url)
    states.add(HANDLE_REQUEST, execution_name(sent), status=status)
    respond(record(sent, KILLED), Context())
    assert responses.responses == []


def test_an_execution_that_was_just_started_is_looked_for_again(
    responses: Endpoint, slept: list[float]
) -> None:
    respond(record(request("Update", responses.url), KILLED), Context())
    assert slept == [2, 2]


def test_a_rollback_whose_function_was_killed_succeeds_with_a_warning(
    stacks: Stacks, responses: Endpoint
) -> None:
    stacks.status = "UPDATE_ROLLBACK_IN_PROGRESS"
    respond(record(request("Update", responses.url), KILLED), Context())
    assert responses.response["Status"] == "SUCCESS"
    assert responses.response["Data"]["ClusterId"] == "unknown"
    assert "signal: killed" in responses.response["Data"]["Warnings"]


@pytest.mark.parametrize("sent", [None, {}, {"RequestType": "Delete"}])
def test_the_record_of_an_event_that_cloudformation_never_sent_is_refused(
    responses: Endpoint, sent: Any
) -> None:
    respond(record(sent, KILLED), Context())
    respond(
        record({**request("Create", responses.url), "ResponseURL": "file:///a"}, None), Context()
    )
    assert responses.responses == []


# ---- the second delivery

DATE = "&X-Amz-Date=20261128T100000Z"


@pytest.mark.parametrize("kind", ["Create", "Update", "Delete"])
@pytest.mark.parametrize("response", [KILLED, None], ids=["killed", "throttled"])
def test_the_request_function_gets_an_event_once_more(
    functions: Functions, responses: Endpoint, kind: str, response: dict[str, str] | None
) -> None:
    sent = request(kind, responses.url + DATE)
    respond(record(sent, response), Context())
    (event,) = functions.events
    assert "ResponseURL" not in event
    opened = response_url.opened(event)
    assert {key: value for key, value in opened.items() if key != currency.RETRY} == sent
    assert responses.responses == []


def test_an_event_is_delivered_again_once_only(functions: Functions, responses: Endpoint) -> None:
    responses.url += DATE
    again = response_url.sealed_event(request("Update", responses.url))
    respond(record(again, KILLED), Context())
    assert functions.events == []
    assert responses.response["Status"] == "FAILED"


def test_a_request_fails_if_its_event_cannot_be_delivered_again(
    functions: Functions, responses: Endpoint
) -> None:
    responses.url += DATE
    functions.refusal = ClientError({"Error": {"Code": "AccessDeniedException"}}, "Invoke")
    respond(record(request("Update", responses.url), KILLED), Context())
    assert responses.response["Reason"].startswith("Runtime.ExitError: No workflow was started")


def test_an_event_without_a_date_is_not_delivered_again(
    functions: Functions, responses: Endpoint
) -> None:
    # A stale one could not be told from a current one.
    respond(record(request("Update", responses.url), KILLED), Context())
    assert functions.events == []
    assert responses.response["Status"] == "FAILED"
