"""What is still to happen: effects that come due in virtual time, settled when somebody asks.

There are no threads. While an effect takes place its own moment counts as now, so that what it
notes and what it puts off is reckoned from when it was due and not from when it was noticed.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from localaws.core.event_log import TimeSource

Effect = Callable[[], object]


@dataclass(order=True)
class Entry:
    """An effect and the moment at which it is due; may be called off."""

    due: float
    turn: int
    effect: Effect = field(compare=False)
    called_off: bool = field(default=False, compare=False)


class Agenda:
    """The pending effects of one model."""

    def __init__(self, clock: TimeSource) -> None:
        self._clock = clock
        self._entries: list[Entry] = []
        self._turns = itertools.count()
        self._moment: float | None = None

    def now(self) -> float:
        """The moment of the effect under way, else the virtual time."""
        return self._clock.now() if self._moment is None else self._moment

    def later(self, seconds: float, effect: Effect) -> Entry:
        """Have the effect take place in so many virtual seconds."""
        entry = Entry(self.now() + seconds, next(self._turns), effect)
        heapq.heappush(self._entries, entry)
        return entry

    def settle(self) -> None:
        """Let everything happen that is due by now, in the order of its moments."""
        if self._moment is not None:
            return  # An effect has led back here; what else is due has its turn after it.
        while self._entries and self._entries[0].due <= self._clock.now():
            entry = heapq.heappop(self._entries)
            if entry.called_off:
                continue
            self._moment = entry.due
            try:
                entry.effect()
            finally:
                self._moment = None
