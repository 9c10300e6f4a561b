"""Malformed and forged events at both entry points: nothing is started, sent or left unanswered."""

from __future__ import annotations

import json
import logging
import urllib.error
from collections.abc import Iterator
from typing import Any

import pytest

from hsm_lifecycle.custom_resource import response_url
from hsm_lifecycle.custom_resource.request import take
from hsm_lifecycle.custom_resource.response import NOTHING_CREATED, respond
from tests.support import bad_input
from tests.support.bad_input import MISSING
from tests.support.custom_resource import (
    CLUSTER,
    CREATE,
    HANDLE_REQUEST,
    Context,
    description,
    outcome,
    request,
    succeeded,
)
from tests.support.executions import Executions, Stacks
from tests.support.resource_properties import resource_properties
from tests.support.response_endpoint import Endpoint

KILLED = {"errorType": "Runtime.ExitError", "errorMessage": "signal: killed"}
# A response of CloudFormation's size (F6.11).
MAX_RESPONSE = 4096


def changed(event: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    """The event with another value of a field, or without it."""
    rest = {key: each for key, each in event.items() if key != name}
    return rest if value is MISSING else {**rest, name: value}


def bad_events(url: str) -> Iterator[tuple[str, Any]]:
    """Events that CloudFormation never sends, and what is wrong with each."""
    for name, value in bad_input.EVENTS:
        yield f"{name} {value!r:.60}", changed(request("Update", url), name, value)
    for form in bad_input.OTHER_FORMS:
        yield f"{form!r}", form


def test_nothing_is_started_or_sent_for_what_cloudformation_never_sent(
    states: Executions, responses: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    running = states.add(CREATE, "of-this-stack")
    wrong = []
    for what, event in bad_events(responses.url):
        caplog.clear()
        take(event, Context())
        errors = [each for each in caplog.records if each.levelno == logging.ERROR]
        answers = len(responses.responses)
        responses.responses.clear()
        # What could be another stack's request is answered, the rest is only logged.
        answered = what.startswith(("StackId 'arn",))
        if (len(errors), answers) != ((0, 1) if answered else (1, 0)):
            wrong.append((what, [each.getMessage() for each in errors], answers))
    assert wrong == []
    assert (states.started, states.stopped, running.status) == ([], [], "RUNNING")


def test_the_record_of_such_an_event_is_refused_too(
    states: Executions, responses: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = []
    for what, event in bad_events(responses.url):
        caplog.clear()
        respond({"requestPayload": event, "responsePayload": KILLED}, Context())
        errors = [each for each in caplog.records if each.levelno == logging.ERROR]
        if len(errors) != 1:
            wrong.append(what)
    assert (wrong, states.started, responses.responses) == ([], [], [])


def test_the_outcome_of_such_an_event_is_refused_too(
    states: Executions, responses: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    sealed = response_url.seal(request("Update", responses.url))
    wrong = []
    for what, event in bad_events(responses.url):
        if what.startswith("ResponseURL"):
            if not isinstance(event.get("ResponseURL"), str) or "\ud83d" in event["ResponseURL"]:
                continue  # never sealed
            given = {"Request": event, "SealedResponseURL": response_url.seal(event)}
        else:
            given = {"Request": event, "SealedResponseURL": sealed}
        caplog.clear()
        respond({**given, "Outcome": succeeded(State="ACTIVE")}, Context())
        if len([each for each in caplog.records if each.levelno == logging.ERROR]) != 1:
            wrong.append(what)
    assert (wrong, states.started, responses.responses) == ([], [], [])


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_every_bad_property_is_refused_before_anything_is_started(
    states: Executions, responses: Endpoint, kind: str
) -> None:
    running = states.add(CREATE, "of-this-stack")
    wrong = []
    for index, (logical_id, name, what, properties) in enumerate(bad_input.properties()):
        if index % 7 != (kind == "Update"):  # test_property_rules.py has them all
            continue
        sent = request(
            kind, responses.url, LogicalResourceId=logical_id, ResourceProperties=properties
        )
        take(sent, Context())
        response = responses.response
        responses.responses.clear()
        label = "pClientPkg" if name.endswith("Package") else name
        physical_id = NOTHING_CREATED if kind == "Create" else CLUSTER
        if (
            response["Status"] != "FAILED"
            or not response["Reason"].startswith("ParameterError: ")
            or label not in response["Reason"]
            or response["PhysicalResourceId"] != physical_id
        ):
            wrong.append((logical_id, name, what, response))
    assert wrong == []
    assert (states.started, states.stopped, running.status) == ([], [], "RUNNING")


def test_a_deletion_needs_no_valid_properties(states: Executions, responses: Endpoint) -> None:
    take(request("Delete", responses.url, ResourceProperties={}), Context())
    assert len(states.started) == 1


def test_a_rollback_needs_no_valid_properties(
    states: Executions, stacks: Stacks, responses: Endpoint
) -> None:
    # A parameter's constraint may have become stricter in the version that is rolled back.
    stacks.status = "UPDATE_ROLLBACK_IN_PROGRESS"
    old = resource_properties("cloudhsm.yml", Reconcile="{}")
    take(request("Update", responses.url, ResourceProperties=old), Context())
    assert len(states.started) == 1


def test_a_workflow_without_outcome_fails_the_request(responses: Endpoint) -> None:
    ends: list[dict[str, Any]] = [
        {},
        {"Outcome": None},
        {"Outcome": []},
        {"Outcome": {}},
        {"Failure": None},
    ]
    for end in ends:
        respond(outcome("Update", responses.url, **end), Context())
    reasons = {response["Reason"] for response in responses.responses}
    assert reasons == {
        "The workflow ended without an outcome. Set pReconcile to a new value to retry."
    }
    assert len(responses.responses) == 5


@pytest.mark.parametrize(
    "failure", ["No.", ["No."], {"Cause": ["No."]}, {"Error": 1, "Cause": {"a": "No."}}, 1, True]
)
def test_a_failure_of_another_form_is_answered(responses: Endpoint, failure: Any) -> None:
    for end in ({"Failure": failure}, {"Failure": failure, "Fallback": "none"}):
        respond(outcome("Delete", responses.url, **end), Context())
    for response in responses.responses:
        assert response["Status"] == "FAILED"
        assert "No." in response["Reason"] or response["Reason"] in ("1", "true")
    assert len(responses.responses) == 2


@pytest.mark.parametrize("report", [None, [], "text", 1, {"Data": "text"}, {"Data": [1]}, {}])
def test_a_report_of_another_form_has_no_attributes(responses: Endpoint, report: Any) -> None:
    respond(outcome("Delete", responses.url, Outcome={"Report": report}), Context())
    assert (responses.response["Status"], responses.response["Data"]) == ("SUCCESS", {})


def test_an_outcome_cannot_change_whose_request_it_is(responses: Endpoint) -> None:
    given = outcome("Update", responses.url, Outcome=succeeded(State="ACTIVE"))
    more = {"StackId": "other", "PhysicalResourceId": "other", "RequestType": "Create"}
    respond({**given, **more, "ResponseURL": "file:///etc/passwd"}, Context())
    assert responses.response["PhysicalResourceId"] == CLUSTER
    assert responses.response["StackId"] == given["Request"]["StackId"]


@pytest.mark.parametrize("name", ["detail", "executionArn", "status", "input"])
@pytest.mark.parametrize("value", [MISSING, None, 1, "{", "[]", []])
def test_the_end_of_an_execution_in_another_form_is_refused(
    responses: Endpoint, caplog: pytest.LogCaptureFixture, name: str, value: Any
) -> None:
    detail: dict[str, Any] = {
        "executionArn": f"{HANDLE_REQUEST}:one",
        "status": "FAILED",
        "input": json.dumps(outcome("Create", responses.url)),
    }
    event = {"detail": changed(detail, name, value)}
    respond(changed(event, name, value) if name == "detail" else event, Context())
    if name in ("executionArn", "status") and value is not MISSING:
        # They only word the reason.
        assert responses.response["Status"] == "FAILED"
        assert responses.response["Reason"]
    else:
        assert responses.responses == []
        assert [each.levelno for each in caplog.records] == [logging.ERROR]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirected_response_is_not_sent_elsewhere(responses: Endpoint, status: int) -> None:
    responses.statuses, responses.location = [status], responses.url
    with pytest.raises(urllib.error.HTTPError, match=str(status)):
        respond(outcome("Create", responses.url, Outcome=succeeded()), Context())
    assert len(responses.responses) == 1


def test_the_longest_reason_fits_into_a_response(responses: Endpoint) -> None:
    cause = description(Error="Sad", Cause="🔑" * 9999 + f" [{CLUSTER}]")
    respond(outcome("Create", responses.url, Failure={"Error": "Sad", "Cause": cause}), Context())
    assert responses.response["PhysicalResourceId"] == CLUSTER
    assert len(json.dumps(responses.response)) <= MAX_RESPONSE
