"""Stack operations in virtual time, one at a time for each stack.

AWS lets a deletion interrupt a creation or rollback, deletes a custom resource whose create failed,
retains what an undeletable resource depends on, and refuses to cancel an update that cleans up.
In ministack a slow resource blocks the server, and one deleted while created is processed twice.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from localaws.core.clock import Hold
from localaws.ministack import creation_times, stack_events, virtual_time
from localaws.ministack.access import ministack
from localaws.ministack.custom_resources import RequestFailedError, Requests
from localaws.ministack.gateway import held
from localaws.ministack.stack_events import STACK

if TYPE_CHECKING:
    from localaws.state import EmulatorState

Stack = dict[str, Any]
Response = tuple[int, dict[str, str], bytes]

# A deletion interrupts these.
CREATING = frozenset({"CREATE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS"})
CLEANUP = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
CANCELLED = "Resource creation cancelled"
INSTANCE = "AWS::EC2::Instance"

_stacks = ministack("services.cloudformation.stacks")
_handlers = ministack("services.cloudformation.handlers")
_changesets = ministack("services.cloudformation.changesets")
_package = ministack("services.cloudformation")
_engine = ministack("services.cloudformation.engine")


class Operations:
    """The operations in progress on each stack, by stack id."""

    def __init__(
        self,
        emulator: EmulatorState,
        requests: Requests,
        add_event: Callable[..., None],
        terminate: Callable[[str], None],
    ) -> None:
        self._emulator = emulator
        self._requests = requests
        self._terminate = terminate
        self._locks: dict[str, asyncio.Lock] = {}
        self._scheduled: Counter[str] = Counter()
        # For the operation of a stack that is next to run.
        self._holds: dict[str, Hold] = {}
        # Custom resources whose create failed, by logical id.
        self._incomplete: dict[str, dict[str, Stack]] = {}
        # Stacks whose creation a deletion has interrupted.
        self._interrupted: set[str] = set()
        self._provision = _stacks._provision_resource
        self._roll_back = _stacks._roll_back_operation
        self._add_event = add_event
        self._create_task = _stacks._create_stack_task_in_region
        self._delete = _stacks._delete_resource
        self._sort = _stacks._topological_sort

    def schedule(
        self, operation: Coroutine[Any, Any, None], stack: Stack | None, stack_id: str | None = None
    ) -> None:
        """Start a stack operation once the previous one has ended."""
        identifier = stack_id or (stack or {}).get("StackId", "")
        clock, lock = self._emulator.clock, self._locks.setdefault(identifier, asyncio.Lock())
        # An operation that waits must not hold the clock: the previous one may need time to pass.
        # It gets its hold from the previous one, so that no time passes in between.
        if not self._scheduled[identifier]:
            self._holds[identifier] = clock.handoff()
        self._scheduled[identifier] += 1

        async def work() -> None:
            try:
                await operation
            finally:
                self._scheduled[identifier] -= 1
                if self._scheduled[identifier]:
                    self._holds[identifier] = clock.handoff()

        async def run() -> None:
            async with lock:
                await held(self._holds.pop(identifier), work())

        self._create_task(run(), stack, stack_id)

    # --- Create ---

    def provision(
        self, resource_type: str, logical_id: str, props: Stack, stack_name: str
    ) -> tuple[str, dict[str, Any]]:
        """Create a resource; remember a custom resource that fails, with its physical id."""
        stack_id = _package._stacks[stack_name]["StackId"]
        if stack_id in self._interrupted:
            raise ValueError(CANCELLED)
        try:
            created: tuple[str, dict[str, Any]] = self._provision(
                resource_type, logical_id, props, stack_name
            )
        except RequestFailedError as failure:
            self._incomplete.setdefault(stack_id, {})[logical_id] = {
                "PhysicalResourceId": failure.physical_id,
                "ResourceType": resource_type,
                "ResourceStatus": "CREATE_FAILED",
                "LogicalResourceId": logical_id,
                "Properties": props,
                "Attributes": {},
                "Timestamp": _stacks.now_iso(),
            }
            raise
        return created

    # --- Update ---

    def delete_resource(
        self,
        kind: str,
        physical_id: str,
        props: Stack,
        stack_name: str = "",
        logical_id: str | None = None,
    ) -> None:
        """Delete a resource; during an update, in the update's cleanup phase."""
        stack = _package._stacks[stack_name]
        if stack["StackStatus"] == "UPDATE_IN_PROGRESS":
            self._set_status(stack, CLEANUP)
        if stack["StackStatus"] != CLEANUP:
            self._delete(kind, physical_id, props, stack_name, logical_id)
            return
        about = (stack["StackId"], stack_name, logical_id or "", kind)
        self._add_event(*about, "DELETE_IN_PROGRESS", "", physical_id)
        self._delete(kind, physical_id, props, stack_name, logical_id)
        self._add_event(*about, "DELETE_COMPLETE", "", physical_id)

    def cancel_update(self, cancel: Callable[[Any], Response], params: Any) -> Response:
        """CancelUpdateStack, which stops waiting for a custom resource."""
        response = cancel(params)
        if response[0] == 200:
            stack = _handlers._resolve_stack(_handlers._p(params, "StackName"))
            self._requests.cancel(stack["StackId"])
        return response

    # --- Roll back ---

    async def roll_back(
        self,
        stack_name: str,
        stack_id: str,
        stack: Stack,
        operation: dict[str, Any],
        reason: str = "",
    ) -> None:
        """Undo a failed create or update, including custom resources whose create failed."""
        if stack.pop("_cancel_requested", False):
            # Cancelled while a custom resource was in progress.
            operation["cancelled"] = True
        incomplete = self._incomplete.pop(stack_id, {})
        stack.setdefault("_resources", {}).update(incomplete)
        current = creation_times.current_plan()
        plan = None if operation.get("is_update") else current
        begun = plan.ended if plan else ()
        operation["created"] = [*operation.get("created", []), *incomplete, *begun]
        if operation.get("is_update"):
            if current and current.failed and not operation.get("cancelled"):
                names = ", ".join(current.failed)
                reason = reason or f"The following resource(s) failed to update: [{names}]. "
            if self._emulator.assumptions.custom_resources_roll_back_first:
                first = _custom_resources_first(stack, operation)
                reason = reason or first
            await self._roll_back(stack_name, stack_id, stack, operation, reason)
            return
        _ensure_template(stack, operation)
        if stack_id in self._interrupted:
            return
        failed = ", ".join(plan.failed) if plan else operation.get("failed_logical_id")
        why = reason or (
            f"The following resource(s) failed to create: [{failed}]. " if failed else ""
        )
        self._set_status(stack, "ROLLBACK_IN_PROGRESS", f"{why}Rollback requested by user.")
        failures = await self._delete_resources(stack, set(operation["created"]), rolling_back=True)
        if stack_id in self._interrupted:
            return
        if failures:
            self._set_status(stack, "ROLLBACK_FAILED", f"{_failed_to_delete(failures)}.")
        else:
            self._set_status(stack, "ROLLBACK_COMPLETE")

    # --- Delete ---

    def delete_stack(self, delete: Callable[[Any], Response], params: Any) -> Response:
        """DeleteStack: interrupts a creation or rollback, and is rejected during an update."""
        stack = _handlers._resolve_stack(_handlers._p(params, "StackName"))
        status = (stack or {}).get("StackStatus", "")
        if not stack or stack.get("EnableTerminationProtection"):
            return delete(params)  # if protected, it refuses and interrupts nothing (F6.91)
        if status in CREATING:
            self._interrupted.add(stack["StackId"])
            self._requests.cancel(stack["StackId"])
        elif status == "DELETE_IN_PROGRESS":
            accepted: Response = _handlers._xml(200, "DeleteStackResponse", "")
            return accepted
        elif status.endswith("IN_PROGRESS"):
            rejected: Response = _handlers._error(
                "ValidationError",
                f"Stack [{stack['StackId']}] cannot be deleted while in status {status}",
            )
            return rejected
        return delete(params)

    async def delete(
        self,
        stack_name: str,
        stack_id: str,
        retain_resources: Collection[str] = (),
        force: bool = False,
    ) -> None:
        """Delete a stack's resources."""
        stack = _package._stacks.get(stack_name)
        if not stack or stack["StackId"] != stack_id:
            return
        self._interrupted.discard(stack_id)
        _ensure_template(stack, stack.pop("_failed_operation", {}))
        stack.setdefault("_resources", {}).update(self._incomplete.pop(stack_id, {}))
        self._set_status(stack, "DELETE_IN_PROGRESS", "User Initiated")
        failures = await self._delete_resources(
            stack, set(stack["_resources"]), retain=set(retain_resources)
        )
        if failures:
            self._set_status(stack, "DELETE_FAILED", f"{_failed_to_delete(failures)}. ")
            return
        for output in stack.get("Outputs", []):
            if output.get("ExportName"):
                _package._exports.pop(output["ExportName"], None)
        self._set_status(stack, "DELETE_COMPLETE")

    async def _delete_resources(
        self,
        stack: Stack,
        chosen: set[str],
        retain: Collection[str] = (),
        rolling_back: bool = False,
    ) -> list[str]:
        """Delete resources in reverse order of their dependencies; return those that failed.

        The dependencies of a resource that failed are left as they are.
        """
        resources = stack["_resources"]
        definitions = (stack.get("_template") or {}).get("Resources") or {}
        ordered = self._sort(definitions, stack.get("_conditions") or {})
        ordered += [logical_id for logical_id in resources if logical_id not in ordered]
        failures: list[str] = []
        needed: set[str] = set()
        last = self._terminate_instances(stack, chosen - set(retain), definitions)
        backwards = [each for each in reversed(ordered) if each in chosen & set(resources)]
        for logical_id in sorted(backwards, key=lambda each: each in last):
            dependencies = _stacks._extract_deps(definitions.get(logical_id) or {}, set(resources))
            if logical_id in needed:
                needed |= dependencies
                continue
            policy = _deletion_policy(stack, logical_id)
            retained = policy == "Retain" or (policy == "RetainExceptOnCreate" and not rolling_back)
            if retained or logical_id in retain:
                self._resource_event(stack, logical_id, "DELETE_SKIPPED")
            elif not await self._delete_one(stack, logical_id):
                failures.append(logical_id)
                needed |= dependencies
                if rolling_back and stack["StackId"] in self._interrupted:
                    break
                continue
            del resources[logical_id]
        return failures

    def _terminate_instances(
        self, stack: Stack, chosen: Collection[str], definitions: Mapping[str, Any]
    ) -> set[str]:
        """Begin with instances that nothing depends on, as CloudFormation does side by side.

        Returns these and what they depend on, which can only be deleted once they are terminated.
        """
        resources, last = stack["_resources"], list[str]()
        names = set(resources)
        needs = {name: _stacks._extract_deps(definitions.get(name) or {}, names) for name in names}
        depended_on = set[str]().union(*needs.values())
        for name in sorted((set(chosen) & names) - depended_on):
            record = resources[name]
            if record["ResourceType"] == INSTANCE and _deletion_policy(stack, name) == "Delete":
                self._resource_event(stack, name, "DELETE_IN_PROGRESS")
                record["ResourceStatus"] = "DELETE_IN_PROGRESS"
                self._terminate(record["PhysicalResourceId"])
                last.append(name)
        for name in last:
            last += [each for each in sorted(needs[name]) if each not in last]
        return set(last)

    async def _delete_one(self, stack: Stack, logical_id: str) -> bool:
        """Delete a resource and report whether that succeeded."""
        record = stack["_resources"][logical_id]
        if record["ResourceStatus"] != "DELETE_IN_PROGRESS":
            self._resource_event(stack, logical_id, "DELETE_IN_PROGRESS")
        try:
            await _stacks.run_reentrant(
                _stacks._delete_resource,
                record["ResourceType"],
                record.get("PhysicalResourceId", ""),
                record.get("Properties", {}),
                stack["StackName"],
                logical_id,
            )
        except Exception as failure:
            self._resource_event(stack, logical_id, "DELETE_FAILED", str(failure))
            record.update(ResourceStatus="DELETE_FAILED", ResourceStatusReason=str(failure))
            return False
        self._resource_event(stack, logical_id, "DELETE_COMPLETE")
        return True

    def _resource_event(self, stack: Stack, logical_id: str, status: str, reason: str = "") -> None:
        record = stack["_resources"][logical_id]
        kind, physical_id = record["ResourceType"], record.get("PhysicalResourceId", "")
        self._add_event(
            stack["StackId"], stack["StackName"], logical_id, kind, status, reason, physical_id
        )

    def _set_status(self, stack: Stack, status: str, reason: str = "") -> None:
        stack["StackStatus"], stack["StackStatusReason"] = status, reason
        name, stack_id = stack["StackName"], stack["StackId"]
        self._add_event(stack_id, name, name, STACK, status, reason, stack_id)


