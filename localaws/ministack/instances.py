"""EC2 instances with state transitions in virtual time, a network interface and a sandbox.

In ministack an instance runs at once, in any zone, with a public address, does not hold on to its
security groups, and executes nothing.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localaws.core.api_error import ApiError
from localaws.ministack import network_interfaces
from localaws.ministack.access import ministack
from localaws.ministack.ec2_api import (
    Action,
    Params,
    Record,
    Response,
    checked,
    reject_unknown_filters,
    reporting_errors,
)
from localaws.ministack.iam import role_allows_all, role_trusts
from localaws.sandbox.sandbox import Sandbox

if TYPE_CHECKING:
    from localaws.state import EmulatorState

CODES = {
    "pending": 0,
    "running": 16,
    "shutting-down": 32,
    "terminated": 48,
    "stopping": 64,
    "stopped": 80,
}
# Virtual seconds.
STOPPING = 29.0
TERMINATING = 23.0
# "An instance is visible for about an hour after it was terminated."
TERMINATED_VISIBLE = 3600.0
# What the SSM agent requires of its instance's role in order to register:
# https://docs.aws.amazon.com/systems-manager/latest/userguide/systems-manager-setting-up-messageAPIs.html
AGENT_ACTIONS = (
    "ssm:UpdateInstanceInformation",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
)
ARM_FAMILIES = ("t4g", "m6g", "m7g", "m8g", "c6g", "c7g", "c8g", "r6g", "r7g", "r8g")
KNOWN_FILTERS = frozenset({"instance-state-name", "instance-type", "image-id"})

_ec2 = ministack("services.ec2")
_iam = ministack("services.iam")
_runtime = ministack("core.lambda_runtime")
_responses = ministack("core.responses")


@dataclass
class Instance:
    """What an instance has beyond ministack's record of it."""

    sandbox: Sandbox
    interface: str
    launched_at: float | None
    terminated_at: float | None = None
    # Counts state changes; a pending transition is dropped if a later change was requested.
    transitions: int = 0


