"""What a state machine writes to its log group, as its logging configuration says.

Otherwise in ministack: nothing is written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from localaws.ministack.access import ministack
from localaws.ministack.state_machines import destinations

if TYPE_CHECKING:
    from localaws.state import EmulatorState

# The data of an execution, which includeExecutionData lets into the log.
DATA = frozenset({"input", "output", "cause", "parameters"})
LEVELS = {
    "ERROR": ("Failed", "TimedOut", "Aborted"),
    "FATAL": ("ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted"),
}

_states = ministack("services.stepfunctions")
_logs = ministack("services.cloudwatch_logs")


def install(emulator: EmulatorState) -> None:
    """Write every event of a history to the log group of its machine."""
    add_event = _states._add_event

    def add_and_log(
        record: dict[str, Any], kind: str, details: Mapping[str, Any] | None = None
    ) -> Any:
        event = add_event(record, kind, details)
        machine = _states._state_machines.get(record["stateMachineArn"])
        if event and machine:
            # The first event is there from the beginning, not added.
            for each in record["events"][:1] if event["id"] == 2 else []:
                _log(emulator, machine, record, each)
            _log(emulator, machine, record, event)
        return event

    _states._add_event = add_and_log


def _log(
    emulator: EmulatorState,
    machine: Mapping[str, Any],
    record: Mapping[str, Any],
    event: Mapping[str, Any],
) -> None:
    given = machine.get("loggingConfiguration") or {}
    logging = {key[0].lower() + key[1:]: value for key, value in given.items()}
    level = logging.get("level", "OFF")
    if level == "OFF" or (level != "ALL" and not event["type"].endswith(LEVELS[level])):
        return
    included = str(logging.get("includeExecutionData", False)).lower() == "true"
    details = {
        name: value
        for key, part in event.items()
        if key.endswith("EventDetails")
        for name, value in part.items()
        if included or name not in DATA
    }
    now = int(emulator.clock.now() * 1000)
    message = {
        "id": str(event["id"]),
        "type": event["type"],
        "details": details,
        "event_timestamp": str(now),
        "execution_arn": record["executionArn"],
    }
    for arn in destinations(given):
        group = _logs._log_groups.get(arn.removesuffix(":*").partition(":log-group:")[2])
        if group is None:
            continue
        stream = group["streams"].setdefault(
            f"states/{machine['name']}",
            {
                "events": [],
                "uploadSequenceToken": "1",
                "creationTime": now,
                "firstEventTimestamp": None,
                "lastEventTimestamp": None,
                "lastIngestionTime": None,
            },
        )
        entry = {"timestamp": now, "message": json.dumps(message), "ingestionTime": now}
        _logs._append_log_events(stream, [entry])
