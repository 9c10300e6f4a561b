"""Rules that hold in every scenario, checked on the event log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from rehearsal.events import WORKFLOW_ENDS, Event, starts_execution

# A lifecycle has the name of its handle-request execution; one that had to be run again, a suffix.
AGAIN = "-again"
# Name suffixes of the workflows that handle a request. Each stack has its own prefix.
REQUEST_WORKFLOWS = tuple(
    f"-{verb}-{noun}"
    for verb in ("create", "update", "delete")
    for noun in ("cluster", "key-store")
)
# Functions that make changes, under the same prefix.
WORKERS = ("cluster", "certificate", "client", "key-store")
# Commands sent by a workflow have this comment, followed by the state machine's name.
COMMENT_PREFIX = "hsm-lifecycle "
# The error with which the first task of an execution refuses to work, because it started late.
REFUSED = "SupersededError"
FORBIDDEN_STATUS = "UPDATE_ROLLBACK_FAILED"


def violations(event_log: Iterable[Event]) -> list[str]:
    """Failed rollbacks, overlapping requests and orphaned executions, one line each.

    Executions that start late and are refused by their first task do no harm.
    """
    events = list(event_log)
    refused = _refused(events)
    events = [event for event in events if _name(event) not in refused]
    return [
        *_failed_rollbacks(events),
        *_overlapping_requests(events),
        *_orphaned_executions(events),
    ]


def _failed_rollbacks(events: Iterable[Event]) -> Iterator[str]:
    for event in events:
        if event["service"] == "cloudformation" and event["event"] == FORBIDDEN_STATUS:
            yield f"stack {event['stack']} ended in {FORBIDDEN_STATUS}"


def _overlapping_requests(events: Iterable[Event]) -> Iterator[str]:
    """Request workflows that started while another request was still changing the stack."""
    running = _Running()
    for event in events:
        machine = str(event["subject"])
        if starts_execution(event) and machine.endswith(REQUEST_WORKFLOWS):
            for other in running.for_stack(
                _prefix(machine), excluding=str(event["execution"]).removesuffix(AGAIN)
            ):
                yield f"{machine} {event['execution']} started while {other} was running"
        running.update(event)


def _orphaned_executions(events: Iterable[Event]) -> Iterator[str]:
    """Executions started by a parent that had already ended."""
    ended = set()
    for event in events:
        if event["service"] != "states":
            continue
        name = f"{event['subject']} {event['execution']}"
        if event["event"] in WORKFLOW_ENDS:
            ended.add(name)
        elif starts_execution(event) and event.get("parent") in ended:
            yield f"{name} started after its parent {event['parent']} had ended"


def _refused(events: Iterable[Event]) -> set[str]:
    return {
        _name(event)
        for event in events
        if event["event"] == "ExecutionFailed" and event.get("error") == REFUSED
    }


def _name(event: Event) -> str:
    return f"{event['subject']} {event.get('execution')}"


class _Running:
    """Executions, worker invocations and client commands that are running at this event."""

    def __init__(self) -> None:
        self._executions: dict[tuple[str, str], None] = {}
        self._workers: Counter[str] = Counter()
        self._commands: dict[tuple[str, str], str] = {}

    def update(self, event: Event) -> None:
        """Apply the next event."""
        subject, name = str(event["subject"]), str(event["event"])
        match event["service"]:
            case "states" if name in WORKFLOW_ENDS:
                self._executions.pop((subject, str(event["execution"])), None)
            case "states" if starts_execution(event):
                self._executions[subject, str(event["execution"])] = None
            case "lambda":
                self._workers[subject] += 1 if name == "Invoked" else -1
            case "ssm" if "command" in event:
                command = (str(event["command"]), str(event["instance"]))
                if name == "SendCommand":
                    self._commands[command] = str(event.get("comment", ""))
                else:
                    self._commands.pop(command, None)

    def for_stack(self, prefix: str, excluding: str) -> Iterator[str]:
        """Everything running for the stack with this prefix, except one request's executions."""
        for machine, name in self._executions:
            if machine.startswith(f"{prefix}-") and name != excluding:
                yield f"{machine} {name}"
        for worker in WORKERS:
            if self._workers[f"{prefix}-{worker}"] > 0:
                yield f"the function {prefix}-{worker}"
        for (_, instance), comment in self._commands.items():
            if comment.startswith(f"{COMMENT_PREFIX}{prefix}-run-on-client:"):
                yield f"the command {comment.removeprefix(COMMENT_PREFIX)} on {instance}"


def _prefix(machine: str) -> str:
    return next(
        machine.removesuffix(suffix) for suffix in REQUEST_WORKFLOWS if machine.endswith(suffix)
    )
