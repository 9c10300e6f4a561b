"""State machine definitions, checked as CreateStateMachine and UpdateStateMachine check them.

cfn-lint's JSON schema says which states and fields there are; transitions, paths, retriers and
catchers it leaves to this module. Rules: https://states-language.net/spec.html
"""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from localaws.ministack import state_fields
from localaws.ministack.access import ministack

Json = Mapping[str, Any]

TERMINAL = frozenset({"Succeed", "Fail"})
PATHS = frozenset({"InputPath", "ItemsPath", "OutputPath"})
# A path to one place: no wildcards, slices, filters or context object.
REFERENCE_PATH = re.compile(r"\$(\.[^\s.\[\]*@?(),:'\"]+|\[\d+\]|\['[^']+'\])*")
RETRIER = frozenset(
    {
        "BackoffRate",
        "Comment",
        "ErrorEquals",
        "IntervalSeconds",
        "JitterStrategy",
        "MaxAttempts",
        "MaxDelaySeconds",
    }
)
CATCHER = frozenset({"Assign", "Comment", "ErrorEquals", "Next", "Output", "ResultPath"})
WAITS = frozenset({"Seconds", "SecondsPath", "Timestamp", "TimestampPath"})
EXCLUSIVE = (
    ("Cause", "CausePath"),
    ("Error", "ErrorPath"),
    ("HeartbeatSeconds", "HeartbeatSecondsPath"),
    ("ItemProcessor", "Iterator"),
    ("TimeoutSeconds", "TimeoutSecondsPath"),
)
# Where the payload templates of a state are, whose members named *.$ are paths.
TEMPLATES = ("ItemSelector", "Parameters", "ResultSelector")

_states = ministack("services.stepfunctions")


def definition_errors(definition: str) -> Iterator[str]:
    """The errors in a definition, in AWS's words where these are known."""
    try:
        machine = json.loads(definition)
    except ValueError as error:
        yield f"'INVALID_JSON_DESCRIPTION: {error}'"
        return
    if "${" in definition:
        yield "'SCHEMA_VALIDATION_FAILED: a placeholder was not substituted'"
    errors = list(_schema_errors(machine))
    yield from errors
    if isinstance(machine, dict) and machine.get("Version", "1.0") != "1.0":
        yield "'SCHEMA_VALIDATION_FAILED: Version must be 1.0 at /Version'"
    # The other checks require what the schema does.
    if not errors:
        yield from _machine_errors(machine, "/")
        names = Counter(name for name, _ in _all_states(machine))
        for name in sorted(name for name, count in names.items() if count > 1):
            yield f"'DUPLICATE_STATE_NAME: Duplicate State name: {name}'"


def task_resources(machine: Json) -> list[str]:
    """The resources of all Task states of a valid definition."""
    return [state["Resource"] for _, state in _all_states(machine) if "Resource" in state]


def _all_states(machine: Json) -> Iterator[tuple[str, Json]]:
    """The states with their names, which are unique in the whole state machine."""
    for name, state in (machine.get("States") or {}).items():
        yield name, state
        nested = [state.get("ItemProcessor"), state.get("Iterator"), *state.get("Branches", [])]
        for each in nested:
            yield from _all_states(each or {})


def _schema_errors(machine: Any) -> Iterator[str]:
    for error in _validator().iter_errors(machine):
        *_, last = path = ["", *map(str, error.path)]
        where = "/".join(path) or "/"
        if last in ("Resource", "ResultPath") and error.validator == "pattern":
            # The schema's pattern has one partition only; both are checked here.
            continue
        if error.validator == "additionalProperties":
            reason = f'The field "{last}" is not supported by Step Functions'
        elif error.validator == "requiredXor" and "Next" in error.validator_value:
            continue
        else:
            reason = str(error.message)
        yield f"'SCHEMA_VALIDATION_FAILED: {reason} at {where}'"


@functools.cache
def _validator() -> Any:
    # Importing cfn-lint takes half a second.
    from cfnlint.helpers import load_resource
    from cfnlint.jsonschema import StandardValidator

    schema = load_resource("cfnlint.data.schemas.other.step_functions", "statemachine.json")
    return StandardValidator(schema=schema)


def _machine_errors(machine: Json, where: str) -> Iterator[str]:
    states = machine.get("States") or {}
    if not states:
        yield f"'SCHEMA_VALIDATION_FAILED: There are no states at {where}'"
        return
    targets = {machine.get("StartAt")}
    for name, state in states.items():
        path = f"{where}States/{name}"
        leaving = list(_next_states(state))
        targets.update(leaving)
        for target in leaving:
            if target not in states:
                yield f"'MISSING_TRANSITION_TARGET: Missing 'Next' target: {target} at {path}'"
        yield from (
            f"'SCHEMA_VALIDATION_FAILED: {reason} at {path}'" for reason in _state_errors(state)
        )
        for number, branch in enumerate(state.get("Branches", [])):
            yield from _machine_errors(branch, f"{path}/Branches[{number}]/")
        if state.get("Type") == "Map":
            yield from _machine_errors(
                state.get("ItemProcessor") or state.get("Iterator") or {}, path
            )
    if machine.get("StartAt") not in states:
        yield f"'MISSING_TRANSITION_TARGET: Missing 'StartAt' target at {where}'"
    for name in states:
        if name not in targets:
            yield f"'MISSING_TRANSITION_TARGET: State \"{name}\" is not reachable.'"


