"""Where a ResponseURL may lead, who can read it, and events that CloudFormation never sent."""

from __future__ import annotations

import json
import logging
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography.exceptions import InvalidTag

from hsm_lifecycle.custom_resource import response_url
from hsm_lifecycle.custom_resource.request import take
from hsm_lifecycle.custom_resource.response import respond
from tests.support.custom_resource import Context, outcome, request, succeeded
from tests.support.executions import Executions, Secrets
from tests.support.response_endpoint import HOST, Endpoint

URL = f"https://{HOST}/responses/one?X-Amz-Signature=of-the-url"
ELSEWHERE = (
    "file:///etc/passwd",
    f"http://{HOST}/one",
    f"ftp://{HOST}/one",
    "https://127.0.0.1/one",
    "https://169.254.169.254/latest",
    "https://example.com/one",
    f"https://{HOST}.example.com/one",
    f"https://example.com/{HOST}",
    f"https://{HOST}@example.com/one",
    f"https://example.com#@{HOST}/one",
    f"https://{HOST}:8443/one",
    f"https://{HOST}:port/one",
    "https://[/one",
    "https://evil.s3.amazonaws.com/one",
    "https://cloudformation-custom-resource-response-evil.s3.amazonaws.com/one",
    "https://cloudformation-custom-resource-response-useast1.s3.amazonaws.com.cn/one",
    "https://cloudformation-custom-resource-response-useast1.s3.eu-west-1.amazonaws.com/one",
    "",
)


@pytest.mark.parametrize(
    ("region", "suffix", "host"),
    [
        ("us-east-1", "amazonaws.com", "useast1.s3.amazonaws.com"),
        ("us-east-1", "amazonaws.com", "useast1.s3.us-east-1.amazonaws.com"),
        ("eu-west-1", "amazonaws.com", "euwest1.s3-eu-west-1.amazonaws.com"),
        ("us-gov-west-1", "amazonaws.com", "usgovwest1.s3.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "amazonaws.com.cn", "cnnorth1.s3.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_a_response_may_go_to_the_bucket_of_the_region(
    monkeypatch: pytest.MonkeyPatch, region: str, suffix: str, host: str
) -> None:
    monkeypatch.setenv("AWS_REGION", region)
    monkeypatch.setenv("URL_SUFFIX", suffix)
    url = f"https://cloudformation-custom-resource-response-{host}/one?Signature=two"
    assert response_url.problem(request("Create", url)) is None


def test_nothing_is_started_for_or_sent_to_any_other_address(
    states: Executions, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def urlopen(*_: Any, **__: Any) -> None:
        pytest.fail("a response was sent", pytrace=False)

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    for url in ELSEWHERE:
        caplog.clear()
        take(request("Delete", url), Context())
        respond(outcome("Delete", url, Outcome=succeeded()), Context())
        assert states.started == [], url
        assert [record.getMessage() for record in caplog.records] == [
            f"refused, and {what}: Its ResponseURL is not an address of CloudFormation's bucket"
            " for responses."
            for what in ("nothing was started", "no response was sent")
        ], url


@pytest.mark.parametrize(
    "name", ["RequestId", "StackId", "ResponseURL", "RequestType", "LogicalResourceId"]
)
@pytest.mark.parametrize("value", [None, 1, ["Delete"]])
def test_an_incomplete_event_is_refused_in_the_log(
    states: Executions,
    responses: Endpoint,
    caplog: pytest.LogCaptureFixture,
    name: str,
    value: Any,
) -> None:
    # An earlier request, with whose data crhelper would respond.
    respond(outcome("Create", responses.url, Outcome=succeeded(State="ACTIVE")), Context())
    caplog.clear()
    event = {**request("Delete", responses.url), name: value}
    take(event, Context())
    take({key: each for key, each in event.items() if key != name}, Context())
    assert (states.started, len(responses.responses)) == ([], 1)
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.ERROR, f"refused, and nothing was started: The event lacks {name}.")
    ] * 2


@pytest.mark.parametrize("event", [None, "Delete", [], 1, {}, {"RequestType": "Drop"}])
def test_an_event_of_another_form_is_refused(
    states: Executions, responses: Endpoint, event: Any
) -> None:
    take(event, Context())
    take({**request("Create", responses.url), "RequestType": "Drop"}, Context())
    respond({"Request": event}, Context())
    respond({"Request": event, "SealedResponseURL": event}, Context())
    respond(event, Context())
    assert (states.started, responses.responses) == ([], [])


# ---- the key


def test_a_sealed_url_shows_nothing_of_the_url() -> None:
    sealed = response_url.seal(request("Create", URL))
    assert "Signature" not in json.dumps(sealed)
    assert sealed != response_url.seal(request("Create", URL))


def test_a_sealed_url_is_of_one_request_and_unchanged() -> None:
    sealed = response_url.seal(request("Create", URL))
    for sent in (request("Create", URL, RequestId="other"), request("Create", URL, StackId="b")):
        with pytest.raises(InvalidTag):
            response_url.unseal(sealed, sent)
    with pytest.raises(InvalidTag):
        response_url.unseal({**sealed, "Text": "AAAA" + sealed["Text"]}, request("Create", URL))


def test_a_key_that_is_rotated_during_a_request_stays_usable(secrets: Secrets) -> None:
    sealed = response_url.seal(request("Create", URL))
    secrets.versions["v2"] = "another"
    assert response_url.unseal(sealed, request("Create", URL)) == URL


def refusal(code: str) -> ClientError:
    result: Any = {
        "Error": {"Code": code, "Message": "No."},
        "ResponseMetadata": {"HTTPStatusCode": 400},
    }
    return ClientError(result, "GetSecretValue")


@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException"])
def test_a_new_key_and_a_new_permission_are_waited_for(
    secrets: Secrets, slept: list[float], code: str
) -> None:
    secrets.refusals = [refusal(code)] * 3
    assert response_url.seal(request("Create", URL))
    assert slept == [5, 5, 5]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (
            "AccessDeniedException",
            "TransientError: The key of the ResponseURL: GetSecretValue: AccessDeniedException: No."
            " Set pReconcile to a new value to retry.",
        ),
        (
            "InvalidRequestException",
            "RefusedError: The key of the ResponseURL: the secret hsm-rResponseSecret-1A2B is"
            " scheduled for deletion. Restore it with aws secretsmanager restore-secret."
            " Set pReconcile to a new value to retry.",
        ),
        (
            "ResourceNotFoundException",
            "SecretNotFoundError: The key of the ResponseURL: the secret hsm-rResponseSecret-1A2B"
            " is gone. Update the stack with another Name of rResponseSecret, or delete it: see"
            " docs/troubleshooting.md.",
        ),
    ],
)
def test_a_missing_key_fails_the_request_and_names_the_cause(
    states: Executions,
    secrets: Secrets,
    responses: Endpoint,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    reason: str,
) -> None:
    arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:hsm-rResponseSecret-1A2B-c9e55e"
    monkeypatch.setenv("RESPONSE_SECRET", arn)
    secrets.refusals = [refusal(code)] * 4
    take(request("Update", responses.url), Context())
    assert states.started == []
    assert responses.response["Reason"] == reason
