"""Timestamps of the virtual clock."""

from __future__ import annotations

import datetime as dt

from localaws.core.clock import Clock


def now_iso(clock: Clock) -> str:
    """The virtual time in ISO 8601, to the millisecond, as ministack's services store it."""
    moment = dt.datetime.fromtimestamp(clock.now(), dt.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"
