from __future__ import annotations

from typing import Any

import pytest

from rehearsal.checks.invariants import violations

Event = dict[str, Any]


def execution(machine: str, name: str, event: str, at: float) -> Event:
    return {
        "at": at,
        "service": "states",
        "subject": machine,
        "execution": name,
        "event": f"Execution{event}",
    }


def request(verb: str, name: str, *, begins: float, ends: float) -> list[Event]:
    machines = ("cloudhsm-1-handle-request", f"cloudhsm-1-{verb}-cluster")
    return [
        *(execution(machine, name, "Started", begins) for machine in machines),
        *(execution(machine, name, "Succeeded", ends) for machine in machines),
    ]


def in_order(*events: Event) -> list[Event]:
    return sorted(events, key=lambda event: float(event["at"]))


def test_one_request_after_the_other_breaks_no_law() -> None:
    one = request("create", "create-a", begins=0, ends=10)
    other = request("update", "update-b", begins=10, ends=20)
    assert violations([*one, *other]) == []


def test_two_requests_at_a_time_break_it() -> None:
    one = request("create", "create-a", begins=0, ends=10)
    other = request("delete", "delete-b", begins=9, ends=20)
    assert violations(in_order(*one, *other)) == [
        "cloudhsm-1-delete-cluster delete-b began while cloudhsm-1-handle-request create-a"
        " was running",
        "cloudhsm-1-delete-cluster delete-b began while cloudhsm-1-create-cluster create-a"
        " was running",
    ]


def test_what_an_earlier_request_has_started_counts_as_well() -> None:
    child = "cloudhsm-1-align-hsms"
    one = request("create", "create-a", begins=0, ends=10)
    late = [execution(child, "c", "Started", 5), execution(child, "c", "Aborted", 12)]
    other = request("delete", "delete-b", begins=11, ends=20)
    assert violations(in_order(*one, *late, *other)) == [
        "cloudhsm-1-delete-cluster delete-b began while cloudhsm-1-align-hsms c was running"
    ]


def worker(event: str, at: float, function: str = "cloudhsm-1-cluster") -> Event:
    return {"at": at, "service": "lambda", "subject": function, "event": event}


@pytest.mark.parametrize("end", ["Succeeded", "Failed"])
def test_a_worker_that_is_still_in_flight_counts_as_well(end: str) -> None:
    other = request("delete", "delete-b", begins=11, ends=20)
    assert violations(in_order(worker("Invoked", 9), worker(end, 10), *other)) == []
    assert violations(in_order(worker("Invoked", 9), *other, worker(end, 12))) == [
        "cloudhsm-1-delete-cluster delete-b began while the function cloudhsm-1-cluster was running"
    ]


@pytest.mark.parametrize("function", ["cloudhsm-1-request", "cloudhsm-ks-1-client"])
def test_the_front_door_and_the_workers_of_others_may_be_in_flight(function: str) -> None:
    other = request("delete", "delete-b", begins=11, ends=20)
    assert violations(in_order(worker("Invoked", 9, function), *other)) == []


def command(event: str, at: float, machine: str = "cloudhsm-1-run-on-client") -> Event:
    return {
        "at": at,
        "service": "ssm",
        "subject": "hsm-rConfigureClientDocument-1ABCDEFGHIJKL",
        "event": event,
        "command": 1,
        "instance": "i-1",
        "comment": f"hsm-lifecycle {machine}:c",
    }


@pytest.mark.parametrize("end", ["Success", "Cancelled", "ExecutionTimedOut"])
def test_a_command_that_still_runs_on_the_client_counts_as_well(end: str) -> None:
    other = request("update", "update-b", begins=11, ends=20)
    assert violations(in_order(command("SendCommand", 9), command(end, 10), *other)) == []
    assert violations(in_order(command("SendCommand", 9), *other, command(end, 12))) == [
        "cloudhsm-1-update-cluster update-b began while the command"
        " cloudhsm-1-run-on-client:c on i-1 was running"
    ]


def test_commands_of_others_may_run_on_the_client() -> None:
    theirs = command("SendCommand", 9, "cloudhsm-ks-1-run-on-client")
    assert violations([theirs, *request("update", "update-b", begins=11, ends=20)]) == []


def test_a_workflow_begins_no_other_once_it_is_over() -> None:
    one = request("create", "create-a", begins=0, ends=10)
    parent = {"parent": "cloudhsm-1-create-cluster create-a"}
    child = [execution("cloudhsm-1-align-hsms", "c", "Started", at) | parent for at in (9, 12)]
    assert violations(in_order(*one, child[0])) == []
    assert violations(in_order(*one, child[1])) == [
        "cloudhsm-1-align-hsms c began after cloudhsm-1-create-cluster create-a, which runs it,"
        " was over"
    ]


def test_stacks_do_not_wait_for_each_other() -> None:
    one = request("create", "create-a", begins=0, ends=10)
    other = [
        {**event, "subject": event["subject"].replace("cloudhsm-1", "cloudhsm-10")}
        for event in request("create", "create-b", begins=5, ends=20)
    ]
    assert violations(in_order(*one, *other)) == []


def test_a_rollback_that_fails_breaks_a_law() -> None:
    event = {"at": 1.0, "service": "cloudformation", "subject": "hsm", "stack": "hsm"}
    assert violations([{**event, "event": "UPDATE_ROLLBACK_COMPLETE"}]) == []
    assert violations([{**event, "event": "UPDATE_ROLLBACK_FAILED"}]) == [
        "stack hsm ended in UPDATE_ROLLBACK_FAILED"
    ]
