"""Show a run as it happens: live on a terminal, as plain lines anywhere else."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from localaws.client import LocalAwsError
from rehearsal.report.spans import Event, Kind, Span, Track, duration, tracks, turns
from rehearsal.report.svg import meaning

# Real seconds between two looks at the event_log.
LOOK_SECONDS = 0.25
# What the plain lines tell: the rest is in the picture.
TOLD = frozenset({Kind.STACK, Kind.EXECUTION, Kind.CLUSTER, Kind.HSM, Kind.KEY_STORE, Kind.COMMAND})


@dataclass
class Step:
    """One step of a scenario as it went: virtual and real seconds, and what was not as expected."""

    name: str
    start: float
    began: float = field(default_factory=time.monotonic)
    end: float | None = None
    wall: float = 0.0
    failure: str | None = None

    @property
    def virtual(self) -> float:
        """Virtual seconds that it took; 0 while it lasts."""
        return 0.0 if self.end is None else self.end - self.start

    def finish(self, end: float, failure: str | None = None) -> None:
        """It ended at this virtual second, as expected unless there is a failure to tell."""
        self.end, self.failure = end, failure
        self.wall = time.monotonic() - self.began


@dataclass(frozen=True)
class Look:
    """What can be seen of a local AWS at one moment."""

    elapsed: float
    events: Sequence[Event]


class Display:
    """Attempts at a local AWS again and again while a scenario runs, and shows what it sees."""

    def __init__(self, console: Console, title: str, look: Callable[[], Look]) -> None:
        self.console, self.title, self._look = console, title, look
        self.steps: list[Step] = []
        self._told: set[tuple[str, str, float]] = set()
        self._over = threading.Event()
        self._live: Live | None = None
        self._thread = threading.Thread(target=self._watch, name="display", daemon=True)

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
        self._over.set()
        self._thread.join()
        self._show()
        if self._live:
            self._live.stop()

    def began(self, step: Step) -> None:
        """A step begins."""
        self.steps.append(step)
        if not self._live:
            self.console.print(Text(f"{duration(step.start):>8}  {step.name}", style="bold"))

    def _watch(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self._show()

    def _show(self) -> None:
        # The local AWS may be gone already, or too busy to answer: then there is nothing to see.
        with contextlib.suppress(OSError, HTTPException, LocalAwsError):
            look = self._look()
            if self._live:
                self._live.update(
                    scene(look, self.steps, self.console.size.height - 2), refresh=True
                )
            else:
                for line in self._news(look.events):
                    self.console.print(line)

    def _news(self, events: Iterable[Event]) -> Iterator[Text]:
        """A line for each turn that was not told yet."""
        for turn in turns(events):
            # A workflow's states are many: of all of them only that it started is told.
            starts = turn.kind is Kind.EXECUTION and not turn.is_end
            said = "started" if starts else turn.state
            key = (turn.subject, said, 0.0 if starts else turn.at)
            if turn.kind in TOLD and key not in self._told:
                self._told.add(key)
                yield Text.assemble(
                    f"{duration(turn.at):>8}    {turn.kind.value} {turn.label} ",
                    (said, meaning(turn.kind, said).colour),
                )


def scene(look: Look, steps: Sequence[Step], height: int) -> RenderableType:
    """What the terminal shows at this moment, in so many lines."""
    seen = tracks(look.events)
    halves = Table.grid(expand=True, padding=(0, 2))
    halves.add_column(ratio=1)
    halves.add_column(ratio=1)
    stack, service = _stack(seen, look.elapsed), _service(seen, look.elapsed)
    halves.add_row(stack, service)
    used = len(steps) + max(stack.row_count, service.row_count) + 5
    return Group(
        _steps(steps, look.elapsed),
        Rule(f"{duration(look.elapsed)} on AWS's clock", style="dim"),
        halves,
        Rule("latest", style="dim"),
        _latest(look.events, max(3, height - used)),
    )


def _steps(steps: Sequence[Step], elapsed: float) -> Table:
    table = Table.grid(padding=(0, 2))
    for step in steps:
        if step.end is None:
            mark, lasted, wall = "▶", elapsed - step.start, time.monotonic() - step.began
        else:
            mark, lasted, wall = "✗" if step.failure else "✓", step.virtual, step.wall
        style = {"▶": "bold", "✓": "green", "✗": "red"}[mark]
        table.add_row(
            Text(f"{mark} {step.name}", style=style),
            Text(f"{duration(lasted)} of AWS", style="dim"),
            Text(f"in {wall:.1f} s", style="dim"),
        )
    return table


def _stack(seen: Iterable[Track], elapsed: float) -> Table:
    """The stacks, how many of their resources are done, and those that are at work or failed."""
    table = Table.grid(padding=(0, 2))
    for track in seen:
        if track.kind is Kind.STACK and track.state:
            table.add_row(Text(f"stack {track.label}", style="bold"), _state(track, elapsed))
    resources = [track for track in seen if track.kind is Kind.RESOURCE and track.state]
    done = [track for track in resources if (track.state or "").endswith("COMPLETE")]
    if resources:
        table.add_row("resources", Text(f"{len(done)} of {len(resources)} done", style="dim"))
    for track in resources:
        if track not in done:
            table.add_row(f"  {track.label}", _state(track, elapsed))
    return table


def _service(seen: Iterable[Track], elapsed: float) -> Table:
    """Workflows at work, indented by who started whom, then what they work on."""
    table = Table.grid(padding=(0, 2))
    depth = 0
    for track in seen:
        if track.kind is Kind.EXECUTION and track.state:
            table.add_row(Text("  " * depth + track.label, style="bold"), _state(track, elapsed))
            depth += 1
    for kind in (Kind.CLUSTER, Kind.HSM, Kind.KEY_STORE, Kind.INSTANCE, Kind.COMMAND):
        for track in seen:
            if track.kind is kind and track.state:
                table.add_row(f"{kind.value} {track.label}", _state(track, elapsed))
    return table


def _state(track: Track, elapsed: float) -> Text:
    span: Span = track.spans[-1]
    shade = meaning(track.kind, span.state).colour
    return Text.assemble(
        (span.state, "cyan" if track.kind is Kind.EXECUTION else shade),
        (f"  {duration(elapsed - span.start)}", "dim"),
    )


def _latest(events: Sequence[Event], count: int) -> Table:
    table = Table.grid(padding=(0, 2))
    for event in events[-count:]:
        table.add_row(
            Text(f"{duration(event['at']):>8}", style="dim"),
            Text(event["service"], style="dim"),
            Text(event["subject"], overflow="ellipsis", no_wrap=True),
            Text(_told(event), overflow="ellipsis", no_wrap=True),
        )
    return table


def _told(event: Event) -> str:
    """The event, with the workflow's state or the function's step that it is about."""
    about = event.get("state") or event.get("step")
    return f"{event['event']} {about}" if about else str(event["event"])


def summary(steps: Sequence[Step]) -> Table:
    """The table at the end of a run: what each step took, on AWS and here, and how it ended."""
    table = Table(box=None, padding=(0, 2), header_style="dim")
    table.add_column("step")
    table.add_column("on AWS", justify="right")
    table.add_column("here", justify="right")
    table.add_column("outcome")
    for step in steps:
        table.add_row(
            step.name,
            duration(step.virtual),
            f"{step.wall:.1f} s",
            Text(step.failure or "as expected", style="red" if step.failure else "green"),
        )
    return table
