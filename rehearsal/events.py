"""Events of the local AWS's event log, as the checks and reports read them."""

from __future__ import annotations

from typing import Any

# "at" (virtual seconds since the start), "service", "subject", "event" and details.
Event = dict[str, Any]

# Terminal events of a workflow execution, and the status each leaves it in.
WORKFLOW_ENDS = {
    "ExecutionSucceeded": "SUCCEEDED",
    "ExecutionFailed": "FAILED",
    "ExecutionAborted": "ABORTED",
    "ExecutionTimedOut": "TIMED_OUT",
}


def starts_execution(event: Event) -> bool:
    """Whether a workflow execution starts with this event."""
    return (event["service"], event["event"]) == ("states", "ExecutionStarted")
