"""Display a running scenario: live on a terminal, as plain lines elsewhere."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from types import TracebackType
from typing import Self

from rich.console import Console, ConsoleDimensions, Group
from rich.live import Live
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from display import panes
from display.panes import PlainLines
from display.traces import Kind, Span, Trace, duration, without_current_look
from localaws.client import LocalAwsError
from rehearsal.drivers.step import Step
from rehearsal.events import WORKFLOW_ENDS, Event
from rehearsal.report import progress
from rehearsal.report.spans import traces, transitions

# Real seconds between two reads of the event log, and the part of the time that they may take: the
# log grows, and the local AWS stands still while it writes it.
REFRESH_SECONDS = 0.25
SHARE = 0.05
# The live part, above which the steps and their commands stay visible.
FEWEST_LINES, FEWEST_EVENTS = 18, 3
# Below a step's name, as the lines of transitions are.
INDENTED = " " * 12


@dataclass(frozen=True)
class Snapshot:
    """Elapsed virtual seconds and event log of a local AWS at one moment."""

    elapsed: float
    events: Sequence[Event]


class Display:
    """Polls a local AWS while a scenario runs and displays its state.

    `expected` has the real seconds of each step in an earlier run, if there was one.
    """

    def __init__(
        self,
        console: Console,
        snapshot: Callable[[], Snapshot],
        expected: Sequence[float] = (),
    ) -> None:
        self.console, self._snapshot = console, snapshot
        self.steps: list[Step] = []
        self._expected = expected
        self._lines = PlainLines()
        # The latest, which outlives a local AWS that was stopped.
        self.latest = Snapshot(0, [])
        self._stop = threading.Event()
        self._live: Live | None = None
        self._thread = threading.Thread(target=self._poll, name="display", daemon=True)

    def __enter__(self) -> Self:
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
        head = f"{progress.position(len(self.steps), self._expected)}: {step.name}"
        self.console.print(Text(f"{duration(step.start):>8}  {head}", style="bold"))

    def show_command(self, command: str) -> None:
        """Show a command that the current step amounts to, in one piece."""
        for line in command.strip().splitlines() if self.steps else ():
            self.console.print(Text.assemble((f"{INDENTED}$ ", "dim"), line), soft_wrap=True)

    def _poll(self) -> None:
        pause = REFRESH_SECONDS
        while not self._stop.wait(pause):
            began = time.monotonic()
            self._refresh()
            pause = max(REFRESH_SECONDS, (time.monotonic() - began) / SHARE)

    def _refresh(self) -> None:
        # The local AWS may have stopped or be too busy; the next refresh catches up.
        with contextlib.suppress(OSError, HTTPException, LocalAwsError):
            snapshot = self.latest = self._snapshot()
            if self._live:
                shown = render(snapshot, self.steps, self.console.size, self._expected)
                self._live.update(shown, refresh=True)
            else:
                for line in self._lines.new(transitions(snapshot.events)):
                    self.console.print(line)


def render(
    snapshot: Snapshot,
    steps: Sequence[Step],
    size: ConsoleDimensions,
    expected: Sequence[float] = (),
) -> Group:
    """The terminal's content at this moment, below the steps and their commands."""
    found, lines = traces(snapshot.events), max(FEWEST_LINES, size.height * 2 // 3)
    legend = panes.legend()
    # Beside the panes: the step, two rules, the legend.
    room = lines - 3 - math.ceil(legend.cell_len / size.width)
    is_narrow = size.width < panes.TWO_PANES
    most = room - FEWEST_EVENTS
    stacks = panes.stacks(found, snapshot.elapsed, most // 2 - 2 if is_narrow else most)
    most -= stacks.row_count if is_narrow else 0
    services = panes.services(found, snapshot.elapsed, most)
    events = room - panes.height(stacks, services, size.width)
    return Group(
        _step(steps, expected),
        Rule(_times(snapshot.elapsed, steps, expected), style="dim"),
        panes.side_by_side(stacks, services, size.width),
        Rule("latest events", style="dim"),
        _latest_events(snapshot.events, found, max(FEWEST_EVENTS, events)),
        legend,
    )


def _step(steps: Sequence[Step], expected: Sequence[float]) -> Text:
    if not steps:
        return Text("starting", style="bold")
    head = f"▶ {progress.position(len(steps), expected)}: {steps[-1].name}"
    return Text(head, "bold", no_wrap=True, overflow="ellipsis")


def _times(elapsed: float, steps: Sequence[Step], expected: Sequence[float]) -> str:
    """The virtual time, how long the current step has taken, and the real time left."""
    times = [f"{duration(elapsed)} virtual time"]
    if steps:
        step = steps[-1]
        virtual = elapsed - step.start if step.end is None else step.virtual
        real = time.monotonic() - step.began if step.end is None else step.wall
        times += [f"this step {duration(virtual)} in {real:.0f} s"]
    times += [progress.sentence(progress.left(steps, expected))]
    return ", ".join(filter(None, times))


def _latest_events(events: Sequence[Event], found: Sequence[Trace], count: int) -> Table:
    """Events of the services, and states of workflows, with each polling loop as one line."""
    rows = [
        (float(event["at"]), str(event["service"]), str(event["subject"]), str(event["event"]))
        for event in events
        # Invocations repeat the workflow's states.
        if event["service"] != "lambda" and event["event"] != "StateEntered"
    ]
    for trace in found:
        if trace.kind is Kind.EXECUTION:
            rows += [_state_row(trace, span) for span in without_current_look(trace.spans)]
    # Of a moment, the end of an execution comes last.
    rows.sort(key=lambda row: (row[0], row[3] in WORKFLOW_ENDS))
    table = Table.grid(padding=(0, 2))
    for at, service, subject, name in rows[-count:]:
        table.add_row(
            Text(f"{duration(at):>8}", style="dim"),
            Text(service, style="dim"),
            Text(subject, overflow="ellipsis", no_wrap=True),
            Text(name, overflow="ellipsis", no_wrap=True),
        )
    for _ in range(count - table.row_count):
        table.add_row("")  # so that the display keeps its height
    return table


def _state_row(trace: Trace, span: Span) -> tuple[float, str, str, str]:
    """A state of a workflow; a polling loop is as new as its latest look."""
    if span.looks == 1:
        return span.start, "states", trace.label, span.state
    # Of the next look, if the loop is over.
    latest = trace.spans[-1].start if span.end is None else span.end
    return latest, "states", trace.label, f"{span.state}, {span.looks} looks"


def summary(steps: Sequence[Step]) -> Table:
    """The table printed after a run: each step's virtual and real duration and its outcome."""
    table = Table(box=None, padding=(0, 2), header_style="dim")
    table.add_column("", justify="right", style="dim")
    table.add_column("step")
    table.add_column("virtual", justify="right")
    table.add_column("real", justify="right")
    table.add_column("outcome")
    for number, step in enumerate(steps, 1):
        table.add_row(
            str(number),
            step.name,
            "–" if step.end is None else duration(step.virtual),
            "–" if step.end is None else f"{step.wall:.1f} s",
            _outcome(step),
        )
    return table


def _outcome(step: Step) -> Text:
    if step.failure:
        return Text(step.failure, "red")
    return Text("stopped", "yellow") if step.end is None else Text("passed", "green")
