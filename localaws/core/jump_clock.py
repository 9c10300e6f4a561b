"""Discrete-event time: half an hour of AWS takes seconds.

The clock stands still while a thread works, then jumps to the earliest deadline that a thread
waits for. Threads that are due at the same moment run one after the other, in the order in which
they began to wait, so that every run is the same.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

from localaws.core.clock import Hold, Signal, Waiter

# Real seconds without activity before a jump, for moments that no hold covers.
QUIET_PERIOD = 0.002


class _Handoff:
    """A hold that counts as work from its creation on."""

    def __init__(self, clock: JumpClock) -> None:
        self._clock = clock
        self._released = False
        clock.add(1)

    def __enter__(self) -> _Handoff:
        self._clock.depth += 1
        return self

    def __exit__(self, *exc: object) -> None:
        self._clock.depth -= 1
        self.release()

    @contextlib.contextmanager
    def borrow(self) -> Iterator[None]:
        self._clock.depth += 1
        try:
            yield
        finally:
            self._clock.depth -= 1

    def release(self) -> None:
        if not self._released:
            self._released = True
            self._clock.add(-1)


class _DeferredHold:
    """A hold that counts as work once the clock wakes its waiter."""

    def __init__(self, clock: JumpClock, waiter: Waiter) -> None:
        self._clock = clock
        self._waiter = waiter

    def __enter__(self) -> _DeferredHold:
        self._waiter.event.wait()
        self._clock.depth += 1
        return self

    def __exit__(self, *exc: object) -> None:
        self._clock.depth -= 1
        self._clock.add(-1)

    def borrow(self) -> AbstractContextManager[None]:
        raise NotImplementedError("only one thread can adopt a deferred hold")

    def release(self) -> None:
        self._clock.discard(self._waiter)


class JumpClock:
    """Moves only while no thread holds it, straight to the earliest deadline.

    A thread that waits gives up its hold. It gets the hold back before it is woken, and threads are
    woken one at a time, so that the clock cannot jump in between."""

    def __init__(self, quiet_period: float = QUIET_PERIOD, start: float | None = None) -> None:
        self.jumps = 0
        self.paused = False
        self._start = time.time() if start is None else start
        self._now = self._start
        self._paused_until = self._start
        self._quiet_period = quiet_period
        self._condition = threading.Condition(threading.RLock())
        self._working = 0
        self._thread = threading.local()
        self._last_activity = time.monotonic()
        self._deadlines: list[tuple[float, int, Waiter]] = []
        self._sequence = itertools.count()
        threading.Thread(target=self._loop, name="jump-clock", daemon=True).start()

    def now(self) -> float:
        with self._condition:
            return self._now

    def elapsed(self) -> float:
        return self.now() - self._start

    def advance(self, seconds: float) -> None:
        """Sleep in the calling thread; what is due meanwhile happens, even on a paused clock."""
        with self._condition:
            self._paused_until = self._now + seconds
        self.sleep(seconds)

    def pause(self) -> None:
        with self._condition:
            self.paused = True
            self._paused_until = self._now

    def resume(self) -> None:
        with self._condition:
            self.paused = False
            self._changed()

    # --- Holds ---

    @property
    def depth(self) -> int:
        """How many holds the calling thread has."""
        return getattr(self._thread, "depth", 0)

    @depth.setter
    def depth(self, value: int) -> None:
        self._thread.depth = value

    def add(self, number: int) -> None:
        """Change the number of threads at work."""
        with self._condition:
            self._working += number
            self._changed()

    def _changed(self) -> None:
        self._last_activity = time.monotonic()
        # The clock's own thread has nothing to do while another works.
        if not self._working:
            self._condition.notify()

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        outermost = self.depth == 0
        if outermost:
            self.add(1)
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1
            if outermost:
                self.add(-1)

    @contextlib.contextmanager
    def idle(self) -> Iterator[None]:
        depth = self.depth
        if depth:
            self.depth = 0
            self.add(-1)
        try:
            yield
        finally:
            if depth:
                self.add(1)
                self.depth = depth

    def handoff(self) -> Hold:
        return _Handoff(self)

    def deferred_hold(self) -> Hold:
        waiter = Waiter(held=True)
        with self._condition:
            self._queue(self._now, waiter)
        return _DeferredHold(self, waiter)

    def discard(self, waiter: Waiter) -> None:
        """Drop a deferred hold that no thread will adopt."""
        with self._condition:
            if waiter.woken:
                self.add(-1)
            waiter.woken = True
            self._changed()

    # --- Waiting ---

    def signal(self) -> Signal:
        return Signal()

    def set(self, signal: Signal) -> None:
        with self._condition:
            signal.happened = True
            for waiter in signal.waiters:
                self._queue(self._now, waiter)
            signal.waiters.clear()

    def sleep(self, seconds: float) -> None:
        self.wait((), max(0.0, seconds))

    def wait(self, signals: Sequence[Signal], seconds: float | None = None) -> bool:
        with self._condition:
            if any(signal.happened for signal in signals):
                return True
            if seconds is not None and seconds <= 0:
                return False
            waiter = Waiter(held=self.depth > 0)
            for signal in signals:
                signal.waiters.append(waiter)
            if seconds is not None:
                self._queue(self._now + seconds, waiter)
            self._working -= waiter.held
            self._changed()
        waiter.event.wait()
        with self._condition:
            for signal in signals:
                if waiter in signal.waiters:
                    signal.waiters.remove(waiter)
            return any(signal.happened for signal in signals)

    def _queue(self, when: float, waiter: Waiter) -> None:
        heapq.heappush(self._deadlines, (when, next(self._sequence), waiter))
        self._changed()

    def _next_deadline(self) -> float | None:
        """The earliest deadline of a thread that still waits."""
        while self._deadlines and self._deadlines[0][2].woken:
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def _loop(self) -> None:
        with self._condition:
            while True:
                deadline = self._next_deadline()
                if self._working or deadline is None:
                    self._condition.wait()
                    continue
                if deadline > self._now:
                    if self.paused and deadline > self._paused_until:
                        self._condition.wait()
                        continue
                    quiet = time.monotonic() - self._last_activity
                    if quiet < self._quiet_period:
                        self._condition.wait(self._quiet_period - quiet)
                        continue
                    self._now = deadline
                    self.jumps += 1
                waiter = heapq.heappop(self._deadlines)[2]
                waiter.woken = True
                self._working += waiter.held
                self._last_activity = time.monotonic()
                waiter.event.set()
