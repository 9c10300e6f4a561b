"""states:startExecution.sync: a separate child execution that its parent waits for.

ministack runs children inline as express executions, without events, beyond the end of a stopped
parent, and propagates their Error and Cause where AWS reports States.TaskFailed and describes the
child.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from localaws.ministack.access import ministack
from localaws.ministack.step_functions import Executions, current, demand_running, error_of
from localaws.ministack.task_calls import call_error, current_task, failing, start_late

if TYPE_CHECKING:
    from localaws.state import EmulatorState

_states = ministack("services.stepfunctions")


def install(emulator: EmulatorState, executions: Executions) -> None:
    """Run children as executions, and reject all other integrations that wait or call AWS."""

    def start_and_wait(resource: str, params: Mapping[str, Any]) -> dict[str, Any]:
        parent = current.get()
        assert parent is not None  # nosec B101 # for mypy
        child = executions.get(_start(emulator, executions, params))
        parent.children.append(child.arn)
        emulator.clock.wait([child.ended, parent.ended])
        demand_running()
        return _result(child.arn, version=2 if resource.endswith(".sync:2") else 1)

    def start(resource: str, params: Mapping[str, Any]) -> dict[str, Any]:
        arn = _start(emulator, executions, params)
        return {"ExecutionArn": arn, "StartDate": _described(arn)["StartDate"]}

    _states._invoke_nested_start_execution_sync = start_and_wait
    _states._invoke_nested_start_execution = start


def _start(emulator: EmulatorState, executions: Executions, params: Mapping[str, Any]) -> str:
    request = _states._nested_start_execution_request(params)
    with failing(emulator, "StepFunctions"):
        machine, task = current_task.get(("", ""))
        seconds = emulator.faults.lateness("StartExecution", task, machine)
        if seconds is not None:
            emulator.spawn(start_late, emulator, request, seconds)
            raise call_error(emulator, "StepFunctions", "ConnectionLost", "")
        status, _, body = executions.start(request)
        response = json.loads(body)
        if status >= 400:
            code = response.get("__type", "ServiceException").rpartition("#")[2]
            raise call_error(emulator, "StepFunctions", code, response.get("message", ""))
    arn: str = response["executionArn"]
    return arn


def _described(arn: str) -> dict[str, Any]:
    """An execution as it appears in its parent's result or cause; dates are in milliseconds."""
    described = json.loads(_states._describe_execution({"executionArn": arn})[2])
    fields = {key[0].upper() + key[1:]: value for key, value in described.items()}
    for date in ("StartDate", "StopDate"):
        if fields.get(date):
            fields[date] = _states._iso_to_epoch_ms(fields[date])
    details = {
        name: {"Included": True}
        for name in ("InputDetails", "OutputDetails")
        if fields.get(name.removesuffix("Details")) is not None
    }
    present = {key: value for key, value in fields.items() if value is not None}
    return {**present, **details, "RedriveCount": 0, **_redrive(fields["Status"])}


def _redrive(status: str) -> dict[str, str]:
    if status != "SUCCEEDED":
        return {"RedriveStatus": "REDRIVABLE"}
    reason = "Execution is SUCCEEDED and cannot be redriven"
    return {"RedriveStatus": "NOT_REDRIVABLE", "RedriveStatusReason": reason}


def _result(arn: str, version: int) -> dict[str, Any]:
    """The parent's result; raises States.TaskFailed unless the child succeeded."""
    described = _described(arn)
    if described["Status"] != "SUCCEEDED":
        for name in ("Output", "OutputDetails"):
            described.pop(name, None)
        raise error_of("States.TaskFailed", json.dumps(described, sort_keys=True))
    if version == 2:
        for name in ("Input", "Output"):
            described[name] = json.loads(described[name])
    return dict(sorted(described.items()))
