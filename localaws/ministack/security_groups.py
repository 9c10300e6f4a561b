"""EC2 security groups and their rules.

AWS rejects the deletion of a group in use, duplicate rules, and the revocation of a missing rule;
it identifies a rule regardless of its description. ministack does none of this, so we check.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from localaws.core.api_error import ApiError
from localaws.ministack import network_rules, routing
from localaws.ministack.access import ministack
from localaws.ministack.ec2_api import Params, Record, checked

# Where a group's record holds its rules.
RULE_KEYS = {"Ingress": "IpPermissions", "Egress": "IpPermissionsEgress"}

_ec2 = ministack("services.ec2")


def install() -> None:
    """Check changes of groups and rules as AWS does."""
    _ec2._rules_match = same_rule
    actions = _ec2._ACTION_MAP
    actions["DeleteSecurityGroup"] = checked(_check_unused, actions["DeleteSecurityGroup"])
    for direction in RULE_KEYS:
        for verb, check in (("Authorize", _check_authorize), ("Revoke", _check_revoke)):
            name = f"{verb}SecurityGroup{direction}"
            actions[name] = checked(partial(check, RULE_KEYS[direction]), actions[name])


def dependents(group_id: str) -> list[str]:
    """Ids of the network interfaces that use a group and of other groups whose rules name it."""
    interfaces = [
        interface["NetworkInterfaceId"]
        for interface in _ec2._network_interfaces.values()
        if any(group["GroupId"] == group_id for group in interface.get("Groups") or [])
    ]
    groups = [
        other["GroupId"]
        for other in _ec2._security_groups.values()
        if other["GroupId"] != group_id
        and any(
            group_id in peers(rule) for key in RULE_KEYS.values() for rule in other.get(key) or []
        )
    ]
    return interfaces + groups


def peers(rule: Record) -> list[str]:
    """Ids of the groups that a rule names as source or destination."""
    return [pair.get("GroupId", "") for pair in rule.get("UserIdGroupPairs") or []]


def demand_unused(group_id: str) -> None:
    """Raise DependencyViolation if an interface uses the group or another group names it."""
    if dependents(group_id):
        raise ApiError("DependencyViolation", f"resource {group_id} has a dependent object")


def references(group_ids: Iterable[str]) -> list[dict[str, str]]:
    """Groups as they appear in the description of an instance or interface."""
    return [
        {
            "GroupId": group_id,
            "GroupName": (_ec2._security_groups.get(group_id) or {}).get("GroupName", group_id),
        }
        for group_id in group_ids
    ]


def same_rule(rule: Record, other: Record) -> bool:
    """Whether two rules are the same to EC2, which ignores descriptions."""
    return _identity(rule) == _identity(other)


def _identity(rule: Record) -> tuple[object, ...]:
    return (
        *(rule.get(key) for key in ("IpProtocol", "FromPort", "ToPort")),
        sorted(peers(rule)),
        *(
            sorted(str(entry.get(key)) for entry in rule.get(family) or [])
            for family, key in (
                ("IpRanges", "CidrIp"),
                ("Ipv6Ranges", "CidrIpv6"),
                ("PrefixListIds", "PrefixListId"),
            )
        ),
    )


def _includes(rules: Iterable[Record], rule: Record) -> bool:
    return any(same_rule(rule, other) for other in rules)


def _check_unused(params: Params) -> None:
    group_id = _ec2._p(params, "GroupId")
    if group_id in _ec2._security_groups:
        demand_unused(group_id)


def _check_authorize(key: str, params: Params) -> None:
    group = _ec2._security_groups.get(_ec2._p(params, "GroupId"))
    for rule in _ec2._parse_ip_permissions(params, "IpPermissions") if group else []:
        network_rules.check_permission(rule)
        for peer in peers(rule):
            _check_peer(group, peer)
        if _includes(group[key], rule):
            raise ApiError(
                "InvalidPermission.Duplicate",
                f'the specified rule "{_described(rule)}" already exists',
            )


def _check_peer(group: Record, peer: str) -> None:
    known = _ec2._security_groups.get(peer)
    if known is None:
        raise ApiError("InvalidGroup.NotFound", f"The security group '{peer}' does not exist")
    # https://github.com/ansible/ansible/pull/28876
    if not routing.connected(group["VpcId"], known["VpcId"]):
        raise ApiError(
            "InvalidGroup.NotFound",
            "You have specified two resources that belong to different networks.",
        )


def _check_revoke(key: str, params: Params) -> None:
    group = _ec2._security_groups.get(_ec2._p(params, "GroupId"))
    rules = _ec2._parse_ip_permissions(params, "IpPermissions")
    if group and not all(_includes(group[key], rule) for rule in rules):
        raise ApiError(
            "InvalidPermission.NotFound",
            "The specified rule does not exist in this security group.",
        )


def _described(rule: Record) -> str:
    """A rule as EC2's error messages print it."""
    named = peers(rule) + [entry.get("CidrIp", "") for entry in rule.get("IpRanges") or []]
    ports = f"from port: {rule.get('FromPort')}, to port: {rule.get('ToPort')}"
    return f"peer: {', '.join(named)}, {rule.get('IpProtocol')}, {ports}, ALLOW"
