"""What a event_log tells, as tracks: who was in which state, from when to when.

The display asks each track for its last span; the picture draws all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

Event = dict[str, Any]


class Kind(Enum):
    """What a track is about, in the order in which a request reaches it."""

    STACK = "stack"
    RESOURCE = "resource"
    EXECUTION = "execution"
    CLUSTER = "cluster"
    HSM = "HSM"
    KEY_STORE = "key store"
    INSTANCE = "instance"
    COMMAND = "command"


# <stack>-<logical id>-<random>
NAMED_BY_CLOUDFORMATION = re.compile(r".*-(\w+)-[0-9A-Z]{10,14}")
CLOUDHSM_KINDS = {"cluster": Kind.CLUSTER, "hsm": Kind.HSM}
# The events with which a workflow or anything else is over, and what has become of it then.
WORKFLOW_ENDS = {
    "ExecutionSucceeded": "SUCCEEDED",
    "ExecutionFailed": "FAILED",
    "ExecutionAborted": "ABORTED",
    "ExecutionTimedOut": "TIMED_OUT",
}
ENDS = {
    "DELETE_COMPLETE": "DELETE_COMPLETE",
    "DELETED": "DELETED",
    "DeleteCustomKeyStore": "DELETED",
    "terminated": "terminated",
}


@dataclass
class Span:
    """One state and the virtual seconds during which it lasted; no end while it still lasts."""

    state: str
    start: float
    end: float | None = None


@dataclass
class Track:
    """One thing's states, one after the other; label is what a person calls the thing."""

    kind: Kind
    subject: str
    label: str
    spans: list[Span] = field(default_factory=list)
    # How it ended (SUCCEEDED, DELETED, ...); None while it lasts.
    outcome: str | None = None

    @property
    def state(self) -> str | None:
        """The state it is in now; None once it has ended."""
        return self.spans[-1].state if self.spans and self.outcome is None else None

    @property
    def start(self) -> float:
        """The virtual second in which it began."""
        return self.spans[0].start

    @property
    def end(self) -> float | None:
        """The virtual second in which it ended; None while it lasts."""
        return self.spans[-1].end

    def turn(self, state: str, at: float) -> None:
        """It is in this state from now on."""
        if self.state == state:
            return
        self._close(at)
        self.outcome = None
        self.spans.append(Span(state, at))

    def finish(self, outcome: str, at: float) -> None:
        """It ended thus."""
        self._close(at)
        self.outcome = outcome

    def _close(self, at: float) -> None:
        if self.spans and self.spans[-1].end is None:
            self.spans[-1].end = at


def duration(seconds: float) -> str:
    """Virtual seconds as a person says them: 0:41, 12:07, 1:02:30."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@dataclass(frozen=True)
class Turn:
    """One event that takes a thing to another state, or ends it."""

    at: float
    kind: Kind
    subject: str
    label: str
    state: str
    is_end: bool = False


def turns(events: Iterable[Event]) -> Iterator[Turn]:
    """The turns that these events tell of, in their order; the rest of them are calls and notes."""
    for event in events:
        kind = _kind(event)
        if kind is None:
            continue
        state, end = _turn(kind, event)
        if state or end:
            yield Turn(
                float(event["at"]),
                kind,
                _subject(kind, event),
                _label(kind, event),
                str(state or end),
                is_end=end is not None,
            )


def tracks(events: Iterable[Event]) -> list[Track]:
    """The tracks that these events tell of, in the order in which they began."""
    found: dict[tuple[Kind, str], Track] = {}
    for turn in turns(events):
        key = (turn.kind, turn.subject)
        track = found.setdefault(key, Track(turn.kind, turn.subject, turn.label))
        if turn.is_end:
            track.finish(turn.state, turn.at)
        else:
            track.turn(turn.state, turn.at)
    return [track for track in found.values() if track.spans]


def _kind(event: Event) -> Kind | None:
    """What sort of thing the event is about; None if it has no states worth a track."""
    subject = str(event["subject"])
    match event["service"]:
        case "cloudformation":
            return Kind.STACK if subject == event["stack"] else Kind.RESOURCE
        case "states":
            return Kind.EXECUTION
        case "cloudhsm":
            return CLOUDHSM_KINDS.get(subject.split("-")[0])
        case "kms":
            return Kind.KEY_STORE if subject.startswith("cks-") else None
        case "ec2":
            return Kind.INSTANCE if subject.startswith("i-") else None
        case "ssm":
            return Kind.COMMAND if "command" in event else None
    return None


def _subject(kind: Kind, event: Event) -> str:
    """What tells the thing from all others of its kind."""
    subject = str(event["subject"])
    match kind:
        case Kind.EXECUTION:
            return f"{subject}/{event['execution']}"
        case Kind.RESOURCE:
            return f"{event['stack']}/{subject}"
        case Kind.COMMAND:
            return f"{subject}/{event['command']}/{event['instance']}"
    return subject


def _label(kind: Kind, event: Event) -> str:
    subject = str(event["subject"])
    if kind is Kind.HSM:
        return f"{subject} {event.get('zone', '')}".strip()
    if kind is Kind.COMMAND and (made := NAMED_BY_CLOUDFORMATION.fullmatch(subject)):
        return made.group(1)
    return subject


def _turn(kind: Kind, event: Event) -> tuple[str | None, str | None]:
    """The state to which the event takes its subject, or else what ends it."""
    name = str(event["event"])
    match kind:
        case Kind.EXECUTION if name == "StateEntered":
            return str(event["state"]), None
        case Kind.EXECUTION:
            return None, WORKFLOW_ENDS.get(name)
        case Kind.COMMAND:
            return ("InProgress", None) if name == "SendCommand" else (None, name)
    if name in ENDS:
        return None, ENDS[name]
    # What is left are calls, such as CreateHsm, and notes, such as Login.
    is_state = kind is Kind.INSTANCE or name.isupper()
    return (name, None) if is_state else (None, None)
