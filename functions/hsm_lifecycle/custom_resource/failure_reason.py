"""The reason of a failed workflow, in one line for the stack event. Pure: calls nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from hsm_lifecycle.custom_resource.history import Task

Failure = Mapping[str, Any]  # {"Error": ..., "Cause": ...} as a Catch gives it
_MAX_CHARACTERS = 240  # crhelper keeps only the end of a longer reason
_DOCUMENT = re.compile(r"-r([A-Z][A-Za-z]+)Document-")  # the name that CloudFormation generates
# Of functions that died and of Step Functions itself, without a word about step or resource.
_SERVICE_ERRORS = ("Lambda.", "Runtime.", "Sandbox.", "States.", "StepFunctions.")
# Of steps, boto3 and scripts: they quote AWS or a command, without a word about what to do.
_QUOTING = (
    "ClientError",
    "CommandFailed",
    "CommandInterrupted",
    "RefusedError",
    "TransientError",
    "UnexpectedError",
)
_ID_AT_END = re.compile(r"\[[a-z]+-[0-9a-zA-Z]+\]$")
_DENIED = re.compile(r"not authorized to perform: ([\w:]+)")
_MISSING = ("ResourceNotFoundException", "StateMachineDoesNotExist", "StateMachineDeleting")
_CODE = re.compile(r"Error Code: (\w+)")
# The name of a member of a JSON object, with what precedes and follows it.
_MEMBER = re.compile(r'\s*[{,]\s*("(?:[^"\\]|\\.)*")\s*:\s*')
_ESCAPE = 6  # characters of the longest escape in JSON, \uXXXX
_RESOURCE = re.compile(r"arn:[\w-]+:(?:lambda|states):[\w-]*:\d*:\w+:([\w.-]+)")
RETRY = {
    "Create": "Delete the stack and create it again.",
    "Update": "Set pReconcile to a new value to retry.",
    "Delete": "Delete the stack again.",
}

# Finds the Task in which an execution failed with an error.
FindTask = Callable[[str, str], Task | None]


def _no_task(_execution_arn: str, _error: str) -> None:
    """Find nothing."""


def of(failure: Failure, request_type: str = "Update", find_task: FindTask = _no_task) -> str:
    """The reason why a request of this type failed, at most 240 characters and never empty."""
    error, cause = _unwrap(failure, RETRY[request_type], find_task)
    reason = f"{error}: {cause}" if error and not error.startswith("States.") else cause or error
    if error in _QUOTING or error.endswith("Exception"):
        reason = _advised(reason, RETRY[request_type])
    return _shorten(reason) or f"The workflow failed without a cause. {RETRY[request_type]}"


def created_id(reason: str) -> str | None:
    """The ID of what a failed creation left, which ends the reason as [id]."""
    match = _ID_AT_END.search(reason)
    return match[0].strip("[]") if match else None


def job_of(document: str) -> str:
    """The logical name of an SSM document of ours: r<job>Document; else the whole name."""
    found = _DOCUMENT.search(document)
    return found.group(1) if found else document


def error_of(failure: Failure) -> str:
    """The name of the error that began the failure; empty if it was cut or never reported."""
    return _unwrap(failure, "", _no_task)[0]


def _unwrap(failure: Failure, advice: str, find_task: FindTask) -> tuple[str, str]:
    """The error and its message, unwrapped from all nested executions.

    A failed startExecution.sync:2 is caught as {"Error": "States.TaskFailed", "Cause":
    <DescribeExecution of the child as JSON>}, whose Cause may be the same for a grandchild; a
    failed function as {"Error": <exception class>, "Cause": <{"errorType", "errorMessage", ...}
    as JSON>}. A child that timed out or was stopped has no Cause.
    """
    if not isinstance(failure, Mapping):
        return "", _text(failure)
    error, cause = _text(failure.get("Error")), _text(failure.get("Cause"))
    execution: Mapping[str, Any] = {}
    while (detail := _parse(cause)) is not None:
        if "errorMessage" in detail:
            error, cause = _text(detail.get("errorType")) or error, _text(detail["errorMessage"])
            break
        # If it was cut, its Cause may come before its ExecutionArn.
        if not detail.keys() & {"ExecutionArn", "Cause"}:
            break
        execution = detail if "ExecutionArn" in detail else execution
        error, cause = _text(detail.get("Error")), _text(detail.get("Cause"))
    if execution and (not cause or error.startswith(_SERVICE_ERRORS)):
        return "", _lost({**execution, "Error": error, "Cause": cause}, advice, find_task)
    if error.startswith("StepFunctions."):  # of handle-request, which starts the lifecycle
        return "", f"{_failed_call('RunLifecycle', error, cause)} {advice}"
    return error, cause


def _parse(cause: str) -> dict[str, Any] | None:
    """The JSON object in a cause, or what is left of a truncated one; None if it is plain text."""
    try:
        value = json.loads(cause)
        return value if isinstance(value, dict) else None
    except (ValueError, RecursionError):
        return _before_cut(cause) if cause.lstrip()[:1] == "{" else None


def _before_cut(text: str) -> dict[str, Any] | None:
    """The members of a JSON object before it was cut, perhaps inside the last one's text."""
    found: dict[str, Any] = {}
    position = 0
    while member := _MEMBER.match(text, position):
        name, position = json.loads(member[1], strict=False), member.end()
        try:
            found[name], position = json.JSONDecoder().raw_decode(text, position)
        except (ValueError, RecursionError):
            found[name] = _cut_text(text[position:])
            break
    return found or None


