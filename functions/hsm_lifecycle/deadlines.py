"""Deadlines: end polling with a reason before the workflow's own limit ends it without one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.errors import OutOfTimeError

# Of the 3300 s that a lifecycle workflow has, including the workflows that it runs.
_SECONDS = 3120
# Of the 90000 s that align-hsms has if it is detached.
_SECONDS_DETACHED = 86400
# How late a call whose response was lost may take effect, in seconds (decision 0018).
LATEST_EFFECT = 300
# An attempt that may be lost takes up to 60 s, and so does the pause before the next.
_SECONDS_OF_ATTEMPT = 120


def check(event: Event, status: str) -> None:
    """Raise OutOfTimeError with `status` if the time is over."""
    if is_over(event):
        elapsed = seconds_between(event["StartTime"], event["EnteredTime"])
        raise OutOfTimeError(
            f"{status} after {elapsed // 60:.0f} minutes. Check it in the CloudHSM console, then"
            " retry, or give AWS Support the ID."
        )


def is_over(event: Event) -> bool:
    """Whether the lifecycle has run for 52 minutes, or a detached execution for a day.

    Only polling loops pass StartTime, when it began; without it nothing is ever over.
    """
    start, limit = event.get("StartTime"), _SECONDS_DETACHED if is_detached(event) else _SECONDS
    return bool(start) and seconds_between(str(start), event["EnteredTime"]) > limit


def is_detached(event: Event) -> bool:
    """Whether the step runs in an execution that carries on after its request has ended."""
    return bool((event.get("Input") or {}).get("Detached"))


def settled_at(entered_time: str, attempts: int) -> str:
    """When these attempts of a creation have taken effect, even if their responses were lost."""
    latest = timedelta(seconds=attempts * _SECONDS_OF_ATTEMPT + LATEST_EFFECT)
    return (datetime.fromisoformat(entered_time) + latest).isoformat()


def lost_calls_settled_at(event: Event, state: Mapping[str, Any]) -> str:
    """When lost calls of CreateHsm have taken effect; empty if none was lost.

    CreateHsm has no idempotency token (F1.6): a retry looks for the HSM, which may come later.
    """
    retries = int(event.get("RetryCount") or 0)
    if retries:
        return settled_at(event["EnteredTime"], retries)
    return str(state.get("SettledAt") or "")


def has_passed(time: str, now: str) -> bool:
    """Whether a state machine time has passed; an empty one has."""
    return not time or seconds_between(time, now) >= 0


def seconds_between(earlier: str, later: str) -> float:
    """Seconds between two state machine times, such as 2026-01-31T12:00:00.000Z."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
