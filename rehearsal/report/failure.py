"""Say why a scenario did not go as expected: its stack's, workflows' and functions' own words."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from rehearsal.drivers.stack import StackDriver
from rehearsal.report.spans import Kind, duration, tracks

Json = dict[str, Any]

FUNCTIONS = "/aws/lambda/"
LOG_LINES, LINE_WIDTH = 12, 400


def explain(driver: StackDriver) -> Iterable[str]:
    """One line after the other, from the stack's reason down to what the functions logged last."""
    yield f"stack {driver.stack.name} is {driver.stack.status() or 'not there'}"
    for reason in driver.stack.reasons():
        yield f"  {reason}"
    events = driver.admin.event_log()
    causes = {
        f"{event['subject']}/{event['execution']}": f"{event['error']}: {event.get('cause')}"
        for event in events
        # A parent only repeats what its child says.
        if event["service"] == "states" and event.get("error") not in (None, "States.TaskFailed")
    }
    for track in tracks(events):
        if track.kind is Kind.EXECUTION and track.outcome not in ("SUCCEEDED", None):
            at = duration(track.end or track.start)
            yield f"{track.outcome} at {at}: {track.label} in its state {track.spans[-1].state}"
            if track.subject in causes:
                yield f"  {causes[track.subject][:LINE_WIDTH]}"
        elif track.kind is Kind.EXECUTION and track.state:
            yield f"still running: {track.label} in its state {track.state}"
    yield from _last_logs(driver)


def _last_logs(driver: StackDriver) -> Iterable[str]:
    """What functions wrote last, without what Lambda itself writes about every invocation."""
    logs = driver.aws.client("logs")
    lines: list[tuple[str, str]] = []
    for page in logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=FUNCTIONS):
        for group in page["logGroups"]:
            name = group["logGroupName"]
            for event in logs.filter_log_events(logGroupName=name)["events"]:
                lines += _told(name.removeprefix(FUNCTIONS), event["message"])
    return [line for _, line in sorted(lines)[-LOG_LINES:]]


def _told(function: str, message: str) -> list[tuple[str, str]]:
    """When and what a function told in this line of JSON; nothing if Lambda did."""
    try:
        line = json.loads(message)
    except ValueError:
        return [("", f"{function}: {message.rstrip()[:LINE_WIDTH]}")]
    if str(line.get("type", "")).startswith("platform."):
        return []
    words = [line.get(key) for key in ("level", "message", "errorMessage")]
    told = " ".join(str(word) for word in words if word)
    return [(str(line.get("timestamp", "")), f"{function}: {told[:LINE_WIDTH]}")]
