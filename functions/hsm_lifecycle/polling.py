"""How long workflows wait between two looks: the longer something takes, the less often they look.

So what is over soon costs seconds, and what takes an hour a few hundred looks of three transitions.
One look every five seconds is far below KMS's quota of five DescribeCustomKeyStores a second
(https://docs.aws.amazon.com/kms/latest/developerguide/requests-per-second.html). CloudHSM documents
none for DescribeClusters; throttled looks are retried.
"""

from __future__ import annotations

from hsm_lifecycle import deadlines
from hsm_lifecycle.dispatch import Event


def wait(event: Event) -> int:
    """Seconds until AWS is asked again: five for 20 minutes, later 1/240 of the time passed.

    Nobody waits for a detached execution, so it asks once a minute: a day has less than 900 looks,
    of 25,000 events that an execution's history may have (F6.1).
    """
    start = event.get("StartTime") or event["EnteredTime"]
    least = 60 if deadlines.is_detached(event) else 5
    return _share(deadlines.seconds_between(start, event["EnteredTime"]), 240, least, 120)


def wait_for_command(sent_at: str, now: str) -> int:
    """Seconds until a command on the client is described again: three, then two, 15 at most.

    Most scripts take Run Command about three seconds.
    """
    seconds = deadlines.seconds_between(sent_at, now)
    return _share(seconds, 10, 2 if seconds else 3, 15)


def _share(seconds: float, divisor: int, least: int, most: int) -> int:
    return int(min(max(seconds / divisor, least), most))
