"""Watch a request to a stack until it ends: live on a terminal, as plain lines in a pipe."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import datetime

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console, ConsoleDimensions, Group
from rich.live import Live
from rich.text import Text

from display import panes
from display.colours import category
from display.panes import PRINTED, PlainLines
from display.traces import Kind, duration
from scripts.stack import estimate, report
from scripts.stack.account import Account, Json
from scripts.stack.observer import Look, Observer

# As often as the workflows look at first; no rate of DescribeClusters is documented (F7.310).
SECONDS = 15
_SECONDS_IN_PIPE = 30
# Of a request that was just accepted, until its first event shows.
_SECONDS_TO_BEGIN = 2
# Without a terminal, a line at least as often, for logs that would otherwise stand still.
_SIGN_OF_LIFE = 300
_MOST_PROBLEMS = 20


def follow(
    console: Console, account: Account, stack: Json, *, after: str = "", title: str = ""
) -> bool:
    """Show the latest request until it has ended, and how; returns whether it succeeded.

    With `after`, the ID of the request before it, wait until a newer one has begun.
    """
    with _shown(console, stack["StackName"]) as shown:
        look = None
        for look in _looks(Observer(account, stack, after=after), console):
            shown.update(look)
    if look is None:
        console.print(f"Nothing was requested of stack {stack['StackName']} yet.")
        return True
    report.show(console, look)
    return look.request.succeeded


def _looks(observer: Observer, console: Console) -> Iterator[Look]:
    """Looks until the request has ended; a failure to look is reported and tried again."""
    problems = 0
    for tries in range(10**9):
        try:
            look = observer.look()
        except (BotoCoreError, ClientError) as problem:
            problems += 1
            if problems > _MOST_PROBLEMS or not _may_pass(problem):
                raise
            console.print(Text(f"Trying again: {problem}", "yellow"), soft_wrap=True)
            time.sleep(SECONDS)
            continue
        problems = 0
        if look is not None:
            yield look
            if look.request.has_ended:
                return
        elif tries >= _MOST_PROBLEMS:
            return
        pause = SECONDS if console.is_terminal else _SECONDS_IN_PIPE
        time.sleep(pause if look else _SECONDS_TO_BEGIN)


def _may_pass(problem: Exception) -> bool:
    if not isinstance(problem, ClientError):
        return "Credentials" not in type(problem).__name__
    code, status = problem.response["Error"]["Code"], problem.response["ResponseMetadata"]
    return "Thrott" in code or status.get("HTTPStatusCode", 0) >= 500


class _Screen:
    """The live display."""

    def __init__(self, console: Console, live: Live) -> None:
        self._console, self._live = console, live

    def update(self, look: Look) -> None:
        self._live.update(render(look, self._console.size), refresh=True)


class _Log:
    """Plain lines."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lines = PlainLines(PRINTED | {Kind.RESOURCE})
        self._latest: float = 0

    def update(self, look: Look) -> None:
        lines = self._lines.new(
            each
            for each in panes.transitions_of(look.traces)
            if each.kind is not Kind.RESOURCE or "FAILED" in each.state
        )
        for line in lines:
            self._console.print(line, soft_wrap=True)
            self._latest = look.elapsed
        if look.elapsed - self._latest >= _SIGN_OF_LIFE and not look.request.has_ended:
            self._console.print(f"{duration(look.elapsed):>8}    {summary(look)}", soft_wrap=True)
            self._latest = look.elapsed


@contextlib.contextmanager
def _shown(console: Console, name: str) -> Iterator[_Screen | _Log]:
    if not console.is_terminal:
        yield _Log(console)
        return
    with Live(Text(f"stack {name}"), console=console, transient=True, auto_refresh=False) as live:
        yield _Screen(console, live)


def summary(look: Look) -> str:
    """Status, workflow and estimate in a line."""
    running = [trace for trace in look.traces if trace.kind is Kind.EXECUTION and trace.state]
    inner = f"{running[-1].label} in {running[-1].state}" if running else ""
    left = estimate.sentence(look.left)
    return ", ".join(filter(None, [look.request.status, inner, left]))


def render(look: Look, size: ConsoleDimensions) -> Group:
    """The terminal's content at this moment."""
    request, lines = look.request, size.height - 3
    head = Text.assemble(
        (f"stack {look.stack['StackName']}  ", "bold"),
        (request.status, category(Kind.STACK, request.status).colour),
        f"  {duration(look.elapsed)} elapsed",
    )
    if left := estimate.sentence(look.left):
        head.append(f", {left}")
    one_pane = size.width < panes.TWO_PANES
    most = max(2, (lines - 6) // 2 if one_pane else lines - 4)
    traces = [trace for trace in look.traces if trace.kind is not Kind.STACK]
    body = panes.side_by_side(
        panes.stacks(traces, look.elapsed, most),
        panes.services(traces, look.elapsed, most),
        size.width,
    )
    hint = f"since {_clock(request.start)}; Ctrl-C stops watching, not the request"
    notes = [Text(each, "yellow", no_wrap=True, overflow="ellipsis") for each in look.unread[:1]]
    return Group(head, Text(hint, "dim"), body, *notes)


def _clock(at: datetime) -> str:
    return at.astimezone().strftime("%H:%M:%S")
