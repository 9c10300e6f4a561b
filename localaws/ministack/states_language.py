"""Strictness of the Amazon States Language.

On AWS a path that matches nothing fails the execution, States.ALL does not catch everything, and
States.Format prints JSON. ministack yields null, catches everything and prints Python; an unknown
operator it evaluates to false, which we report as unsupported.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from localaws.ministack.access import ministack
from localaws.ministack.step_functions import error_of

if TYPE_CHECKING:
    from localaws.state import EmulatorState

# Not caught by States.ALL or States.TaskFailed:
# https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
UNCATCHABLE = frozenset({"States.Runtime", "States.DataLimitExceeded", "States.Interrupted"})
COMPARISONS = ("Equals", "LessThan", "GreaterThan", "LessThanEquals", "GreaterThanEquals")
OPERATORS = frozenset(
    {
        *(
            f"{kind}{comparison}"
            for kind in ("String", "Numeric", "Timestamp")
            for comparison in COMPARISONS
        ),
        *(f"Numeric{comparison}Path" for comparison in COMPARISONS),
        "StringEqualsPath",
        "StringMatches",
        "BooleanEquals",
        "BooleanEqualsPath",
        "IsPresent",
        "IsNull",
        "IsNumeric",
        "IsString",
        "IsBoolean",
        "IsTimestamp",
    }
)

_states = ministack("services.stepfunctions")


class _NoMatchError(LookupError):
    """A path matches nothing."""


def install(emulator: EmulatorState) -> None:
    """Evaluate paths, rules, catchers and intrinsic functions as AWS does."""
    evaluate_rule, execute_intrinsic = _states._evaluate_rule, _states._exec_intrinsic
    apply_result_path = _states._apply_result_path_raw

    def resolve(path: str, data: Any) -> Any:
        try:
            return look_up(path, data)
        except _NoMatchError:
            raise error_of(
                "States.Runtime",
                f"The JSONPath '{path}' could not be found in the input '{json.dumps(data)}'",
            ) from None

    def rule_holds(rule: Mapping[str, Any], data: Any, context: Any = None) -> bool:
        variable = rule.get("Variable")
        if variable is None:
            return bool(evaluate_rule(rule, data, context))
        unknown = set(rule) - OPERATORS - {"Variable", "Next", "Comment"}
        if unknown:
            raise _unsupported(f"operator {unknown.pop()}")
        if "IsPresent" in rule:
            return _is_present(variable, data, context) is rule["IsPresent"]
        return bool(evaluate_rule(rule, data, context))

    def put_result(path: str | None, original: Any, result: Any) -> Any:
        if path not in (None, "$") and not isinstance(original, dict):
            raise error_of(
                "States.ResultPathMatchFailure",
                f'Unable to apply step "{path}" to input {json.dumps(original)}',
            )
        return apply_result_path(path, original, result)

    def execute(node: Any, data: Any, context: Any) -> Any:
        try:
            if node[1] == "States.Format":
                node = (*node[:2], [_printable(each, data, context) for each in node[2]])
            return execute_intrinsic(node, data, context)
        except (ValueError, LookupError, TypeError, AttributeError) as problem:
            raise error_of("States.IntrinsicFailure", f"{node[1]}: {problem}") from problem

    _states._resolve_path = resolve
    _states._fail_state_error = _naming_no_error(_states._fail_state_error)
    _states._evaluate_rule = rule_holds
    _states._apply_result_path_raw = put_result
    _states._exec_intrinsic = execute
    _states._error_matches = _matches


def _naming_no_error(evaluate: Callable[..., tuple[str, str]]) -> Callable[..., tuple[str, str]]:
    """The error and cause of a Fail state: both are optional, and AWS makes up neither.

    https://docs.aws.amazon.com/step-functions/latest/dg/state-fail.html
    """

    def error_and_cause(state: Mapping[str, Any], *arguments: Any) -> tuple[str, str]:
        error, cause = evaluate(state, *arguments)
        return (error if {"Error", "ErrorPath"} & set(state) else ""), cause

    return error_and_cause


def _unsupported(feature: str) -> Exception:
    return error_of("States.Runtime", f"The local AWS does not support the {feature}.")


def look_up(path: str, data: Any) -> Any:
    """The value at a path. Raises _NoMatchError for a missing index or name."""
    if not path or path == "$":
        return data
    tokens = _states._parse_jsonpath_tokens(path)
    if tokens is None:
        raise _unsupported(f"path '{path}'")
    found, several = [data], False
    for kind, name in tokens:
        if kind == "wildcard":
            several = True
            found = [
                child
                for each in found
                for child in (each.values() if isinstance(each, dict) else each)
            ]
        else:
            found = [_child(each, name) for each in found if not several or _has(each, name)]
    return found if several else found[0]


def _has(value: Any, name: str | int) -> bool:
    if isinstance(name, str):
        return isinstance(value, dict) and name in value
    return isinstance(value, list) and name < len(value)


def _child(value: Any, name: str | int) -> Any:
    if not _has(value, name):
        raise _NoMatchError
    return value[name]


def _is_present(path: str, data: Any, context: Any) -> bool:
    try:
        look_up(path.removeprefix("$"), context) if path.startswith("$$.") else look_up(path, data)
    except _NoMatchError:
        return False
    return True


def _printable(node: Any, data: Any, context: Any) -> Any:
    """An argument of States.Format as a string node: strings as they are, others as JSON."""
    value = _states._eval_intrinsic_arg(node, data, context)
    if isinstance(value, (dict, list)):
        raise ValueError("arguments must be strings, numbers, booleans or null")
    return ("str", value if isinstance(value, str) else json.dumps(value))


def _matches(error_equals: Sequence[str], error: str) -> bool:
    if error in UNCATCHABLE:
        return error == "States.DataLimitExceeded" and error in error_equals
    if "States.ALL" in error_equals or error in error_equals:
        return True
    return "States.TaskFailed" in error_equals and error != "States.Timeout"
