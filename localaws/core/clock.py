"""The interface to virtual time: everything that models AWS takes the time from a `Clock`."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol


class Waiter:
    """A thread in `Clock.wait`."""

    def __init__(self, held: bool) -> None:
        self.event = threading.Event()
        self.held = held
        self.woken = False


class Signal:
    """An event that happens once, and that threads may wait for."""

    def __init__(self) -> None:
        self.happened = False
        self.waiters: list[Waiter] = []


class Hold(Protocol):
    """Stops the clock on behalf of work that may move between threads."""

    def __enter__(self) -> object:
        """Adopt the hold in the calling thread; it is released when the block ends."""

    def __exit__(self, *exc: object) -> None: ...

    def borrow(self) -> AbstractContextManager[None]:
        """Adopt the hold in the calling thread without releasing it when the block ends."""

    def release(self) -> None:
        """Release the hold; idempotent."""


class Clock(Protocol):
    """Virtual time, in seconds since the epoch."""

    jumps: int
    paused: bool

    def now(self) -> float:
        """The virtual time."""

    def elapsed(self) -> float:
        """Virtual seconds since the clock was created."""

    def signal(self) -> Signal:
        """Create a signal."""

    def set(self, signal: Signal) -> None:
        """Set a signal and wake its waiters."""

    def wait(self, signals: Sequence[Signal], seconds: float | None = None) -> bool:
        """Wait until one of the signals is set (True) or the virtual seconds pass (False)."""

    def sleep(self, seconds: float) -> None:
        """Wait for the virtual seconds to pass."""

    def busy(self) -> AbstractContextManager[None]:
        """The calling thread works, so time stands still; may be nested."""

    def idle(self) -> AbstractContextManager[None]:
        """Inside busy(): the thread waits for other threads, so time may move."""

    def handoff(self) -> Hold:
        """A hold, effective now, for work that starts later or in another thread."""

    def deferred_hold(self) -> Hold:
        """A hold for a thread that starts when the current work is done, at the same time."""

    def advance(self, seconds: float) -> None:
        """Move virtual time on."""

    def pause(self) -> None:
        """Stop virtual time even if threads wait."""

    def resume(self) -> None:
        """Undo pause()."""
