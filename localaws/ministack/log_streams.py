"""Log groups and streams that AWS services write to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from localaws.ministack.access import ministack

_logs = ministack("services.cloudwatch_logs")


def ensure_log_group(name: str) -> None:
    """Create a log group unless it exists."""
    if name not in _logs._log_groups:
        _logs._create_log_group({"logGroupName": name})


def ensure_stream(group: dict[str, Any], name: str, now: float) -> None:
    """Create a stream in a group unless it exists."""
    group["streams"].setdefault(
        name,
        {
            "events": [],
            "uploadSequenceToken": "1",
            "creationTime": int(now * 1000),
            "firstEventTimestamp": None,
            "lastEventTimestamp": None,
            "lastIngestionTime": None,
        },
    )


def append(group: dict[str, Any], stream: str, messages: Iterable[str], now: float) -> None:
    """Add messages to an existing stream."""
    moment = int(now * 1000)
    _logs._append_log_events(
        group["streams"][stream],
        [
            {"timestamp": moment, "message": message, "ingestionTime": moment}
            for message in messages
        ],
    )
