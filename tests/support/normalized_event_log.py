"""Event logs without random IDs, so that two runs can be compared."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rehearsal.events import Event

# IDs and name suffixes that AWS generates; the prefix gives the kind.
_RANDOM = (
    # UUIDs first: their last group may match another pattern.
    re.compile(r"\b()[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"),
    re.compile(r"\b(cluster-|backup-|hsm-)[2-7a-z]{11,16}\b"),
    re.compile(r"\b(cks-|eni-|sg-|i-|vpc-)[0-9a-f]{8,17}\b"),
    re.compile(r"(-)[0-9A-Z]{10,14}\b"),
    re.compile(r"\b()[0-9a-f]{32}\b"),
)

# Virtual second, service, subject, and event with its state or step.
NormalizedEvent = tuple[float, str, str, str]


def normalize(events: Iterable[Event]) -> list[NormalizedEvent]:
    """The events without random IDs, sorted: order within a virtual second is arbitrary."""
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
    """The name with each random ID replaced by an asterisk."""
    for pattern in _RANDOM:
        name = pattern.sub(r"\1*", name)
    return name
