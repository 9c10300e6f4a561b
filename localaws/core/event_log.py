"""The event log: what happened, in virtual seconds since the start."""

from __future__ import annotations

import bisect
import threading
from collections.abc import Callable
from typing import Any, Protocol

Event = dict[str, Any]
Listener = Callable[[Event], None]


class TimeSource(Protocol):
    """The part of a clock that the event log and the models need."""

    def now(self) -> float:
        """The virtual time, in seconds since the epoch."""


class EventLog:
    """The events of all services, ordered by virtual time."""

    def __init__(self, clock: TimeSource) -> None:
        self._clock = clock
        self._start = clock.now()
        self._events: list[Event] = []
        self._listeners: list[Listener] = []
        self._lock = threading.Lock()

    def listen(self, listener: Listener) -> None:
        """Call the listener with each event recorded from now on."""
        with self._lock:
            self._listeners.append(listener)

    def record(self, service: str, subject: str, event: str, **details: Any) -> None:
        """Record an event that happens now."""
        self.record_at(self._clock.now(), service, subject, event, **details)

    def record_at(
        self, moment: float, service: str, subject: str, event: str, **details: Any
    ) -> None:
        """Record an event that happened at `moment` (epoch seconds), maybe in the past."""
        entry: Event = {
            "at": round(moment - self._start, 1),
            "service": service,
            "subject": subject,
            "event": event,
            **details,
        }
        with self._lock:
            bisect.insort_right(self._events, entry, key=lambda recorded: recorded["at"])
            listeners = list(self._listeners)
        for listener in listeners:
            listener(entry)

    def events(self, since: float = 0) -> list[Event]:
        """The events from `since` on (virtual seconds since the start), earliest first."""
        with self._lock:
            first = bisect.bisect_left(self._events, since, key=lambda recorded: recorded["at"])
            return [dict(entry) for entry in self._events[first:]]
