"""Stack events, also in the event log.

In an update, CloudFormation has events only for the resources that change, and creates those that
are new; to ministack each is in progress, then updated.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from localaws.ministack.access import ministack

if TYPE_CHECKING:
    from localaws.state import EmulatorState

Key = tuple[str, str]

STACK = "AWS::CloudFormation::Stack"
UPDATING = "UPDATE_IN_PROGRESS"

_package = ministack("services.cloudformation")
_stacks = ministack("services.cloudformation.stacks")


class StackEvents:
    """Adds events; that of a resource in an update only once the resource turns out to change."""

    def __init__(self, emulator: EmulatorState) -> None:
        self._event_log = emulator.event_log
        self._add = _stacks._add_event
        # By stack and logical id: the event that waits, and the resource's record before.
        self._waiting: dict[Key, tuple[Callable[[], None], dict[str, Any]]] = {}
        self._new: set[Key] = set()

    def add(
        self,
        stack_id: str,
        stack_name: str,
        logical_id: str,
        resource_type: str,
        status: str,
        reason: str = "",
        *rest: Any,
        **named: Any,
    ) -> None:
        """Add an event, unless it is that of a resource that does not change."""
        key, stack = (stack_id, logical_id), _package._stacks[stack_name]

        def add(status: str = status) -> None:
            self._add(
                stack_id, stack_name, logical_id, resource_type, status, reason, *rest, **named
            )
            self._event_log.record(
                "cloudformation",
                logical_id,
                status,
                stack=stack_name,
                type=resource_type,
                **({"reason": reason} if reason else {}),
            )

        if logical_id == stack_name or not status.startswith("UPDATE_"):
            add()
        elif status == UPDATING and stack["StackStatus"] == UPDATING and not reason:
            self._start(key, stack["_resources"].get(logical_id), resource_type, add)
        elif status == "UPDATE_COMPLETE" and key in self._waiting:
            _, before = self._waiting.pop(key)
            unchanged = {name: before[name] for name in ("ResourceStatus", "Timestamp")}
            stack["_resources"][logical_id].update(unchanged)
        elif key in self._new:
            self._new.discard(key)
            created = status.replace("UPDATE_", "CREATE_")
            if logical_id in stack["_resources"]:
                stack["_resources"][logical_id]["ResourceStatus"] = created
            add(created)
        else:
            self.begin(*key)
            add()

    def _start(
        self, key: Key, record: dict[str, Any] | None, kind: str, add: Callable[..., None]
    ) -> None:
        if record is None:
            self._new.add(key)
            add("CREATE_IN_PROGRESS")
        elif kind == STACK:
            # CloudFormation looks into every nested stack.
            add()
        else:
            self._waiting[key] = (add, dict(record))

    def begin(self, stack_id: str, logical_id: str) -> None:
        """Add the event of a resource that waits, because the resource changes."""
        add, _ = self._waiting.pop((stack_id, logical_id), (None, None))
        if add:
            add()


def install(emulator: EmulatorState) -> Callable[..., None]:
    """Add the events of changed resources only; returns the function that adds events."""
    events, update = StackEvents(emulator), _stacks._update_resource

    def update_resource(
        kind: str,
        physical_id: str,
        old: dict[str, Any],
        new: dict[str, Any],
        stack_name: str,
        logical_id: str,
        *rest: Any,
    ) -> Any:
        if old != new:
            events.begin(_package._stacks[stack_name]["StackId"], logical_id)
        return update(kind, physical_id, old, new, stack_name, logical_id, *rest)

    _stacks._update_resource = update_resource
    return events.add
