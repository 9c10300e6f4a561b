"""Stack operations: on virtual time, one after the other, and overtaken as on AWS.

Otherwise in ministack: a resource that takes time stops the whole server; a stack that is deleted
while it is being created is worked on twice; a custom resource whose create failed is forgotten;
what a resource needs is deleted although the resource itself could not be; an update can be
cancelled while it cleans up.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from localaws.ministack.access import ministack
from localaws.ministack.custom_resources import RequestFailedError, Requests
from localaws.ministack.gateway import held

if TYPE_CHECKING:
    from localaws.state import EmulatorState

Stack = dict[str, Any]
Answer = tuple[int, dict[str, str], bytes]

STACK = "AWS::CloudFormation::Stack"
# A deletion overtakes these.
CREATING = frozenset({"CREATE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS"})
CLEANUP = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
CANCELLED = "Resource creation cancelled"

_stacks = ministack("services.cloudformation.stacks")
_handlers = ministack("services.cloudformation.handlers")
_changesets = ministack("services.cloudformation.changesets")
_package = ministack("services.cloudformation")
_engine = ministack("services.cloudformation.engine")


class Operations:
    """What goes on with each stack."""

    def __init__(self, emulator: EmulatorState, requests: Requests) -> None:
        self._emulator = emulator
        self._requests = requests
        # By stack id: whose turn it is, how many there are, and whose create has failed.
        self._turns: dict[str, asyncio.Lock] = {}
        self._scheduled: Counter[str] = Counter()
        self._half_made: dict[str, dict[str, Stack]] = {}
        self._given_up: set[str] = set()
        self._provision = _stacks._provision_resource
        self._roll_back = _stacks._roll_back_operation
        self._add_event = _stacks._add_event
        self._create_task = _stacks._create_stack_task_in_region
        self._delete = _stacks._delete_resource

    def schedule(
        self, operation: Coroutine[Any, Any, None], stack: Stack | None, stack_id: str | None = None
    ) -> None:
        """Begin a stack operation once the one before it has ended."""
        identifier = stack_id or (stack or {}).get("StackId", "")
        clock, lock = self._emulator.clock, self._turns.setdefault(identifier, asyncio.Lock())
        # One that has to wait must not hold the clock: what it waits for may need time.
        hold = None if self._scheduled[identifier] else clock.handoff()
        self._scheduled[identifier] += 1

        async def in_turn() -> None:
            try:
                async with lock:
                    await held(hold or clock.handoff(), operation)
            finally:
                self._scheduled[identifier] -= 1

        self._create_task(in_turn(), stack, stack_id)

    def add_event(
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
        """Record a stack event, in the event_log too."""
        self._add_event(
            stack_id, stack_name, logical_id, resource_type, status, reason, *rest, **named
        )
        self._emulator.event_log.record(
            "cloudformation",
            logical_id,
            status,
            stack=stack_name,
            type=resource_type,
            **({"reason": reason} if reason else {}),
        )

    # --- Creating ---

    def provision(
        self, resource_type: str, logical_id: str, props: Stack, stack_name: str
    ) -> tuple[str, dict[str, Any]]:
        """Create a resource; a custom one that fails is remembered under the id it answered."""
        stack_id = _package._stacks[stack_name]["StackId"]
        if stack_id in self._given_up:
            raise ValueError(CANCELLED)
        try:
            made: tuple[str, dict[str, Any]] = self._provision(
                resource_type, logical_id, props, stack_name
            )
        except RequestFailedError as failure:
            self._half_made.setdefault(stack_id, {})[logical_id] = {
                "PhysicalResourceId": failure.physical_id,
                "ResourceType": resource_type,
                "ResourceStatus": "CREATE_FAILED",
                "LogicalResourceId": logical_id,
                "Properties": props,
                "Attributes": {},
                "Timestamp": _stacks.now_iso(),
            }
            raise
        return made

    # --- Updating ---

    def delete_resource(
        self,
        kind: str,
        physical_id: str,
        props: Stack,
        stack_name: str = "",
        logical_id: str | None = None,
    ) -> None:
        """Delete a resource; one that an update leaves behind, in the update's cleanup."""
        stack = _package._stacks[stack_name]
        if stack["StackStatus"] == "UPDATE_IN_PROGRESS":
            self._turn(stack, CLEANUP)
        if stack["StackStatus"] != CLEANUP:
            self._delete(kind, physical_id, props, stack_name, logical_id)
            return
        about = (stack["StackId"], stack_name, logical_id or "", kind)
        self.add_event(*about, "DELETE_IN_PROGRESS", "", physical_id)
        self._delete(kind, physical_id, props, stack_name, logical_id)
        self.add_event(*about, "DELETE_COMPLETE", "", physical_id)

    # --- Rolling back ---

    async def roll_back(
        self,
        stack_name: str,
        stack_id: str,
        stack: Stack,
        operation: dict[str, Any],
        reason: str = "",
    ) -> None:
        """Undo a failed create or update, the half-made custom resource included."""
        if stack.pop("_cancel_requested", False):
            # While a custom resource was in flight.
            operation["cancelled"] = True
        half_made = self._half_made.pop(stack_id, {})
        stack.setdefault("_resources", {}).update(half_made)
        operation["created"] = [*operation.get("created", []), *half_made]
        if operation.get("is_update"):
            await self._roll_back(stack_name, stack_id, stack, operation, reason)
            return
        _know_template(stack, operation)
        if stack_id in self._given_up:
            return
        failed = operation.get("failed_logical_id")
        why = reason or (
            f"The following resource(s) failed to create: [{failed}]. " if failed else ""
        )
        self._turn(stack, "ROLLBACK_IN_PROGRESS", f"{why}Rollback requested by user.")
        failures = await self._tear_down(stack, set(operation["created"]), rolling_back=True)
        if stack_id in self._given_up:
            return
        if failures:
            listed = ", ".join(sorted(failures))
            self._turn(
                stack, "ROLLBACK_FAILED", f"The following resource(s) failed to delete: [{listed}]."
            )
        else:
            self._turn(stack, "ROLLBACK_COMPLETE")

    # --- Deleting ---

    def delete_stack(self, delete: Callable[[Any], Answer], given: Mapping[str, Any]) -> Answer:
        """DeleteStack: overtakes a creation and its rollback, and waits for no other operation."""
        stack = _handlers._resolve_stack(_handlers._p(given, "StackName"))
        status = (stack or {}).get("StackStatus", "")
        if stack and status in CREATING:
            self._given_up.add(stack["StackId"])
            self._requests.cancel(stack["StackId"])
        elif stack and status == "DELETE_IN_PROGRESS":
            done: Answer = _handlers._xml(200, "DeleteStackResponse", "")
            return done
        elif stack and status.endswith("IN_PROGRESS"):
            refused: Answer = _handlers._error(
                "ValidationError",
                f"Stack [{stack['StackId']}] cannot be deleted while in status {status}",
            )
            return refused
        return delete(given)

    async def delete(
        self,
        stack_name: str,
        stack_id: str,
        retain_resources: Collection[str] = (),
        force: bool = False,
    ) -> None:
        """The work of DeleteStack."""
        stack = _package._stacks.get(stack_name)
        if not stack or stack["StackId"] != stack_id:
            return
        self._given_up.discard(stack_id)
        _know_template(stack, stack.pop("_failed_operation", {}))
        stack.setdefault("_resources", {}).update(self._half_made.pop(stack_id, {}))
        self._turn(stack, "DELETE_IN_PROGRESS", "User Initiated")
        failures = await self._tear_down(
            stack, set(stack["_resources"]), retain=set(retain_resources)
        )
        if failures:
            listed = ", ".join(sorted(failures))
            self._turn(
                stack, "DELETE_FAILED", f"The following resource(s) failed to delete: [{listed}]. "
            )
            return
        for output in stack.get("Outputs", []):
            if output.get("ExportName"):
                _package._exports.pop(output["ExportName"], None)
        self._turn(stack, "DELETE_COMPLETE")

    async def _tear_down(
        self,
        stack: Stack,
        chosen: set[str],
        retain: Collection[str] = (),
        rolling_back: bool = False,
    ) -> list[str]:
        """Delete resources, each before what it needs; what fails, with all it needs, stays."""
        name, stack_id = stack["StackName"], stack["StackId"]
        resources, template = stack["_resources"], stack.get("_template") or {}
        definitions = template.get("Resources") or {}
        conditions = stack.get("_conditions") or {}
        ordered = _stacks._topological_sort(definitions, conditions)
        ordered += [logical_id for logical_id in resources if logical_id not in ordered]
        failures: list[str] = []
        needed: set[str] = set()
        for logical_id in reversed([each for each in ordered if each in chosen & set(resources)]):
            record = resources[logical_id]
            kind, physical_id = record["ResourceType"], record.get("PhysicalResourceId", "")
            needs = _stacks._extract_deps(definitions.get(logical_id) or {}, set(resources))
            if logical_id in needed:
                needed |= needs
                continue

            def event(
                status: str,
                reason: str = "",
                *,
                logical_id: str = logical_id,
                kind: str = kind,
                physical_id: str = physical_id,
            ) -> None:
                self.add_event(stack_id, name, logical_id, kind, status, reason, physical_id)

            policy = _stacks._resource_policy(
                definitions.get(logical_id),
                "DeletionPolicy",
                resources,
                stack.get("_resolved_params", {}),
                conditions,
                template.get("Mappings", {}),
                name,
                stack_id,
            )
            kept = policy == "Retain" or (policy == "RetainExceptOnCreate" and not rolling_back)
            if kept or logical_id in retain:
                event("DELETE_SKIPPED")
                del resources[logical_id]
                continue
            event("DELETE_IN_PROGRESS")
            try:
                await _stacks.run_reentrant(
                    _stacks._delete_resource,
                    kind,
                    physical_id,
                    record.get("Properties", {}),
                    name,
                    logical_id,
                )
            except Exception as failure:
                event("DELETE_FAILED", str(failure))
                record.update(ResourceStatus="DELETE_FAILED", ResourceStatusReason=str(failure))
                failures.append(logical_id)
                needed |= needs
                if rolling_back and stack_id in self._given_up:
                    break
                continue
            event("DELETE_COMPLETE")
            del resources[logical_id]
        return failures

    def cancel_update(self, cancel: Callable[[Any], Answer], given: Mapping[str, Any]) -> Answer:
        """CancelUpdateStack gives up the custom resource in flight, whose answer is then late."""
        answer = cancel(given)
        if answer[0] == 200:
            stack = _handlers._resolve_stack(_handlers._p(given, "StackName"))
            self._requests.cancel(stack["StackId"])
        return answer

    def _turn(self, stack: Stack, status: str, reason: str = "") -> None:
        stack["StackStatus"], stack["StackStatusReason"] = status, reason
        name, stack_id = stack["StackName"], stack["StackId"]
        self.add_event(stack_id, name, name, STACK, status, reason, stack_id)


