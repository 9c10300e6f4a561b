"""The latest request to a stack, as its stack events tell it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from display.traces import Kind, Trace

Json = dict[str, Any]

STACK = "AWS::CloudFormation::Stack"
CLUSTER, KEY_STORE = "Custom::CloudHsmCluster", "Custom::CloudHsmKeyStore"
# Stack events that begin a request; a rollback belongs to the request that failed.
_STARTS = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS")
# What CloudFormation did not finish because something else failed.
_CANCELLED = ("Resource creation cancelled", "Resource update cancelled")


@dataclass(frozen=True)
class Failure:
    """A resource that failed, and CloudFormation's reason for it."""

    logical_id: str
    kind: str
    status: str
    reason: str


@dataclass(frozen=True)
class Request:
    """A request: CREATE, UPDATE or DELETE, its events from the oldest on, and its status now."""

    kind: str
    id: str
    status: str
    events: Sequence[Json]

    @property
    def start(self) -> datetime:
        """When CloudFormation took it."""
        start: datetime = self.events[0]["Timestamp"]
        return start

    @property
    def end(self) -> datetime:
        """When its latest event was."""
        end: datetime = self.events[-1]["Timestamp"]
        return end

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it is in progress."""
        return not self.status.endswith("IN_PROGRESS")

    @property
    def succeeded(self) -> bool:
        """Whether the stack is as was requested: a rollback also ends in a COMPLETE status."""
        return self.status == f"{self.kind}_COMPLETE"

    def failures(self) -> list[Failure]:
        """What failed, the cause before its consequences."""
        return [
            Failure(
                event["LogicalResourceId"],
                event["ResourceType"],
                event["ResourceStatus"],
                event.get("ResourceStatusReason") or "CloudFormation gives no reason.",
            )
            for event in self.events
            if event["ResourceStatus"].endswith("FAILED")
            and not _is_about_stack(event)
            and not str(event.get("ResourceStatusReason", "")).startswith(_CANCELLED)
        ]

    def traces(self) -> list[Trace]:
        """The states of the stack and of each resource, in seconds since the start."""
        found: dict[str, Trace] = {}
        for event in self.events:
            name, status = event["LogicalResourceId"], event["ResourceStatus"]
            kind = Kind.STACK if _is_about_stack(event) else Kind.RESOURCE
            trace = found.setdefault(f"{kind.value} {name}", Trace(kind, name, name))
            at = (event["Timestamp"] - self.start).total_seconds()
            trace.enter(status, at)
            if status == "DELETE_COMPLETE":
                trace.finish(status, at)
        return [trace for trace in found.values() if trace.spans]


def _is_about_stack(event: Json) -> bool:
    return bool(event["ResourceType"] == STACK and event["PhysicalResourceId"] == event["StackId"])


def begins(event: Json) -> bool:
    """Whether a request begins with this event."""
    return _is_about_stack(event) and event["ResourceStatus"] in _STARTS


def latest(status: str, newest_first: Sequence[Json]) -> Request | None:
    """The latest request; None if there was none, as while a change set is reviewed."""
    events: list[Json] = []
    for event in newest_first:
        events.insert(0, event)
        if begins(event):
            kind = event["ResourceStatus"].partition("_")[0]
            return Request(kind, event["EventId"], status, events)
    return None
