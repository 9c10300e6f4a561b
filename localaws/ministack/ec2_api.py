"""Handlers of EC2 actions that report an ApiError as EC2 does, in XML."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from localaws.core.api_error import ApiError
from localaws.ministack.access import ministack

Record = dict[str, Any]
Params = Mapping[str, Any]
Response = tuple[int, dict[str, str], bytes]
Action = Callable[[Params], Response]
Check = Callable[[Params], None]

_ec2 = ministack("services.ec2")


def reporting_errors(action: Action) -> Action:
    """The action, with an ApiError turned into EC2's error response."""

    def handle(params: Params) -> Response:
        try:
            return action(params)
        except ApiError as error:
            response: Response = _ec2._error(error.code, error.message, error.status)
            return response

    return handle


def checked(check: Check, action: Action) -> Action:
    """The action, preceded by a check that raises ApiError to reject the request."""

    def check_and_handle(params: Params) -> Response:
        check(params)
        return action(params)

    return reporting_errors(check_and_handle)


def reject_unknown_filters(params: Params, known: frozenset[str]) -> None:
    """Raise ApiError for a filter that ministack would ignore."""
    for name in _ec2._parse_filters(params):
        if name not in known and not name.startswith("tag:"):
            raise ApiError(
                "InvalidParameterValue", f"The local AWS does not support the filter '{name}'"
            )
