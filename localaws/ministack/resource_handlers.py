"""What the handlers of CloudFormation resource types have in common."""

from __future__ import annotations

from typing import Any

from localaws.ministack.access import ministack

Props = dict[str, Any]
# Physical id and attributes.
Created = tuple[str, dict[str, Any]]
# By operation: create, update, delete.
Handlers = dict[str, Any]

_responses = ministack("core.responses")


def handler_error(problem: str, code: str = "GeneralServiceException") -> ValueError:
    """A resource handler's error, as it appears in the stack event."""
    return ValueError(
        f'Resource handler returned message: "{problem}" (RequestToken: '
        f"{_responses.new_uuid()}, HandlerErrorCode: {code})"
    )
