"""Display a running scenario: live on a terminal, as plain lines elsewhere."""

from __future__ import annotations

import contextlib
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
from display.traces import duration
from localaws.client import LocalAwsError
from rehearsal.drivers.step import Step
from rehearsal.events import Event
from rehearsal.report.spans import traces, transitions

# Real seconds between two reads of the event log, and the part of the time that they may take: the
# log grows, and the local AWS stands still while it writes it.
REFRESH_SECONDS = 0.25
SHARE = 0.05


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
        self._lines = PlainLines()
        # The latest, which outlives a local AWS that was stopped.
        self.latest = Snapshot(0, [])
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
            snapshot = self.latest = self._snapshot()
            if self._live:
                self._live.update(render(snapshot, self.steps, self.console.size), refresh=True)
            else:
                for line in self._lines.new(transitions(snapshot.events)):
                    self.console.print(line)


def render(snapshot: Snapshot, steps: Sequence[Step], size: ConsoleDimensions) -> Group:
    """The terminal's content at this moment."""
    found, lines = traces(snapshot.events), size.height - 2
    most = max(3, (lines - len(steps) - 8) // 2)
    stacks = panes.stacks(found, snapshot.elapsed, most)
    services = panes.services(found, snapshot.elapsed, most)
    used = len(steps) + panes.height(stacks, services, size.width) + 2
    return Group(
        _steps(steps, snapshot.elapsed),
        Rule(f"{duration(snapshot.elapsed)} virtual time", style="dim"),
        panes.side_by_side(stacks, services, size.width),
        Rule("latest events", style="dim"),
        _latest_events(snapshot.events, max(3, lines - used)),
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
            _outcome(step),
        )
    return table


def _outcome(step: Step) -> Text:
    if step.failure:
        return Text(step.failure, "red")
    return Text("stopped", "yellow") if step.end is None else Text("passed", "green")