def _state_errors(state: Json) -> Iterator[str]:
    kind = state.get("Type")
    if kind not in TERMINAL and kind != "Choice" and bool(state.get("End")) == ("Next" in state):
        yield "Exactly one of Next and End is needed"
    if kind == "Task" and not str(state.get("Resource", "")).startswith("arn:"):
        yield "Value is not a valid resource ARN"
    for retrier in state.get("Retry", []):
        yield from _handler_errors(retrier, RETRIER)
        yield from _retrier_errors(retrier)
    for catcher in state.get("Catch", []):
        yield from _handler_errors(catcher, CATCHER)
        yield from _reference_errors("ResultPath", catcher)
    for field in PATHS & set(state):
        if not _is_path(state[field]):
            yield f"Value of {field} is not a valid JSONPath"
    yield from _reference_errors("ResultPath", state)
    for both in EXCLUSIVE:
        if all(field in state for field in both):
            yield f"{' and '.join(both)} exclude each other"
    if kind == "Wait" and len(WAITS & set(state)) != 1:
        yield f"Exactly one of {', '.join(sorted(WAITS))} is needed"
    if kind == "Choice" and not state.get("Choices"):
        yield "Choices must not be empty"
    timeout = state.get("TimeoutSeconds")
    if timeout is not None and state.get("HeartbeatSeconds", 0) >= timeout:
        yield "HeartbeatSeconds must be smaller than TimeoutSeconds"
    for field in ("CausePath", "ErrorPath"):
        value = state.get(field)
        if value is not None and not (str(value).startswith("States.") or _is_path(value)):
            yield f"Value of {field} is not a valid JSONPath"
    yield from state_fields.errors(state)
    if state.get("QueryLanguage", "JSONPath") == "JSONPath":
        for field in TEMPLATES:
            yield from _template_errors(state.get(field))


def _handler_errors(handler: Json, fields: frozenset[str]) -> Iterator[str]:
    names = handler.get("ErrorEquals") or []
    if not names:
        yield "ErrorEquals must not be empty"
    if "States.ALL" in names and len(names) > 1:
        yield "States.ALL must appear alone"
    for field in sorted(set(handler) - fields):
        yield f'The field "{field}" is not supported by Step Functions'


def _retrier_errors(retrier: Json) -> Iterator[str]:
    if retrier.get("BackoffRate", 1) < 1:
        yield "BackoffRate must be greater than or equal to 1.0"
    for field, least in (("IntervalSeconds", 1), ("MaxAttempts", 0), ("MaxDelaySeconds", 1)):
        value = retrier.get(field, least)
        if not isinstance(value, int) or value < least:
            yield f"{field} must be an integer of at least {least}"
    if retrier.get("JitterStrategy", "NONE") not in ("FULL", "NONE"):
        yield "JitterStrategy must be FULL or NONE"


def _reference_errors(field: str, container: Json) -> Iterator[str]:
    value = container.get(field)
    if value is not None and not (isinstance(value, str) and REFERENCE_PATH.fullmatch(value)):
        yield f"Value of {field} is not a valid Reference Path"


def _is_path(value: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, str) or not value.startswith("$"):
        return False
    path = value.removeprefix("$") if value.startswith("$$") else value
    # ministack does not know variables, filters, slices and descendants, which AWS accepts.
    if path == "$" or re.match(r"\$\w", path) or re.search(r"\.\.\w|\[\?|\[[\d\-:,]+\]", path):
        return True
    return _states._parse_jsonpath_tokens(path) is not None


def _template_errors(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _template_errors(each)
    if not isinstance(value, dict):
        return
    for name, each in value.items():
        if not name.endswith(".$"):
            yield from _template_errors(each)
        elif name.removesuffix(".$") in value:
            yield f"The fields '{name.removesuffix('.$')}' and '{name}' exclude each other"
        elif isinstance(each, str) and each.startswith("States."):
            yield from state_fields.intrinsic_errors(each)
        elif not isinstance(each, str) or not _is_path(each):
            yield (
                f"The value for the field '{name}' must be a valid JSONPath or a valid intrinsic "
                "function call"
            )


def _next_states(state: Json) -> Iterator[str]:
    for part in (state, *state.get("Choices", []), *state.get("Catch", [])):
        if "Next" in part:
            yield part["Next"]
    if "Default" in state:
        yield state["Default"]
