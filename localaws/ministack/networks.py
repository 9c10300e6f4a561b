"""EC2's groups and network interfaces: who uses whom, and what AWS refuses because of it.

Otherwise in ministack: a group in use is deleted, a rule may be added twice and taken away when it
is not there, its description has to be given to take it away, and most filters let everything pass.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import itertools
import random
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localaws.core.api_error import ApiError
from localaws.ministack.access import ministack
from localaws.services.cloudhsmv2.interfaces import Subnet

if TYPE_CHECKING:
    from localaws.state import EmulatorState

Record = dict[str, Any]
Answer = tuple[int, dict[str, str], bytes]

CLUSTER_PORTS = (2223, 2225)
PERMISSIONS = {"Ingress": "IpPermissions", "Egress": "IpPermissionsEgress"}
# AWS keeps the first four addresses of a subnet and the last one for itself.
RESERVED = 4

_ec2 = ministack("services.ec2")
_responses = ministack("core.responses")
_lock = threading.Lock()


def install(emulator: EmulatorState) -> None:
    """Refuse what AWS refuses of groups, their rules and interfaces."""
    _ec2._rules_match = _are_the_same
    actions = _ec2._ACTION_MAP
    actions["DeleteSecurityGroup"] = _unless(_group_in_use, actions["DeleteSecurityGroup"])
    for direction in PERMISSIONS:
        authorize, revoke = (f"{verb}SecurityGroup{direction}" for verb in ("Authorize", "Revoke"))
        actions[authorize] = _unless(_cannot_authorize(direction), actions[authorize])
        actions[revoke] = _unless(_cannot_revoke(direction), actions[revoke])
    actions["DeleteNetworkInterface"] = _unless(
        _interface_in_use, actions["DeleteNetworkInterface"]
    )
    for name, described in _DESCRIBED.items():
        actions[name] = _describing(name, actions[name], described)


def _unless(
    refusal: Callable[[Mapping[str, Any]], ApiError | None], action: Callable[..., Answer]
) -> Callable[[Mapping[str, Any]], Answer]:
    def act(given: Mapping[str, Any]) -> Answer:
        refused = refusal(given)
        if refused:
            answer: Answer = _ec2._error(refused.code, refused.message, refused.status)
            return answer
        return action(given)

    return act


# --- What is refused ---


def dependents(group_id: str) -> list[str]:
    """Interfaces that carry a group, and other groups whose rules name it."""
    carriers = [
        interface["NetworkInterfaceId"]
        for interface in _ec2._network_interfaces.values()
        if any(group["GroupId"] == group_id for group in interface.get("Groups") or [])
    ]
    naming = [
        other["GroupId"]
        for other in _ec2._security_groups.values()
        if other["GroupId"] != group_id
        and any(group_id in _sources(rule) for rule in _rules(other))
    ]
    return carriers + naming


def _rules(group: Record) -> list[Record]:
    return [rule for key in PERMISSIONS.values() for rule in group.get(key) or []]


def _sources(rule: Record) -> list[str]:
    return [pair.get("GroupId", "") for pair in rule.get("UserIdGroupPairs") or []]


def _group_in_use(given: Mapping[str, Any]) -> ApiError | None:
    group_id = _ec2._p(given, "GroupId")
    if group_id in _ec2._security_groups and dependents(group_id):
        return ApiError("DependencyViolation", f"resource {group_id} has a dependent object")
    return None


def _interface_in_use(given: Mapping[str, Any]) -> ApiError | None:
    interface = _ec2._network_interfaces.get(_ec2._p(given, "NetworkInterfaceId"))
    if interface and interface["Status"] == "in-use":
        return ApiError(
            "InvalidParameterValue",
            f"Network interface '{interface['NetworkInterfaceId']}' is currently in use.",
        )
    return None


def _given_rules(given: Mapping[str, Any]) -> tuple[Record | None, list[Record]]:
    group = _ec2._security_groups.get(_ec2._p(given, "GroupId"))
    return group, _ec2._parse_ip_permissions(given, "IpPermissions")


def _are_the_same(rule: Record, other: Record) -> bool:
    """Whether two rules are the same, however they are described."""
    return _identity(rule) == _identity(other)


def _identity(rule: Record) -> tuple[object, ...]:
    return (
        *(rule.get(key) for key in ("IpProtocol", "FromPort", "ToPort")),
        sorted(_sources(rule)),
        *(
            sorted(str(entry.get(key)) for entry in rule.get(family) or [])
            for family, key in (
                ("IpRanges", "CidrIp"),
                ("Ipv6Ranges", "CidrIpv6"),
                ("PrefixListIds", "PrefixListId"),
            )
        ),
    )


def _there(rule: Record, rules: Iterable[Record]) -> bool:
    return any(_are_the_same(rule, other) for other in rules)


def _cannot_authorize(direction: str) -> Callable[[Mapping[str, Any]], ApiError | None]:
    def refusal(given: Mapping[str, Any]) -> ApiError | None:
        group, rules = _given_rules(given)
        if group is None:
            return None
        for rule in rules:
            for source in _sources(rule):
                if source not in _ec2._security_groups:
                    return ApiError(
                        "InvalidGroup.NotFound",
                        f"You have specified two resources that belong to different networks, or "
                        f"the security group '{source}' does not exist",
                    )
            if _there(rule, group[PERMISSIONS[direction]]):
                return ApiError(
                    "InvalidPermission.Duplicate",
                    f'the specified rule "{_words(rule)}" already exists',
                )
        return None

    return refusal


def _cannot_revoke(direction: str) -> Callable[[Mapping[str, Any]], ApiError | None]:
    def refusal(given: Mapping[str, Any]) -> ApiError | None:
        group, rules = _given_rules(given)
        if group is None:
            return None
        if not all(_there(rule, group[PERMISSIONS[direction]]) for rule in rules):
            return ApiError(
                "InvalidPermission.NotFound",
                "The specified rule does not exist in this security group.",
            )
        return None

    return refusal


def _words(rule: Record) -> str:
    peers = _sources(rule) + [entry.get("CidrIp", "") for entry in rule.get("IpRanges") or []]
    ports = f"from port: {rule.get('FromPort')}, to port: {rule.get('ToPort')}"
    return f"peer: {', '.join(peers)}, {rule.get('IpProtocol')}, {ports}, ALLOW"


# --- What is described ---

Filter = Callable[[Record], Iterable[str]]


def _peers(key: str) -> Filter:
    return lambda group: itertools.chain.from_iterable(
        _sources(rule) for rule in group.get(key) or []
    )


_GROUP_FILTERS: dict[str, Filter] = {
    "group-id": lambda group: [group["GroupId"]],
    "group-name": lambda group: [group["GroupName"]],
    "vpc-id": lambda group: [group["VpcId"]],
    "ip-permission.group-id": _peers("IpPermissions"),
    "egress.ip-permission.group-id": _peers("IpPermissionsEgress"),
}
_INTERFACE_FILTERS: dict[str, Filter] = {
    "network-interface-id": lambda interface: [interface["NetworkInterfaceId"]],
    "group-id": lambda interface: [group["GroupId"] for group in interface["Groups"]],
    "subnet-id": lambda interface: [interface["SubnetId"]],
    "vpc-id": lambda interface: [interface["VpcId"]],
    "description": lambda interface: [interface["Description"]],
    "attachment.instance-id": lambda interface: [
        (interface.get("Attachment") or {}).get("InstanceId", "")
    ],
}


@dataclass(frozen=True)
class Described:
    """What a Describe action describes, and how it can be filtered."""

    store: str
    identifier: str
    listing: str
    filters: Mapping[str, Filter]


_DESCRIBED = {
    "DescribeSecurityGroups": Described(
        "_security_groups", "GroupId", "securityGroupInfo", _GROUP_FILTERS
    ),
    "DescribeNetworkInterfaces": Described(
        "_network_interfaces", "NetworkInterfaceId", "networkInterfaceSet", _INTERFACE_FILTERS
    ),
}


def _describing(
    name: str, action: Callable[..., Answer], of: Described
) -> Callable[[Mapping[str, Any]], Answer]:
    """Describe only what passes the filters, and refuse a filter that is not rehearsed."""

    def describe(given: Mapping[str, Any]) -> Answer:
        filters = _ec2._parse_filters(given)
        for each in filters:
            if each not in of.filters and not each.startswith("tag:"):
                refused: Answer = _ec2._error(
                    "InvalidParameterValue", f"The filter '{each}' is not rehearsed", 400
                )
                return refused
        ours = {each: set(values) for each, values in filters.items() if each in of.filters}
        if not ours:
            return action(given)
        asked = set(_ec2._parse_member_list(given, of.identifier))
        passing = [
            identifier
            for identifier, record in getattr(_ec2, of.store).items()
            if (not asked or identifier in asked)
            and all(set(of.filters[each](record)) & values for each, values in ours.items())
        ]
        if not passing:
            empty: Answer = _ec2._xml(200, f"{name}Response", f"<{of.listing}/>")
            return empty
        # Filters by tag are ministack's.
        rest = {
            key: value
            for key, value in given.items()
            if not key.startswith((f"{of.identifier}.", "Filter."))
        }
        tags = [(each, values) for each, values in filters.items() if each not in of.filters]
        for number, (each, values) in enumerate(tags, 1):
            rest[f"Filter.{number}.Name"] = [each]
            for place, value in enumerate(values, 1):
                rest[f"Filter.{number}.Value.{place}"] = [value]
        chosen = {f"{of.identifier}.{i}": [each] for i, each in enumerate(passing, 1)}
        return action({**rest, **chosen})

    return describe


# --- What the emulator and the model make ---


def free_address(subnet: Record) -> str:
    """An address of the subnet that nobody has: the first one, so that a run repeats itself."""
    network = ipaddress.ip_network(subnet["CidrBlock"])
    taken = {interface.get("PrivateIpAddress") for interface in _ec2._network_interfaces.values()}
    last = network.num_addresses - 1
    for number in range(RESERVED, last):
        if str(network[number]) not in taken:
            return str(network[number])
    raise ApiError(
        "InsufficientFreeAddressesInSubnet",
        f"There are not enough free addresses in subnet '{subnet['SubnetId']}'.",
    )


def make_interface(
    emulator: EmulatorState,
    subnet: Record,
    groups: Iterable[str],
    description: str,
    *,
    instance: str | None = None,
) -> Record:
    """A network interface in use, by an instance or by AWS itself."""
    now = dt.datetime.fromtimestamp(emulator.clock.now(), dt.UTC)
    with _lock:
        identifier = f"eni-{random.getrandbits(68):017x}"
        record = {
            "NetworkInterfaceId": identifier,
            "SubnetId": subnet["SubnetId"],
            "VpcId": subnet["VpcId"],
            "AvailabilityZone": subnet["AvailabilityZone"],
            "Description": description,
            "OwnerId": _responses.get_account_id(),
            "Status": "in-use",
            "PrivateIpAddress": free_address(subnet),
            "InterfaceType": "interface",
            "SourceDestCheck": True,
            "MacAddress": "02:00:00:00:00:01",
            "Groups": named_groups(groups),
            "Attachment": {
                "AttachmentId": f"eni-attach-{identifier[4:]}",
                "InstanceId": instance or "",
                "DeviceIndex": 0,
                "Status": "attached",
                "AttachTime": f"{now:%Y-%m-%dT%H:%M:%S}.000Z",
            },
        }
        _ec2._network_interfaces[identifier] = record
        return record


def named_groups(group_ids: Iterable[str]) -> list[dict[str, str]]:
    """Groups as instances and interfaces carry them."""
    return [
        {
            "GroupId": group_id,
            "GroupName": (_ec2._security_groups.get(group_id) or {}).get("GroupName", group_id),
        }
        for group_id in group_ids
    ]


class Network:
    """EC2 as CloudHSM uses it (the model's port)."""

    def __init__(self, emulator: EmulatorState) -> None:
        self._emulator = emulator

    def subnet(self, subnet_id: str) -> Subnet | None:
        """The subnet, or None if there is none of that id."""
        found: Subnet | None = _ec2._subnets.get(subnet_id)
        return found

    def create_security_group(self, name: str, description: str, vpc_id: str) -> str:
        """Make a group that admits TCP 2223-2225 from and to itself alone (F3.21); its id."""
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
        """Delete it; DependencyViolation while a rule refers to it or an interface carries it."""
        if dependents(group_id):
            raise ApiError("DependencyViolation", f"resource {group_id} has a dependent object")
        _ec2._security_groups.pop(group_id, None)

    def create_eni(
        self, subnet_id: str, group_id: str, description: str, ip: str | None = None
    ) -> tuple[str, str]:
        """Make a network interface and give its id and IPv4 address."""
        subnet = _ec2._subnets[subnet_id]
        taken = (each["PrivateIpAddress"] for each in _ec2._network_interfaces.values())
        if ip is not None and ip in taken:
            raise ApiError("InvalidIPAddress.InUse", f"Address {ip} is in use.")
        interface = make_interface(self._emulator, subnet, [group_id], description)
        if ip is not None:
            interface["PrivateIpAddress"] = ip
        return interface["NetworkInterfaceId"], interface["PrivateIpAddress"]

    def delete_eni(self, eni_id: str) -> None:
        """Delete it; nothing happens if it is gone already."""
        _ec2._network_interfaces.pop(eni_id, None)

    def cluster_group_intact(self, group_id: str) -> bool:
        """Whether the group still admits TCP 2223-2225 from and to itself (F4.13)."""
        return all(_admits(group_id, group_id, key) for key in PERMISSIONS.values())

    def client_may_reach(self, instance_id: str, group_id: str) -> bool:
        """Whether an instance's groups let it open TCP 2223-2225 to what carries this group."""
        instance = _ec2._instances.get(instance_id) or {}
        groups = [group["GroupId"] for group in instance.get("SecurityGroups") or []]
        return any(_admits(group_id, group, PERMISSIONS["Ingress"]) for group in groups) and any(
            _admits(group, group_id, PERMISSIONS["Egress"]) for group in groups
        )


def _admits(group_id: str, peer: str, key: str) -> bool:
    """Whether a group's rules admit TCP 2223-2225 from or to a peer group."""
    for rule in (_ec2._security_groups.get(group_id) or {}).get(key) or []:
        everything = rule.get("IpProtocol") == "-1"
        if not everything and rule.get("IpProtocol") not in ("tcp", "6"):
            continue
        low, high = int(rule.get("FromPort", 0)), int(rule.get("ToPort", 65535))
        if not everything and not (low <= CLUSTER_PORTS[0] and high >= CLUSTER_PORTS[1]):
            continue
        if peer in _sources(rule) or any(
            entry.get("CidrIp") == "0.0.0.0/0" for entry in rule.get("IpRanges") or []
        ):
            return True
    return False
