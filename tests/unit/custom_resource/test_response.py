"""What CloudFormation is sent for the outcome of a lifecycle."""

from __future__ import annotations

import email.message
import io
import json
import socket
import types
import urllib.error
import urllib.request

import boto3
import crhelper.utils
import pytest

from hsm_lifecycle.custom_resource import failure_reason, response
from hsm_lifecycle.custom_resource.response import respond
from tests.support.custom_resource import (
    CLUSTER,
    EARLIER,
    HANDLE_REQUEST,
    REQUEST_ID,
    STACK_ID,
    Context,
    description,
    failed,
    outcome,
    succeeded,
)
from tests.support.response_endpoint import HOST, Endpoint, leading_to


def test_a_success_has_the_physical_id_and_the_attributes(responses: Endpoint) -> None:
    respond(outcome("Create", responses.url, Outcome=succeeded(State="ACTIVE")), Context())
    assert responses.response == {
        "Status": "SUCCESS",
        "PhysicalResourceId": CLUSTER,
        "StackId": STACK_ID,
        "RequestId": REQUEST_ID,
        "LogicalResourceId": "rCloudHsmCluster",
        "Reason": "",
        "Data": {"State": "ACTIVE"},
        "NoEcho": False,
    }
    # The signature of the URL covers an empty content type (F6.15).
    assert responses.headers[0]["content-type"] == ""


@pytest.mark.parametrize("kind", ["Update", "Delete"])
def test_the_given_physical_id_is_returned(responses: Endpoint, kind: str) -> None:
    report = {"Report": {"PhysicalResourceId": "cluster-2another3id", "Data": {}}}
    respond(outcome(kind, responses.url, Outcome=report), Context())
    assert responses.response["Status"] == "SUCCESS"
    assert responses.response["PhysicalResourceId"] == CLUSTER


def test_attributes_do_not_leak_into_the_next_response(responses: Endpoint) -> None:
    respond(outcome("Create", responses.url, Outcome=succeeded(State="ACTIVE")), Context())
    respond(outcome("Update", responses.url, Outcome=succeeded(Warnings="none")), Context())
    assert responses.responses[1]["Data"] == {"Warnings": "none"}


def test_a_success_has_the_template_s_version_as_an_attribute(responses: Endpoint) -> None:
    given = outcome("Update", responses.url, Outcome=succeeded(State="ACTIVE"))
    given["Request"]["ResourceProperties"]["TemplateVersion"] = "1.2.3"
    respond(given, Context())
    assert responses.response["Data"] == {"State": "ACTIVE", "TemplateVersion": "1.2.3"}


def test_a_failed_rollback_has_the_version_that_it_rolled_back_to(responses: Endpoint) -> None:
    given = outcome("Update", responses.url, Failure=failed("Sad", "Not this time."))
    given["Request"]["ResourceProperties"]["TemplateVersion"] = "1.2.3"
    respond({**given, "Fallback": {"TemplateVersion": "unknown"}}, Context())
    assert responses.response["Data"]["TemplateVersion"] == "1.2.3"


def test_a_failed_creation_has_the_id_of_what_it_left(responses: Endpoint) -> None:
    cause = description(Error="HsmsUnhealthy", Cause=f"hsm-abc is DEGRADED. [{CLUSTER}]")
    respond(outcome("Create", responses.url, Failure=failed("States.TaskFailed", cause)), Context())
    assert responses.response["Status"] == "FAILED"
    assert responses.response["PhysicalResourceId"] == CLUSTER
    assert responses.response["Reason"] == f"HsmsUnhealthy: hsm-abc is DEGRADED. [{CLUSTER}]"


def test_a_refused_creation_has_an_id_that_says_so(responses: Endpoint) -> None:
    cause = description(Error="ParameterError", Cause="pSubnets: the subnets are of two VPCs.")
    respond(outcome("Create", responses.url, Failure=failed("States.TaskFailed", cause)), Context())
    assert responses.response["PhysicalResourceId"] == response.NOTHING_CREATED


def test_a_failed_creation_that_may_have_left_something_has_another_id(
    responses: Endpoint,
) -> None:
    cause = description(Error="TransientError", Cause="CreateCluster: ConnectionClosedError")
    respond(outcome("Create", responses.url, Failure=failed("States.TaskFailed", cause)), Context())
    assert responses.response["PhysicalResourceId"] not in ("", response.NOTHING_CREATED)
    assert not responses.response["PhysicalResourceId"].startswith("cluster-")


