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
from localaws.ministack import images, network_interfaces, routing
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
from localaws.ministack.iam import CallerPermissions, role_allows_all, role_trusts
from localaws.ministack.partitions import partition
from localaws.ministack.virtual_time import now_iso
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
FALLING_BACK = 7.0
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
# The account's default key for volumes.
VOLUME_KEY = "11111111-2222-3333-4444-555555555555"
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html
REASONS = {
    "Client.InternalError": "Client error on launch",
    "Client.UserInitiatedShutdown": "User initiated shutdown",
}
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
    last_run: tuple[float, float] | None = None
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

    def last_run(self, instance_id: str) -> tuple[float, float] | None:
        """When the instance was last started and stopped; None if it was never stopped."""
        return self._instances[instance_id].last_run

    def sandbox(self, instance_id: str) -> Sandbox:
        """The instance's sandbox, with current credentials of its role."""
        sandbox = self._instances[instance_id].sandbox
        sandbox.environment.update(self._credentials(instance_id))
        reached = routing.reached(_ec2._instances[instance_id]["SubnetId"])
        services = ["everything"] if reached is None else sorted(reached)
        sandbox.environment["LOCALAWS_REACHED"] = " ".join(services) or "nothing"
        return sandbox

    def _agent_may_register(self, instance_id: str) -> bool:
        role, subnet = self._role(instance_id), _ec2._instances[instance_id]["SubnetId"]
        if role is None or not routing.reaches(subnet, "ssm", "ssmmessages"):
            return False
        return role_allows_all(self._emulator, role, AGENT_ACTIONS, "*", behind="amazon-ssm-agent")

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
            return {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}  # nosec B105 # none
        region, prefix = _responses.get_region(), f"arn:{partition()}"
        credentials: dict[str, str] = _runtime.execution_credentials(
            {
                "FunctionArn": f"{prefix}:lambda:{region}:{account}:function:{instance_id}",
                "FunctionName": instance_id,
                "Role": f"{prefix}:iam::{account}:role/{role}",
            }
        )
        return credentials

    # --- States ---

    def launch(self, *arguments: Any, **named: Any) -> list[Record]:
        """Launch instances in ministack, attach them to their subnets and start them."""
        if named.get("user_data"):
            raise ApiError("InvalidParameterValue", "The local AWS does not support UserData.")
        images.check_launch(
            named["image_id"], named["instance_type"], named["subnet_id"], named["sg_ids"]
        )
        launched: list[Record] = self._launch(*arguments, **named)
        for record in launched:
            self._attach(record)
        return launched

    def _attach(self, record: Record) -> None:
        instance_id, subnet = record["InstanceId"], _ec2._subnets[record["SubnetId"]]
        groups = [group["GroupId"] for group in record["SecurityGroups"]]
        sandbox = Sandbox(
            instance_id,
            self._environment(record),
            self._emulator.clock.sleep,
            self._emulator.sockets,
        )
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
            Architecture=images.architecture(record["InstanceType"]),
            LaunchTime=now_iso(self._emulator.clock),
        )
        now = self._emulator.clock.now()
        with self._lock:
            self._instances[instance_id] = Instance(sandbox, interface["NetworkInterfaceId"], now)
        self._set_state(instance_id, "pending")
        self._set_state_later(instance_id, self._emulator.timings.instance_running, "running")

    def _environment(self, record: Record) -> dict[str, str]:
        region = _responses.get_region()
        return {
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "LOCALAWS_ARCHITECTURE": "aarch64" if _is_arm(record) else "x86_64",
        }

    def _set_state(self, instance_id: str, state: str, reason: str = "") -> None:
        record = _ec2._instances[instance_id]
        record["State"] = {"Code": CODES[state], "Name": state}
        record["StateReason"] = reason
        self._emulator.event_log.record("ec2", instance_id, state)

    def _set_state_later(
        self, instance_id: str, seconds: float, state: str, reason: str = ""
    ) -> None:
        instance = self._instances[instance_id]
        instance.transitions += 1

        def change(transition: int) -> None:
            self._emulator.clock.sleep(seconds)
            if instance.transitions == transition:
                self._set_state(instance_id, state, reason)
                if state == "terminated":
                    instance.terminated_at = self._emulator.clock.now()
                    _ec2._network_interfaces.pop(instance.interface, None)

        self._emulator.spawn(change, instance.transitions)

    def state(self, instance_id: str) -> str:
        """The state of an instance; "terminated" if it does not exist."""
        record = _ec2._instances.get(instance_id)
        return str(record["State"]["Name"]) if record else "terminated"

    def start(self, instance_id: str, failure: str | None = None) -> None:
        """StartInstances for one instance; with a failure, it falls back to stopped."""
        state = self.state(instance_id)
        if state in ("pending", "running"):
            return
        if state != "stopped":
            raise _incorrect_state(instance_id, "started")
        failure = failure or self._emulator.faults.start_failure()
        self._instances[instance_id].launched_at = None if failure else self._emulator.clock.now()
        _ec2._instances[instance_id]["LaunchTime"] = now_iso(self._emulator.clock)
        self._set_state(instance_id, "pending")
        if failure:
            self._set_state_later(instance_id, FALLING_BACK, "stopped", failure)
        else:
            self._set_state_later(instance_id, self._emulator.timings.instance_running, "running")

    def request_start(self, instance_id: str) -> None:
        """StartInstances by the caller of the current request.

        Without kms:CreateGrant the call succeeds, and the instance falls back to stopped (F5.20).
        We take the harsher case that the account encrypts all volumes with a customer managed key.
        """
        region, account = _responses.get_region(), _responses.get_account_id()
        key = f"arn:{partition()}:kms:{region}:{account}:key/{VOLUME_KEY}"
        context = {
            "kms:GrantIsForAWSResource": "true",
            "kms:ViaService": f"ec2.{region}.amazonaws.com",
        }
        failure = None
        if self.state(instance_id) == "stopped":
            try:
                CallerPermissions(self._emulator).authorize("kms:CreateGrant", key, context)
            except ApiError:
                failure = "Client.InternalError"
        self.start(instance_id, failure)

    def stop(self, instance_id: str) -> None:
        """StopInstances for one instance: processes end, files remain."""
        state = self.state(instance_id)
        if state in ("stopping", "stopped"):
            return
        if state != "running":
            raise _incorrect_state(instance_id, "stopped")
        instance = self._instances[instance_id]
        if instance.launched_at is not None:
            instance.last_run = instance.launched_at, self._emulator.clock.now()
        instance.launched_at = None
        instance.sandbox.halt()
        self._set_state(instance_id, "stopping", "Client.UserInitiatedShutdown")
        self._set_state_later(instance_id, STOPPING, "stopped", "Client.UserInitiatedShutdown")

    def terminate(self, instance_id: str) -> None:
        """TerminateInstances for one instance; its interface is deleted once it is terminated."""
        if self.state(instance_id) in ("shutting-down", "terminated"):
            return
        instance = self._instances[instance_id]
        instance.launched_at = None
        for place, text in instance.sandbox.traces():
            self._emulator.records.add(place, text)
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
    return images.architecture(record["InstanceType"]) == images.ARM


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
    _ec2._instance_xml = _with_state_reason(_ec2._instance_xml)
    actions = _ec2._ACTION_MAP
    for verb, change in (
        ("Start", instances.request_start),
        ("Stop", instances.stop),
        ("Terminate", instances.terminate),
    ):
        actions[f"{verb}Instances"] = reporting_errors(_state_change(instances, verb, change))
    actions["DescribeInstances"] = checked(
        lambda params: reject_unknown_filters(params, KNOWN_FILTERS), actions["DescribeInstances"]
    )
    for action in ("CreateTags", "DeleteTags"):
        actions[action] = checked(_reject_reserved_tags, actions[action])
    actions["RunInstances"] = reporting_errors(actions["RunInstances"])
    return instances


def _reject_reserved_tags(params: Params) -> None:
    """Tags that begin with aws: are set and removed by AWS only (F1.47)."""
    for tag in _ec2._parse_tags(params):
        if str(tag["Key"]).lower().startswith("aws:"):
            raise ApiError(
                "InvalidParameterValue", f"Tag keys starting with 'aws:' are reserved: {tag['Key']}"
            )


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


def _with_state_reason(to_xml: Callable[[Record], str]) -> Callable[[Record], str]:
    def with_state_reason(record: Record) -> str:
        code = record.get("StateReason")
        if not code:
            return to_xml(record)
        message = f"{code}: {REASONS.get(code, 'no details')}"
        reason = f"<stateReason><code>{code}</code><message>{message}</message></stateReason>"
        return f"{to_xml(record).rstrip().removesuffix('</item>')}{reason}</item>"

    return with_state_reason


def _state_xml(state: str) -> str:
    return f"<code>{CODES[state]}</code><name>{state}</name>"
