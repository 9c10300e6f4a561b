"""When a workflow gives up waiting: in words, before its own limit ends it without any."""

from __future__ import annotations

from datetime import datetime

from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.errors import OutOfTimeError

# Of the 3300 s that a lifecycle has, with all the workflows that it runs.
_SECONDS = 3120


def check(event: Event, still: str) -> None:
    """Raise OutOfTimeError, saying what is `still` so, if the request has taken too long.

    StartTime is when the lifecycle began; a step that no loop asks for is not given it.
    """
    begun = event.get("StartTime")
    if begun and (spent := seconds_between(begun, event["EnteredTime"])) > _SECONDS:
        raise OutOfTimeError(
            f"{still} after {spent // 60:.0f} minutes. See it in the CloudHSM console, then try"
            " again, or ask AWS Support with the id."
        )


def seconds_between(earlier: str, later: str) -> float:
    """Seconds between two times of a state machine, such as 2026-01-31T12:00:00.000Z."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
