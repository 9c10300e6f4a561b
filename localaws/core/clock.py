"""Clocks: everything that models AWS time asks one of these, and nothing else tells the time.

`RealClock` is the wall clock. `JumpClock` is discrete-event time: it stands still while anybody
works and then jumps to the earliest moment that somebody waits for, so that half an hour of AWS
takes seconds. Who is due at the same moment goes one after the other, in the order in which they
began to wait, so that a run is the same each time.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

# Real seconds of quiet before a jump: for the moments that no hold covers.
QUIET_PERIOD = 0.002


class Signal:
    """Something that happens once, and that threads may wait for."""

    def __init__(self) -> None:
        self.happened = False
        self.waiters: list[_Waiter] = []


class Hold(Protocol):
    """Keeps the clock from jumping, on behalf of work that no thread does yet."""

    def __enter__(self) -> object:
        """Adopt the hold in the calling thread; it is released when the block ends."""

    def __exit__(self, *exc: object) -> None: ...

    def lent(self) -> AbstractContextManager[None]:
        """Adopt the hold in the calling thread and hand it back when the block ends."""

    def release(self) -> None:
        """Give the hold up; more than once does no harm."""


class Clock(Protocol):
    """Virtual time, in seconds since the epoch."""

    jumps: int
    paused: bool

    def now(self) -> float:
        """The virtual time."""

    def elapsed(self) -> float:
        """Virtual seconds since the clock was made."""

    def signal(self) -> Signal:
        """A new signal."""

    def set(self, signal: Signal) -> None:
        """Let a signal happen and rouse whoever waits for it."""

    def wait(self, signals: Sequence[Signal], seconds: float | None = None) -> bool:
        """Wait until one of the signals happens (True) or the virtual seconds are over (False)."""

    def sleep(self, seconds: float) -> None:
        """Wait for nothing but the time."""

    def sleep_on_behalf(self, seconds: float, signals: Sequence[Signal] = ()) -> bool:
        """wait() for another process, whose hold some other thread of ours keeps meanwhile."""

    def busy(self) -> AbstractContextManager[None]:
        """The calling thread is doing work; may be nested."""

    def idle(self) -> AbstractContextManager[None]:
        """Inside busy(): the thread waits for other threads now, so let time move meanwhile."""

    def handoff(self) -> Hold:
        """A hold taken now for work that starts later, or in another thread."""

    def turn(self) -> Hold:
        """A hold for a thread that is to start once those at work now rest, but at this moment."""

    def advance(self, seconds: float) -> None:
        """Move virtual time on."""

    def pause(self) -> None:
        """Let time stand still, whoever waits."""

    def resume(self) -> None:
        """Undo pause()."""


class _NoHold:
    """The wall clock cannot be held."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exc: object) -> None:
        return None

    def lent(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    def release(self) -> None:
        return None


class RealClock:
    """One virtual second is one second."""

    def __init__(self) -> None:
        self.jumps = 0
        self.paused = False
        self._skew = 0.0
        self._start = time.time()
        self._condition = threading.Condition()

    def now(self) -> float:
        return time.time() + self._skew

    def elapsed(self) -> float:
        return self.now() - self._start

    def signal(self) -> Signal:
        return Signal()

    def set(self, signal: Signal) -> None:
        with self._condition:
            signal.happened = True
            self._condition.notify_all()

    def wait(self, signals: Sequence[Signal], seconds: float | None = None) -> bool:
        deadline = None if seconds is None else self.now() + seconds
        with self._condition:
            while not any(s.happened for s in signals):
                left = None if deadline is None else deadline - self.now()
                if left is not None and left <= 0:
                    return False
                self._condition.wait(left)
            return True

    def sleep(self, seconds: float) -> None:
        self.wait((), seconds)

    def sleep_on_behalf(self, seconds: float, signals: Sequence[Signal] = ()) -> bool:
        return self.wait(signals, seconds)

    def busy(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    def idle(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    def handoff(self) -> Hold:
        return _NoHold()

    def turn(self) -> Hold:
        return _NoHold()

    def advance(self, seconds: float) -> None:
        with self._condition:
            self._skew += seconds
            self._condition.notify_all()

    def pause(self) -> None:
        """The wall clock cannot be paused."""

    def resume(self) -> None:
        """The wall clock cannot be paused."""


class _Waiter:
    def __init__(self, held: bool) -> None:
        self.event = threading.Event()
        self.held = held
        self.roused = False


class _Held:
    """One unit of a JumpClock's work that threads take over from each other."""

    def __init__(self, clock: JumpClock) -> None:
        self._clock = clock
        self._released = False
        clock.add(1)

    def __enter__(self) -> _Held:
        self._clock.depth += 1
        return self

    def __exit__(self, *exc: object) -> None:
        self._clock.depth -= 1
        self.release()

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        self._clock.depth += 1
        try:
            yield
        finally:
            self._clock.depth -= 1

    def release(self) -> None:
        if not self._released:
            self._released = True
            self._clock.add(-1)


class _Turn:
    """A hold that comes about when it is its thread's turn."""

    def __init__(self, clock: JumpClock, waiter: _Waiter) -> None:
        self._clock = clock
        self._waiter = waiter

    def __enter__(self) -> _Turn:
        self._waiter.event.wait()
        self._clock.depth += 1
        return self

    def __exit__(self, *exc: object) -> None:
        self._clock.depth -= 1
        self._clock.add(-1)

    def lent(self) -> AbstractContextManager[None]:
        raise NotImplementedError("a turn is for one thread")

    def release(self) -> None:
        self._clock.forgo(self._waiter)


class JumpClock:
    """Moves only when no one holds it, straight to the earliest deadline.

    A thread that waits gives its hold up, and when its wait is over and nobody else is at work, it
    gets it back before anyone else may run, so that no gap opens in between."""

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
        self._deadlines: list[tuple[float, int, _Waiter]] = []
        self._sequence = itertools.count()
        threading.Thread(target=self._loop, name="jump-clock", daemon=True).start()

    def now(self) -> float:
        with self._condition:
            return self._now

    def elapsed(self) -> float:
        return self.now() - self._start

    def advance(self, seconds: float) -> None:
        """Sleep in the caller's place: what is due meanwhile happens, on a paused clock too."""
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
        """How often the calling thread holds the clock."""
        return getattr(self._thread, "depth", 0)

    @depth.setter
    def depth(self, value: int) -> None:
        self._thread.depth = value

    def add(self, number: int) -> None:
        """Count more or fewer that work."""
        with self._condition:
            self._working += number
            self._changed()

    def _changed(self) -> None:
        self._last_activity = time.monotonic()
        # While anybody works there is nothing that the clock's own thread could do.
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
        return _Held(self)

    def turn(self) -> Hold:
        waiter = _Waiter(held=True)
        with self._condition:
            self._queue(self._now, waiter)
        return _Turn(self, waiter)

    def forgo(self, waiter: _Waiter) -> None:
        """A turn will not be taken."""
        with self._condition:
            if waiter.roused:
                self.add(-1)
            waiter.roused = True
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

    def wait(self, signals: Sequence[Signal], seconds: float | None = None) -> bool:
        return self._wait(signals, seconds, self.depth > 0)

    def sleep(self, seconds: float) -> None:
        self.wait((), max(0.0, seconds))

    def sleep_on_behalf(self, seconds: float, signals: Sequence[Signal] = ()) -> bool:
        return self._wait(signals, seconds, True)

    def _wait(self, signals: Sequence[Signal], seconds: float | None, held: bool) -> bool:
        with self._condition:
            if any(signal.happened for signal in signals):
                return True
            if seconds is not None and seconds <= 0:
                return False
            waiter = _Waiter(held)
            for signal in signals:
                signal.waiters.append(waiter)
            if seconds is not None:
                self._queue(self._now + seconds, waiter)
            self._working -= held
            self._changed()
        waiter.event.wait()
        with self._condition:
            for signal in signals:
                if waiter in signal.waiters:
                    signal.waiters.remove(waiter)
            return any(signal.happened for signal in signals)

    def _queue(self, when: float, waiter: _Waiter) -> None:
        heapq.heappush(self._deadlines, (when, next(self._sequence), waiter))
        self._changed()

    def _next_deadline(self) -> float | None:
        """The earliest moment that somebody still waits for."""
        while self._deadlines and self._deadlines[0][2].roused:
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
                waiter.roused = True
                self._working += waiter.held
                self._last_activity = time.monotonic()
                waiter.event.set()


_KINDS: dict[str, Callable[[], Clock]] = {"jump": JumpClock, "real": RealClock}


def make(kind: str) -> Clock:
    """The clock called "jump" or "real"."""
    return _KINDS[kind]()
