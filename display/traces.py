"""The states that each resource of a stack went through, and when."""

from __future__ import annotations

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