class Instances:
    """All instances of the emulator. Systems Manager asks it about their agents."""

    def __init__(self, emulator: EmulatorState) -> None:
        self._emulator = emulator
        self._instances: dict[str, Instance] = {}
        self._lock = threading.Lock()
        self._launch = _ec2._launch_instances_internal

    # --- For Systems Manager ---

    def ids(self) -> Iterable[str]:
        """The instances that are not terminated and whose agent may register."""
        return [
            instance_id
            for instance_id, instance in list(self._instances.items())
            if instance.terminated_at is None and self._agent_may_register(instance_id)
        ]

    def launched_at(self, instance_id: str) -> float | None:
        """The virtual time of the last start; None while it is stopping or stopped."""
        return self._instances[instance_id].launched_at

    def sandbox(self, instance_id: str) -> Sandbox:
        """The instance's sandbox, with current credentials of its role."""
        sandbox = self._instances[instance_id].sandbox
        sandbox.environment.update(self._credentials(instance_id))
        return sandbox

    def _agent_may_register(self, instance_id: str) -> bool:
        role = self._role(instance_id)
        return role is not None and role_allows_all(
            self._emulator, role, AGENT_ACTIONS, "*", behind="amazon-ssm-agent"
        )

    def _role(self, instance_id: str) -> str | None:
        """The role in an instance's profile, if it trusts EC2."""
        profile = (_ec2._instances.get(instance_id) or {}).get("IamInstanceProfile") or {}
        found = _iam._lookup_instance_profile(arn=profile.get("Arn", "")) or {}
        for role in found.get("Roles") or []:
            name = str(role if isinstance(role, str) else role["RoleName"])
            trusted = not self._emulator.auth or role_trusts(name, "ec2.amazonaws.com", instance_id)
            return name if trusted else None
        return None

    def _credentials(self, instance_id: str) -> dict[str, str]:
        role, account = self._role(instance_id), _responses.get_account_id()
        if role is None:
            return {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
        region = _responses.get_region()
        credentials: dict[str, str] = _runtime.execution_credentials(
            {
                "FunctionArn": f"arn:aws:lambda:{region}:{account}:function:{instance_id}",
                "FunctionName": instance_id,
                "Role": f"arn:aws:iam::{account}:role/{role}",
            }
        )
        return credentials

    # --- States ---

    def launch(self, *arguments: Any, **named: Any) -> list[Record]:
        """Launch instances in ministack, attach them to their subnets and start them."""
        if named.get("user_data"):
            raise ApiError("InvalidParameterValue", "The local AWS does not support UserData.")
        launched: list[Record] = self._launch(*arguments, **named)
        for record in launched:
            self._attach(record)
        return launched

    def _attach(self, record: Record) -> None:
        instance_id, subnet = record["InstanceId"], _ec2._subnets[record["SubnetId"]]
        groups = [group["GroupId"] for group in record["SecurityGroups"]]
        sandbox = Sandbox(instance_id, self._environment(record))
        interface = network_interfaces.attach(
            self._emulator.clock, subnet, groups, "", instance=instance_id
        )
        address = interface["PrivateIpAddress"]
        record.update(
            PrivateIpAddress=address,
            PrivateDnsName=f"ip-{address.replace('.', '-')}.ec2.internal",
            PublicIpAddress="",
            PublicDnsName="",
            VpcId=subnet["VpcId"],
            Placement={**record["Placement"], "AvailabilityZone": subnet["AvailabilityZone"]},
            Architecture="arm64" if _is_arm(record) else "x86_64",
        )
        now = self._emulator.clock.now()
        with self._lock:
            self._instances[instance_id] = Instance(sandbox, interface["NetworkInterfaceId"], now)
        self._set_state(instance_id, "pending")
        self._set_state_later(instance_id, self._emulator.timings.instance_running, "running")

    def _environment(self, record: Record) -> dict[str, str]:
        region = _responses.get_region()
        return {
            "AWS_ENDPOINT_URL": self._emulator.gateway_url,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "LOCALAWS_ADMIN_URL": self._emulator.admin_url,
            "LOCALAWS_ARCHITECTURE": "aarch64" if _is_arm(record) else "x86_64",
            "NO_PROXY": "*",
            "no_proxy": "*",
        }

    def _set_state(self, instance_id: str, state: str) -> None:
        _ec2._instances[instance_id]["State"] = {"Code": CODES[state], "Name": state}
        self._emulator.event_log.record("ec2", instance_id, state)

    def _set_state_later(self, instance_id: str, seconds: float, state: str) -> None:
        instance = self._instances[instance_id]
        instance.transitions += 1

        def change(transition: int) -> None:
            self._emulator.clock.sleep(seconds)
            if instance.transitions == transition:
                self._set_state(instance_id, state)
                if state == "terminated":
                    instance.terminated_at = self._emulator.clock.now()
                    _ec2._network_interfaces.pop(instance.interface, None)

        self._emulator.spawn(change, instance.transitions)

    def state(self, instance_id: str) -> str:
        """The state of an instance; "terminated" if it does not exist."""
        record = _ec2._instances.get(instance_id)
        return str(record["State"]["Name"]) if record else "terminated"

    def start(self, instance_id: str) -> None:
        """StartInstances for one instance."""
        state = self.state(instance_id)
        if state in ("pending", "running"):
            return
        if state != "stopped":
            raise _incorrect_state(instance_id, "started")
        self._instances[instance_id].launched_at = self._emulator.clock.now()
        self._set_state(instance_id, "pending")
        self._set_state_later(instance_id, self._emulator.timings.instance_running, "running")

    def stop(self, instance_id: str) -> None:
        """StopInstances for one instance: processes end, files remain."""
        state = self.state(instance_id)
        if state in ("stopping", "stopped"):
            return
        if state != "running":
            raise _incorrect_state(instance_id, "stopped")
        instance = self._instances[instance_id]
        instance.launched_at = None
        instance.sandbox.halt()
        self._set_state(instance_id, "stopping")
        self._set_state_later(instance_id, STOPPING, "stopped")

    def terminate(self, instance_id: str) -> None:
        """TerminateInstances for one instance; its interface is deleted once it is terminated."""
        if self.state(instance_id) in ("shutting-down", "terminated"):
            return
        instance = self._instances[instance_id]
        instance.launched_at = None
        instance.sandbox.destroy()
        self._set_state(instance_id, "shutting-down")
        self._set_state_later(instance_id, TERMINATING, "terminated")

    def wait_for(self, instance_id: str, state: str) -> None:
        """Wait in virtual time until an instance reaches a state."""
        while self.state(instance_id) != state:
            self._emulator.clock.sleep(1)

    def set_security_groups(self, instance_id: str, groups: list[dict[str, str]]) -> None:
        """Replace the security groups of an instance's interface."""
        _ec2._network_interfaces[self._instances[instance_id].interface]["Groups"] = groups

    def remove_terminated(self) -> None:
        """Remove instances that were terminated long enough ago for AWS to omit them."""
        now = self._emulator.clock.now()
        for instance_id, instance in list(self._instances.items()):
            terminated = instance.terminated_at
            if terminated is not None and now - terminated > TERMINATED_VISIBLE:
                _ec2._instances.pop(instance_id, None)

    def close(self) -> None:
        """Destroy every sandbox."""
        for instance in self._instances.values():
            if instance.terminated_at is None:
                with contextlib.suppress(OSError):
                    instance.sandbox.destroy()


def _is_arm(record: Record) -> bool:
    return str(record["InstanceType"]).startswith(ARM_FAMILIES)


def _incorrect_state(instance_id: str, verb: str) -> ApiError:
    return ApiError(
        "IncorrectInstanceState",
        f"This instance '{instance_id}' is not in a state from which it can be {verb}.",
    )


def install(emulator: EmulatorState) -> Instances:
    """Replace ministack's instances by those of the emulator."""
    instances = Instances(emulator)
    _ec2._launch_instances_internal = instances.launch
    _ec2._cleanup_terminated = instances.remove_terminated
    actions = _ec2._ACTION_MAP
    for verb, change in (
        ("Start", instances.start),
        ("Stop", instances.stop),
        ("Terminate", instances.terminate),
    ):
        actions[f"{verb}Instances"] = reporting_errors(_state_change(instances, verb, change))
    actions["DescribeInstances"] = checked(
        lambda params: reject_unknown_filters(params, KNOWN_FILTERS), actions["DescribeInstances"]
    )
    actions["RunInstances"] = reporting_errors(actions["RunInstances"])
    return instances


def _state_change(instances: Instances, verb: str, change: Callable[[str], None]) -> Action:
    def handle(params: Params) -> Response:
        ids = _ec2._parse_member_list(params, "InstanceId")
        for instance_id in ids:
            if instance_id not in _ec2._instances:
                raise ApiError(
                    "InvalidInstanceID.NotFound",
                    f"The instance ID '{instance_id}' does not exist",
                )
        before = {instance_id: instances.state(instance_id) for instance_id in ids}
        for instance_id in ids:
            change(instance_id)
        items = "".join(
            f"<item><instanceId>{instance_id}</instanceId>"
            f"<currentState>{_state_xml(instances.state(instance_id))}</currentState>"
            f"<previousState>{_state_xml(previous)}</previousState></item>"
            for instance_id, previous in before.items()
        )
        response: Response = _ec2._xml(
            200, f"{verb}InstancesResponse", f"<instancesSet>{items}</instancesSet>"
        )
        return response

    return handle


def _state_xml(state: str) -> str:
    return f"<code>{CODES[state]}</code><name>{state}</name>"
