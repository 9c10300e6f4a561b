from __future__ import annotations

import pytest

from rehearsal.checks.invariants import violations
from rehearsal.events import Event


def execution(machine: str, name: str, event: str, at: float) -> Event:
    return {
        "at": at,
        "service": "states",
        "subject": machine,
        "execution": name,
        "event": f"Execution{event}",
    }


def request(verb: str, name: str, *, start: float, end: float) -> list[Event]:
    machines = ("cloudhsm-1-handle-request", f"cloudhsm-1-{verb}-cluster")
    return [
        *(execution(machine, name, "Started", start) for machine in machines),
        *(execution(machine, name, "Succeeded", end) for machine in machines),
    ]


def in_order(*events: Event) -> list[Event]:
    return sorted(events, key=lambda event: float(event["at"]))


def test_consecutive_requests_are_valid() -> None:
    one = request("create", "create-a", start=0, end=10)
    other = request("update", "update-b", start=10, end=20)
    assert violations([*one, *other]) == []


def test_overlapping_requests_are_violations() -> None:
    one = request("create", "create-a", start=0, end=10)
    other = request("delete", "delete-b", start=9, end=20)
    assert violations(in_order(*one, *other)) == [
        "cloudhsm-1-delete-cluster delete-b started while cloudhsm-1-handle-request create-a"
        " was running",
        "cloudhsm-1-delete-cluster delete-b started while cloudhsm-1-create-cluster create-a"
        " was running",
    ]


def test_a_request_must_not_overlap_an_earlier_requests_child() -> None:
    child = "cloudhsm-1-align-hsms"
    one = request("create", "create-a", start=0, end=10)
    late = [execution(child, "c", "Started", 5), execution(child, "c", "Aborted", 12)]
    other = request("delete", "delete-b", start=11, end=20)
    assert violations(in_order(*one, *late, *other)) == [
        "cloudhsm-1-delete-cluster delete-b started while cloudhsm-1-align-hsms c was running"
    ]


def worker(event: str, at: float, function: str = "cloudhsm-1-cluster") -> Event:
    return {"at": at, "service": "lambda", "subject": function, "event": event}


@pytest.mark.parametrize("end", ["Succeeded", "Failed"])
def test_a_request_must_not_overlap_a_running_worker(end: str) -> None:
    other = request("delete", "delete-b", start=11, end=20)
    assert violations(in_order(worker("Invoked", 9), worker(end, 10), *other)) == []
    assert violations(in_order(worker("Invoked", 9), *other, worker(end, 12))) == [
        "cloudhsm-1-delete-cluster delete-b started while the function cloudhsm-1-cluster was"
        " running"
    ]


@pytest.mark.parametrize("function", ["cloudhsm-1-request", "cloudhsm-ks-1-client"])
def test_the_request_function_and_other_stacks_workers_may_be_running(function: str) -> None:
    other = request("delete", "delete-b", start=11, end=20)
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
def test_a_request_must_not_overlap_a_running_command(end: str) -> None:
    other = request("update", "update-b", start=11, end=20)
    assert violations(in_order(command("SendCommand", 9), command(end, 10), *other)) == []
    assert violations(in_order(command("SendCommand", 9), *other, command(end, 12))) == [
        "cloudhsm-1-update-cluster update-b started while the command"
        " cloudhsm-1-run-on-client:c on i-1 was running"
    ]


def test_other_stacks_commands_may_be_running() -> None:
    other = command("SendCommand", 9, "cloudhsm-ks-1-run-on-client")
    assert violations([other, *request("update", "update-b", start=11, end=20)]) == []


def test_an_execution_must_not_start_after_its_parent_has_ended() -> None:
    one = request("create", "create-a", start=0, end=10)
    parent = {"parent": "cloudhsm-1-create-cluster create-a"}
    child = [execution("cloudhsm-1-align-hsms", "c", "Started", at) | parent for at in (9, 12)]
    assert violations(in_order(*one, child[0])) == []
    assert violations(in_order(*one, child[1])) == [
        "cloudhsm-1-align-hsms c started after its parent cloudhsm-1-create-cluster create-a"
        " had ended"
    ]


def test_requests_of_different_stacks_may_overlap() -> None:
    one = request("create", "create-a", start=0, end=10)
    other = [
        {**event, "subject": event["subject"].replace("cloudhsm-1", "cloudhsm-10")}
        for event in request("create", "create-b", start=5, end=20)
    ]
    assert violations(in_order(*one, *other)) == []


def test_a_failed_rollback_is_a_violation() -> None:
    event = {"at": 1.0, "service": "cloudformation", "subject": "hsm", "stack": "hsm"}
    assert violations([{**event, "event": "UPDATE_ROLLBACK_COMPLETE"}]) == []
    assert violations([{**event, "event": "UPDATE_ROLLBACK_FAILED"}]) == [
        "stack hsm ended in UPDATE_ROLLBACK_FAILED"
    ]


@pytest.mark.parametrize(("error", "allowed"), [("SupersededError", True), ("OtherError", False)])
def test_an_orphan_that_refuses_to_work_is_no_violation(error: str, allowed: bool) -> None:
    parent, child = "cloudhsm-1-align-hsms", "cloudhsm-1-run-on-client"
    events = [
        execution(parent, "p", "Aborted", 1),
        {**execution(child, "c", "Started", 2), "parent": f"{parent} p"},
        {**execution(child, "c", "Failed", 4), "error": error},
    ]
    assert (violations(events) == []) == allowed
