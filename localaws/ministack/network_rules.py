"""What EC2 refuses of subnets, routes and the rules of security groups.

ministack takes subnets outside of their VPC, overlapping ones, ids of nothing and any port. Error
codes:
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Callable, Mapping
from typing import Any

from localaws.core.api_error import ApiError
from localaws.ministack import templates
from localaws.ministack.access import ministack
from localaws.ministack.ec2_api import Params, checked

# By property or parameter: ministack's store, the error code, and the words for it.
EXISTING = {
    "InternetGatewayId": ("_internet_gateways", "InvalidInternetGatewayID", "internetGateway ID"),
    "RouteTableId": ("_route_tables", "InvalidRouteTableID", "routeTable ID"),
    "SubnetId": ("_subnets", "InvalidSubnetID", "subnet ID"),
    "VpcId": ("_vpcs", "InvalidVpcID", "vpc ID"),
}
TARGETS = frozenset(
    {
        "CarrierGatewayId",
        "CoreNetworkArn",
        "EgressOnlyInternetGatewayId",
        "GatewayId",
        "InstanceId",
        "LocalGatewayId",
        "NatGatewayId",
        "NetworkInterfaceId",
        "OdbNetworkArn",
        "TransitGatewayId",
        "VpcEndpointId",
        "VpcPeeringConnectionId",
    }
)
PROTOCOLS = frozenset({"-1", "icmp", "icmpv6", "tcp", "udp"})
WITH_PORTS = frozenset({"6", "17", "tcp", "udp"})
STANDALONE = frozenset({"AWS::EC2::SecurityGroupEgress", "AWS::EC2::SecurityGroupIngress"})
Given = Mapping[str, Any]

_ec2 = ministack("services.ec2")
_responses = ministack("core.responses")


def install() -> None:
    """Check the requests that create parts of networks."""
    actions = _ec2._ACTION_MAP
    for operation in RULES:
        actions[operation] = checked(
            functools.partial(_check_request, operation), actions[operation]
        )


def _check_request(operation: str, params: Params) -> None:
    check(operation, {name: _ec2._p(params, name) for name in params})


def check_properties(kind: str, properties: Given) -> None:
    """Raise ApiError unless EC2 creates a resource with these properties."""
    if kind in RESOURCES:
        check(RESOURCES[kind], properties)
    if kind in STANDALONE:
        check_permission(properties)
    if kind == "AWS::EC2::SecurityGroup":
        for direction in ("SecurityGroupEgress", "SecurityGroupIngress"):
            _check_permissions(properties.get(direction) or [])


def _check_permissions(rules: list[Given]) -> None:
    for number, rule in enumerate(rules):
        check_permission(rule)
        bare = {key: rule[key] for key in rule if key != "Description"}
        for other in rules[:number]:
            if bare == {key: other[key] for key in other if key != "Description"}:
                raise ApiError(
                    "InvalidParameterValue", "The same permission must not appear multiple times"
                )


def check_permission(rule: Given) -> None:
    """Raise ApiError unless EC2 takes the protocol and ports of a rule."""
    protocol = str(rule.get("IpProtocol")).lower()
    if protocol not in PROTOCOLS and not (protocol.isdecimal() and int(protocol) < 256):
        raise ApiError(
            "InvalidParameterValue",
            f"Invalid value '{protocol}' for IP protocol. Unknown protocol.",
        )
    for name in ("DestinationSecurityGroupId", "SourceSecurityGroupId"):
        if rule.get(name) and rule[name] not in _ec2._security_groups:
            raise ApiError(
                "InvalidGroup.NotFound", f"The security group '{rule[name]}' does not exist"
            )
    ports = (rule.get("FromPort"), rule.get("ToPort"))
    if protocol not in WITH_PORTS:
        return
    if None in ports:
        raise ApiError(
            "InvalidParameterValue",
            "Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.",
        )
    first, last = (int(str(port)) for port in ports)
    if not -1 <= first <= last <= 65535 or (first == -1) != (last == -1):
        raise ApiError(
            "InvalidParameterValue",
            f"Invalid value '{first}-{last}' for portRange. TCP/UDP port ranges must be from 0 to "
            "65535, the lower port first.",
        )


def check(operation: str, given: Given) -> None:
    """Raise ApiError unless EC2 carries out an operation with these parameters."""
    rule = RULES.get(operation)
    if rule is None:
        return
    _ec2._ensure_defaults_initialized()
    for name, (store, code, words) in EXISTING.items():
        value = given.get(name)
        if value and value not in getattr(_ec2, store):
            raise ApiError(f"{code}.NotFound", f"The {words} '{value}' does not exist")
    rule(given)


def _check_vpc(given: Given) -> None:
    _network(given.get("CidrBlock"))


def _check_subnet(given: Given) -> None:
    block, vpc = _network(given.get("CidrBlock")), _ec2._vpcs.get(given.get("VpcId"))
    zone = given.get("AvailabilityZone")
    zones = [f"{_responses.get_region()}{letter}" for letter in templates.ZONES]
    if zone and zone not in zones:
        raise ApiError(
            "InvalidParameterValue",
            f"Value ({zone}) for parameter availabilityZone is invalid. Subnets can currently only "
            f"be created in the following availability zones: {', '.join(zones)}.",
        )
    if block is None or vpc is None:
        return
    outer = _network(vpc["CidrBlock"])
    if not 16 <= block.prefixlen <= 28 or not block.subnet_of(outer):
        raise ApiError("InvalidSubnet.Range", f"The CIDR '{block}' is invalid.")
    for other in list(_ec2._subnets.values()):
        if other["VpcId"] == given["VpcId"] and block.overlaps(_network(other["CidrBlock"])):
            raise ApiError(
                "InvalidSubnet.Conflict", f"The CIDR '{block}' conflicts with another subnet"
            )


def _network(block: Any) -> Any:
    """A block of IPv4 addresses, without bits of a host, which EC2 clears."""
    if not block:
        return None
    try:
        return ipaddress.IPv4Network(block, strict=False)
    except ValueError:
        raise ApiError(
            "InvalidParameterValue",
            f"Value ({block}) for parameter cidrBlock is invalid. This is not a valid CIDR block.",
        ) from None


def _check_route(given: Given) -> None:
    if not TARGETS & {name for name in given if given[name]}:
        raise ApiError(
            "MissingParameter",
            "The request must contain exactly one of gatewayId, natGatewayId, networkInterfaceId, "
            "vpcPeeringConnectionId, egressOnlyInternetGatewayId, transitGatewayId, "
            "localGatewayId, carrierGatewayId or instanceId",
        )
    gateway = str(given.get("GatewayId") or "")
    if gateway.startswith("igw-") and gateway not in _ec2._internet_gateways:
        raise ApiError("InvalidGatewayID.NotFound", f"The gateway ID '{gateway}' does not exist")


def _nothing_else(given: Given) -> None:
    pass


RULES: Mapping[str, Callable[[Given], None]] = {
    "AssociateRouteTable": _nothing_else,
    "AttachInternetGateway": _nothing_else,
    "CreateRoute": _check_route,
    "CreateRouteTable": _nothing_else,
    "CreateSubnet": _check_subnet,
    "CreateVpc": _check_vpc,
}
# The operations that create these resource types.
RESOURCES = {
    "AWS::EC2::Route": "CreateRoute",
    "AWS::EC2::RouteTable": "CreateRouteTable",
    "AWS::EC2::Subnet": "CreateSubnet",
    "AWS::EC2::SubnetRouteTableAssociation": "AssociateRouteTable",
    "AWS::EC2::VPC": "CreateVpc",
    "AWS::EC2::VPCGatewayAttachment": "AttachInternetGateway",
}
