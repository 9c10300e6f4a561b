"""What CreateStateMachine refuses in a state's values that no schema describes.

ministack finds these at run time, or never. Intrinsic functions:
https://docs.aws.amazon.com/step-functions/latest/dg/intrinsic-functions.html
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import regex
from botocore.session import get_session

from localaws.ministack.partitions import partition

Json = Mapping[str, Any]

# The intrinsic functions with the least and most arguments of each.
ARGUMENTS = {
    "Array": (0, 100),
    "ArrayContains": (2, 2),
    "ArrayGetItem": (2, 2),
    "ArrayLength": (1, 1),
    "ArrayPartition": (2, 2),
    "ArrayRange": (3, 3),
    "ArrayUnique": (1, 1),
    "Base64Decode": (1, 1),
    "Base64Encode": (1, 1),
    "Format": (1, 100),
    "Hash": (2, 2),
    "JsonMerge": (3, 3),
    "JsonToString": (1, 1),
    "MathAdd": (2, 2),
    "MathRandom": (2, 3),
    "StringSplit": (2, 2),
    "StringToJson": (1, 1),
    "UUID": (0, 0),
}
# A call: its name, and each of its arguments; (?&call) is a call in a call.
ARGUMENT = (
    r"(?:'(?:\\.|[^'\\])*'|\$(?:[^,()\[\]']|\[[^\]]*\])*|-?\d+(?:\.\d+)?|true|false|null|(?&call))"
)
CALL = rf"(?<call>States\.\w+\(\s*(?:{ARGUMENT}\s*(?:,\s*{ARGUMENT}\s*)*)?\))"
# The same with captures for the outermost call; (?!) never matches, and defines (?&call).
OUTERMOST = regex.compile(
    rf"States\.(?<name>\w+)\(\s*(?:(?<argument>{ARGUMENT})\s*(?:,\s*(?<argument>{ARGUMENT})\s*)*)?\)"
    rf"|(?!){CALL}"
)
# https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
MOST = {"IntervalSeconds": 99999999, "MaxAttempts": 99999999, "MaxDelaySeconds": 31622400}
MOST_SECONDS = 99999999
OPERATORS = frozenset({"And", "Not", "Or"})
# The SDK operations behind the optimized integrations that are offered.
INTEGRATIONS = {
    "lambda:invoke": ("lambda", "Invoke"),
    "states:startExecution": ("stepfunctions", "StartExecution"),
}
ARN = regex.compile(r"arn:(?P<partition>[\w-]+):states:::(?P<action>\w+:\w+)(\.sync(:2)?)?")
LAMBDA = regex.compile(r"arn:(?P<partition>[\w-]+):lambda:.*")


def errors(state: Json) -> Iterator[str]:
    """The errors in a state's values."""
    for field in ("Retry", "Catch"):
        handlers = state.get(field, [])
        for handler in handlers[:-1]:
            if "States.ALL" in handler.get("ErrorEquals", []):
                yield f"States.ALL must appear in the last element of {field}"
        for handler in handlers:
            yield from _too_large(handler, MOST)
    yield from _too_large(state, {"HeartbeatSeconds": MOST_SECONDS, "TimeoutSeconds": MOST_SECONDS})
    for rule in state.get("Choices", []):
        yield from _rule_errors(rule, is_nested=False)
    if state.get("Type") == "Wait" and "Timestamp" in state and not _is_time(state["Timestamp"]):
        yield "Timestamp is not in the format of RFC 3339"
    if state.get("Type") == "Task":
        yield from _task_errors(state)


def intrinsic_errors(expression: str) -> Iterator[str]:
    """The errors in a call of an intrinsic function."""
    call = OUTERMOST.fullmatch(expression)
    if not call:
        yield f"'{expression}' is not a valid intrinsic function call"
        return
    name, given = call["name"], call.captures("argument")
    if name not in ARGUMENTS:
        yield f"States.{name} is not an intrinsic function"
        return
    least, most = ARGUMENTS[name]
    if not least <= len(given) <= most:
        yield f"States.{name} takes {least} to {most} arguments, not {len(given)}"
    for argument in given:
        if argument.startswith("States."):
            yield from intrinsic_errors(argument)


def _too_large(container: Json, limits: Mapping[str, int]) -> Iterator[str]:
    for field, most in limits.items():
        value = container.get(field)
        if isinstance(value, int | float) and value > most:
            yield f"{field} must be at most {most}"


def _rule_errors(rule: Json, is_nested: bool) -> Iterator[str]:
    if is_nested and "Next" in rule:
        yield "Next is not permitted in a nested rule"
    if not OPERATORS & set(rule) and "Condition" not in rule and "Variable" not in rule:
        yield "A rule needs a Variable"
    for operator in OPERATORS & set(rule):
        nested = rule[operator] if isinstance(rule[operator], list) else [rule[operator]]
        for each in nested:
            yield from _rule_errors(each, is_nested=True)


def _is_time(value: Any) -> bool:
    text = str(value)
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return "T" in text and (text.endswith("Z") or text[-6] in "+-")


@functools.cache
def _input_shape(service: str, operation: str) -> Any:
    return get_session().get_service_model(service).operation_model(operation).input_shape


def _task_errors(state: Json) -> Iterator[str]:
    resource = str(state.get("Resource", ""))
    found = ARN.fullmatch(resource) or LAMBDA.fullmatch(resource)
    if found and found["partition"] != partition():
        yield f"The resource {resource} is of another partition"
    integration = INTEGRATIONS.get(found["action"]) if found and found.re is ARN else None
    if integration is None:
        return
    service, operation = integration
    shape = _input_shape(service, operation)
    members = {name[0].upper() + name[1:] for name in shape.members}
    required = {name[0].upper() + name[1:] for name in shape.required_members}
    given = {name.removesuffix(".$") for name in state.get("Parameters") or {}}
    for name in sorted(given - members):
        yield f'The field "{name}" is not supported by Step Functions'
    for name in sorted(required - given):
        yield f'The field "{name}" is required but was missing'
