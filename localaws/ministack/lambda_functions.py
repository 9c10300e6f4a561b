"""Lambda functions, run in our execution environments.

ministack reports every exception as Runtime.HandlerError and discards the environment, measures
timeouts and the retries of asynchronous invocations in real time, writes logs regardless of the
role, and accepts missing code.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from localaws.core.calls import Invocation, trace_id
from localaws.core.partitions import response_host
from localaws.lambda_runtime.pool import Function, Outcome, base_variables
from localaws.ministack import invoke_destinations, log_streams
from localaws.ministack.access import ministack
from localaws.ministack.iam import role_allows

if TYPE_CHECKING:
    from localaws.state import EmulatorState

Record = dict[str, Any]

# Virtual seconds before the second and third attempt of an asynchronous invocation:
# https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
RETRY_DELAYS = (60, 120)
DEFAULT_EVENT_AGE = 21600

_lambda = ministack("services.lambda_svc")
_runtime = ministack("core.lambda_runtime")
_logs = ministack("services.cloudwatch_logs")


def install(emulator: EmulatorState) -> None:
    """Replace ministack's workers by our execution environments."""

    def execute(function: Record, event: Any, request_id: str) -> Record:
        with emulator.clock.busy():
            return _execute(emulator, function, event, request_id)

    def invoke_asynchronously(function: Record, event: Any) -> None:
        emulator.spawn(_invoke_with_retries, emulator, function, event)

    invoke_destinations.install(emulator)
    _lambda._execute_function_warm = execute
    _lambda.invoke_async_with_retry = invoke_asynchronously
    # _execute writes the logs.
    _lambda._emit_lambda_logs = lambda *arguments, **named: None


def function_at(arn: str) -> Record | None:
    """The record that invokes a function, or None if it does not exist."""
    record, config, _ = _lambda._get_func_record_for_ref(arn)
    if record is None or config is None:
        return None
    found: Record = _lambda._execution_record_for_config(record, config)
    return found


def invoke_asynchronously(function: Record, event: Any) -> None:
    """Queue an event for a function."""
    _lambda.invoke_async_with_retry(function, event)


def _invoke_with_retries(emulator: EmulatorState, function: Record, event: Any) -> None:
    settings = (function.get("event_invoke_configs") or {}).get("$LATEST") or function.get(
        "event_invoke_config"
    )
    attempts = int((settings or {}).get("MaximumRetryAttempts", 2)) + 1
    age = int((settings or {}).get("MaximumEventAgeInSeconds", DEFAULT_EVENT_AGE))
    queued = emulator.clock.now()
    result: Record | None = None
    for attempt in range(attempts):
        if attempt:
            emulator.clock.sleep(RETRY_DELAYS[attempt - 1])
            if emulator.clock.now() - queued > age:
                result = None
                break
        result = _lambda._execute_function_with_config_scope(function, event)
        if not result.get("error"):
            return
    destination = function_at(invoke_destinations.on_failure(settings))
    if destination and invoke_destinations.is_allowed(
        emulator, function, invoke_destinations.on_failure(settings)
    ):
        record = invoke_destinations.invocation_record(
            emulator, function, event, result, attempt + bool(result)
        )
        invoke_asynchronously(destination, record)


def _execute(emulator: EmulatorState, function: Record, event: Any, request_id: str) -> Record:
    config = function.get("config") or function
    name, code = config["FunctionName"], function.get("code_zip")
    step = event.get("Step") if isinstance(event, dict) else None
    details = {"step": step} if step else {}
    emulator.event_log.record("lambda", name, "Invoked", **details)
    trace, end = trace_id(request_id), emulator.clock.now() + float(config["Timeout"])
    if emulator.timings.invoke_function:
        emulator.clock.sleep(emulator.timings.invoke_function)
    if code:
        emulator.calls.invocations[trace] = Invocation(name, step or "")
        day = dt.datetime.fromtimestamp(emulator.clock.now(), dt.UTC)
        environment = emulator.environments.take(
            _function(emulator, config), code, f"{day:%Y/%m/%d}"
        )
        try:
            outcome = environment.invoke(
                event,
                request_id,
                emulator.clock,
                lambda moment: emulator.faults.death(name, step or "", moment),
            )
        finally:
            emulator.environments.give_back(environment)
            del emulator.calls.invocations[trace]
        if outcome.error is None and emulator.faults.death(name, step or "", "timeout"):
            emulator.clock.sleep(end - emulator.clock.now())
            outcome = replace(outcome, result=None, error=_timed_out(config, request_id))
    else:
        error = {"errorType": "Runtime.Unknown", "errorMessage": "The function has no code."}
        outcome = Outcome(None, error, "", "")
    _log(emulator, config, request_id, outcome)
    if outcome.error is None:
        emulator.event_log.record("lambda", name, "Succeeded", **details)
        return {"body": outcome.result, "log": outcome.log}
    emulator.event_log.record("lambda", name, "Failed", error=outcome.error["errorType"], **details)
    return {"body": {**outcome.error, "requestId": request_id}, "error": True, "log": outcome.log}


