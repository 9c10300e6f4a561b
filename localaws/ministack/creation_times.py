"""When CloudFormation creates resources, in virtual time.

It waits until IAM knows a role, policy or instance profile everywhere, and until a function is
active. It creates each resource of a new stack as soon as what that depends on is complete, where
ministack creates one after another: so an instance that nothing waits for starts beside a custom
resource. An update creates resources one after another here, and lets a type's time pass once for
those that follow each other; but a custom resource is updated beside those that do not wait for it.
A rollback changes back one resource after another.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from localaws.core.clock import Signal
from localaws.ministack.access import ministack
from localaws.ministack.custom_resources import RequestFailedError, Requests
from localaws.services.cloudhsmv2.settings import Timings

if TYPE_CHECKING:
    from localaws.state import EmulatorState

Created = tuple[str, dict[str, Any]]
Provision = Callable[[str, str, dict[str, Any], str], Created]
Update = Callable[..., Created]

SECONDS: Mapping[str, Callable[[Timings], float]] = {
    "AWS::EC2::Instance": lambda timings: timings.instance_running,
    "AWS::IAM::InstanceProfile": lambda timings: timings.create_instance_profile,
    "AWS::IAM::ManagedPolicy": lambda timings: timings.create_policy,
    "AWS::IAM::Policy": lambda timings: timings.create_policy,
    "AWS::IAM::Role": lambda timings: timings.create_role,
    "AWS::Lambda::Function": lambda timings: timings.create_function,
    "AWS::StepFunctions::StateMachine": lambda timings: timings.create_state_machine,
}
# These take as long as others need, and ministack's thread waits for them, so they come last.
WAITING = ("AWS::CloudFormation::WaitCondition", "AWS::CloudFormation::Stack")
UNKNOWN = 1e9
CREATING, COMPLETE, FAILED = "CREATE_IN_PROGRESS", "CREATE_COMPLETE", "CREATE_FAILED"
UPDATING, UPDATED, NOT_UPDATED = "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE", "UPDATE_FAILED"
CANCELLED = "Resource creation cancelled"
UPDATE_CANCELLED = "Resource update cancelled"

_package = ministack("services.cloudformation")
_stacks = ministack("services.cloudformation.stacks")


@dataclass
class Plan:
    """The order of a new stack's resources, and what has become of them."""

    order: list[str]
    dependencies: Mapping[str, set[str]]
    # Set when a resource is complete or has failed.
    ended: dict[str, Signal] = field(default_factory=dict)
    created: dict[str, Created] = field(default_factory=dict)
    complete: set[str] = field(default_factory=set)
    # Whose failure has its event.
    reported: set[str] = field(default_factory=set)
    failed: list[str] = field(default_factory=list)
    failure: Signal = field(default_factory=Signal)

    def needed_next(self, logical_id: str) -> list[str]:
        """What has to be complete before the resource after this one begins; at the end, all."""
        following = self.order[self.order.index(logical_id) + 1 :]
        needed = self.dependencies[following[0]] if following else set(self.ended)
        return [each for each in self.ended if each in needed]


# The plan of the stack operation that the current coroutine or thread belongs to.
_plan: contextvars.ContextVar[Plan | None] = contextvars.ContextVar("plan", default=None)


def current_plan() -> Plan | None:
    """The plan of the current stack creation."""
    return _plan.get()


