from __future__ import annotations

from display.traces import Kind
from scripts.stack import request
from tests.scripts.stack.recorded import FAILED_UPDATE, at, stack_event


def failed_update() -> request.Request:
    found = request.latest("UPDATE_ROLLBACK_COMPLETE", FAILED_UPDATE[::-1])
    assert found is not None
    return found


def test_the_latest_request_begins_with_the_user_s_and_includes_its_rollback() -> None:
    found = failed_update()
    assert (found.kind, found.start, found.end) == ("UPDATE", at(100), at(200))
    assert found.has_ended
    assert not found.succeeded


def test_what_was_cancelled_is_no_reason() -> None:
    [failure] = failed_update().failures()
    assert (failure.logical_id, failure.status) == ("rCloudHsmCluster", "UPDATE_FAILED")
    assert failure.reason.startswith("CheckUpdate")


def test_each_resource_has_a_trace_in_seconds_since_the_start() -> None:
    traces = failed_update().traces()
    assert [(trace.kind, trace.label) for trace in traces] == [
        (Kind.STACK, "hsm"),
        (Kind.RESOURCE, "rClientInstance"),
        (Kind.RESOURCE, "rCloudHsmCluster"),
    ]
    assert [(span.state, span.start) for span in traces[2].spans] == [
        ("UPDATE_IN_PROGRESS", 20),
        ("UPDATE_FAILED", 60),
    ]


def test_a_stack_that_is_only_reviewed_has_no_request() -> None:
    assert request.latest("REVIEW_IN_PROGRESS", [stack_event(0, "REVIEW_IN_PROGRESS")]) is None


def test_a_creation_whose_stack_was_deleted_did_not_succeed() -> None:
    events = [stack_event(9, "DELETE_COMPLETE"), stack_event(0, "CREATE_IN_PROGRESS")]
    found = request.latest("DELETE_COMPLETE", events)
    assert found is not None
    assert (found.has_ended, found.succeeded) == (True, False)
