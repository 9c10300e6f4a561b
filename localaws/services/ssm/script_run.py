"""The run of one script on an instance, in virtual time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from localaws.core.clock import Clock
from localaws.services.ssm.interfaces import Outcome, Script

# Real seconds until a script counts as hung: its sleeps take virtual time only.
HUNG_AFTER = 300.0


class ScriptRun:
    """Runs a script: one thread holds the clock for it, and sleeps on its behalf."""

    def __init__(self, clock: Clock) -> None:
        self.ended = clock.signal()
        self._clock = clock
        self._stopped = clock.signal()
        self._script: Script | None = None
        self._outcome = Outcome(0, "", "")
        # The virtual seconds of each sleep, with an event to set afterwards; None at the end.
        self._sleeps: queue.SimpleQueue[tuple[float, threading.Event] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()

    def run(self, start: Callable[[], Script]) -> Outcome:
        """Start the script, unless it was stopped before, and wait for it to end."""
        with self._lock:
            if self._stopped.happened:
                return self._outcome
            try:
                script = self._script = start()
            except OSError:
                # The instance was terminated in the meantime, so there is no agent to report.
                self._clock.set(self.ended)
                return self._outcome
        threading.Thread(target=self._await_end, args=(script,), daemon=True).start()
        while sleep := self._sleeps.get():
            seconds, slept = sleep
            self._clock.wait([self._stopped], seconds)
            slept.set()
        with self._lock:
            self._clock.set(self.ended)
            while not self._sleeps.empty():
                if sleep := self._sleeps.get():
                    sleep[1].set()
        return self._outcome

    def sleep(self, seconds: float) -> None:
        """Sleep for the script; the calling thread must not hold the clock."""
        slept = threading.Event()
        with self._lock:
            if self.ended.happened:
                return
            self._sleeps.put((seconds, slept))
        slept.wait()

    def stop(self) -> None:
        """Kill the script, or prevent its start."""
        with self._lock:
            if self._script:
                self._script.kill()
            self._clock.set(self._stopped)

    def _await_end(self, script: Script) -> None:
        self._outcome = script.wait(HUNG_AFTER)
        self._sleeps.put(None)
