"""Report why a scenario failed: stack events, failed workflows and the functions' last logs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from display.traces import Kind, duration
from rehearsal.drivers.stack import StackDriver
from rehearsal.report.spans import traces

Json = dict[str, Any]

LOG_GROUP_PREFIX = "/aws/lambda/"
LOG_LINES, LINE_WIDTH = 12, 400


def failure_report(driver: StackDriver) -> Iterable[str]:
    """Lines from the stack's failure reasons down to the functions' last log records."""
    yield f"stack {driver.stack.name} is {driver.stack.status() or 'absent'}"
    for reason in driver.stack.reasons():
        yield f"  {reason}"
    events = driver.admin.event_log()
    causes = {
        f"{event['subject']}/{event['execution']}": f"{event['error']}: {event.get('cause')}"
        for event in events
        # States.TaskFailed only repeats the child's error.
        if event["service"] == "states" and event.get("error") not in (None, "States.TaskFailed")
    }
    for trace in traces(events):
        if trace.kind is Kind.EXECUTION and trace.outcome not in ("SUCCEEDED", None):
            at = duration(trace.end or trace.start)
            yield f"{trace.outcome} at {at}: {trace.label} in state {trace.spans[-1].state}"
            if trace.subject in causes:
                yield f"  {causes[trace.subject][:LINE_WIDTH]}"
        elif trace.kind is Kind.EXECUTION and trace.state:
            yield f"still running: {trace.label} in state {trace.state}"
    yield from _last_log_records(driver)


def _last_log_records(driver: StackDriver) -> Iterable[str]:
    """The functions' last log records, without Lambda's own platform records."""
    logs = driver.aws.client("logs")
    records: list[tuple[str, str]] = []
    groups = logs.get_paginator("describe_log_groups")
    for page in groups.paginate(logGroupNamePrefix=LOG_GROUP_PREFIX):
        for group in page["logGroups"]:
            name = group["logGroupName"]
            for event in logs.filter_log_events(logGroupName=name)["events"]:
                records += _record(name.removeprefix(LOG_GROUP_PREFIX), event["message"])
    return [line for _, line in sorted(records)[-LOG_LINES:]]


def _record(function: str, message: str) -> list[tuple[str, str]]:
    """Timestamp and text of a function's log record; empty for a platform record."""
    try:
        record = json.loads(message)
    except ValueError:
        return [("", f"{function}: {message.rstrip()[:LINE_WIDTH]}")]
    if str(record.get("type", "")).startswith("platform."):
        return []
    fields = [record.get(key) for key in ("level", "message", "errorMessage")]
    text = " ".join(str(value) for value in fields if value)
    return [(str(record.get("timestamp", "")), f"{function}: {text[:LINE_WIDTH]}")]
