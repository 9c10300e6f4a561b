"""Display a running scenario: live on a terminal, as plain lines elsewhere."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from localaws.client import LocalAwsError
from rehearsal.drivers.step import Step
from rehearsal.events import Event
from rehearsal.report.spans import Kind, Span, Trace, duration, traces, transitions
from rehearsal.report.svg import category

# Real seconds between two reads of the event log, and the part of the time that they may take: the
# log grows, and the local AWS stands still while it writes it.
REFRESH_SECONDS = 0.25
SHARE = 0.05
# The kinds printed as plain lines; the diagram has the others too.
PRINTED = frozenset(
    {Kind.STACK, Kind.EXECUTION, Kind.CLUSTER, Kind.HSM, Kind.KEY_STORE, Kind.COMMAND}
)


@dataclass(frozen=True)
class Snapshot:
    """Elapsed virtual seconds and event log of a local AWS at one moment."""

    elapsed: float
    events: Sequence[Event]


class Display:
    """Polls a local AWS while a scenario runs and displays its state."""

    def __init__(self, console: Console, title: str, snapshot: Callable[[], Snapshot]) -> None:
        self.console, self.title, self._snapshot = console, title, snapshot
        self.steps: list[Step] = []
        self._printed: set[tuple[str, str, float]] = set()
        self._stop = threading.Event()
        self._live: Live | None = None
        self._thread = threading.Thread(target=self._poll, name="display", daemon=True)

    def __enter__(self) -> Self:
        self.console.print(Text(self.title, style="bold"))
        if self.console.is_terminal:
            self._live = Live(console=self.console, transient=True, auto_refresh=False)
            self._live.start()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._refresh()
        if self._live:
            self._live.stop()

    def start_step(self, step: Step) -> None:
        """Show a step that starts now."""
        self.steps.append(step)
        if not self._live:
            self.console.print(Text(f"{duration(step.start):>8}  {step.name}", style="bold"))

    def _poll(self) -> None:
        pause = REFRESH_SECONDS
        while not self._stop.wait(pause):
            began = time.monotonic()
            self._refresh()
            pause = max(REFRESH_SECONDS, (time.monotonic() - began) / SHARE)

    def _refresh(self) -> None:
        # The local AWS may have stopped or be too busy; the next refresh catches up.
        with contextlib.suppress(OSError, HTTPException, LocalAwsError):
            snapshot = self._snapshot()
            if self._live:
                height = self.console.size.height - 2
                self._live.update(render(snapshot, self.steps, height), refresh=True)
            else:
                for line in self._new_lines(snapshot.events):
                    self.console.print(line)

    def _new_lines(self, events: Iterable[Event]) -> Iterator[Text]:
        """A line for each transition not printed yet."""
        for each in transitions(events):
            # Of an execution's many states, only the start is printed.
            starts = each.kind is Kind.EXECUTION and not each.is_end
            state = "started" if starts else each.state
            key = (each.subject, state, 0.0 if starts else each.at)
            if each.kind in PRINTED and key not in self._printed:
                self._printed.add(key)
                yield Text.assemble(
                    f"{duration(each.at):>8}    {each.kind.value} {each.label} ",
                    (state, category(each.kind, state).colour),
                )


def render(snapshot: Snapshot, steps: Sequence[Step], height: int) -> RenderableType:
    """The terminal's content at this moment, in so many lines."""
    found = traces(snapshot.events)
    columns = Table.grid(expand=True, padding=(0, 2))
    columns.add_column(ratio=1)
    columns.add_column(ratio=1)
    stacks, services = _stacks(found, snapshot.elapsed), _services(found, snapshot.elapsed)
    columns.add_row(stacks, services)
    used = len(steps) + max(stacks.row_count, services.row_count) + 5
    return Group(
        _steps(steps, snapshot.elapsed),
        Rule(f"{duration(snapshot.elapsed)} virtual time", style="dim"),
        columns,
        Rule("latest events", style="dim"),
        _latest_events(snapshot.events, max(3, height - used)),
    )


def _steps(steps: Sequence[Step], elapsed: float) -> Table:
    table = Table.grid(padding=(0, 2))
    for step in steps:
        if step.end is None:
            mark, virtual, wall = "▶", elapsed - step.start, time.monotonic() - step.began
        else:
            mark, virtual, wall = "✗" if step.failure else "✓", step.virtual, step.wall
        style = {"▶": "bold", "✓": "green", "✗": "red"}[mark]
        table.add_row(
            Text(f"{mark} {step.name}", style=style),
            Text(f"{duration(virtual)} virtual", style="dim"),
            Text(f"{wall:.1f} s real", style="dim"),
        )
    return table


def _stacks(found: Iterable[Trace], elapsed: float) -> Table:
    """Stacks, how many of their resources are complete, and the resources that are not."""
    table = Table.grid(padding=(0, 2))
    for trace in found:
        if trace.kind is Kind.STACK and trace.state:
            table.add_row(Text(f"stack {trace.label}", style="bold"), _state(trace, elapsed))
    resources = [trace for trace in found if trace.kind is Kind.RESOURCE and trace.state]
    complete = [trace for trace in resources if (trace.state or "").endswith("COMPLETE")]
    if resources:
        count = f"{len(complete)} of {len(resources)} complete"
        table.add_row("resources", Text(count, style="dim"))
    for trace in resources:
        if trace not in complete:
            table.add_row(f"  {trace.label}", _state(trace, elapsed))
    return table


def _services(found: Iterable[Trace], elapsed: float) -> Table:
    """Running executions, each indented below its parent, then CloudHSM, KMS and the client."""
    table = Table.grid(padding=(0, 2))
    depth = 0
    for trace in found:
        if trace.kind is Kind.EXECUTION and trace.state:
            table.add_row(Text("  " * depth + trace.label, style="bold"), _state(trace, elapsed))
            depth += 1
    for kind in (Kind.CLUSTER, Kind.HSM, Kind.KEY_STORE, Kind.INSTANCE, Kind.COMMAND):
        for trace in found:
            if trace.kind is kind and trace.state:
                table.add_row(f"{kind.value} {trace.label}", _state(trace, elapsed))
    return table


def _state(trace: Trace, elapsed: float) -> Text:
    span: Span = trace.spans[-1]
    colour = category(trace.kind, span.state).colour
    return Text.assemble(
        (span.state, "cyan" if trace.kind is Kind.EXECUTION else colour),
        (f"  {duration(elapsed - span.start)}", "dim"),
    )


def _latest_events(events: Sequence[Event], count: int) -> Table:
    table = Table.grid(padding=(0, 2))
    for event in events[-count:]:
        table.add_row(
            Text(f"{duration(event['at']):>8}", style="dim"),
            Text(event["service"], style="dim"),
            Text(event["subject"], overflow="ellipsis", no_wrap=True),
            Text(_event_name(event), overflow="ellipsis", no_wrap=True),
        )
    return table


def _event_name(event: Event) -> str:
    """The event's name, followed by the workflow state or function step it concerns."""
    detail = event.get("state") or event.get("step")
    return f"{event['event']} {detail}" if detail else str(event["event"])


def summary(steps: Sequence[Step]) -> Table:
    """The table printed after a run: each step's virtual and real duration and its outcome."""
    table = Table(box=None, padding=(0, 2), header_style="dim")
    table.add_column("step")
    table.add_column("virtual", justify="right")
    table.add_column("real", justify="right")
    table.add_column("outcome")
    for step in steps:
        table.add_row(
            step.name,
            duration(step.virtual),
            f"{step.wall:.1f} s",
            Text(step.failure or "passed", style="red" if step.failure else "green"),
        )
    return table
