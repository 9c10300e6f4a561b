"""The reason of a failed workflow, in one line for the stack event. Pure: calls nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

Failure = Mapping[str, Any]  # {"Error": ..., "Cause": ...} as a Catch gives it
_MAX_CHARACTERS = 240  # crhelper keeps only the end of a longer reason


def of(failure: Failure) -> str:
    """The reason, at most 240 characters."""
    return _shorten(_innermost(failure))


def created_id(failure: Failure) -> str | None:
    """The ID of what a failed creation left, which ends the reason as [id]."""
    match = re.search(r"\[([a-z]+-[0-9a-zA-Z]+)\]$", _innermost(failure))
    return match.group(1) if match else None


def _innermost(failure: Failure) -> str:
    """The error and its message, unwrapped from all nested executions.

    A failed startExecution.sync:2 is caught as {"Error": "States.TaskFailed", "Cause":
    <DescribeExecution of the child as JSON>}, whose Cause may be the same for a grandchild; a
    failed function as {"Error": <exception class>, "Cause": <{"errorType", "errorMessage", ...}
    as JSON>}. A child that timed out or was stopped has no Cause.
    """
    error, cause = failure.get("Error") or "", failure.get("Cause") or ""
    while True:
        detail = _parse(cause)
        if detail is None:
            break
        if "errorMessage" in detail:
            error, cause = detail.get("errorType") or error, str(detail["errorMessage"])
            break
        if "ExecutionArn" not in detail:
            break
        machine = detail["ExecutionArn"].split(":")[6]
        error, cause = (
            detail.get("Error") or "",
            detail.get("Cause") or _without_cause(machine, detail),
        )
    return f"{error}: {cause}" if error and not error.startswith("States.") else cause or error


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


def _without_cause(machine: str, execution: Mapping[str, Any]) -> str:
    """The reason of an execution that ended without a cause."""
    return {
        "TIMED_OUT": f"The workflow {machine} did not end within its time limit.",
        "ABORTED": f"The workflow {machine} was stopped by an operator.",
    }.get(
        str(execution.get("Status")),
        f"The workflow {machine} failed: {execution.get('Error') or 'no cause given'}.",
    )


def _shorten(text: str) -> str:
    """One line, cut in the middle: it begins with what failed and ends with the resource's ID."""
    text = " ".join(text.split())
    half = _MAX_CHARACTERS // 2
    return text if len(text) <= _MAX_CHARACTERS else f"{text[: half - 3]} ... {text[2 - half :]}"
