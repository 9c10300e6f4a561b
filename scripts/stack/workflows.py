"""The executions of a stack's state machines: which run, in which state, and why one failed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from display.traces import Kind, Trace
from scripts.stack.account import Account

Json = dict[str, Any]

MACHINE = "AWS::StepFunctions::StateMachine"
_FAILED = ("FAILED", "TIMED_OUT", "ABORTED")
# The latest of a history: a polling loop has ten an iteration.
_EVENTS = 60
_GONE = ("StateMachineDoesNotExist", "ExecutionDoesNotExist", "StateMachineDeleting")
# Executions are named after their request, children after a hash.
_REQUESTS, _DETACHED = ("create-", "update-", "delete-"), "-detached"
_HANDLER, _DETACHABLE = "-handle-request", "-align-hsms"
_PARENT = "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"


@dataclass(frozen=True)
class Cause:
    """The innermost failure of a workflow, in full."""

    machine: str
    state: str
    error: str
    message: str
    arn: str

    @property
    def console(self) -> str:
        """The address of the execution in the console of its partition."""
        _, partition, _, region, *_ = self.arn.split(":")
        host = {
            "aws": f"{region}.console.aws.amazon.com",
            "aws-us-gov": "console.amazonaws-us-gov.com",
            "aws-cn": "console.amazonaws.cn",
        }[partition]
        return f"https://{host}/states/home?region={region}#/v2/executions/details/{self.arn}"


def name_of(arn: str) -> str:
    """The state machine's name in its ARN or in that of an execution."""
    return arn.split(":")[6]


class Workflows:
    """The executions of these state machines, given by ARN."""

    def __init__(self, account: Account, machines: Iterable[str]) -> None:
        self._account = account
        self._states = account.client("stepfunctions")
        self._machines = list(machines)

    def running(self, start: datetime) -> list[Trace]:
        """The running executions and their state, in seconds since the start; outermost first."""
        handling = [each for each in self._machines if each.endswith(_HANDLER)]
        found = [each for machine in handling for each in self._list(machine, "RUNNING")]
        # Without a request, only a detached execution runs.
        others = [
            each
            for each in self._machines
            if each not in handling and (found or each.endswith(_DETACHABLE))
        ]
        found += [each for machine in others for each in self._list(machine, "RUNNING")]
        return [self._trace(execution, start) for execution in sorted(found, key=_depth)]

    def _trace(self, execution: Json, start: datetime) -> Trace:
        arn = execution["executionArn"]
        self._account.saw(execution["startDate"])
        trace = Trace(Kind.EXECUTION, arn, name_of(arn))
        trace.enter("started", (execution["startDate"] - start).total_seconds())
        for event in reversed(self._history(arn)):
            self._account.saw(event["timestamp"])
            if state := event.get("stateEnteredEventDetails", {}).get("name"):
                trace.enter(state, (event["timestamp"] - start).total_seconds())
        return _without_polls(trace)

    def cause(self, since: datetime, *, detached: bool = False) -> Cause | None:
        """Why the first request's execution since then failed, down to its innermost failure.

        Or why a detached one did, which goes on after its request.
        """
        all_failed = [
            execution
            for machine in self._machines
            for status in _FAILED
            for execution in self._list(machine, status)
            if execution["startDate"] >= since
        ]
        failed = [
            execution
            for execution in all_failed
            if execution["name"].startswith(_REQUESTS)
            and execution["name"].endswith(_DETACHED) is detached
        ]
        if not failed:
            return None
        first = min(failed, key=lambda each: each["stopDate"])
        return self._innermost(first["executionArn"], all_failed)

    def _innermost(self, arn: str, failed: Sequence[Json]) -> Cause:
        description = self._states.describe_execution(executionArn=arn)
        error, message = description.get("error", ""), description.get("cause", "")
        child = _child_in(message) or self._failed_child(arn, message, failed)
        if child and child != arn:
            try:
                return self._innermost(child, failed)
            except ClientError as problem:
                if problem.response["Error"]["Code"] not in _GONE:
                    raise
        if (raised := _parse(message)) and "errorMessage" in raised:
            error, message = raised.get("errorType") or error, raised["errorMessage"]
        ended = {"TIMED_OUT": "It did not end in time.", "ABORTED": "It was stopped."}
        message = message or ended.get(description["status"], "It gives no cause.")
        return Cause(name_of(arn), self._last_task(arn), error, str(message), arn)

    def _failed_child(self, arn: str, message: str, failed: Sequence[Json]) -> str | None:
        """The execution that this one started and that failed; None if its own cause is whole."""
        if message and not message.lstrip().startswith("{"):
            return None
        for execution in failed:
            child = str(execution["executionArn"])
            given = self._states.describe_execution(executionArn=child).get("input", "")
            if (_parse(given) or {}).get(_PARENT) == arn:
                return child
        return None

    def _last_task(self, arn: str) -> str:
        """The state in which an execution failed: the Task, and not the Fail state after it."""
        entered = ""
        for event in self._history(arn):
            if name := event.get("stateEnteredEventDetails", {}).get("name"):
                entered = entered or name
                if event["type"] == "TaskStateEntered":
                    return str(name)
        return entered

    def _list(self, machine: str, status: str) -> list[Json]:
        """The latest executions of a status; none of a machine that is deleted."""
        try:
            found: list[Json] = self._states.list_executions(
                stateMachineArn=machine, statusFilter=status, maxResults=100
            )["executions"]
        except ClientError as problem:
            if problem.response["Error"]["Code"] not in _GONE:
                raise
            return []
        return found

    def _history(self, arn: str) -> list[Json]:
        """The latest events of an execution, newest first, without its data (F7.304)."""
        try:
            events: list[Json] = self._states.get_execution_history(
                executionArn=arn, reverseOrder=True, maxResults=_EVENTS, includeExecutionData=False
            )["events"]
        except ClientError as problem:
            if problem.response["Error"]["Code"] not in _GONE:
                raise
            return []
        return events


def _depth(execution: Json) -> tuple[datetime, bool, bool]:
    """Sorts handle-request before the lifecycle that it starts, and that before its children."""
    name, machine = execution["name"], execution["stateMachineArn"]
    return (
        execution["startDate"],
        not name.startswith(_REQUESTS),
        not machine.endswith(_HANDLER),
    )


def _without_polls(trace: Trace) -> Trace:
    """The execution in its latest state; while it polls, in that for which it waits."""
    recent = [span.state for span in trace.spans[-4:]]
    waits = [state for state in recent if state.startswith("WaitFor")]
    if waits and trace.spans[-1].state not in waits:
        trace.spans.pop()
        while trace.spans[-1].state != waits[-1]:
            trace.spans.pop()
        trace.spans[-1].end = None
    if waits:  # since when it polls, as far as the events go back
        polled = {span.state for span in trace.spans[-5:]}
        while len(trace.spans) > 1 and trace.spans[-2].state in polled:
            last, before = trace.spans.pop(), trace.spans[-1]
            before.state, before.end = last.state, None
    return trace


def _child_in(cause: str) -> str | None:
    """The ARN of the child execution that a cause is about, even if its end is cut off."""
    if (detail := _parse(cause)) is not None:
        arn = detail.get("ExecutionArn")
        return str(arn) if arn else None
    _, found, rest = cause.partition('"ExecutionArn":"')
    return rest.partition('"')[0] if found and '"' in rest and cause.startswith("{") else None


def _parse(text: str) -> Json | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
