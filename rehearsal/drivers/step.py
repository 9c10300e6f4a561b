"""One step of a scenario: its duration and its outcome."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class Step:
    """A step's name, virtual start and end, real duration, and failure if it failed."""

    name: str
    start: float
    began: float = field(default_factory=time.monotonic)
    end: float | None = None
    wall: float = 0.0
    failure: str | None = None

    @property
    def virtual(self) -> float:
        """Duration in virtual seconds; 0 while the step is running."""
        return 0.0 if self.end is None else self.end - self.start

    def finish(self, end: float, failure: str | None = None) -> None:
        """End the step at this virtual second; it passed unless there is a failure."""
        self.end, self.failure = end, failure
        self.wall = time.monotonic() - self.began


def ignore_step(step: Step) -> None:
    """Listener for drivers whose steps are not displayed."""
