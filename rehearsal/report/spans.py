"""Convert an event log to traces: each resource's states, from when to when."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from display.traces import Kind, Trace, Transition
from rehearsal.events import WORKFLOW_ENDS, Event

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
