"""What the handlers of CloudFormation resource types have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from localaws.ministack.access import ministack

Props = dict[str, Any]
# Physical id and attributes.
Created = tuple[str, dict[str, Any]]
# By operation: create, update, delete.
Handlers = dict[str, Any]
Create = Callable[[str, Props, str], Created]

_responses = ministack("core.responses")


def handler_error(problem: str, code: str = "GeneralServiceException") -> ValueError:
    """A resource handler's error, as it appears in the stack event."""
    return ValueError(
        f'Resource handler returned message: "{problem}" (RequestToken: '
        f"{_responses.new_uuid()}, HandlerErrorCode: {code})"
    )


def rejecting_taken_names(
    resource_type: str,
    name_property: str,
    existing: Callable[[], Mapping[str, Any]],
    create: Create,
) -> Create:
    """The create handler, rejecting an explicit name that exists; ministack would overwrite it."""

    def create_unless_taken(logical_id: str, props: Props, stack_name: str) -> Created:
        name = props.get(name_property)
        if name and name in existing():
            raise handler_error(
                f"Resource of type '{resource_type}' with identifier '{name}' already exists.",
                "AlreadyExists",
            )
        return create(logical_id, props, stack_name)

    return create_unless_taken
