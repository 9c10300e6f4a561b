"""What AWS itself does during an operation, as intervals of virtual time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from display.traces import Kind, Trace
from rehearsal.events import Event
from rehearsal.report.spans import traces

# Virtual seconds until Run Command has delivered a command to an agent that is online.
DELIVERY = 1.0
# An instance and its profile are not among these: they are created beside the cluster.
RESOURCES = {
    "AWS::IAM::Role": "role",
    "AWS::IAM::Policy": "policy",
    "AWS::IAM::ManagedPolicy": "policy",
    "AWS::Lambda::Function": "function",
    "AWS::StepFunctions::StateMachine": "state machine",
}
STATES = {
    (Kind.CLUSTER, "CREATE_IN_PROGRESS"): "create the cluster",
    (Kind.CLUSTER, "INITIALIZE_IN_PROGRESS"): "initialize",
    (Kind.CLUSTER, "DELETE_IN_PROGRESS"): "delete the cluster",
    (Kind.CLUSTER, "MODIFY_IN_PROGRESS"): "change the HSM type",
    (Kind.HSM, "CREATE_IN_PROGRESS"): "create HSMs",
    (Kind.HSM, "DELETE_IN_PROGRESS"): "delete HSMs",
    (Kind.KEY_STORE, "CONNECTING"): "connect",
    (Kind.KEY_STORE, "DISCONNECTING"): "disconnect",
}


@dataclass(frozen=True)
class Activity:
    """Something that takes AWS time, and that an operation cannot avoid."""

    name: str
    start: float
    end: float


def activities(events: Sequence[Event], timings: Mapping[str, float]) -> list[Activity]:
    """The activities in these events, ordered by their end."""
    found = [
        *_created_resources(events),
        *_states(traces(events)),
        *_activations(events, timings),
        *_departures(events, timings),
    ]
    return sorted((each for each in found if each.end > each.start), key=lambda each: each.end)


def _created_resources(events: Iterable[Event]) -> Iterator[Activity]:
    began: dict[tuple[str, str], float] = {}
    for event in events:
        kind = RESOURCES.get(event.get("type", ""))
        if not kind:
            continue
        key = (event["stack"], event["subject"])
        if event["event"] == "CREATE_IN_PROGRESS":
            began[key] = event["at"]
        elif event["event"] == "CREATE_COMPLETE" and key in began:
            yield Activity(f"create a {kind}", began.pop(key), event["at"])


def _states(found: Iterable[Trace]) -> Iterator[Activity]:
    for trace in found:
        for span in trace.spans:
            name = STATES.get((trace.kind, span.state))
            if name and span.end is not None:
                yield Activity(name, span.start, span.end)


def _activations(events: Iterable[Event], timings: Mapping[str, float]) -> Iterator[Activity]:
    """The one command that activation cannot do without, and what the cluster then does."""
    activated: dict[str, float] = {}
    for event in events:
        if event["event"] == "activate":
            activated[event["subject"]] = event["at"]
            command = DELIVERY + timings.get("cloudhsm_cli", 0)
            yield Activity("run the activation", event["at"] - command, event["at"])
        elif event["event"] == "ACTIVE" and event["subject"] in activated:
            start = activated.pop(event["subject"])
            yield Activity("activate", start, event["at"])


def _departures(events: Sequence[Event], timings: Mapping[str, float]) -> Iterator[Activity]:
    """How long AWS refuses DeleteCluster after the last HSM is DELETED (F1.28, F1.29)."""
    if not any(event["event"] == "DeleteCluster" for event in events):
        return
    seconds = timings["deleted_hsm_visible"] + timings["deleted_hsm_lingers"]
    for event in events:
        if event["subject"].startswith("hsm-") and event["event"] == "DELETED":
            yield Activity("let go of HSMs", event["at"], event["at"] + seconds)
