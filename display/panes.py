"""What a request has done so far: as panes of a live display, or as lines for a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.table import Table
from rich.text import Text

from display.colours import CATEGORIES, RUNNING, WAITING, category
from display.traces import Kind, Trace, Transition, duration, without_current_look

# A terminal with fewer columns has no room for two panes beside each other.
TWO_PANES = 110
# The kinds printed as plain lines; a diagram has the others too.
PRINTED = frozenset(
    {Kind.STACK, Kind.EXECUTION, Kind.CLUSTER, Kind.HSM, Kind.KEY_STORE, Kind.COMMAND}
)
# The colour of a workflow's states on a terminal, whose background is unknown.
WORKFLOW = "cyan"
_SERVICES = (Kind.CLUSTER, Kind.HSM, Kind.KEY_STORE, Kind.INSTANCE, Kind.COMMAND)


def side_by_side(left: Table, right: Table, width: int) -> Table:
    """Two panes, one above the other if the terminal is narrow."""
    panes = Table.grid(expand=True, padding=(0, 2))
    panes.add_column(ratio=1)
    if width < TWO_PANES:
        panes.add_row(left)
        panes.add_row(right)
    else:
        panes.add_column(ratio=1)
        panes.add_row(left, right)
    return panes


def height(left: Table, right: Table, width: int) -> int:
    """The number of lines of two panes."""
    counts = (left.row_count, right.row_count)
    return sum(counts) if width < TWO_PANES else max(counts)


def stacks(found: Iterable[Trace], elapsed: float, most: int = 12) -> Table:
    """Stacks, how many of their resources are complete, and the resources that are not."""
    table, found = _pane(), list(found)
    for trace in found:
        if trace.kind is Kind.STACK and trace.state:
            table.add_row(Text(f"stack {trace.label}", style="bold"), _state(trace, elapsed))
    resources = [trace for trace in found if trace.kind is Kind.RESOURCE and trace.state]
    complete = [trace for trace in resources if (trace.state or "").endswith("COMPLETE")]
    if resources:
        count = f"{len(complete)} of {len(resources)} complete"
        table.add_row("resources", Text(count, style="dim"))
    # Those of the latest states last, and so nearest to what the request waits for.
    others = sorted(
        (trace for trace in resources if trace not in complete),
        key=lambda trace: trace.spans[-1].start,
    )
    for trace in others[-most:]:
        table.add_row(f"  {trace.label}", _state(trace, elapsed))
    if len(others) > most:
        table.add_row(Text(f"  and {len(others) - most} more", style="dim"), "")
    return table


def services(found: Iterable[Trace], elapsed: float, most: int = 20) -> Table:
    """Running executions, each indented below its parent, then CloudHSM, KMS and the client."""
    table, found = _pane(), list(found)
    running = [trace for trace in found if trace.kind is Kind.EXECUTION and trace.state]
    for depth, trace in enumerate(running):
        table.add_row(Text("  " * depth + trace.label, style="bold"), _state(trace, elapsed))
    present = [trace for kind in _SERVICES for trace in found if trace.kind is kind and trace.state]
    room = max(1, most - len(running))
    for trace in present[:room]:
        table.add_row(f"{trace.kind.value} {trace.label}", _state(trace, elapsed))
    if len(present) > room:
        table.add_row(Text(f"and {len(present) - room} more", style="dim"), "")
    return table


def _pane() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, overflow="ellipsis")
    table.add_column(no_wrap=True, overflow="ellipsis")
    return table


def _state(trace: Trace, elapsed: float) -> Text:
    is_execution = trace.kind is Kind.EXECUTION
    span = (without_current_look(trace.spans) if is_execution else trace.spans)[-1]
    return Text.assemble(
        (span.state, WORKFLOW if is_execution else category(trace.kind, span.state).colour),
        (f"  {duration(elapsed - span.start)}", "dim"),
    )


def legend() -> Text:
    """What the colours of states mean."""
    # Without examples, which would fill the screen.
    groups = [
        (each.label.partition(" (")[0], each.colour)
        for each in CATEGORIES
        if each not in (RUNNING, WAITING)
    ]
    return Text("  ").join(Text(*each) for each in [*groups, ("workflow state", WORKFLOW)])


class PlainLines:
    """A line for each transition, once."""

    def __init__(self, printed: frozenset[Kind] = PRINTED) -> None:
        self._kinds = printed
        self._printed: set[tuple[str, str, float]] = set()

    def new(self, transitions: Iterable[Transition]) -> Iterator[Text]:
        """The lines of transitions that had none yet."""
        for each in transitions:
            # Of an execution's many states, only the start is printed.
            starts = each.kind is Kind.EXECUTION and not each.is_end
            state = "started" if starts else each.state
            key = (each.subject, state, 0.0 if starts else each.at)
            if each.kind in self._kinds and key not in self._printed:
                self._printed.add(key)
                yield Text.assemble(
                    f"{duration(each.at):>8}    {each.kind.value} {each.label} ",
                    (state, category(each.kind, state).colour),
                )


def transitions_of(traces: Sequence[Trace]) -> list[Transition]:
    """The transitions that made these traces, in order."""
    found = []
    for trace in traces:
        found += [
            Transition(span.start, trace.kind, trace.subject, trace.label, span.state)
            for span in trace.spans
        ]
        if trace.outcome:
            end = trace.end or trace.start
            found.append(
                Transition(end, trace.kind, trace.subject, trace.label, trace.outcome, is_end=True)
            )
    return sorted(found, key=lambda each: each.at)