def _custom_resources_first(stack: Stack, operation: dict[str, Any]) -> str:
    """Let the rollback restore custom resources first, also one that failed; its reason."""
    created, resources, reason = operation.get("created", []), stack["_resources"], ""
    failed = operation.get("failed_update")
    if failed and failed[1].startswith("Custom::") and failed[3] is not None:
        logical_id, _, _, applied, _, _ = failed
        resources[logical_id] = {**resources[logical_id], "Properties": applied}
        created, operation["failed_update"] = [*created, logical_id], None
        if not operation.get("cancelled"):
            reason = f"The following resource(s) failed to update: [{logical_id}]. "
    operation["created"] = sorted(
        created, key=lambda each: not resources[each]["ResourceType"].startswith("Custom::")
    )
    return reason


def _failed_to_delete(logical_ids: list[str]) -> str:
    return f"The following resource(s) failed to delete: [{', '.join(sorted(logical_ids))}]"


def _deletion_policy(stack: Stack, logical_id: str) -> str | None:
    template = stack.get("_template") or {}
    policy: str | None = _stacks._resource_policy(
        (template.get("Resources") or {}).get(logical_id),
        "DeletionPolicy",
        stack["_resources"],
        stack.get("_resolved_params", {}),
        stack.get("_conditions") or {},
        template.get("Mappings", {}),
        stack["StackName"],
        stack["StackId"],
    )
    return policy


