"""A request that CloudFormation no longer waits for starts nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from hsm_lifecycle import currency, dispatch
from hsm_lifecycle.custom_resource import response_url
from hsm_lifecycle.custom_resource.request import take
from hsm_lifecycle.errors import SupersededError
from tests.support.custom_resource import EARLIER, UPDATE, Context, request
from tests.support.executions import Executions, Stacks
from tests.support.response_endpoint import Endpoint

SENT, SAME_SECOND = "2026-11-28T10:00:00.000Z", "2026-11-28T10:00:00.900Z"
A_SECOND_LATER, FIVE_SECONDS_LATER = "2026-11-28T10:00:01.000Z", "2026-11-28T10:00:05.000Z"
LATER = "2026-11-28T10:00:06.000Z"
BEFORE = "2026-11-28T09:59:58.700Z"
THROTTLED = ClientError({"Error": {"Code": "Throttling"}}, "DescribeStackResource")


@pytest.fixture(autouse=True)
def _dated(responses: Endpoint) -> None:
    responses.url += "&X-Amz-Date=20261128T100000Z"


def expect(states: Executions, responses: Endpoint, *, started: bool) -> None:
    assert len(states.started) == started
    if not started:
        assert responses.response["Status"] == "FAILED"
        assert "no longer waits for this" in responses.response["Reason"]


# ---- first deliveries


@pytest.mark.parametrize(
    ("kind", "status", "since", "started"),
    [
        ("Update", "UPDATE_IN_PROGRESS", BEFORE, True),
        ("Update", "UPDATE_IN_PROGRESS", FIVE_SECONDS_LATER, True),
        # CloudFormation may show a status late.
        ("Update", "UPDATE_COMPLETE", BEFORE, True),
        # The rollback of the update, while it runs and when it has ended.
        ("Update", "UPDATE_IN_PROGRESS", LATER, False),
        ("Update", "UPDATE_COMPLETE", LATER, False),
        ("Update", "DELETE_IN_PROGRESS", LATER, False),
        ("Create", "CREATE_IN_PROGRESS", BEFORE, True),
        # The status may be reported again when the physical ID is known.
        ("Create", "CREATE_IN_PROGRESS", LATER, True),
        ("Create", "CREATE_FAILED", LATER, False),
        ("Create", "DELETE_IN_PROGRESS", LATER, False),
        # Nothing follows a deletion but another one.
        ("Delete", "DELETE_IN_PROGRESS", BEFORE, True),
        ("Delete", "DELETE_IN_PROGRESS", LATER, True),
        ("Delete", "UPDATE_COMPLETE", LATER, True),
    ],
)
def test_a_request_starts_unless_cloudformation_has_gone_on(
    states: Executions,
    stacks: Stacks,
    responses: Endpoint,
    kind: str,
    status: str,
    since: str,
    started: bool,
) -> None:
    stacks.records = [(status, since)]
    take(request(kind, responses.url), Context())
    expect(states, responses, started=started)


@pytest.mark.parametrize("kind", ["Create", "Update", "Delete"])
def test_a_first_delivery_starts_although_the_record_cannot_be_read(
    states: Executions, stacks: Stacks, responses: Endpoint, kind: str
) -> None:
    stacks.refusal = THROTTLED
    take(request(kind, responses.url), Context())
    expect(states, responses, started=True)


def test_an_update_that_is_superseded_while_it_supersedes_starts_nothing(
    states: Executions, stacks: Stacks, responses: Endpoint
) -> None:
    # Cancelled at once: the rollback's request came within the tolerance.
    stacks.records = [("UPDATE_IN_PROGRESS", SENT), ("UPDATE_IN_PROGRESS", A_SECOND_LATER)]
    take(request("Update", responses.url), Context())
    expect(states, responses, started=False)


def test_handle_request_knows_since_when_its_request_is_current(
    states: Executions, stacks: Stacks, responses: Endpoint
) -> None:
    stacks.records = [("UPDATE_IN_PROGRESS", BEFORE)]
    take(request("Update", responses.url), Context())
    given = json.loads(states.started[0]["input"])["Request"]
    assert given["CurrentSince"] == BEFORE.replace("700Z", "700000+00:00")


# ---- retries


def retry(kind: str, url: str) -> dict[str, Any]:
    """The event as the response function delivers it."""
    return response_url.sealed_event(request(kind, url))


def test_a_retry_with_another_requests_url_is_refused(
    states: Executions, responses: Endpoint
) -> None:
    sealed = retry("Update", responses.url)
    for event in ({**sealed, "RequestId": "another"}, {**sealed, currency.RETRY: True}):
        take(event, Context())
    assert (states.started, responses.responses) == ([], [])


@pytest.mark.parametrize("kind", ["Create", "Update", "Delete"])
@pytest.mark.parametrize(
    ("status", "since", "started"),
    [
        ("{}_IN_PROGRESS", BEFORE, True),
        ("{}_IN_PROGRESS", SAME_SECOND, True),
        ("{}_IN_PROGRESS", A_SECOND_LATER, False),
        ("{}_COMPLETE", BEFORE, False),
        ("{}_FAILED", LATER, False),
    ],
)
def test_a_retry_starts_only_if_cloudformation_has_not_gone_on(
    states: Executions,
    stacks: Stacks,
    responses: Endpoint,
    kind: str,
    status: str,
    since: str,
    started: bool,
) -> None:
    stacks.records = [(status.format(kind.upper()), since)]
    take(retry(kind, responses.url), Context())
    expect(states, responses, started=started)
    assert all("ResponseURL" not in json.loads(each["input"])["Request"] for each in states.started)


@pytest.mark.parametrize("kind", ["Create", "Update", "Delete"])
def test_a_retry_starts_nothing_if_the_record_cannot_be_read(
    states: Executions, stacks: Stacks, responses: Endpoint, kind: str
) -> None:
    stacks.refusal = THROTTLED
    take(retry(kind, responses.url), Context())
    expect(states, responses, started=False)


def test_a_retry_starts_nothing_if_its_url_has_no_date(
    states: Executions, stacks: Stacks, responses: Endpoint
) -> None:
    stacks.records = [("UPDATE_IN_PROGRESS", BEFORE)]
    responses.url = responses.url.partition("&")[0]
    take(retry("Update", responses.url), Context())
    expect(states, responses, started=False)


# ---- two deliveries at once


def test_a_delivery_whose_execution_another_one_starts_meanwhile_sends_no_response(
    states: Executions, responses: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start_first(*_: object, **__: object) -> bool:
        states.add(sent["stateMachineArn"], sent["name"])
        return True

    take(request("Update", responses.url), Context())
    (sent,) = states.started
    states.running.clear()
    monkeypatch.setattr("hsm_lifecycle.custom_resource.request.supersede", start_first)
    take(request("Update", responses.url), Context())
    assert len(states.started) == 1
    assert responses.responses == []


# ---- executions that start late

PARENT = "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"


def describe_things(_event: dispatch.Event) -> dict[str, str]:
    return {"State": "done"}


def first_task(given: dict[str, Any]) -> dict[str, str]:
    """Run the first task of an execution with this input."""
    return dispatch.worker(describe_things)({"Step": "DescribeThings", "Input": given}, None)


@pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"])
def test_an_execution_does_nothing_unless_its_parent_is_running(
    states: Executions, status: str
) -> None:
    parent = states.add(UPDATE, EARLIER, status=status)
    if status == "RUNNING":
        assert first_task({PARENT: parent.arn}) == {"State": "done"}
    else:
        with pytest.raises(SupersededError, match=rf"started this one is {status}: .*{EARLIER}"):
            first_task({PARENT: parent.arn})


@pytest.mark.parametrize("given", [{}, {PARENT: "arn:of-nothing"}, {currency.SINCE: ""}])
def test_an_execution_that_an_operator_starts_runs(given: dict[str, str]) -> None:
    assert first_task(given) == {"State": "done"}


@pytest.mark.parametrize(
    ("kind", "status", "since", "runs"),
    [
        ("Update", "UPDATE_IN_PROGRESS", SENT, True),
        ("Update", "UPDATE_IN_PROGRESS", A_SECOND_LATER, False),
        ("Update", "UPDATE_COMPLETE", LATER, False),
        ("Create", "CREATE_IN_PROGRESS", LATER, True),
        ("Create", "DELETE_IN_PROGRESS", LATER, False),
        ("Delete", "DELETE_IN_PROGRESS", LATER, True),
    ],
)
def test_a_lifecycle_does_nothing_once_cloudformation_has_gone_on(
    stacks: Stacks, kind: str, status: str, since: str, runs: bool
) -> None:
    stacks.records = [(status, since)]
    given = {**request(kind, ""), currency.SINCE: SENT}
    if runs:
        assert first_task(given) == {"State": "done"}
    else:
        with pytest.raises(SupersededError, match="no longer waits for this"):
            first_task(given)


def test_a_loop_of_looks_checks_its_execution_once_a_minute(states: Executions) -> None:
    parent = states.add(UPDATE, EARLIER, status="ABORTED")

    def refused(seconds: int, polled: dict[str, str]) -> bool:
        event = {
            "Step": "DescribeThings",
            "Input": {PARENT: parent.arn},
            "EnteredTime": f"2026-11-28T10:01:{seconds:02}.000Z",
            "Polled": polled,
        }
        try:
            dispatch.worker(describe_things)(event, None)
        except SupersededError:
            return True
        return False

    first_look, never = {"CheckedAt": "2026-11-28T10:00:30.000Z"}, {"CheckedAt": ""}
    assert [refused(29, first_look), refused(30, first_look)] == [False, True]
    assert [refused(29, never), refused(29, {})] == [True, True]


# ---- detached executions

AN_HOUR_LATER, A_DAY_LATER = "2026-11-28T10:59:00.000Z", "2026-11-29T10:00:00.000Z"


@pytest.mark.parametrize(
    ("kind", "status", "since", "runs"),
    [
        # The request has not ended yet, or has.
        ("Update", "UPDATE_IN_PROGRESS", SENT, True),
        ("Update", "UPDATE_COMPLETE", AN_HOUR_LATER, True),
        ("Create", "CREATE_IN_PROGRESS", LATER, True),
        ("Create", "CREATE_COMPLETE", AN_HOUR_LATER, True),
        # It failed after all.
        ("Update", "UPDATE_FAILED", AN_HOUR_LATER, False),
        ("Create", "CREATE_FAILED", AN_HOUR_LATER, False),
        # A later request: an update, a rollback, a deletion.
        ("Update", "UPDATE_IN_PROGRESS", AN_HOUR_LATER, False),
        ("Update", "UPDATE_COMPLETE", A_DAY_LATER, False),
        ("Update", "DELETE_IN_PROGRESS", AN_HOUR_LATER, False),
        ("Create", "UPDATE_IN_PROGRESS", AN_HOUR_LATER, False),
        ("Create", "UPDATE_COMPLETE", AN_HOUR_LATER, False),
        ("Create", "DELETE_IN_PROGRESS", AN_HOUR_LATER, False),
    ],
)
def test_a_detached_execution_works_until_the_next_request(
    states: Executions, stacks: Stacks, kind: str, status: str, since: str, runs: bool
) -> None:
    stacks.records = [(status, since)]
    starter = states.add(UPDATE, EARLIER, status="SUCCEEDED")
    lifecycle = {**request(kind, ""), currency.SINCE: SENT}
    given = {PARENT: starter.arn, "Detached": True, "LifecycleInput": lifecycle}
    if runs:
        assert first_task(given) == {"State": "done"}
    else:
        with pytest.raises(SupersededError, match="The stack has had a later request"):
            first_task(given)


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "ABORTED"])
def test_a_detached_execution_does_nothing_if_its_starter_failed(
    states: Executions, stacks: Stacks, status: str
) -> None:
    stacks.records = [("UPDATE_IN_PROGRESS", SENT)]
    starter = states.add(UPDATE, EARLIER, status=status)
    lifecycle = {**request("Update", ""), currency.SINCE: SENT}
    with pytest.raises(SupersededError, match=f"started this one is {status}"):
        first_task({PARENT: starter.arn, "Detached": True, "LifecycleInput": lifecycle})
