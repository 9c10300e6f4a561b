"""EC2 instances: they take time to start and stop, have an interface in their subnet, and a sandbox.

Otherwise in ministack: an instance is running at once, with a public address and in any zone, its
groups are used by nobody, and nothing runs in it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localaws.core.api_error import ApiError
from localaws.ministack.access import ministack
from localaws.ministack.iam import role_allows_all, role_trusts
from localaws.ministack.networks import make_interface
from localaws.sandbox.sandbox import Sandbox

if TYPE_CHECKING:
    from localaws.state import EmulatorState

Record = dict[str, Any]
Answer = tuple[int, dict[str, str], bytes]

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
# What the SSM agent needs of its instance's role, or it never registers:
# https://docs.aws.amazon.com/systems-manager/latest/userguide/systems-manager-setting-up-messageAPIs.html
AGENT_ACTIONS = (
    "ssm:UpdateInstanceInformation",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
)
ARM_FAMILIES = ("t4g", "m6g", "m7g", "m8g", "c6g", "c7g", "c8g", "r6g", "r7g", "r8g")

_ec2 = ministack("services.ec2")
_iam = ministack("services.iam")
_runtime = ministack("core.lambda_runtime")
_responses = ministack("core.responses")


@dataclass
class Machine:
    """What an instance is beyond ministack's record of it."""

    sandbox: Sandbox
    interface: str
    launched_at: float | None
    terminated_at: float | None = None
    # Grows with every change of state that somebody asked for, so that an older one is given up.
    turn: int = 0


class Instances:
    """Every instance of the emulator, and what Systems Manager asks of EC2."""

    def __init__(self, emulator: EmulatorState) -> None:
        self._emulator = emulator
        self._machines: dict[str, Machine] = {}
        self._lock = threading.Lock()
        self._launch = _ec2._launch_instances_internal

    # --- What Systems Manager asks ---

    def ids(self) -> Iterable[str]:
        """Every instance that is not terminated and whose agent may register."""
        return [
            instance_id
            for instance_id, machine in list(self._machines.items())
            if machine.terminated_at is None and self._agent_may_register(instance_id)
        ]

    def launched_at(self, instance_id: str) -> float | None:
        """The virtual time at which it was last started; None while it is stopping or stopped."""
        return self._machines[instance_id].launched_at

    def sandbox(self, instance_id: str) -> Sandbox:
        """Its inside."""
        sandbox = self._machines[instance_id].sandbox
        sandbox.environment.update(self._credentials(instance_id))
        return sandbox

    def _agent_may_register(self, instance_id: str) -> bool:
        role = self._role(instance_id)
        return role is not None and role_allows_all(
            self._emulator, role, AGENT_ACTIONS, "*", behind="amazon-ssm-agent"
        )

    def _role(self, instance_id: str) -> str | None:
        """The role that an instance works with, unless the role does not trust EC2."""
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

    # --- The life of an instance ---

    def launch(self, *arguments: Any, **named: Any) -> list[Record]:
        """Launch instances as ministack does, then put each into its subnet and start it."""
        if named.get("user_data"):
            raise ApiError("InvalidParameterValue", "UserData is not rehearsed.")
        launched: list[Record] = self._launch(*arguments, **named)
        for record in launched:
            self._settle_in(record)
        return launched

    def _settle_in(self, record: Record) -> None:
        instance_id, subnet = record["InstanceId"], _ec2._subnets[record["SubnetId"]]
        groups = [group["GroupId"] for group in record["SecurityGroups"]]
        sandbox = Sandbox(instance_id, self._environment(record), self._emulator.command_server)
        interface = make_interface(self._emulator, subnet, groups, "", instance=instance_id)
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
        machine = Machine(sandbox, interface["NetworkInterfaceId"], self._emulator.clock.now())
        with self._lock:
            self._machines[instance_id] = machine
        self._move(instance_id, "pending")
        self._later(instance_id, self._emulator.timings.instance_running, "running")

    def _environment(self, record: Record) -> dict[str, str]:
        region = _responses.get_region()
        return {
            "AWS_ENDPOINT_URL": self._emulator.gateway_url,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "LOCALAWS_ADMIN_URL": self._emulator.admin_url,
            "REHEARSAL_ARCHITECTURE": "aarch64" if _is_arm(record) else "x86_64",
            "NO_PROXY": "*",
            "no_proxy": "*",
        }

    def _move(self, instance_id: str, state: str) -> None:
        _ec2._instances[instance_id]["State"] = {"Code": CODES[state], "Name": state}
        self._emulator.event_log.record("ec2", instance_id, state)

    def _later(self, instance_id: str, seconds: float, state: str) -> None:
        machine = self._machines[instance_id]
        machine.turn += 1

        def change(turn: int) -> None:
            self._emulator.clock.sleep(seconds)
            if machine.turn == turn:
                self._move(instance_id, state)
                if state == "terminated":
                    machine.terminated_at = self._emulator.clock.now()
                    _ec2._network_interfaces.pop(machine.interface, None)

        self._emulator.spawn(change, machine.turn)

    def state(self, instance_id: str) -> str:
        """The state of an instance; terminated if it is gone."""
        record = _ec2._instances.get(instance_id)
        return str(record["State"]["Name"]) if record else "terminated"

    def start(self, instance_id: str) -> None:
        """StartInstances of one instance."""
        state = self.state(instance_id)
        if state in ("pending", "running"):
            return
        if state != "stopped":
            raise _incorrect_state(instance_id, "started")
        self._machines[instance_id].launched_at = self._emulator.clock.now()
        self._move(instance_id, "pending")
        self._later(instance_id, self._emulator.timings.instance_running, "running")

    def stop(self, instance_id: str) -> None:
        """StopInstances of one instance: its files stay."""
        state = self.state(instance_id)
        if state in ("stopping", "stopped"):
            return
        if state != "running":
            raise _incorrect_state(instance_id, "stopped")
        machine = self._machines[instance_id]
        machine.launched_at = None
        machine.sandbox.halt()
        self._move(instance_id, "stopping")
        self._later(instance_id, STOPPING, "stopped")

    def terminate(self, instance_id: str) -> None:
        """TerminateInstances of one instance: its interface goes with it, a little later."""
        if self.state(instance_id) in ("shutting-down", "terminated"):
            return
        machine = self._machines[instance_id]
        machine.launched_at = None
        machine.sandbox.destroy()
        self._move(instance_id, "shutting-down")
        self._later(instance_id, TERMINATING, "terminated")

    def wait_for(self, instance_id: str, state: str) -> None:
        """Wait in virtual time until an instance is in a state."""
        while self.state(instance_id) != state:
            self._emulator.clock.sleep(1)

    def regroup(self, instance_id: str, groups: list[dict[str, str]]) -> None:
        """Give an instance's interface other groups."""
        _ec2._network_interfaces[self._machines[instance_id].interface]["Groups"] = groups

    def forget_terminated(self) -> None:
        """Drop instances that AWS does not describe any more."""
        for instance_id, machine in list(self._machines.items()):
            gone = machine.terminated_at
            if gone is not None and self._emulator.clock.now() - gone > TERMINATED_VISIBLE:
                _ec2._instances.pop(instance_id, None)

    def close(self) -> None:
        """End every sandbox."""
        for machine in self._machines.values():
            if machine.terminated_at is None:
                with contextlib.suppress(OSError):
                    machine.sandbox.destroy()


