"""Shorten what the stock aws CLI waits between two polls: thirty seconds are one here.

Virtual time does not wait for the CLI. This reaches it through PYTHONPATH alone, and only where the
rehearsal starts it; the CLI itself is not changed.
"""

from __future__ import annotations

import atexit
import gc
import time
from typing import SupportsIndex

_real_sleep = time.sleep


def _short_sleep(seconds: float | SupportsIndex) -> None:
    _real_sleep(float(seconds) / 30)


time.sleep = _short_sleep
# It is over before there is garbage: the collector would only look at what has been imported, also
# as Python ends, when it cannot be disabled but has nothing to look at.
gc.disable()
atexit.register(gc.freeze)
