"""What must be so in every driver, whatever it tells: read from the event_log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from rehearsal.report.spans import WORKFLOW_ENDS

Event = dict[str, Any]

# The workflows of our templates that do a request's work; each stack has all of them under a prefix
# of its own. Their executions have the name of their request's handle-request.
LIFECYCLES = tuple(
    f"-{verb}-{noun}"
    for verb in ("create", "update", "delete")
    for noun in ("cluster", "key-store")
)
# The functions that change things, under the same prefix.
WORKERS = ("cluster", "certificate", "client", "key-store")
# How the comment of a command begins that such a workflow has sent, before its machine's name.
COMMENT = "hsm-lifecycle "
NEVER = "UPDATE_ROLLBACK_FAILED"


def broken(event_log: Iterable[Event]) -> list[str]:
    """What happened that must never happen, a sentence each."""
    events = list(event_log)
    return [*_failed_rollbacks(events), *_meetings(events), *_orphans(events)]


def _failed_rollbacks(events: Iterable[Event]) -> Iterator[str]:
    for event in events:
        if event["service"] == "cloudformation" and event["event"] == NEVER:
            yield f"stack {event['stack']} ended in {NEVER}"


def _meetings(events: Iterable[Event]) -> Iterator[str]:
    """Lifecycles that began while another request's work on the same stack was not over."""
    at_work = _AtWork()
    for event in events:
        machine = str(event["subject"])
        if _begins(event) and machine.endswith(LIFECYCLES):
            for other in at_work.of(_prefix(machine), beside=str(event["execution"])):
                yield f"{machine} {event['execution']} began while {other} was running"
        at_work.note(event)


def _orphans(events: Iterable[Event]) -> Iterator[str]:
    """Workflows that an earlier one began although it was over itself."""
    over = set()
    for event in events:
        if event["service"] != "states":
            continue
        name = f"{event['subject']} {event['execution']}"
        if event["event"] in WORKFLOW_ENDS:
            over.add(name)
        elif _begins(event) and event.get("parent") in over:
            yield f"{name} began after {event['parent']}, which runs it, was over"


class _AtWork:
    """Which executions, workers and commands are at work, event after event."""

    def __init__(self) -> None:
        self._executions: dict[tuple[str, str], None] = {}
        self._workers: Counter[str] = Counter()
        self._commands: dict[tuple[str, str], str] = {}

    def note(self, event: Event) -> None:
        """This happens."""
        subject, what = str(event["subject"]), str(event["event"])
        match event["service"]:
            case "states" if what in WORKFLOW_ENDS:
                self._executions.pop((subject, str(event["execution"])), None)
            case "states" if _begins(event):
                self._executions[subject, str(event["execution"])] = None
            case "lambda":
                self._workers[subject] += 1 if what == "Invoked" else -1
            case "ssm" if "command" in event:
                command = (str(event["command"]), str(event["instance"]))
                if what == "SendCommand":
                    self._commands[command] = str(event.get("comment", ""))
                else:
                    self._commands.pop(command, None)

    def of(self, prefix: str, beside: str) -> Iterator[str]:
        """What is at work for the stack of this prefix, but for one request's own executions."""
        for machine, name in self._executions:
            if machine.startswith(f"{prefix}-") and name != beside:
                yield f"{machine} {name}"
        for worker in WORKERS:
            if self._workers[f"{prefix}-{worker}"] > 0:
                yield f"the function {prefix}-{worker}"
        for (_, instance), comment in self._commands.items():
            if comment.startswith(f"{COMMENT}{prefix}-run-on-client:"):
                yield f"the command {comment.removeprefix(COMMENT)} on {instance}"


def _begins(event: Event) -> bool:
    return (event["service"], event["event"]) == ("states", "ExecutionStarted")


def _prefix(machine: str) -> str:
    return next(machine.removesuffix(stem) for stem in LIFECYCLES if machine.endswith(stem))
