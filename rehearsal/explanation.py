"""Say why a scenario did not go as expected: its stack's, workflows' and functions' own words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rehearsal.chronicle import Kind, duration, tracks
from rehearsal.life import Life

Json = dict[str, Any]

LOG_LINES = 12


def explain(life: Life) -> Iterable[str]:
    """One line after the other, from the stack's reason down to what the functions logged last."""
    yield f"stack {life.stack.name} is {life.stack.status() or 'not there'}"
    for reason in life.stack.reasons():
        yield f"  {reason}"
    for track in tracks(life.control.timeline()):
        if track.kind is Kind.EXECUTION and track.outcome not in ("SUCCEEDED", None):
            at = duration(track.end or track.start)
            yield f"{track.outcome} at {at}: {track.label} in its state {track.spans[-1].state}"
        elif track.kind is Kind.EXECUTION and track.state:
            yield f"still running: {track.label} in its state {track.state}"
    yield from _last_logs(life)


def _last_logs(life: Life) -> Iterable[str]:
    logs = life.aws.client("logs")
    lines: list[tuple[int, str, str]] = []
    for page in logs.get_paginator("describe_log_groups").paginate(
        logGroupNamePrefix="/aws/lambda/"
    ):
        for group in page["logGroups"]:
            name = group["logGroupName"]
            for event in logs.filter_log_events(logGroupName=name)["events"]:
                lines.append((event["timestamp"], name, event["message"].rstrip()))
    for _, name, message in sorted(lines)[-LOG_LINES:]:
        yield f"{name.removeprefix('/aws/lambda/')}: {message[:400]}"