def _cut_text(text: str) -> str:
    """A text in JSON without its end; empty if it is something else."""
    if not text.startswith('"'):
        return ""
    for end in range(len(text), max(0, len(text) - _ESCAPE), -1):  # its last escape may be cut
        try:
            return str(json.loads(text[:end] + '"'))
        except ValueError:
            continue
    return ""


def _text(value: Any) -> str:
    """A value of JSON as text; empty for none."""
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def _lost(execution: Mapping[str, Any], advice: str, find_task: FindTask) -> str:
    """The reason of an execution that ended without a message of ours."""
    error, cause = execution["Error"], execution["Cause"]
    given = execution.get("Input")
    request = (_parse(given) if isinstance(given, str) else given) or {}
    request = request if isinstance(request, Mapping) else {}
    arn = _text(execution["ExecutionArn"])
    name = (arn.split(":")[6:7] or [arn])[0]
    workflow = f"The workflow {name}"
    if document := request.get("DocumentName"):
        client = request.get("Client")
        named = client.get("InstanceId") if isinstance(client, Mapping) else None
        workflow += f" ({job_of(str(document))} on {named or 'the client'})"
    end = {
        "TIMED_OUT": "did not end within its time limit.",
        "ABORTED": "was stopped by an operator.",
    }.get(str(execution.get("Status")))
    task = find_task(arn, error) if arn and not end else None
    if end:
        sentence = f"{workflow} {end}"
    else:
        sentence = _failed_call(f"{task.name} of {name}" if task else workflow, error, cause)
    id_ = _id_in(request) or (_id_in(task.data) if task else None)
    return f"{sentence} {advice}{f' [{id_}]' if id_ else ''}"


def _failed_call(where: str, error: str, cause: str) -> str:
    """What failed, why, and what to do about it, for a call that Step Functions made itself."""
    if error == "States.Timeout":
        return f"{where} did not end within its time limit."
    code = match[1] if (match := _CODE.search(cause)) else error
    # The last one is the resource; a denial names the caller first.
    resource = resources[-1] if (resources := _RESOURCE.findall(cause)) else ""
    if denied := _DENIED.search(cause):
        what = f"{denied[1]} on {resource}" if resource else denied[1]
        return f"{where}: {what} was denied ({code}). Allow it, also in SCPs."
    if error.partition(".")[2].removesuffix("Exception") in (
        missing.removesuffix("Exception") for missing in _MISSING
    ):
        return f"{where}: {resource or 'A resource'} does not exist ({code}). Recreate it."
    message = f" ({cause})" if cause else ""
    return f"{where} failed: {error or 'no cause given'}{message}."


def _id_in(data: Mapping[str, Any]) -> str | None:
    """The ID of the key store or cluster in a workflow's input or a state's data."""
    for noun in ("KeyStore", "Cluster"):
        described = data.get(noun)
        found = data.get(f"{noun}Id") or (
            described.get("Id") if isinstance(described, Mapping) else None
        )
        if found:
            return str(found)
    physical_id = str(data.get("PhysicalResourceId"))
    return physical_id if physical_id.startswith(("cluster-", "cks-")) else None


def _advised(reason: str, advice: str) -> str:
    """The reason with the advice before its ID, if nothing has to be cut for it."""
    id_ = match[0] if (match := _ID_AT_END.search(reason)) else ""
    text = reason.removesuffix(id_).rstrip()
    longer = " ".join(filter(None, [text if text.endswith(".") else f"{text}.", advice, id_]))
    return longer if advice not in text and len(longer) <= _MAX_CHARACTERS else reason


def _shorten(text: str) -> str:
    """One line, cut in the middle: it begins with what failed and ends with the resource's ID."""
    # Such as half of a surrogate pair, which no response may contain.
    text = "".join(each if each.isprintable() else "?" for each in " ".join(text.split()))
    half = _MAX_CHARACTERS // 2
    return text if len(text) <= _MAX_CHARACTERS else f"{text[: half - 3]} ... {text[2 - half :]}"
