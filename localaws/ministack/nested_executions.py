"""states:startExecution.sync: the child is an execution of its own, which its parent waits for.

Otherwise in ministack: children run inline as express executions, so that they send no events and
outlive a stopped parent, and their own Error and Cause come up bare where AWS gives
States.TaskFailed and a description of the child.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from localaws.ministack.access import ministack
from localaws.ministack.step_functions import Executions, current, demand_alive, error_of

if TYPE_CHECKING:
    from localaws.state import EmulatorState

_states = ministack("services.stepfunctions")


def install(emulator: EmulatorState, executions: Executions) -> None:
    """Run children as executions, and refuse every other integration that waits or calls AWS."""

    def start_and_wait(resource: str, given: Mapping[str, Any]) -> dict[str, Any]:
        run = current.get()
        assert run is not None
        child = executions.of(_started(executions, given))
        run.children.append(child.arn)
        emulator.clock.wait([child.ended, run.ended])
        demand_alive()
        return _outcome(child.arn, version=2 if resource.endswith(".sync:2") else 1)

    def start(resource: str, given: Mapping[str, Any]) -> dict[str, Any]:
        arn = _started(executions, given)
        return {"ExecutionArn": arn, "StartDate": _described(arn)["StartDate"]}

    def refuse(resource: str, *arguments: Any) -> Any:
        raise error_of("States.Runtime", f"{resource} is not rehearsed.")

    _states._invoke_nested_start_execution_sync = start_and_wait
    _states._invoke_nested_start_execution = start
    _states._invoke_aws_sdk_integration = refuse
    _states._invoke_with_callback = refuse
    _states._invoke_activity = refuse


def _started(executions: Executions, given: Mapping[str, Any]) -> str:
    status, _, body = executions.start(_states._nested_start_execution_request(given))
    answer = json.loads(body)
    if status >= 400:
        code = answer.get("__type", "ServiceException").rpartition("#")[2]
        name = code if code.endswith("Exception") else f"{code}Exception"
        raise error_of(f"StepFunctions.{name}", answer.get("message", ""))
    arn: str = answer["executionArn"]
    return arn


def _described(arn: str) -> dict[str, Any]:
    """An execution as it appears in its parent's result or cause; dates are milliseconds."""
    described = json.loads(_states._describe_execution({"executionArn": arn})[2])
    names = {key[0].upper() + key[1:]: value for key, value in described.items()}
    for date in ("StartDate", "StopDate"):
        if names.get(date):
            names[date] = _states._iso_to_epoch_ms(names[date])
    details = {
        name: {"Included": True}
        for name in ("InputDetails", "OutputDetails")
        if names.get(name.removesuffix("Details")) is not None
    }
    kept = {key: value for key, value in names.items() if value is not None}
    return {**kept, **details, "RedriveCount": 0, **_redrive(names["Status"])}


def _redrive(status: str) -> dict[str, str]:
    if status != "SUCCEEDED":
        return {"RedriveStatus": "REDRIVABLE"}
    reason = "Execution is SUCCEEDED and cannot be redriven"
    return {"RedriveStatus": "NOT_REDRIVABLE", "RedriveStatusReason": reason}


def _outcome(arn: str, version: int) -> dict[str, Any]:
    described = _described(arn)
    if described["Status"] != "SUCCEEDED":
        for name in ("Output", "OutputDetails"):
            described.pop(name, None)
        raise error_of("States.TaskFailed", json.dumps(described, sort_keys=True))
    if version == 2:
        for name in ("Input", "Output"):
            described[name] = json.loads(described[name])
    return dict(sorted(described.items()))
