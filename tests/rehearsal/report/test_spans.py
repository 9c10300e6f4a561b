from __future__ import annotations

from typing import Any

import pytest

from display.traces import Kind, Span, Trace, duration
from rehearsal.report.spans import traces


def event(at: float, service: str, subject: str, name: str, **details: Any) -> dict[str, Any]:
    return {"at": at, "service": service, "subject": subject, "event": name, **details}


def only(*events: dict[str, Any]) -> Trace:
    [trace] = traces(events)
    return trace


def test_a_span_ends_where_the_next_starts() -> None:
    trace = only(
        event(10, "cloudhsm", "cluster-abc", "CreateCluster"),
        event(10, "cloudhsm", "cluster-abc", "CREATE_IN_PROGRESS"),
        event(203, "cloudhsm", "cluster-abc", "UNINITIALIZED"),
    )
    assert (trace.kind, trace.label, trace.state) == (Kind.CLUSTER, "cluster-abc", "UNINITIALIZED")
    assert trace.spans == [Span("CREATE_IN_PROGRESS", 10, 203), Span("UNINITIALIZED", 203)]


def test_calls_and_notes_are_ignored() -> None:
    trace = only(
        event(1, "cloudhsm", "cluster-abc", "ACTIVE"),
        event(2, "cloudhsm", "cluster-abc", "user-create"),
        event(3, "cloudhsm", "cluster-abc", "Login"),
    )
    assert trace.spans == [Span("ACTIVE", 1)]


def test_a_deleted_resource_has_an_outcome_and_no_state() -> None:
    trace = only(
        event(1, "cloudhsm", "hsm-abc", "ACTIVE", zone="us-east-1a"),
        event(2, "cloudhsm", "hsm-abc", "DELETE_IN_PROGRESS", zone="us-east-1a"),
        event(285, "cloudhsm", "hsm-abc", "DELETED", zone="us-east-1a"),
    )
    assert (trace.label, trace.state, trace.outcome) == ("hsm-abc us-east-1a", None, "DELETED")
    assert (trace.start, trace.end) == (1, 285)


def test_backups_have_no_trace() -> None:
    assert traces([event(1, "cloudhsm", "backup-abc", "READY", cluster="cluster-abc")]) == []


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        ("ExecutionSucceeded", "SUCCEEDED"),
        ("ExecutionFailed", "FAILED"),
        ("ExecutionTimedOut", "TIMED_OUT"),
        ("ExecutionAborted", "ABORTED"),
    ],
)
def test_an_execution_has_a_span_per_state_and_an_outcome(end: str, outcome: str) -> None:
    trace = only(
        event(0, "states", "hsm-1-align-hsms", "ExecutionStarted", execution="x"),
        event(0, "states", "hsm-1-align-hsms", "StateEntered", execution="x", state="DescribeHsms"),
        event(0, "states", "hsm-1-align-hsms", "StateEntered", execution="x", state="WaitForHsms"),
        event(15, "states", "hsm-1-align-hsms", end, execution="x"),
    )
    assert [span.state for span in trace.spans] == ["DescribeHsms", "WaitForHsms"]
    assert (trace.outcome, trace.end) == (outcome, 15)


def test_each_execution_has_its_own_trace() -> None:
    found = traces(
        event(
            at, "states", "hsm-1-align-hsms", "StateEntered", execution=name, state="DescribeHsms"
        )
        for at, name in [(0, "one"), (1, "two")]
    )
    assert [trace.label for trace in found] == ["hsm-1-align-hsms"] * 2


def test_a_stack_and_its_resources_have_separate_traces() -> None:
    stack, resource = traces(
        [
            event(0, "cloudformation", "hsm", "CREATE_IN_PROGRESS", stack="hsm"),
            event(0, "cloudformation", "rClientInstance", "CREATE_IN_PROGRESS", stack="hsm"),
            event(38, "cloudformation", "rClientInstance", "CREATE_COMPLETE", stack="hsm"),
        ]
    )
    assert (stack.kind, stack.state) == (Kind.STACK, "CREATE_IN_PROGRESS")
    assert (resource.kind, resource.state) == (Kind.RESOURCE, "CREATE_COMPLETE")


def test_a_recreated_stack_continues_its_trace() -> None:
    trace = only(
        event(0, "cloudformation", "hsm", "DELETE_IN_PROGRESS", stack="hsm"),
        event(5, "cloudformation", "hsm", "DELETE_COMPLETE", stack="hsm"),
        event(9, "cloudformation", "hsm", "CREATE_IN_PROGRESS", stack="hsm"),
    )
    assert trace.spans == [Span("DELETE_IN_PROGRESS", 0, 5), Span("CREATE_IN_PROGRESS", 9)]
    assert trace.state == "CREATE_IN_PROGRESS"


def test_a_command_lasts_from_sendcommand_to_its_outcome() -> None:
    trace = only(
        event(5, "ssm", "hsm-1-activate", "SendCommand", command=1, instance="i-1"),
        event(46, "ssm", "hsm-1-activate", "Failed", command=1, instance="i-1"),
    )
    assert (trace.kind, trace.outcome, trace.start, trace.end) == (Kind.COMMAND, "Failed", 5, 46)


def test_instances_and_key_stores_have_traces() -> None:
    instance, store = traces(
        [
            event(0, "ec2", "i-1", "pending"),
            event(1, "kms", "cks-1", "CreateCustomKeyStore"),
            event(1, "kms", "cks-1", "DISCONNECTED"),
            event(2, "kms", "cks-1", "CONNECTING"),
            event(38, "ec2", "i-1", "running"),
            event(39, "kms", "cks-1", "DeleteCustomKeyStore"),
        ]
    )
    assert (instance.kind, instance.state) == (Kind.INSTANCE, "running")
    assert (store.kind, store.outcome) == (Kind.KEY_STORE, "DELETED")


def test_functions_have_no_trace() -> None:
    assert traces([event(1, "lambda", "hsm-1-cluster", "Invoked", step="CreateHsm")]) == []


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (41.4, "0:41"), (727, "12:07"), (3750, "1:02:30")]
)
def test_durations_are_minutes_and_hours(seconds: float, text: str) -> None:
    assert duration(seconds) == text
