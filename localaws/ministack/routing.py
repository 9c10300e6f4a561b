"""Routes between subnets, and to AWS: within a VPC, through peering connections and endpoints.

A security group may name one of another VPC only while the two are peered, and traffic needs a
route in the subnets of both ends (F6.60):
https://docs.aws.amazon.com/vpc/latest/peering/vpc-peering-security-groups.html
https://docs.aws.amazon.com/vpc/latest/peering/vpc-peering-routing.html
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from localaws.ministack.access import ministack
from localaws.ministack.ec2_api import Record

_ec2 = ministack("services.ec2")


def connected(vpc: str, other: str) -> bool:
    """Whether two VPCs are the same or peered."""
    return vpc == other or any(_peerings(vpc, other))


def routed(subnet_id: str, other_id: str) -> bool:
    """Whether packets find their way from one subnet to another and back."""
    subnet, other = _ec2._subnets[subnet_id], _ec2._subnets[other_id]
    if subnet["VpcId"] == other["VpcId"]:
        return True
    peerings = set(_peerings(subnet["VpcId"], other["VpcId"]))
    return _leads(subnet, other, peerings) and _leads(other, subnet, peerings)


def reaches(subnet_id: str, *services: str) -> bool:
    """Whether instances of a subnet reach AWS's services: by a default route, or by endpoints.

    Through an internet gateway they need public addresses, and private DNS to use an endpoint
    without knowing it (F7.1101).
    """
    found = reached(subnet_id)
    return found is None or found.issuperset(services)


def reached(subnet_id: str) -> set[str] | None:
    """The services that instances of a subnet reach by endpoints; None: everything, by a route."""
    subnet = _ec2._subnets[subnet_id]
    for route in _routes(subnet):
        if route["DestinationCidrBlock"] == "0.0.0.0/0" and route.get("State") == "active":
            is_public = str(route.get("GatewayId", "")).startswith("igw-")
            return set() if is_public and not subnet["MapPublicIpOnLaunch"] else None
    table = _table(subnet).get("RouteTableId")
    return {
        endpoint["ServiceName"].rpartition(".")[2]
        for endpoint in _ec2._vpc_endpoints.values()
        if endpoint["VpcId"] == subnet["VpcId"]
        # Interface endpoints by name, gateway endpoints by the subnet's routes.
        and (endpoint.get("PrivateDnsEnabled") or table in endpoint["RouteTableIds"])
    }


def _peerings(vpc: str, other: str) -> Iterator[str]:
    """Ids of the active peering connections between two VPCs."""
    for identifier, peering in _ec2._vpc_peering.items():
        ends = {peering[end]["VpcId"] for end in ("RequesterVpcInfo", "AccepterVpcInfo")}
        if peering["Status"]["Code"] == "active" and ends == {vpc, other}:
            yield identifier


def _leads(subnet: Record, other: Record, peerings: set[str]) -> bool:
    """Whether the route table of a subnet sends packets for another through a peering."""
    target = ipaddress.IPv4Network(other["CidrBlock"])
    return any(
        route.get("VpcPeeringConnectionId") in peerings
        and route["DestinationCidrBlock"]
        and target.subnet_of(ipaddress.IPv4Network(route["DestinationCidrBlock"]))
        for route in _routes(subnet)
    )


def _routes(subnet: Record) -> list[Record]:
    return list(_table(subnet).get("Routes") or [])


def _table(subnet: Record) -> Record:
    """The subnet's route table, or that of its VPC."""
    tables = [table for table in _ec2._route_tables.values() if table["VpcId"] == subnet["VpcId"]]

    def has(table: Record, key: str, value: object) -> bool:
        return any(association.get(key) == value for association in table["Associations"])

    own = [table for table in tables if has(table, "SubnetId", subnet["SubnetId"])]
    main = [table for table in tables if has(table, "Main", True)]
    return next(iter(own or main), {})
