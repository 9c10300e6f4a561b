"""The reason of a failed workflow, in one line for the stack event. Pure: calls nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

Failure = Mapping[str, Any]  # {"Error": ..., "Cause": ...} as a Catch gives it
_MAX_CHARACTERS = 240  # crhelper keeps only the end of a longer reason
_DOCUMENT = re.compile(r"-r([A-Z][A-Za-z]+)Document-")  # the name that CloudFormation generates
# Of functions that died and of Step Functions itself, without a word about step or resource.
_SERVICE_ERRORS = ("Lambda.", "Runtime.", "Sandbox.", "States.")
_RETRY = "Retry, in an update with a new pReconcile."


def of(failure: Failure) -> str:
    """The reason, at most 240 characters."""
    return _shorten(_innermost(failure))


def created_id(failure: Failure) -> str | None:
    """The ID of what a failed creation left, which ends the reason as [id]."""
    match = re.search(r"\[([a-z]+-[0-9a-zA-Z]+)\]$", _innermost(failure))
    return match.group(1) if match else None


def error_of(failure: Failure) -> str:
    """The name of the error that began the failure; empty if it was cut or never reported."""
    return _unwrap(failure)[0]


def _innermost(failure: Failure) -> str:
    """The error and its message."""
    error, cause = _unwrap(failure)
    return f"{error}: {cause}" if error and not error.startswith("States.") else cause or error


def _unwrap(failure: Failure) -> tuple[str, str]:
    """The error and its message, unwrapped from all nested executions.

    A failed startExecution.sync:2 is caught as {"Error": "States.TaskFailed", "Cause":
    <DescribeExecution of the child as JSON>}, whose Cause may be the same for a grandchild; a
    failed function as {"Error": <exception class>, "Cause": <{"errorType", "errorMessage", ...}
    as JSON>}. A child that timed out or was stopped has no Cause.
    """
    error, cause = failure.get("Error") or "", failure.get("Cause") or ""
    execution: Mapping[str, Any] = {}
    while True:
        detail = _parse(cause)
        if detail is None:
            break
        if "errorMessage" in detail:
            error, cause = detail.get("errorType") or error, str(detail["errorMessage"])
            break
        if "ExecutionArn" not in detail:
            break
        execution = detail
        error, cause = detail.get("Error") or "", detail.get("Cause") or ""
    if execution and (not cause or error.startswith(_SERVICE_ERRORS)):
        return "", _lost(execution, error, cause)
    return error, cause


def _parse(cause: str) -> dict[str, Any] | None:
    """The JSON object in a cause, or the message in a truncated one; None if it is plain text."""
    try:
        value = json.loads(cause)
        return value if isinstance(value, dict) else None
    except ValueError:
        unescaped = re.sub(r"\\+", "", cause)
        # A nested cause begins with a brace, so what remains is the innermost.
        messages = re.findall(r'"(?:errorMessage|Cause)"\s*:\s*"([^"{][^"]*)', unescaped)
        if messages and unescaped.lstrip()[:1] == "{":
            return {"errorMessage": messages[-1]}
        return None


def _lost(execution: Mapping[str, Any], error: str, cause: str) -> str:
    """The reason of an execution that ended without a message of ours."""
    given = execution.get("Input") or {}
    request = (_parse(given) or {}) if isinstance(given, str) else given
    workflow = f"The workflow {execution['ExecutionArn'].split(':')[6]}"
    if job := _DOCUMENT.search(str(request.get("DocumentName"))):
        workflow += f" ({job.group(1)} on {request.get('InstanceId')})"
    end = {
        "TIMED_OUT": "did not end within its time limit.",
        "ABORTED": "was stopped by an operator.",
    }.get(str(execution.get("Status")))
    if end is None:
        end = f"failed: {error or 'no cause given'}{f' ({cause})' if cause else ''}."
    id_ = request.get("KeyStoreId") or request.get("ClusterId")
    return f"{workflow} {end} {_RETRY}{f' [{id_}]' if id_ else ''}"


def _shorten(text: str) -> str:
    """One line, cut in the middle: it begins with what failed and ends with the resource's ID."""
    text = " ".join(text.split())
    half = _MAX_CHARACTERS // 2
    return text if len(text) <= _MAX_CHARACTERS else f"{text[: half - 3]} ... {text[2 - half :]}"
