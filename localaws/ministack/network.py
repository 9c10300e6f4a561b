"""EC2 as CloudHSM uses it: implements cloudhsmv2.interfaces.Ec2 on ministack's stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localaws.core.api_error import ApiError
from localaws.ministack import network_interfaces, routing
from localaws.ministack.access import ministack
from localaws.ministack.ec2_api import Record
from localaws.ministack.security_groups import RULE_KEYS, demand_unused, peers
from localaws.services.cloudhsmv2.interfaces import Subnet

if TYPE_CHECKING:
    from localaws.state import EmulatorState

CLUSTER_PORTS = (2223, 2225)

_ec2 = ministack("services.ec2")
_responses = ministack("core.responses")


class Network:
    """Subnets, security groups and network interfaces."""

    def __init__(self, emulator: EmulatorState) -> None:
        self._emulator = emulator

    def subnet(self, subnet_id: str) -> Subnet | None:
        """The subnet, or None if it does not exist."""
        found: Subnet | None = _ec2._subnets.get(subnet_id)
        return found

    def create_security_group(self, name: str, description: str, vpc_id: str) -> str:
        """Create a group that allows TCP 2223-2225 only within itself (F3.21); return its id."""
        group_id: str = _ec2._new_sg_id()
        account = _responses.get_account_id()

        def rule() -> Record:
            return {
                "IpProtocol": "tcp",
                "FromPort": CLUSTER_PORTS[0],
                "ToPort": CLUSTER_PORTS[1],
                "IpRanges": [],
                "Ipv6Ranges": [],
                "PrefixListIds": [],
                "UserIdGroupPairs": [{"GroupId": group_id, "UserId": account}],
            }

        _ec2._security_groups[group_id] = {
            "GroupId": group_id,
            "GroupName": name,
            "Description": description,
            "VpcId": vpc_id,
            "OwnerId": account,
            "IpPermissions": [rule()],
            "IpPermissionsEgress": [rule()],
        }
        return group_id

    def delete_security_group(self, group_id: str) -> None:
        """Delete the group if it exists. Raises DependencyViolation if it is in use."""
        demand_unused(group_id)
        _ec2._security_groups.pop(group_id, None)

    def create_eni(
        self, subnet_id: str, group_id: str, description: str, ip: str | None = None
    ) -> tuple[str, str]:
        """Create a network interface; return its id and IPv4 address."""
        subnet = _ec2._subnets[subnet_id]
        taken = (each["PrivateIpAddress"] for each in _ec2._network_interfaces.values())
        if ip is not None and ip in taken:
            raise ApiError("InvalidIPAddress.InUse", f"Address {ip} is in use.")
        interface = network_interfaces.attach(self._emulator.clock, subnet, [group_id], description)
        if ip is not None:
            interface["PrivateIpAddress"] = ip
        return interface["NetworkInterfaceId"], interface["PrivateIpAddress"]

    def delete_eni(self, eni_id: str) -> None:
        """Delete the interface if it exists."""
        _ec2._network_interfaces.pop(eni_id, None)

    def cluster_group_intact(self, group_id: str) -> bool:
        """Whether the group still allows TCP 2223-2225 within itself (F4.13)."""
        return all(_allows(group_id, group_id, key) for key in RULE_KEYS.values())

    def client_may_reach(self, instance_id: str, group_id: str, eni_id: str) -> bool:
        """Whether routes and security groups let an instance reach TCP 2223-2225 of an interface.

        The interface is in the group.
        """
        instance, interface = _ec2._instances.get(instance_id), _ec2._network_interfaces.get(eni_id)
        if not instance or not interface:
            return False
        if not routing.routed(instance["SubnetId"], interface["SubnetId"]):
            return False
        groups = [group["GroupId"] for group in instance.get("SecurityGroups") or []]
        return any(_allows(group_id, group, RULE_KEYS["Ingress"]) for group in groups) and any(
            _allows(group, group_id, RULE_KEYS["Egress"]) for group in groups
        )


def _allows(group_id: str, peer: str, key: str) -> bool:
    """Whether a group's rules of one direction allow TCP 2223-2225 for a peer group."""
    for rule in (_ec2._security_groups.get(group_id) or {}).get(key) or []:
        everything = rule.get("IpProtocol") == "-1"
        if not everything and rule.get("IpProtocol") not in ("tcp", "6"):
            continue
        low, high = int(rule.get("FromPort", 0)), int(rule.get("ToPort", 65535))
        if not everything and not (low <= CLUSTER_PORTS[0] and high >= CLUSTER_PORTS[1]):
            continue
        if peer in peers(rule) or any(
            entry.get("CidrIp") == "0.0.0.0/0" for entry in rule.get("IpRanges") or []
        ):
            return True
    return False
