"""Pages of a listing."""

from __future__ import annotations

from collections.abc import Sequence

from localaws.core.api_error import ApiError
from localaws.services.ssm.interfaces import Json

DEFAULT_PAGE_SIZE = 50


def page(key: str, found: Sequence[Json], parameters: Json) -> Json:
    """One page under `key`; NextToken is the index of the next entry."""
    token = parameters.get("NextToken") or "0"
    if not token.isdigit() or int(token) > len(found):
        raise ApiError("InvalidNextToken", "The specified token isn't valid.")
    start = int(token)
    end = start + int(parameters.get("MaxResults", DEFAULT_PAGE_SIZE))
    response: Json = {key: list(found[start:end])}
    if end < len(found):
        response["NextToken"] = str(end)
    return response
