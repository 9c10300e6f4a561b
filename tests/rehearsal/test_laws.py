from __future__ import annotations

from typing import Any

from rehearsal.laws import broken

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
    assert broken([*one, *other]) == []


def test_two_requests_at_a_time_break_it() -> None:
    one = request("create", "create-a", begins=0, ends=10)
    other = request("delete", "delete-b", begins=9, ends=20)
    assert broken(in_order(*one, *other)) == [
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
    assert broken(in_order(*one, *late, *other)) == [
        "cloudhsm-1-delete-cluster delete-b began while cloudhsm-1-align-hsms c was running"
    ]


def test_stacks_do_not_wait_for_each_other() -> None:
    one = request("create", "create-a", begins=0, ends=10)
    other = [
        {**event, "subject": event["subject"].replace("cloudhsm-1", "cloudhsm-10")}
        for event in request("create", "create-b", begins=5, ends=20)
    ]
    assert broken(in_order(*one, *other)) == []


def test_a_rollback_that_fails_breaks_a_law() -> None:
    event = {"at": 1.0, "service": "cloudformation", "subject": "hsm", "stack": "hsm"}
    assert broken([{**event, "event": "UPDATE_ROLLBACK_COMPLETE"}]) == []
    assert broken([{**event, "event": "UPDATE_ROLLBACK_FAILED"}]) == [
        "stack hsm ended in UPDATE_ROLLBACK_FAILED"
    ]
