"""Request parameters and result pages as the CloudHSM API defines them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from localaws.services.cloudhsmv2 import exceptions

Params = Mapping[str, Any]
Response = dict[str, Any]

MAX_TAGS = 50
_TAG_TEXT = re.compile(r"[\w\s.:/=+\-@]*")


def text(params: Params, name: str, pattern: re.Pattern[str]) -> str:
    """A required string that matches the pattern."""
    value = optional_text(params, name, pattern)
    if value is None:
        raise exceptions.invalid(f"{name} is required.")
    return value


def optional_text(params: Params, name: str, pattern: re.Pattern[str]) -> str | None:
    """An optional string that matches the pattern."""
    value = params.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise exceptions.invalid(f"{name} '{value}' does not match {pattern.pattern}")
    return value


def retention_days(policy: Params) -> int:
    """The days of a BackupRetentionPolicy: 7 to 379, as a string (F1.9)."""
    value = policy.get("Value")
    if policy.get("Type") != "DAYS" or not isinstance(value, str) or not value.isdecimal():
        raise exceptions.invalid(
            "BackupRetentionPolicy must have Type DAYS and a Value that is a string of digits."
        )
    if not 7 <= int(value) <= 379:
        raise exceptions.invalid(f"Backup retention must be 7 to 379 days, not {value}.")
    return int(value)


def tags(given: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """A valid TagList as a mapping (F1.20)."""
    if not 1 <= len(given) <= MAX_TAGS:
        raise exceptions.invalid(f"TagList must have 1 to {MAX_TAGS} tags.")
    found: dict[str, str] = {}
    for tag in given:
        key, value = tag.get("Key", ""), tag.get("Value")
        if not 1 <= len(key) <= 128 or not _TAG_TEXT.fullmatch(key):
            raise exceptions.invalid(f"Tag key '{key}' is not valid.")
        if value is None or len(value) > 256 or not _TAG_TEXT.fullmatch(value):
            raise exceptions.invalid(f"The value of tag '{key}' is not valid.")
        if key.lower().startswith("aws:"):
            raise exceptions.bad_tags(f"Tag key '{key}' begins with the reserved prefix aws:")
        if key in found:
            raise exceptions.bad_tags(f"Tag key '{key}' is given twice.")
        found[key] = value
    return found


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags in the API's format."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def filters(params: Params, known: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """The Filters of a request; unknown names are an error (F1.19)."""
    given: Mapping[str, Sequence[str]] = params.get("Filters") or {}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise exceptions.invalid(f"Unknown filters: {', '.join(unknown)}.")
    return given


def page(
    name: str, items: Sequence[Any], params: Params, *, maximum: int, default: int
) -> Response:
    """One page of a list: MaxResults and NextToken (F1.4)."""
    size = params.get("MaxResults", default)
    if not isinstance(size, int) or not 1 <= size <= maximum:
        raise exceptions.invalid(f"MaxResults must be 1 to {maximum}.")
    token = params.get("NextToken") or "0"
    if not token.isdecimal() or int(token) > len(items):
        raise exceptions.invalid("NextToken is invalid.")
    first = int(token)
    response: Response = {name: list(items[first : first + size])}
    if first + size < len(items):
        response["NextToken"] = str(first + size)
    return response