def _know_template(stack: Stack, operation: Mapping[str, Any]) -> None:
    """A stack that a change set makes has its template only once it has succeeded."""
    if not stack.get("_template") and operation.get("template"):
        stack["_template"] = operation["template"]
        stack["_resolved_params"] = operation["param_values"]
        stack["_conditions"] = _engine._evaluate_conditions(
            operation["template"], operation["param_values"]
        )


def install(emulator: EmulatorState, requests: Requests) -> None:
    """Run stack operations on virtual time, and let them overtake each other as on AWS."""
    operations = Operations(emulator, requests)

    def now_iso() -> str:
        moment = dt.datetime.fromtimestamp(emulator.clock.now(), dt.UTC)
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"

    for module in (_stacks, _handlers, _changesets):
        module.now_iso = now_iso
        module._add_event = operations.add_event
        module._create_stack_task_in_region = operations.schedule
    for module in (_stacks, _handlers):
        module._delete_stack_async = operations.delete
        module._roll_back_operation = operations.roll_back
    # Every resource may wait in virtual time.
    _stacks._runs_on_worker_thread = lambda resource_type: True
    _stacks._provision_resource = operations.provision
    _stacks._delete_resource = operations.delete_resource
    actions = _handlers._ACTION_HANDLERS
    delete, cancel = actions["DeleteStack"], actions["CancelUpdateStack"]
    actions["DeleteStack"] = lambda given: operations.delete_stack(delete, given)
    actions["CancelUpdateStack"] = lambda given: operations.cancel_update(cancel, given)