def _timed_out(config: Record, request_id: str) -> dict[str, str]:
    problem = f"Task timed out after {float(config['Timeout']):.2f} seconds"
    return {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {request_id} Error: {problem}",
    }


def _function(emulator: EmulatorState, config: Record) -> Function:
    logging = config.get("LoggingConfig") or {}
    name, region = config["FunctionName"], config["FunctionArn"].split(":")[3]
    return Function(
        config["FunctionArn"],
        config["CodeSha256"],
        config["Handler"],
        float(config["Timeout"]),
        {
            **base_variables(),
            **(config.get("Environment") or {}).get("Variables", {}),
            **_runtime.execution_credentials(config),
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_ENDPOINT_URL": emulator.gateway_url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config["MemorySize"]),
            "AWS_LAMBDA_LOG_GROUP_NAME": _group_name(config),
            "AWS_LAMBDA_LOG_FORMAT": logging.get("LogFormat", "Text"),
            # The runtime's default for the JSON format.
            "AWS_LAMBDA_LOG_LEVEL": logging.get("ApplicationLogLevel")
            or ("INFO" if logging.get("LogFormat") == "JSON" else ""),
            # The bucket for responses is here, with a certificate of its own.
            "LOCALAWS_RESPONSES": f"{response_host(region)} {emulator.ports.secure}",
            "SSL_CERT_FILE": os.environ["SSL_CERT_FILE"],
            "NO_PROXY": "*",
            "no_proxy": "*",
        },
    )


def _group_name(config: Record) -> str:
    name = (config.get("LoggingConfig") or {}).get("LogGroup")
    return str(name or f"/aws/lambda/{config['FunctionName']}")


def _log(emulator: EmulatorState, config: Record, request_id: str, outcome: Outcome) -> None:
    """Write the function's output to its log group, as far as its role allows."""
    name, stream, now = _group_name(config), outcome.stream, emulator.clock.now()
    allowed = _log_permissions(emulator, config["Role"], name)
    if name not in _logs._log_groups:
        if not allowed("CreateLogGroup", ""):
            return
        log_streams.ensure_log_group(name)
    group = _logs._log_groups[name]
    if stream not in group["streams"]:
        if not allowed("CreateLogStream", stream):
            return
        log_streams.ensure_stream(group, stream, now)
    if allowed("PutLogEvents", stream):
        log_streams.append(group, stream, _lines(config, request_id, outcome), now)


def _log_permissions(emulator: EmulatorState, role: str, group: str) -> Callable[[str, str], bool]:
    arn = _logs._make_group_arn(group).removesuffix(":*")

    def allowed(action: str, stream: str) -> bool:
        resource = f"{arn}:log-stream:{stream}"
        return role_allows(
            emulator, role, f"logs:{action}", resource, behind="lambda:InvokeFunction"
        )

    return allowed


def _lines(config: Record, request_id: str, outcome: Outcome) -> list[str]:
    start, end = {"requestId": request_id, "version": "$LATEST"}, {"requestId": request_id}
    status = "success" if outcome.error is None else outcome.error["errorType"]
    body = outcome.log.splitlines()
    if outcome.error and outcome.error["errorType"].startswith(("Sandbox.", "Runtime.Exit")):
        body.append(outcome.error["errorMessage"])
    if (config.get("LoggingConfig") or {}).get("LogFormat") == "JSON":
        return [
            json.dumps({"type": "platform.start", "record": start}),
            *body,
            json.dumps({"type": "platform.report", "record": {**end, "status": status}}),
        ]
    return [
        f"START RequestId: {request_id} Version: $LATEST",
        *body,
        f"END RequestId: {request_id}",
        f"REPORT RequestId: {request_id}\tMemory Size: {config['MemorySize']} MB",
    ]
