"""What must be so in every scenario, whatever it tells: read from the timeline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rehearsal.chronicle import WORKFLOW_ENDS

Event = dict[str, Any]

# The workflows of our templates that do a request's work; each stack has all of them under a prefix
# of its own. Their executions have the name of their request's handle-request.
LIFECYCLES = tuple(
    f"-{verb}-{noun}"
    for verb in ("create", "update", "delete")
    for noun in ("cluster", "key-store")
)
NEVER = "UPDATE_ROLLBACK_FAILED"


def broken(timeline: Iterable[Event]) -> list[str]:
    """What happened that must never happen, a sentence each."""
    events = list(timeline)
    return [*_failed_rollbacks(events), *_meetings(events)]


def _failed_rollbacks(events: Iterable[Event]) -> Iterator[str]:
    for event in events:
        if event["service"] == "cloudformation" and event["event"] == NEVER:
            yield f"stack {event['stack']} ended in {NEVER}"


def _meetings(events: Iterable[Event]) -> Iterator[str]:
    """Lifecycles that began while another request's work on the same stack was not over."""
    running: dict[tuple[str, str], float] = {}
    for event in events:
        if event["service"] != "states":
            continue
        machine, name = str(event["subject"]), str(event["execution"])
        if event["event"] in WORKFLOW_ENDS:
            running.pop((machine, name), None)
        if event["event"] != "ExecutionStarted":
            continue
        if machine.endswith(LIFECYCLES):
            prefix = _prefix(machine)
            for other, its_name in running:
                if other.startswith(f"{prefix}-") and its_name != name:
                    yield f"{machine} {name} began while {other} {its_name} was running"
        running[machine, name] = event["at"]


def _prefix(machine: str) -> str:
    return next(machine.removesuffix(stem) for stem in LIFECYCLES if machine.endswith(stem))
