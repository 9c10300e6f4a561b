"""The wall clock."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager

from localaws.core.clock import Hold, Signal


class _NoHold:
    """The wall clock cannot be held."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exc: object) -> None:
        return None

    def borrow(self) -> AbstractContextManager[None]:
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

    def busy(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    def idle(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    def handoff(self) -> Hold:
        return _NoHold()

    def deferred_hold(self) -> Hold:
        return _NoHold()

    def advance(self, seconds: float) -> None:
        with self._condition:
            self._skew += seconds
            self._condition.notify_all()

    def pause(self) -> None:
        """The wall clock cannot be paused."""

    def resume(self) -> None:
        """The wall clock cannot be paused."""
