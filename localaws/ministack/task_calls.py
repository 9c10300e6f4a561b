"""The calls that Step Functions makes for Tasks, Invoke and StartExecution, and how they fail.

A Task reports the service, and the exception's class in the AWS SDK for Java: an error of the
service's model by its code, such as Lambda.TooManyRequestsException, and the others by that of the
client, such as Lambda.AWSLambdaException (F6.46, F6.70).
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from botocore.session import get_session

from localaws.ministack.access import ministack
from localaws.ministack.step_functions import error_of

if TYPE_CHECKING:
    from localaws.state import EmulatorState

_OPERATIONS = {"Lambda": ("lambda", "Invoke"), "StepFunctions": ("stepfunctions", "StartExecution")}

_states = ministack("services.stepfunctions")

# State machine and name of the Task that the current thread runs.
current_task: contextvars.ContextVar[tuple[str, str]] = contextvars.ContextVar("task")


@contextlib.contextmanager
def failing(emulator: EmulatorState, service: str) -> Iterator[None]:
    """Fail a call as injected: before its effect, or lose its response after it."""
    machine, task = current_task.get(("", ""))
    emulator.calls.record(machine=machine, task=task, operation=_OPERATIONS[service][1])
    fault = emulator.faults.task_failure(machine, task)
    code = fault["code"] if fault else ""
    message = fault.get("message", f"{code} was injected") if fault else ""
    if fault and fault.get("when", "before") == "before":
        raise call_error(emulator, service, code, message)
    yield
    if fault:
        raise call_error(emulator, service, code, message)


def start_late(emulator: EmulatorState, request: Mapping[str, Any], seconds: float) -> None:
    """StartExecution whose response was lost, like any error by then."""
    emulator.clock.sleep(seconds)
    _states._start_execution(request)


def call_error(emulator: EmulatorState, service: str, code: str, message: str) -> Exception:
    """The error of a Task whose call failed with this code of AWS; ConnectionLost has none."""
    if code == "ConnectionLost":
        return error_of(f"{service}.SdkClientException", "Unable to execute HTTP request")
    name = code if code.endswith("Exception") else f"{code}Exception"
    if code not in _modeled(service) and not (
        service == "StepFunctions" and emulator.assumptions.unmodeled_start_errors == "code"
    ):
        name = f"AWS{service}Exception"
    return error_of(
        f"{service}.{name}", f"{message} (Service: AWS{service}; Error Code: {code}; Proxy: null)"
    )


@functools.cache
def _modeled(service: str) -> frozenset[str]:
    """The codes of errors in the operation's model."""
    name, operation = _OPERATIONS[service]
    model = get_session().get_service_model(name).operation_model(operation)
    return frozenset(shape.name for shape in model.error_shapes)