class Creations:
    """Creates the resources of new stacks side by side."""

    def __init__(
        self, emulator: EmulatorState, requests: Requests, wait_for: Callable[[str, str], None]
    ) -> None:
        self._emulator = emulator
        self._requests = requests
        self._wait_for_instance = wait_for
        self._provision: Provision = _stacks._provision_resource
        self._update: Update = _stacks._update_resource
        self._delete = _stacks._delete_resource
        self._sort, self._add_event = _stacks._topological_sort, _stacks._add_event
        # By stack and type: when those that an update created last were complete.
        self._complete: dict[tuple[str, str], float] = {}

    def sort(self, resources: Mapping[str, Any], conditions: Mapping[str, bool]) -> list[str]:
        """Sort resources by the time at which they can begin, and plan their creation."""
        order: list[str] = self._sort(resources, conditions)
        dependencies = {
            name: _stacks._extract_deps(resources[name], set(order)) - {name} for name in order
        }
        begins, ends = dict[str, float](), dict[str, float]()
        for name in order:
            kind = resources[name].get("Type", "")
            begins[name] = max((ends[each] for each in dependencies[name]), default=0)
            if kind in WAITING:
                begins[name] += UNKNOWN
            ends[name] = begins[name] + (UNKNOWN if _is_custom(kind) else self._seconds(kind))
        order = sorted(order, key=lambda name: begins[name])
        _plan.set(Plan(order, dependencies))
        return order

    def _seconds(self, kind: str) -> float:
        return SECONDS[kind](self._emulator.timings) if kind in SECONDS else 0

    def provision(
        self, kind: str, logical_id: str, props: dict[str, Any], stack_name: str
    ) -> Created:
        """Create a resource, and wait until the next one may begin."""
        plan, stack = _plan.get(), _package._stacks[stack_name]
        if plan is None or logical_id not in plan.order:
            return self._provision_in_turn(kind, logical_id, props, stack_name)
        if stack["StackStatus"] != CREATING:
            create = partial(self._provision_in_turn, kind, logical_id, props, stack_name)
            return self._in_update(plan, stack, kind, logical_id, create, "", props)
        clock = self._emulator.clock
        ended = plan.ended[logical_id] = clock.signal()
        if _is_custom(kind) and logical_id != plan.order[-1]:
            plan.created[logical_id] = "", {}
            self._emulator.spawn(self._create_beside, plan, stack, kind, logical_id, props)
        else:
            try:
                plan.created[logical_id] = self._provision(kind, logical_id, props, stack_name)
            except Exception as failure:
                clock.set(ended)
                plan.failed.append(logical_id)
                # Before those of what is cancelled; ministack's own event comes too late.
                self._event(stack, kind, logical_id, FAILED, str(failure), "")
                plan.reported.add(logical_id)
                self._cancel(plan, stack)
                raise
            self._record(stack, kind, logical_id, props, plan.created[logical_id])
            if self._seconds(kind):
                self._emulator.spawn(self._complete_later, plan, stack, kind, logical_id)
            else:
                self._end(plan, stack, kind, logical_id)
        for needed in plan.needed_next(logical_id):
            clock.wait([plan.ended[needed], plan.failure])
        if plan.failed:
            self._cancel(plan, stack)
            raise ValueError(CANCELLED)
        return plan.created[logical_id]

    def _provision_in_turn(
        self, kind: str, logical_id: str, props: dict[str, Any], stack_name: str
    ) -> Created:
        created = self._provision(kind, logical_id, props, stack_name)
        seconds, clock = self._seconds(kind), self._emulator.clock
        if kind == "AWS::EC2::Instance":
            self._wait_for_instance(created[0], "running")
        elif seconds and self._complete.get((stack_name, kind), 0) < clock.now():
            self._complete[stack_name, kind] = clock.now() + seconds
            clock.sleep(seconds)
        return created

    def update(
        self,
        kind: str,
        physical_id: str,
        old: dict[str, Any],
        new: dict[str, Any],
        stack_name: str,
        logical_id: str,
        *rest: Any,
    ) -> Created:
        """Update a resource, a custom one beside those that follow."""
        plan, stack = _plan.get(), _package._stacks[stack_name]
        update = partial(self._update, kind, physical_id, old, new, stack_name, logical_id, *rest)
        if plan is None or logical_id not in plan.order or stack["StackStatus"] != UPDATING:
            return update()
        refused = _stacks._custom_named_replacement_error(kind, old, new)
        if _is_custom(kind) and not refused and old != new and logical_id != plan.order[-1]:
            plan.ended[logical_id] = self._emulator.clock.signal()
            attributes = rest[0] if rest else {}
            plan.created[logical_id] = updated = physical_id, attributes
            self._emulator.spawn(self._update_beside, plan, stack, kind, logical_id, update)
            return self._in_update(plan, stack, kind, logical_id, lambda: updated, physical_id, new)
        return self._in_update(plan, stack, kind, logical_id, update, physical_id, new)

    def _in_update(
        self,
        plan: Plan,
        stack: dict[str, Any],
        kind: str,
        logical_id: str,
        change: Callable[[], Created],
        old_id: str,
        props: dict[str, Any],
    ) -> Created:
        """Change a resource, then wait for what the next one depends on; at the end, for all."""
        try:
            changed = change()
        except Exception as failure:
            if plan.ended:
                self._event(stack, kind, logical_id, NOT_UPDATED, str(failure), "")
                plan.reported.add(logical_id)
            for ended in plan.ended.values():
                # It may not have sent its request yet.
                while not ended.happened:
                    self._requests.cancel(stack["StackId"])
                    self._emulator.clock.wait([ended], 1)
            raise
        for needed in plan.needed_next(logical_id):
            self._emulator.clock.wait([plan.ended[needed], plan.failure])
        if plan.failed:
            if changed[0] != old_id:
                # ministack would forget it, because its creation has failed.
                self._delete(kind, changed[0], props, stack["StackName"], logical_id)
            raise ValueError(UPDATE_CANCELLED)
        return plan.created.get(logical_id, changed)

    def _update_beside(
        self,
        plan: Plan,
        stack: dict[str, Any],
        kind: str,
        logical_id: str,
        update: Callable[[], Created],
    ) -> None:
        """Update a custom resource in a thread of its own."""
        try:
            updated = update()
            if updated[0] != plan.created[logical_id][0]:
                raise ValueError("The local AWS cannot replace a custom resource beside others.")
        except Exception as failure:
            plan.failed.append(logical_id)
            self._event(stack, kind, logical_id, NOT_UPDATED, str(failure), "")
            self._emulator.clock.set(plan.failure)
        else:
            plan.created[logical_id] = updated
            stack["_resources"][logical_id]["Attributes"] = updated[1]
            self._event(stack, kind, logical_id, UPDATED, "", updated[0])
        self._emulator.clock.set(plan.ended[logical_id])

    def _create_beside(
        self, plan: Plan, stack: dict[str, Any], kind: str, logical_id: str, props: dict[str, Any]
    ) -> None:
        """Create a custom resource in a thread of its own."""
        try:
            created = self._provision(kind, logical_id, props, stack["StackName"])
        except Exception as failure:
            stack["_resources"].pop(logical_id, None)
            physical_id = failure.physical_id if isinstance(failure, RequestFailedError) else ""
            plan.failed.append(logical_id)
            self._event(stack, kind, logical_id, FAILED, str(failure), physical_id)
            self._emulator.clock.set(plan.failure)
        else:
            plan.created[logical_id] = created
            if logical_id in stack["_resources"]:
                record = stack["_resources"][logical_id]
                record["PhysicalResourceId"], record["Attributes"] = created
            self._end(plan, stack, kind, logical_id)
        self._emulator.clock.set(plan.ended[logical_id])

    def _complete_later(
        self, plan: Plan, stack: dict[str, Any], kind: str, logical_id: str
    ) -> None:
        if kind == "AWS::EC2::Instance":
            self._wait_for_instance(plan.created[logical_id][0], "running")
        else:
            self._emulator.clock.sleep(self._seconds(kind))
        if not plan.ended[logical_id].happened:
            self._end(plan, stack, kind, logical_id)

    def _end(self, plan: Plan, stack: dict[str, Any], kind: str, logical_id: str) -> None:
        plan.complete.add(logical_id)
        if record := stack["_resources"].get(logical_id):
            record["ResourceStatus"] = COMPLETE
        self._event(stack, kind, logical_id, COMPLETE, "", plan.created[logical_id][0])
        self._emulator.clock.set(plan.ended[logical_id])

    def _cancel(self, plan: Plan, stack: dict[str, Any]) -> None:
        """Give up what is in progress because another resource has failed."""
        self._requests.cancel(stack["StackId"])
        for logical_id, ended in plan.ended.items():
            if ended.happened:
                continue
            if record := stack["_resources"].get(logical_id):
                # Complete later or not: the rollback deletes it.
                plan.failed.append(logical_id)
                kind, physical_id = record["ResourceType"], record["PhysicalResourceId"]
                if not _is_custom(kind):
                    self._event(stack, kind, logical_id, FAILED, CANCELLED, physical_id)
                    self._emulator.clock.set(ended)
                    continue
            self._emulator.clock.wait([ended])

    def _record(
        self,
        stack: dict[str, Any],
        kind: str,
        logical_id: str,
        props: dict[str, Any],
        created: Created,
    ) -> None:
        """Let others see a resource before ministack's loop adds it."""
        stack["_resources"][logical_id] = {
            "PhysicalResourceId": created[0],
            "ResourceType": kind,
            "ResourceStatus": CREATING,
            "LogicalResourceId": logical_id,
            "Properties": props,
            "Attributes": created[1],
            "Timestamp": _stacks.now_iso(),
        }

    def _event(
        self,
        stack: dict[str, Any],
        kind: str,
        logical_id: str,
        status: str,
        reason: str,
        physical_id: str,
    ) -> None:
        self._add_event(
            stack["StackId"], stack["StackName"], logical_id, kind, status, reason, physical_id
        )

    def add_event(
        self,
        stack_id: str,
        stack_name: str,
        logical_id: str,
        kind: str,
        status: str,
        *rest: Any,
        **named: Any,
    ) -> None:
        """Add an event of ministack's loop, unless it is about the end of a planned resource."""
        plan, stack = _plan.get(), _package._stacks[stack_name]
        planned = plan is not None and logical_id in plan.ended and logical_id != stack_name
        if plan and planned and stack["StackStatus"] == CREATING:
            ended = plan.ended[logical_id].happened
            if status == COMPLETE or (
                status == FAILED and logical_id in plan.complete | plan.reported
            ):
                if not ended:
                    stack["_resources"][logical_id]["ResourceStatus"] = CREATING
                return
        if (
            plan
            and stack["StackStatus"] == UPDATING
            and (
                (planned and status == UPDATED)
                or (status == NOT_UPDATED and logical_id in plan.reported)
            )
        ):
            return
        self._add_event(stack_id, stack_name, logical_id, kind, status, *rest, **named)


def _is_custom(kind: str) -> bool:
    return kind.startswith("Custom::") or kind == "AWS::CloudFormation::CustomResource"


def install(
    emulator: EmulatorState, requests: Requests, wait_for: Callable[[str, str], None]
) -> None:
    """Create the resources of new stacks side by side, and let time pass."""
    creations = Creations(emulator, requests, wait_for)
    _stacks._topological_sort = creations.sort
    _stacks._provision_resource = creations.provision
    _stacks._update_resource = creations.update
    _stacks._add_event = creations.add_event
