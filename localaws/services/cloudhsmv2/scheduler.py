"""Effects that are due later in virtual time.

There are no threads: the provider runs what is due before it handles a request. While a task runs,
the current time is its due time, so that what it records and schedules does not depend on when the
provider was called.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from localaws.core.event_log import TimeSource

Effect = Callable[[], object]


@dataclass(order=True)
class Task:
    """An effect and the time at which it is due; `sequence` orders tasks due at the same time."""

    due: float
    sequence: int
    effect: Effect = field(compare=False)
    cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        """Do not run the effect."""
        self.cancelled = True


class Scheduler:
    """The pending tasks of one provider."""

    def __init__(self, clock: TimeSource) -> None:
        self._clock = clock
        self._tasks: list[Task] = []
        self._sequence = itertools.count()
        self._running_at: float | None = None

    def now(self) -> float:
        """The due time of the running task, else the virtual time."""
        return self._clock.now() if self._running_at is None else self._running_at

    def schedule(self, seconds: float, effect: Effect) -> Task:
        """Run the effect in so many virtual seconds."""
        task = Task(self.now() + seconds, next(self._sequence), effect)
        heapq.heappush(self._tasks, task)
        return task

    def run_due(self) -> None:
        """Run all tasks that are due, ordered by due time."""
        if self._running_at is not None:
            return  # Called from a task: the outer call runs the rest.
        while self._tasks and self._tasks[0].due <= self._clock.now():
            task = heapq.heappop(self._tasks)
            if task.cancelled:
                continue
            self._running_at = task.due
            try:
                task.effect()
            finally:
                self._running_at = None
