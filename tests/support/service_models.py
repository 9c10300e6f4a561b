"""Responses held to botocore's service models."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import botocore.session

from localaws.core import shapes

# Members whose model does not describe what AWS returns.
WRONG_MODELS = {
    # A resource may have no tags.
    ("ListTags", "tagList"),
    # Empty until the script starts, and then with milliseconds:
    # https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetCommandInvocation.html
    ("GetCommandInvocation", "executionStartDateTime"),
    ("GetCommandInvocation", "executionElapsedTime"),
    ("GetCommandInvocation", "executionEndDateTime"),
}


def checked(service: str, operation: str, response: dict[str, Any]) -> dict[str, Any]:
    """The response, unless its operation's output shape does not permit it."""
    shape = _model(service).operation_model(operation).output_shape
    problems = [
        *(
            str(violation)
            for violation in (shapes.violations(shape, response) if shape else ())
            if (operation, violation.path) not in WRONG_MODELS
        ),
        *(f"{path} is not in the model" for path in _unknown_members(shape, response)),
    ]
    assert problems == [], f"{operation}: {problems}"
    return response


@functools.cache
def _model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


def _unknown_members(shape: Any, value: Any, path: str = "") -> Iterator[str]:
    if shape is None:
        yield from (f"{path}.{name}" for name in value)
    elif shape.type_name == "structure":
        for name, member in value.items():
            if name in shape.members:
                yield from _unknown_members(shape.members[name], member, f"{path}.{name}")
            else:
                yield f"{path}.{name}"
    elif shape.type_name == "list":
        for number, member in enumerate(value):
            yield from _unknown_members(shape.member, member, f"{path}[{number}]")
    elif shape.type_name == "map":
        for name, member in value.items():
            yield from _unknown_members(shape.value, member, f"{path}.{name}")
