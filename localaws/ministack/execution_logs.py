"""Execution events that a state machine writes to its log group; ministack writes none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from localaws.ministack import log_streams
from localaws.ministack.access import ministack
from localaws.ministack.state_machines import destinations

if TYPE_CHECKING:
    from localaws.state import EmulatorState

# Logged only with includeExecutionData.
EXECUTION_DATA = frozenset({"input", "output", "cause", "parameters"})
LEVELS = {
    "ERROR": ("Failed", "TimedOut", "Aborted"),
    "FATAL": ("ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted"),
}

_states = ministack("services.stepfunctions")
_logs = ministack("services.cloudwatch_logs")


def install(emulator: EmulatorState) -> None:
    """Log the events of each execution as its state machine's logging configuration says."""
    add_event = _states._add_event

    def add_and_log(
        record: dict[str, Any], kind: str, details: Mapping[str, Any] | None = None
    ) -> Any:
        event = add_event(record, kind, details)
        machine = _states._state_machines.get(record["stateMachineArn"])
        if event and machine:
            # ministack creates the record with its first event, without _add_event.
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
    configuration = machine.get("loggingConfiguration") or {}
    logging = {key[0].lower() + key[1:]: value for key, value in configuration.items()}
    level = logging.get("level", "OFF")
    if level == "OFF" or (level != "ALL" and not event["type"].endswith(LEVELS[level])):
        return
    with_data = str(logging.get("includeExecutionData", False)).lower() == "true"
    now = emulator.clock.now()
    message = {
        "id": str(event["id"]),
        "type": event["type"],
        "details": {
            name: value
            for key, part in event.items()
            if key.endswith("EventDetails")
            for name, value in part.items()
            if with_data or name not in EXECUTION_DATA
        },
        "event_timestamp": str(int(now * 1000)),
        "execution_arn": record["executionArn"],
    }
    for arn in destinations(configuration):
        group = _logs._log_groups.get(arn.removesuffix(":*").partition(":log-group:")[2])
        if group is not None:
            stream = f"states/{machine['name']}"
            log_streams.ensure_stream(group, stream, now)
            log_streams.append(group, stream, [json.dumps(message)], now)
