"""A event_log in the form in which two runs can be compared: what happened when, without ids."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rehearsal.events import Event

# What AWS and CloudFormation make up anew in every run; what is left says of which kind it was.
_RANDOM = (
    # First, since its end may look like another's.
    re.compile(r"\b()[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"),
    re.compile(r"\b(cluster-|backup-|hsm-)[2-7a-z]{11,16}\b"),
    re.compile(r"\b(cks-|eni-|sg-|i-|vpc-)[0-9a-f]{8,17}\b"),
    re.compile(r"(-)[0-9A-Z]{10,14}\b"),
)

Moment = tuple[float, str, str, str]


def normalize(events: Iterable[Event]) -> list[Moment]:
    """Virtual second, service, subject and event of each, without what is random in them.

    Sorted, because what happens in one virtual second may be told in any order.
    """
    return sorted(
        (
            float(event["at"]),
            str(event["service"]),
            without_random_ids(str(event["subject"])),
            " ".join(str(event[key]) for key in ("event", "state", "step") if event.get(key)),
        )
        for event in events
    )


def without_random_ids(name: str) -> str:
    """The name with a * in place of everything random."""
    for pattern in _RANDOM:
        name = pattern.sub(r"\1*", name)
    return name
