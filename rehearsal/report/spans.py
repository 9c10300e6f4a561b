"""Convert an event log to traces: each resource's states, from when to when."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from rehearsal.events import WORKFLOW_ENDS, Event


class Kind(Enum):
    """The kind of resource, in the order in which a request reaches it."""

    STACK = "stack"
    RESOURCE = "resource"
    EXECUTION = "execution"
    CLUSTER = "cluster"
    HSM = "HSM"
    KEY_STORE = "key store"
    INSTANCE = "instance"
    COMMAND = "command"


# <stack>-<logical id>-<random>
CLOUDFORMATION_NAME = re.compile(r".*-(\w+)-[0-9A-Z]{10,14}")
CLOUDHSM_KINDS = {"cluster": Kind.CLUSTER, "hsm": Kind.HSM}
# Terminal events of other resources, and the outcome of each.
ENDS = {
    "DELETE_COMPLETE": "DELETE_COMPLETE",
    "DELETED": "DELETED",
    "DeleteCustomKeyStore": "DELETED",
    "terminated": "terminated",
}


@dataclass
class Span:
    """One state and its virtual start and end; the end is None while it lasts."""

    state: str
    start: float
    end: float | None = None


@dataclass
class Trace:
    """The states of one resource in order; the label is its display name."""

    kind: Kind
    subject: str
    label: str
    spans: list[Span] = field(default_factory=list)
    # SUCCEEDED, DELETED, ...; None until it has ended.
    outcome: str | None = None

    @property
    def state(self) -> str | None:
        """The current state; None once it has ended."""
        return self.spans[-1].state if self.spans and self.outcome is None else None

    @property
    def start(self) -> float:
        """The virtual second of the first event."""
        return self.spans[0].start

    @property
    def end(self) -> float | None:
        """The virtual second of the last event; None until it has ended."""
        return self.spans[-1].end

    def enter(self, state: str, at: float) -> None:
        """Enter a state, unless it is the current one."""
        if self.state == state:
            return
        self._close(at)
        self.outcome = None
        self.spans.append(Span(state, at))

    def finish(self, outcome: str, at: float) -> None:
        """End with this outcome."""
        self._close(at)
        self.outcome = outcome

    def _close(self, at: float) -> None:
        if self.spans and self.spans[-1].end is None:
            self.spans[-1].end = at


def duration(seconds: float) -> str:
    """Format virtual seconds: 0:41, 12:07, 1:02:30."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@dataclass(frozen=True)
class Transition:
    """An event that moves a resource to another state or ends it."""

    at: float
    kind: Kind
    subject: str
    label: str
    state: str
    is_end: bool = False


def transitions(events: Iterable[Event]) -> Iterator[Transition]:
    """The state transitions among these events, in order; calls and notes are skipped."""
    for event in events:
        kind = _kind(event)
        if kind is None:
            continue
        state, end = _transition(kind, event)
        if state or end:
            yield Transition(
                float(event["at"]),
                kind,
                _subject(kind, event),
                _label(kind, event),
                str(state or end),
                is_end=end is not None,
            )


def traces(events: Iterable[Event]) -> list[Trace]:
    """The traces of all resources in these events, ordered by start."""
    found: dict[tuple[Kind, str], Trace] = {}
    for each in transitions(events):
        trace = found.setdefault(
            (each.kind, each.subject), Trace(each.kind, each.subject, each.label)
        )
        if each.is_end:
            trace.finish(each.state, each.at)
        else:
            trace.enter(each.state, each.at)
    return [trace for trace in found.values() if trace.spans]


def _kind(event: Event) -> Kind | None:
    """The kind of the event's subject; None if it has no trace."""
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
    """An identifier that is unique within the kind."""
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
    if kind is Kind.COMMAND and (match := CLOUDFORMATION_NAME.fullmatch(subject)):
        return match.group(1)
    return subject


def _transition(kind: Kind, event: Event) -> tuple[str | None, str | None]:
    """The state that the event enters, or else the outcome that it sets."""
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
    # Other names are calls (CreateHsm) and notes (Login).
    is_state = kind is Kind.INSTANCE or name.isupper()
    return (name, None) if is_state else (None, None)
