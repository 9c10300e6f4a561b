"""How long workflows wait between two looks: shortly around the time that AWS usually takes.

Each look costs three transitions, so what takes an hour must not be looked at all the time. A look
every two seconds is below KMS's quota of five DescribeCustomKeyStores a second
(https://docs.aws.amazon.com/kms/latest/developerguide/requests-per-second.html). CloudHSM documents
none for DescribeClusters; throttled looks are retried.
"""

from __future__ import annotations

from typing import Any

from hsm_lifecycle import currency, deadlines
from hsm_lifecycle.dispatch import Event

# Seconds that AWS usually takes (F1.32, F1.33), by what is waited for. Nothing relies on them: what
# takes half or double as long is noticed some seconds later.
TYPICAL = {
    "cluster CREATE_IN_PROGRESS": 200,
    "cluster DELETE_IN_PROGRESS": 140,
    "cluster INITIALIZE_IN_PROGRESS": 250,
    # With the commands that activate it.
    "cluster INITIALIZED": 60,
    "cluster MODIFY_IN_PROGRESS": 1800,
    "HSM CREATE_IN_PROGRESS": 480,
    "HSM DELETE_IN_PROGRESS": 280,
    "key store CONNECTING": 870,
    "key store DISCONNECTING": 100,
}
_SPARSE, _DENSE = 15, 2  # seconds between looks
_EARLIEST, _LATEST = 0.6, 1.5  # when to look densely, as shares of the typical time


def look(event: Event, what: str) -> dict[str, Any]:
    """What a look found AWS to be busy with, since when, and the seconds until the next look.

    The event has what the look before it returned as Polled.
    """
    before, now = event.get("Polled") or {}, event["EnteredTime"]
    since = now
    if before.get("WaitsFor") == what:
        since = before["WaitsSince"]
    is_checked = currency.is_checked(event)
    return {
        **begin(what, since),
        "CheckedAt": before["CheckedAt"] if is_checked else now,
        "Wait": _seconds_detached(event)
        if deadlines.is_detached(event)
        else _seconds(what, deadlines.seconds_between(since, now)),
    }


def begin(what: str, now: str) -> dict[str, str]:
    """The state data of a wait that begins now."""
    return {"WaitsFor": what, "WaitsSince": now}


def _seconds(what: str, elapsed: float) -> int:
    """Seconds until the next look at what has taken this long: a share of it if that is unusual."""
    typical = TYPICAL.get(what)
    if typical is None:
        return _share(elapsed, 120, 3, 120)
    if elapsed < _EARLIEST * typical:
        return round(max(min(_SPARSE, _EARLIEST * typical - elapsed), _DENSE))
    if elapsed < _LATEST * typical:
        return max(_DENSE, typical // 300)
    return _share(elapsed, 240, 5, 120)


def _seconds_detached(event: Event) -> int:
    """Seconds until the next look of a detached execution, for which nobody waits.

    A day has less than 900 looks, of 25,000 events that an execution's history may have (F6.1).
    """
    start = event.get("StartTime") or event["EnteredTime"]
    return _share(deadlines.seconds_between(start, event["EnteredTime"]), 240, 60, 120)


def wait_for_command(sent_at: str, now: str) -> int:
    """Seconds until a command on the client is described again: three, then two, 15 at most.

    Most scripts take Run Command about three seconds.
    """
    seconds = deadlines.seconds_between(sent_at, now)
    return _share(seconds, 10, 2 if seconds else 3, 15)


def _share(seconds: float, divisor: int, least: int, most: int) -> int:
    return int(min(max(seconds / divisor, least), most))
