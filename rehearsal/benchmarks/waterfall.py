"""Where an operation's time goes: AWS's own time, and every second that is lost beside it.

AWS's own time is the critical path of what cannot be avoided. It is found backwards from the end of
the operation: the activity that ended last before it, then the one that ended last before that
began, and so on. Of a stack's resources, one role, function and state machine count: no other has
to be waited for. What lies between two of them is lost, and named by what the stack waited for.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from display.traces import Kind, Trace
from rehearsal.benchmarks.activities import Activity
from rehearsal.events import Event
from rehearsal.report.spans import traces

# The event log rounds to tenths of a second.
PRECISION = 0.15
# The names of activities that create resources of the stack.
RESOURCE = "create a "
# What a workflow does between two waits, unless a part of it takes longer than BRIEF.
WORK, BRIEF = "functions and transitions", 2.0
# CloudFormation, from the end of the request's workflow to that of the resource.
RESPONSE = "CloudFormation processes the response"


@dataclass(frozen=True)
class Segment:
    """A part of an operation: an activity of AWS, or time that is lost."""

    name: str
    start: float
    end: float
    is_lost: bool

    @property
    def seconds(self) -> float:
        """Its virtual duration."""
        return self.end - self.start


@dataclass(frozen=True)
class Waterfall:
    """The segments of an operation, in order and without gaps."""

    segments: Sequence[Segment]

    @property
    def elapsed(self) -> float:
        """The operation's virtual seconds."""
        return sum(segment.seconds for segment in self.segments)

    @property
    def own(self) -> float:
        """AWS's own time."""
        return sum(segment.seconds for segment in self.segments if not segment.is_lost)

    @property
    def ratio(self) -> float:
        """The operation's time relative to AWS's own."""
        return self.elapsed / self.own if self.own else 1.0

    @property
    def chain(self) -> tuple[str, ...]:
        """The activities on the critical path, without those of the stack's resources."""
        return tuple(
            segment.name
            for segment in self.segments
            if not segment.is_lost and not segment.name.startswith(RESOURCE)
        )

    def losses(self) -> Counter[str]:
        """Lost seconds by name."""
        lost: Counter[str] = Counter()
        for segment in self.segments:
            if segment.is_lost:
                lost[segment.name] += segment.seconds  # type: ignore[assignment]  # seconds are no integers
        return lost


def waterfall(
    start: float, end: float, found: Sequence[Activity], events: Sequence[Event]
) -> Waterfall:
    """The waterfall of an operation that lasted from start to end (virtual seconds)."""
    path: list[Activity] = []
    current = end
    resources: set[str] = set()
    for activity in sorted(found, key=lambda each: each.end, reverse=True):
        if activity.name.startswith(RESOURCE) and activity.name in resources:
            continue
        if activity.end <= current + PRECISION and activity.end > start:
            resources.add(activity.name)
            path.insert(0, activity)
            current = activity.start
    segments: list[Segment] = []
    at, named = start, traces(events)
    for activity in path:
        begin = max(activity.start, at)
        segments += _lost(at, begin, named, events)
        at = min(activity.end, end)
        segments.append(Segment(activity.name, begin, at, is_lost=False))
    segments += _lost(at, end, named, events)
    return Waterfall(_merged(segments))


def _lost(
    start: float, end: float, found: Sequence[Trace], events: Sequence[Event]
) -> Iterator[Segment]:
    """The segments of an interval in which AWS did nothing that cannot be avoided."""
    if end <= start:
        return
    moments = {start, end}
    for trace in found:
        for span in trace.spans:
            moments |= {span.start, span.end or end}
    moments |= {event["at"] for event in events if event["service"] == "lambda"}
    inside = sorted(moment for moment in moments if start <= moment <= end)
    for left, right in itertools.pairwise(inside):
        yield Segment(_reason((left + right) / 2, found, events), left, right, is_lost=True)


def _reason(at: float, found: Sequence[Trace], events: Sequence[Event]) -> str:
    """What the stack waits for at this moment."""
    running = [trace for trace in found if _state(trace, at) is not None]
    commands = [trace.label for trace in running if trace.kind is Kind.COMMAND]
    executions = [trace for trace in running if trace.kind is Kind.EXECUTION]
    state = _state(executions[-1], at) if executions else None
    if commands and not (state or "").startswith("WaitForHsms"):
        return f"client: {', '.join(sorted(set(commands)))} runs"
    if function := _function(at, events):
        return f"function: {function}"
    if state is not None:
        machine = executions[-1].label
        verb = "polling" if state.startswith("WaitFor") else "state"
        return f"{verb}: {state} ({_short(machine)})"
    return _stack_reason(at, running)


def _stack_reason(at: float, running: Sequence[Trace]) -> str:
    resources = {
        trace.label
        for trace in running
        if trace.kind is Kind.RESOURCE and (_state(trace, at) or "").endswith("IN_PROGRESS")
    }
    custom = {label for label in resources if label in ("rCloudHsmCluster", "rCloudHsmKeyStore")}
    if resources - custom:
        return f"stack: {', '.join(sorted(resources - custom))}"
    return RESPONSE if custom else "stack: nothing in progress"


def _short(machine: str) -> str:
    """The name of a state machine without those of system and purpose."""
    return "-".join(machine.split("-")[-3:]).lstrip("0123456789-")


def _state(trace: Trace, at: float) -> str | None:
    for span in trace.spans:
        if span.start <= at and (span.end is None or at < span.end):
            return span.state
    return None


def _function(at: float, events: Sequence[Event]) -> str | None:
    """The function that runs at this moment, by its step if it has one."""
    running: dict[str, int] = {}
    for event in events:
        if event["at"] > at:
            break
        if event["service"] == "lambda":
            name = event.get("step") or event["subject"].split("-")[-1]
            running[name] = running.get(name, 0) + (1 if event["event"] == "Invoked" else -1)
    return next((name for name, count in running.items() if count > 0), None)


def _merged(segments: Sequence[Segment]) -> list[Segment]:
    """Neighbours with the same name as one; without those that last no time."""
    merged: list[Segment] = []
    for each in segments:
        if each.seconds <= 0:
            continue
        if each.seconds < BRIEF and each.name.startswith(("function: ", "state: ")):
            each = replace(each, name=WORK)
        last = merged[-1] if merged else None
        if last and (last.name, last.is_lost) == (each.name, each.is_lost) and each.is_lost:
            merged[-1] = Segment(each.name, last.start, each.end, is_lost=True)
        else:
            merged.append(each)
    return merged
