"""The states that each resource of a stack went through, and when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum


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


@dataclass
class Span:
    """One state and its virtual start and end; the end is None while it lasts."""

    state: str
    start: float
    end: float | None = None
    # How often a polling loop came to this state; see `fold_polls`.
    looks: int = 1


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


def fold_polls(spans: Sequence[Span]) -> list[Span]:
    """A workflow's states with each polling loop (WaitForX, DescribeX, IsX ...) as one span."""
    folded: list[Span] = []
    for span in spans:
        wait, after = _latest_wait(folded)
        if wait and span.state == wait.state and _are_polls(after):
            del folded[len(folded) - len(after) :]
            wait.end = span.end
            wait.looks += 1
        else:
            folded.append(Span(span.state, span.start, span.end))
    return folded


def without_current_look(spans: Sequence[Span]) -> list[Span]:
    """The folded states; while a polling loop looks, the loop is the last of them."""
    folded, visits = fold_polls(spans), Counter(span.state for span in spans)
    wait, after = _latest_wait(folded)
    if wait and _are_polls(after) and all(visits[span.state] >= wait.looks > 1 for span in after):
        return folded[: len(folded) - len(after)]
    return folded


def _latest_wait(spans: list[Span]) -> tuple[Span | None, list[Span]]:
    """The latest wait, and the states since then."""
    for number in range(len(spans) - 1, -1, -1):
        if spans[number].state.startswith("WaitFor"):
            return spans[number], spans[number + 1 :]
    return None, []


def _are_polls(spans: Sequence[Span]) -> bool:
    """Whether these are a look: up to three states, each once, that last no time."""
    return (
        len(spans) == len({span.state for span in spans}) <= 3  # DescribeX, IsX, NeedsY
        and all((span.end or span.start) - span.start < 1 for span in spans)
    )
