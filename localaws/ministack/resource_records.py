"""DescribeStackResource: a resource's status, and when it changed.

A resource has a record from its CREATE_IN_PROGRESS on, and LastUpdatedTimestamp is the "time the
status was updated". ministack's records show neither what is in progress nor when it began.
https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_StackResourceDetail.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape  # nosec B406 # escapes, parses nothing

from localaws.ministack.access import ministack

Response = tuple[int, dict[str, str], bytes]

_FIELDS = {
    "LogicalResourceId": "LogicalResourceId",
    "PhysicalResourceId": "PhysicalResourceId",
    "ResourceType": "ResourceType",
    "ResourceStatus": "ResourceStatus",
    "ResourceStatusReason": "ResourceStatusReason",
    "Timestamp": "LastUpdatedTimestamp",
    "StackName": "StackName",
    "StackId": "StackId",
}
_package = ministack("services.cloudformation")
_handlers = ministack("services.cloudformation.handlers")


def install() -> None:
    """Describe a resource by its latest stack event."""
    actions = _handlers._ACTION_HANDLERS
    actions["DescribeStackResource"] = _by_events(actions["DescribeStackResource"])


def _by_events(describe: Callable[[Any], Response]) -> Callable[[Any], Response]:
    def handle(params: Any) -> Response:
        stack = _handlers._resolve_stack(_handlers._p(params, "StackName"))
        logical_id = _handlers._p(params, "LogicalResourceId")
        events = [
            event
            for event in _package._stack_events.get((stack or {}).get("StackId"), [])
            if event["LogicalResourceId"] == logical_id
        ]
        if not stack or not events:
            return describe(params)
        # Not every event names the resource's ID.
        record = stack.get("_resources", {}).get(logical_id, {})
        found = {**events[-1], "PhysicalResourceId": record.get("PhysicalResourceId", "")}
        detail = "".join(
            f"<{name}>{escape(str(found[field]))}</{name}>"
            for field, name in _FIELDS.items()
            if found.get(field)
        )
        described: Response = _handlers._xml(
            200,
            "DescribeStackResourceResponse",
            "<DescribeStackResourceResult>"
            f"<StackResourceDetail>{detail}</StackResourceDetail>"
            "</DescribeStackResourceResult>",
        )
        return described

    return handle
