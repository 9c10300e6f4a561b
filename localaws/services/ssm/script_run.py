"""The run of one script on an instance."""

from __future__ import annotations

import threading
from collections.abc import Callable

from localaws.core.clock import Clock
from localaws.services.ssm.interfaces import Outcome, Script

# Real seconds until a script counts as hung. The clock is held while it runs, so that it takes no
# virtual time.
HUNG_AFTER = 300.0


class ScriptRun:
    """Runs a script, unless it is stopped before."""

    def __init__(self, clock: Clock) -> None:
        self.ended = clock.signal()
        self._clock = clock
        self._stopped = False
        self._script: Script | None = None
        self._lock = threading.Lock()

    def run(self, start: Callable[[], Script]) -> Outcome:
        """Start the script and wait for it to end; the calling thread holds the clock."""
        outcome = Outcome(0, "", "")
        with self._lock:
            if self._stopped:
                return outcome
            try:
                self._script = script = start()
            except OSError:
                # The instance was terminated in the meantime, so there is no agent to report.
                self._clock.set(self.ended)
                return outcome
        outcome = script.wait(HUNG_AFTER)
        self._clock.set(self.ended)
        return outcome

    def stop(self) -> None:
        """Kill the script, or prevent its start."""
        with self._lock:
            self._stopped = True
            if self._script:
                self._script.kill()
