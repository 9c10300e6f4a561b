"""Shortens the polling of the stock AWS CLI: thirty seconds become 0.3, since AWS is virtual time.

It reaches the CLI through PYTHONPATH, only where LocalAws.env is used; the CLI itself is unchanged.
"""

from __future__ import annotations

import time
from typing import SupportsIndex

_real_sleep = time.sleep


def _short_sleep(seconds: float | SupportsIndex) -> None:
    _real_sleep(float(seconds) / 100)


time.sleep = _short_sleep