def _is_arm(record: Record) -> bool:
    return str(record["InstanceType"]).startswith(ARM_FAMILIES)


def _incorrect_state(instance_id: str, verb: str) -> ApiError:
    return ApiError(
        "IncorrectInstanceState",
        f"This instance '{instance_id}' is not in a state from which it can be {verb}.",
    )


def install(emulator: EmulatorState) -> Instances:
    """Let instances live in virtual time."""
    instances = Instances(emulator)
    _ec2._launch_instances_internal = instances.launch
    _ec2._cleanup_terminated = instances.forget_terminated
    actions = _ec2._ACTION_MAP
    for verb, change, tag in (
        ("Start", instances.start, "StartInstancesResponse"),
        ("Stop", instances.stop, "StopInstancesResponse"),
        ("Terminate", instances.terminate, "TerminateInstancesResponse"),
    ):
        actions[f"{verb}Instances"] = _changing(instances, change, tag)
    describe = actions["DescribeInstances"]
    run = actions["RunInstances"]
    actions["DescribeInstances"] = lambda given: _refuse_filters(given) or describe(given)
    actions["RunInstances"] = lambda given: _refusing(run, given)
    return instances


KNOWN_FILTERS = frozenset({"instance-state-name", "instance-type", "image-id"})


def _refuse_filters(given: Mapping[str, Any]) -> Answer | None:
    """ministack ignores the filters that it does not know."""
    for name in _ec2._parse_filters(given):
        if name not in KNOWN_FILTERS and not name.startswith("tag:"):
            answer: Answer = _ec2._error(
                "InvalidParameterValue", f"The filter '{name}' is not rehearsed", 400
            )
            return answer
    return None


def _refusing(action: Any, given: Mapping[str, Any]) -> Answer:
    try:
        answer: Answer = action(given)
    except ApiError as refused:
        answer = _ec2._error(refused.code, refused.message, refused.status)
    return answer


def _changing(instances: Instances, change: Any, tag: str) -> Any:
    def act(given: Mapping[str, Any]) -> Answer:
        ids = _ec2._parse_member_list(given, "InstanceId")
        for instance_id in ids:
            if instance_id not in _ec2._instances:
                missing: Answer = _ec2._error(
                    "InvalidInstanceID.NotFound",
                    f"The instance ID '{instance_id}' does not exist",
                    400,
                )
                return missing
        before = {instance_id: instances.state(instance_id) for instance_id in ids}
        try:
            for instance_id in ids:
                change(instance_id)
        except ApiError as refused:
            answer: Answer = _ec2._error(refused.code, refused.message, refused.status)
            return answer
        items = "".join(
            f"<item><instanceId>{instance_id}</instanceId>"
            f"<currentState>{_state_xml(instances.state(instance_id))}</currentState>"
            f"<previousState>{_state_xml(was)}</previousState></item>"
            for instance_id, was in before.items()
        )
        done: Answer = _ec2._xml(200, tag, f"<instancesSet>{items}</instancesSet>")
        return done

    return act


def _state_xml(state: str) -> str:
    return f"<code>{CODES[state]}</code><name>{state}</name>"
