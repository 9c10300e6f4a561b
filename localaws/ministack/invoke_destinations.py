"""On-failure destinations of asynchronous invocations, as far as they are functions.

ministack stores the setting and ignores it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from localaws.ministack.access import ministack
from localaws.ministack.iam import role_allows

if TYPE_CHECKING:
    from localaws.state import EmulatorState

Record = dict[str, Any]

INVOKE = "lambda:InvokeFunction"

_lambda = ministack("services.lambda_svc")


def on_failure(settings: Mapping[str, Any] | None) -> str:
    """The ARN of the destination in an event invoke configuration; empty if there is none."""
    destinations = (settings or {}).get("DestinationConfig") or {}
    return str((destinations.get("OnFailure") or {}).get("Destination") or "")


def is_allowed(emulator: EmulatorState, function: Record, destination: str) -> bool:
    """Whether the role of the failed function, not Lambda itself, may invoke the destination."""
    config = function.get("config") or function
    return role_allows(emulator, config["Role"], INVOKE, destination, behind=INVOKE)


def invocation_record(
    emulator: EmulatorState, function: Record, event: Any, result: Record | None, attempts: int
) -> Record:
    """What the destination gets; `result` is of the last attempt, None if the event was too old.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """
    config = function.get("config") or function
    now = dt.datetime.fromtimestamp(emulator.clock.now(), dt.UTC)
    record: Record = {
        "version": "1.0",
        "timestamp": f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03}Z",
        "requestContext": {
            "requestId": ((result or {}).get("body") or {}).get("requestId", ""),
            "functionArn": f"{config['FunctionArn']}:$LATEST",
            "condition": "RetriesExhausted" if result else "EventAgeExceeded",
            "approximateInvokeCount": attempts,
        },
        "requestPayload": event,
    }
    if result:
        record["responseContext"] = {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        }
        record["responsePayload"] = result["body"]
    return record


def install(emulator: EmulatorState) -> None:
    """Refuse a destination that the function's role may not invoke."""
    put = _lambda._put_event_invoke_config

    def checked(name: str, qualifier: str | None, settings: Mapping[str, Any]) -> Any:
        function, destination = _lambda._functions.get(name), on_failure(settings)
        if function and destination and not is_allowed(emulator, function, destination):
            return _lambda.error_response_json(
                "InvalidParameterValueException",
                "The function's execution role does not have permissions to call InvokeFunction on"
                f" {destination}",
                400,
            )
        return put(name, qualifier, settings)

    _lambda._put_event_invoke_config = checked