def _ensure_template(stack: Stack, operation: Mapping[str, Any]) -> None:
    """Give a stack its template; ministack stores that of a change set only on success."""
    if not stack.get("_template") and operation.get("template"):
        stack["_template"] = operation["template"]
        stack["_resolved_params"] = operation["param_values"]
        stack["_conditions"] = _engine._evaluate_conditions(
            operation["template"], operation["param_values"]
        )


def install(emulator: EmulatorState, requests: Requests, terminate: Callable[[str], None]) -> None:
    """Run stack operations in virtual time, and let a deletion interrupt them as on AWS."""
    add_event = stack_events.install(emulator)
    operations = Operations(emulator, requests, add_event, terminate)
    for module in (_stacks, _handlers, _changesets):
        module.now_iso = lambda: virtual_time.now_iso(emulator.clock)
        module._add_event = add_event
        module._create_stack_task_in_region = operations.schedule
    for module in (_stacks, _handlers):
        module._delete_stack_async = operations.delete
        module._roll_back_operation = operations.roll_back
    # Any resource may wait in virtual time.
    _stacks._runs_on_worker_thread = lambda resource_type: True
    _stacks._provision_resource = operations.provision
    _stacks._delete_resource = operations.delete_resource
    actions = _handlers._ACTION_HANDLERS
    delete, cancel = actions["DeleteStack"], actions["CancelUpdateStack"]
    actions["DeleteStack"] = lambda params: operations.delete_stack(delete, params)
    actions["CancelUpdateStack"] = lambda params: operations.cancel_update(cancel, params)
