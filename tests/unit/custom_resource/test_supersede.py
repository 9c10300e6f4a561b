"""Nothing of an earlier request is running when a new one starts."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from botocore.exceptions import ClientError

from hsm_lifecycle import errors
from hsm_lifecycle.custom_resource import response_url
from hsm_lifecycle.custom_resource.execution import execution_name
from hsm_lifecycle.custom_resource.request import take
from hsm_lifecycle.custom_resource.supersede import supersede
from tests.support.custom_resource import (
    ALIGN,
    CLIENT,
    COMMENT,
    CREATE,
    DELETE,
    EARLIER,
    HANDLE_REQUEST,
    PROPERTIES,
    REQUEST_ID,
    RUN,
    RUN_ON_CLIENT,
    UPDATE,
    Context,
    request,
)
from tests.support.executions import Commands, Executions, Instances, Secrets, Stacks
from tests.support.response_endpoint import Endpoint
from tests.templates.template import TEMPLATES

REFUSED = {"ResponseMetadata": {"HTTPStatusCode": 400}}


@pytest.mark.parametrize(
    ("kind", "status", "pauses"),
    [
        # Earlier requests have ended, or CloudFormation would not have sent these.
        ("Create", "CREATE_IN_PROGRESS", []),
        ("Create", "UPDATE_IN_PROGRESS", []),
        ("Update", "UPDATE_IN_PROGRESS", []),
        # The update that is rolled back may have begun only just now.
        ("Update", "UPDATE_ROLLBACK_IN_PROGRESS", [10]),
        ("Update", "", [10]),
        ("Delete", "DELETE_IN_PROGRESS", [10]),
        ("Delete", "ROLLBACK_IN_PROGRESS", [10]),
    ],
)
def test_executions_are_listed_twice_if_an_earlier_request_may_have_just_begun(
    stacks: Stacks,
    responses: Endpoint,
    slept: list[float],
    kind: str,
    status: str,
    pauses: list[float],
) -> None:
    stacks.status = status
    if not status:
        stacks.refusal = ClientError({"Error": {"Code": "Throttling"}}, "DescribeStacks")
    take(request(kind, responses.url), Context())
    assert slept == pauses


DELETION = ("DELETE_IN_PROGRESS", "2026-01-31T12:00:00+00:00")


@pytest.mark.parametrize(
    ("before", "minutes", "pauses"),
    [
        ("CREATE_COMPLETE", 10, []),
        ("UPDATE_COMPLETE", 10, []),
        ("UPDATE_ROLLBACK_COMPLETE", 10, []),
        # What it started last may not be listed yet.
        ("CREATE_COMPLETE", 9, [10]),
        # The request of what was going on may be running.
        ("CREATE_IN_PROGRESS", 10, [10]),
        ("UPDATE_IN_PROGRESS", 10, [10]),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", 10, [10]),
        ("UPDATE_ROLLBACK_IN_PROGRESS", 10, [10]),
        ("CREATE_FAILED", 10, [10]),
        ("DELETE_FAILED", 10, [10]),
        ("DELETE_IN_PROGRESS", 10, [10]),
    ],
)
def test_executions_are_listed_once_before_the_deletion_of_a_complete_stack(
    stacks: Stacks,
    states: Executions,
    responses: Endpoint,
    slept: list[float],
    before: str,
    minutes: int,
    pauses: list[float],
) -> None:
    stacks.events = [
        DELETION,
        (before, f"2026-01-31T11:{60 - minutes}:00+00:00"),
        ("UPDATE_COMPLETE", "2026-01-31T11:00:00+00:00"),
    ]
    take(request("Delete", responses.url), Context())
    assert (len(states.started), slept) == (1, pauses)


@pytest.mark.parametrize("events", [[], [DELETION], [("UPDATE_COMPLETE", DELETION[1])] * 2])
def test_executions_are_listed_twice_if_the_stacks_events_do_not_tell(
    stacks: Stacks, responses: Endpoint, slept: list[float], events: list[tuple[str, str]]
) -> None:
    stacks.events = events
    take(request("Delete", responses.url), Context())
    assert slept == [10]


def test_executions_are_listed_twice_after_the_function_was_killed(
    stacks: Stacks, states: Executions, responses: Endpoint, slept: list[float]
) -> None:
    responses.url += "&X-Amz-Date=20260131T120000Z"
    stacks.records = [("UPDATE_IN_PROGRESS", "2026-01-31T11:59:00+00:00")]
    take(response_url.sealed_event(request("Update", responses.url)), Context())
    assert (len(states.started), slept) == (1, [10])


@pytest.mark.parametrize("known", [False, True])
def test_an_execution_that_is_listed_late_is_stopped(
    states: Executions, stacks: Stacks, responses: Endpoint, slept: list[float], known: bool
) -> None:
    # ListExecutions is eventually consistent (F6.37).
    stacks.status = "UPDATE_ROLLBACK_IN_PROGRESS"
    if known:
        states.add(UPDATE, EARLIER)
    late = states.add(ALIGN, "a-child", unlisted=2 if known else 1)
    take(request("Update", responses.url), Context())
    assert late.status == "ABORTED"
    assert len(states.started) == 1
    # Its worker goes on as well.
    assert slept[-1] > 50


def test_a_request_fails_if_executions_keep_being_listed_late(
    states: Executions, responses: Endpoint, slept: list[float]
) -> None:
    for unlisted in range(8):
        states.add(ALIGN, f"child-{unlisted}", unlisted=2 * unlisted)
    take(request("Update", responses.url), Context())
    assert states.started == []
    assert "did not stop" in responses.response["Reason"]
    assert sum(slept) < 170


def test_an_event_delivered_twice_at_once_does_not_stop_its_own_execution(
    states: Executions, responses: Endpoint
) -> None:
    given = request("Create", responses.url)
    name = execution_name(given)
    states.add(HANDLE_REQUEST, name, unlisted=1)
    states.add(CREATE, name, unlisted=1)
    assert not supersede(given, name, lambda: 100)
    assert states.stopped == []


def test_all_executions_of_a_cancelled_update_are_stopped(
    states: Executions, responses: Endpoint
) -> None:
    old = [
        states.add(HANDLE_REQUEST, EARLIER),
        states.add(UPDATE, EARLIER),
        states.add(ALIGN, "a-child", attempts_to_stop=2),
        states.add(RUN, "a-grandchild", attempts_to_stop=4),
    ]
    take(request("Update", responses.url), Context())
    assert {execution.status for execution in old} == {"ABORTED"}
    assert {execution.arn for execution in old} == set(states.stopped)
    assert len(states.started) == 1


def test_a_lifecycle_that_was_run_again_belongs_to_its_request(
    states: Executions, responses: Endpoint
) -> None:
    old = [
        states.add(HANDLE_REQUEST, EARLIER),
        states.add(UPDATE, f"{EARLIER}-again", attempts_to_stop=2),
    ]
    take(request("Update", responses.url), Context())
    # Otherwise handle-request counts as sending its response, and is stopped later.
    assert states.stopped[:2] == [old[1].arn, old[0].arn]


def test_a_request_waits_longer_than_a_running_worker_takes(
    states: Executions, responses: Endpoint, slept: list[float]
) -> None:
    states.add(UPDATE, EARLIER)
    take(request("Update", responses.url), Context())
    limits = [
        function["Timeout"]
        for template in TEMPLATES
        for logical_id, function in template.of_type("AWS::Lambda::Function").items()
        if logical_id != "rRequestFunction"
    ]
    assert slept[-1] > max(limits)


class LimitedContext(Context):
    """The context of an invocation that has spent as much time as it has slept."""

    def __init__(self, timeout: float, slept: list[float]) -> None:
        self._timeout, self._slept = timeout, slept

    def get_remaining_time_in_millis(self) -> float:
        return (self._timeout - sum(self._slept)) * 1000


def test_every_pause_at_its_longest_fits_into_the_functions_timeout(
    states: Executions,
    instances: Instances,
    commands: Commands,
    secrets: Secrets,
    responses: Endpoint,
    slept: list[float],
) -> None:
    (timeout,) = {
        template.resources["rRequestFunction"]["Properties"]["Timeout"] for template in TEMPLATES
    }
    missing = ClientError(
        {"Error": {"Code": "ResourceNotFoundException"}, **REFUSED}, "GetSecretValue"
    )
    versions = {
        "OldResourceProperties": {**PROPERTIES, "TemplateVersion": "1.0.0"},
        "ResourceProperties": {**PROPERTIES, "TemplateVersion": "1.1.0"},
    }
    totals = {}
    for attempts, unlisted in itertools.product(range(12, 18), range(10, 24)):
        states.running.clear()
        states.started.clear()
        slept.clear()
        secrets.refusals = [missing] * 3
        states.add(UPDATE, EARLIER, attempts_to_stop=attempts)
        states.add(ALIGN, "a-child", unlisted=unlisted)
        commands.listed, commands.ends = [_late_command()], False
        instances.started_by, instances.states = {CLIENT: RUN_ON_CLIENT}, {CLIENT: ["pending"]}
        take(request("Update", responses.url, **versions), LimitedContext(timeout, slept))
        totals[attempts, unlisted] = sum(slept)
        assert slept[:3] == [5, 5, 5]
        assert (slept[-1] == 10) == bool(states.started)
    # Some pause for workers twice. The rest is for requests to AWS.
    assert timeout - 40 < max(totals.values()) <= timeout - 15


@pytest.mark.parametrize("attempts", [15, 16, 17, 18, 40])
def test_a_request_starts_or_names_the_execution_that_did_not_stop(
    states: Executions, responses: Endpoint, attempts: int
) -> None:
    left = states.add(UPDATE, EARLIER, attempts_to_stop=attempts)
    take(request("Update", responses.url), Context())
    if left.status == "RUNNING":
        assert f"did not stop: {left.arn}" in responses.response["Reason"]
    else:
        assert len(states.started) == 1


def test_commands_of_stopped_executions_are_cancelled(
    states: Executions, commands: Commands, responses: Endpoint
) -> None:
    def command(name: str, status: str, comment: str) -> dict[str, Any]:
        return {"CommandId": name, "Status": status, "Comment": comment, "InstanceIds": [CLIENT]}

    commands.listed = [
        command("ours", "InProgress", f"{COMMENT}a-child"),
        command("ours-pending", "Pending", f"{COMMENT}another"),
        command("ours-of-yesterday", "Success", f"{COMMENT}a-child"),
        command("patching", "InProgress", "patching"),
    ]
    states.add(UPDATE, EARLIER)
    take(request("Update", responses.url), Context())
    assert commands.cancelled == [("ours", [CLIENT]), ("ours-pending", [CLIENT])]


def test_commands_on_a_replaced_client_are_cancelled(
    states: Executions, commands: Commands, responses: Endpoint
) -> None:
    commands.listed = [
        {
            "CommandId": "ours",
            "Status": "InProgress",
            "Comment": f"{COMMENT}a-child",
            "InstanceIds": ["i-another"],
        }
    ]
    states.add(UPDATE, EARLIER)
    old = {"HsmsPerSubnet": "1", "ClientInstanceId": "i-another"}
    take(request("Update", responses.url, OldResourceProperties=old), Context())
    assert commands.cancelled == [("ours", ["i-another"])]


def test_commands_of_another_stack_are_not_cancelled(
    states: Executions, commands: Commands, responses: Endpoint
) -> None:
    # The key store's stack uses the client of the cluster's stack.
    commands.listed = [
        {
            "CommandId": "theirs",
            "Status": "InProgress",
            "Comment": COMMENT.replace("hsm-1-", "hsm-ks-1-") + "a-child",
            "InstanceIds": [CLIENT],
        }
    ]
    states.add(UPDATE, EARLIER)
    take(request("Update", responses.url), Context())
    assert commands.cancelled == []


def _late_command() -> dict[str, Any]:
    return {
        "CommandId": "late",
        "Status": "InProgress",
        "Comment": f"{COMMENT}a-child",
        "InstanceIds": [CLIENT],
    }


@pytest.mark.parametrize("kind", ["Update", "Delete"])
def test_a_command_that_outlasted_its_workflow_is_cancelled(
    commands: Commands, states: Executions, responses: Endpoint, slept: list[float], kind: str
) -> None:
    commands.listed = [_late_command()]
    take(request(kind, responses.url), Context())
    assert commands.cancelled == [("late", [CLIENT])]
    assert slept[-1] == 2  # for the command
    assert len(states.started) == 1


def test_a_request_waits_ten_seconds_at_most_for_a_command_to_end(
    commands: Commands, states: Executions, responses: Endpoint, slept: list[float]
) -> None:
    commands.listed, commands.ends = [_late_command()], False
    take(request("Delete", responses.url), Context())
    assert commands.cancelled == [("late", [CLIENT])]
    assert sum(slept[1:]) == 10
    assert len(states.started) == 1


def test_a_request_starts_although_commands_cannot_be_listed(
    commands: Commands, states: Executions, responses: Endpoint
) -> None:
    commands.refusal = ClientError({"Error": {"Code": "AccessDeniedException"}}, "ListCommands")
    take(request("Delete", responses.url), Context())
    assert len(states.started) == 1


def test_a_client_started_by_a_stopped_execution_is_stopped(
    states: Executions, instances: Instances, responses: Endpoint, slept: list[float]
) -> None:
    instances.started_by = {
        CLIENT: RUN_ON_CLIENT,
        "i-theirs": RUN_ON_CLIENT.replace("hsm-1-", "hsm-ks-1-"),
    }
    instances.states = {CLIENT: ["pending", "running"], "i-theirs": ["running"]}
    states.add(RUN, "a-grandchild")
    take(request("Update", responses.url), Context())
    assert instances.stopped == [CLIENT]
    assert [*instances.started_by] == ["i-theirs"]
    assert slept[-1] == 2  # while it was pending
    assert len(states.started) == 1


def test_a_client_started_by_an_earlier_execution_is_stopped(
    instances: Instances, responses: Endpoint, slept: list[float]
) -> None:
    instances.started_by, instances.states = {CLIENT: RUN_ON_CLIENT}, {CLIENT: ["running"]}
    take(request("Delete", responses.url), Context())
    assert instances.stopped == [CLIENT]
    assert slept == [10]


def test_a_client_that_boots_for_long_is_looked_at_every_two_seconds(
    instances: Instances, responses: Endpoint, slept: list[float]
) -> None:
    instances.started_by, instances.states = {CLIENT: RUN_ON_CLIENT}, {CLIENT: ["pending"]}
    take(request("Delete", responses.url), Context())
    assert slept == [10] + [2] * 10


@pytest.mark.parametrize("state", ["stopping", "stopped"])
def test_a_client_that_was_stopped_but_not_untagged_is_untagged(
    instances: Instances, responses: Endpoint, state: str
) -> None:
    instances.started_by, instances.states = {CLIENT: RUN_ON_CLIENT}, {CLIENT: [state]}
    take(request("Delete", responses.url), Context())
    assert instances.started_by == {}


def test_a_request_starts_although_the_client_cannot_be_stopped(
    states: Executions, instances: Instances, responses: Endpoint
) -> None:
    instances.refusal = ClientError({"Error": {"Code": "UnauthorizedOperation"}}, "Describe")
    take(request("Update", responses.url), Context())
    assert len(states.started) == 1


def test_a_handle_request_that_is_only_responding_is_not_stopped(
    states: Executions, responses: Endpoint
) -> None:
    responding = states.add(HANDLE_REQUEST, EARLIER, attempts_left=3)
    take(request("Update", responses.url), Context())
    assert responding.arn not in states.stopped
    assert len(states.started) == 1


def test_a_handle_request_that_does_not_end_is_stopped(
    states: Executions, responses: Endpoint
) -> None:
    responding = states.add(HANDLE_REQUEST, EARLIER)
    take(request("Update", responses.url), Context())
    assert states.stopped == [responding.arn]
    assert len(states.started) == 1


def test_an_execution_may_end_while_it_is_being_stopped(
    states: Executions, responses: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending = states.add(UPDATE, EARLIER)
    stop = states.stop_execution

    def end_first(**given: Any) -> None:
        ending.status = "SUCCEEDED"
        stop(**given)

    monkeypatch.setattr(states, "stop_execution", end_first)
    take(request("Update", responses.url), Context())
    assert len(states.started) == 1
    assert responses.responses == []


@pytest.mark.parametrize("kind", ["Create", "Update"])
@pytest.mark.parametrize("machine", [DELETE, HANDLE_REQUEST])
def test_a_create_or_update_does_not_supersede_a_delete(
    states: Executions, responses: Endpoint, kind: str, machine: str
) -> None:
    deleting = states.add(machine, f"delete-{REQUEST_ID}-0123456789ab")
    child = states.add(ALIGN, "a-child")
    take(request(kind, responses.url), Context())
    assert deleting.status == child.status == "RUNNING"
    assert states.stopped == []
    assert states.started == []
    assert responses.response["Status"] == "FAILED"
    assert responses.response["Reason"].startswith(
        f"{errors.SupersededError.__name__}: This stack is"
    )


def test_a_delete_supersedes_a_create(states: Executions, responses: Endpoint) -> None:
    creating = states.add(CREATE, f"create-{REQUEST_ID}-0123456789ab")
    take(request("Delete", responses.url), Context())
    assert states.stopped == [creating.arn]
    assert len(states.started) == 1


def test_a_delete_supersedes_an_earlier_delete(states: Executions, responses: Endpoint) -> None:
    deleting = states.add(DELETE, f"delete-{REQUEST_ID}-0123456789ab")
    take(request("Delete", responses.url), Context())
    assert states.stopped == [deleting.arn]
    assert len(states.started) == 1


def test_a_request_fails_if_an_execution_does_not_stop(
    states: Executions, responses: Endpoint
) -> None:
    stubborn = states.add(UPDATE, EARLIER, attempts_to_stop=10_000)
    take(request("Update", responses.url), Context())
    assert states.started == []
    assert responses.response["Status"] == "FAILED"
    assert stubborn.arn in responses.response["Reason"]