def test_a_failed_update_has_the_given_physical_id(responses: Endpoint) -> None:
    cause = description(Error="Sad", Cause="Not this one. [cluster-2another3id]")
    respond(outcome("Update", responses.url, Failure=failed("States.TaskFailed", cause)), Context())
    assert responses.response["Status"] == "FAILED"
    assert responses.response["PhysicalResourceId"] == CLUSTER


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("TIMED_OUT", "did not end within its time limit."),
        ("ABORTED", "was stopped by an operator."),
        ("FAILED", "failed: no cause given."),
    ],
)
def test_the_eventbridge_rule_responds_for_handle_request(
    responses: Endpoint, status: str, reason: str
) -> None:
    given = outcome("Create", responses.url)
    # https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
    event = {
        "source": "aws.states",
        "detail-type": "Step Functions Execution Status Change",
        "detail": {
            "executionArn": f"{HANDLE_REQUEST.replace(':stateMachine:', ':execution:')}:{EARLIER}",
            "stateMachineArn": HANDLE_REQUEST,
            "status": status,
            "input": json.dumps(given),
            "inputDetails": {"included": True},
            "output": None,
            "error": None,
            "cause": None,
        },
    }
    respond(event, Context())
    assert responses.response["Status"] == "FAILED"
    assert responses.response["Reason"] == (
        f"The workflow hsm-1-handle-request {reason} Delete the stack and create it again."
    )


def test_a_rejected_response_raises(responses: Endpoint) -> None:
    responses.statuses = [503]
    with pytest.raises(Exception, match="503"):
        respond(outcome("Create", responses.url, Outcome=succeeded()), Context())


def test_a_rejected_response_does_not_keep_its_connection(
    responses: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = io.BytesIO(b"<Error/>")

    def urlopen(put: urllib.request.Request, timeout: float) -> None:
        raise urllib.error.HTTPError(put.full_url, 403, "Forbidden", email.message.Message(), body)

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    with pytest.raises(urllib.error.HTTPError):
        respond(outcome("Create", responses.url, Outcome=succeeded()), Context())
    assert body.closed


def test_a_rejected_success_is_never_followed_by_a_failure(responses: Endpoint) -> None:
    responses.statuses = [503, 200]
    try:
        respond(outcome("Create", responses.url, Outcome=succeeded()), Context())
    except Exception:  # any error tells the state machine to retry
        respond(outcome("Create", responses.url, Outcome=succeeded()), Context())
    assert {sent["Status"] for sent in responses.responses} == {"SUCCESS"}


def test_a_hanging_connection_never_turns_a_success_into_a_failure(
    responses: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Half a second before a function's time is over, crhelper itself sends FAILED.
    responses.hanging = 0.5
    monkeypatch.setattr(Context, "seconds", 0.6)
    respond(outcome("Create", responses.url, Outcome=succeeded()), Context())
    assert [sent["Status"] for sent in responses.responses if sent["Status"] == "FAILED"] == []


def test_an_undeliverable_response_raises_within_the_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if sum(waited) > 50:
            pytest.fail("it goes on trying until Lambda ends it", pytrace=False)

    monkeypatch.setattr(crhelper.utils, "time", types.SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(socket, "getaddrinfo", leading_to(9))
    with pytest.raises(Exception, match=r"(?i)refused"):
        respond(outcome("Create", f"https://{HOST}/nowhere", Outcome=succeeded()), Context())


def test_crhelper_logs_no_request_and_does_not_wait(
    responses: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"):
        respond(outcome("Delete", responses.url, Outcome=succeeded()), Context())
    assert vars(response.helper())["_sleep_on_delete"] == 0
    assert "of-the-url" not in caplog.text


def test_crhelper_makes_no_clients(responses: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    monkeypatch.setattr(boto3, "client", lambda *given, **_: made.append(given))
    respond(outcome("Create", responses.url, Outcome=succeeded()), Context())
    assert responses.response["Status"] == "SUCCESS"
    assert made == []


def test_crhelper_does_not_shorten_the_reason_further(responses: Endpoint) -> None:
    message = "very " * 200 + f"[{CLUSTER}]"
    failure = failed("CommandFailed", message)
    respond(outcome("Create", responses.url, Failure=failure), Context())
    assert responses.response["Reason"] == failure_reason.of(failure)
