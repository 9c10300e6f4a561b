"""The client's network: its VPC, and its way to the services that it needs (F7.1101-F7.1106)."""

from __future__ import annotations

from collections.abc import Iterator

from scripts.preflight.account import Json
from scripts.preflight.findings import Check, Finding
from scripts.preflight.subject import Subject

CHECK = Check("client network")
_INTERFACES = ("ssm", "ssmmessages", "secretsmanager")
_ANYWHERE = "0.0.0.0/0"
# The Region whose S3 has the packages of CloudHSM.
_PACKAGES = "us-east-1"


def vpc(subject: Subject) -> Iterator[Finding]:
    """The subnet is in pClientVpcId, which is the cluster's VPC or peered with it."""
    subnet_id, vpc_id = subject.parameters["pClientSubnet"], subject.parameters["pClientVpcId"]
    subnet = subject.client_subnet
    if subnet is None:
        yield CHECK.error(f"pClientSubnet: {subnet_id} does not exist in {subject.account.region}.")
        return
    if subnet["VpcId"] != vpc_id:
        yield CHECK.error(
            f"pClientSubnet: {subnet_id} is in {subnet['VpcId']}, but pClientVpcId is {vpc_id}.",
            f"Set pClientVpcId={subnet['VpcId']} or choose another pClientSubnet.",
        )
        return
    if subnet["AvailableIpAddressCount"] < 1:
        yield CHECK.error(f"pClientSubnet: {subnet_id} has no free address.")
    others = {each["VpcId"] for each in subject.described_subnets} - {vpc_id}
    unpeered = sorted(others - set(_peers(subject, vpc_id))) if others else []
    for other in unpeered:
        yield CHECK.error(
            f"pClientVpcId: {vpc_id} is not peered with {other}, the VPC of pSubnets.",
            "Peer them, with routes both ways, or place the client in the cluster's VPC.",
        )
    if not unpeered:
        yield CHECK.ok(f"{subnet_id} in {vpc_id}" + (", peered" if others else ""))


def _peers(subject: Subject, vpc_id: str) -> Iterator[str]:
    for peering in subject.account.pages(
        "ec2",
        "describe_vpc_peering_connections",
        "VpcPeeringConnections",
        Filters=[{"Name": "status-code", "Values": ["active"]}],
    ):
        ends = {peering[end]["VpcId"] for end in ("RequesterVpcInfo", "AccepterVpcInfo")}
        if vpc_id in ends:
            yield from ends


def routes(subject: Subject) -> Iterator[Finding]:
    """A default route, or endpoints for all that the client needs."""
    subnet = subject.client_subnet
    if subnet is None:
        return
    table = _route_table(subject, subnet)
    default = next(
        (each for each in table["Routes"] if each.get("DestinationCidrBlock") == _ANYWHERE), None
    )
    if default and default.get("State") == "active":
        gateway = default.get("GatewayId", "")
        if not gateway.startswith("igw-") or subnet["MapPublicIpOnLaunch"]:
            target = gateway or default.get("NatGatewayId") or "its default route"
            yield CHECK.ok(f"reaches AWS's services through {target}")
            return
        reason = f"its way out is {gateway}, but its instances get no public address"
    else:
        reason = "its default route is a blackhole" if default else "it has no default route"
    yield from _endpoints(subject, subnet, table, reason)


def _route_table(subject: Subject, subnet: Json) -> Json:
    """The route table of a subnet: its own, or else the main one of its VPC."""
    tables = list(
        subject.account.pages(
            "ec2",
            "describe_route_tables",
            "RouteTables",
            Filters=[{"Name": "vpc-id", "Values": [subnet["VpcId"]]}],
        )
    )
    for key, value in (("SubnetId", subnet["SubnetId"]), ("Main", True)):
        for table in tables:
            if any(each.get(key) == value for each in table["Associations"]):
                return table
    return {"RouteTableId": "", "Routes": []}


def _endpoints(subject: Subject, subnet: Json, table: Json, reason: str) -> Iterator[Finding]:
    subnet_id, region = subnet["SubnetId"], subject.account.region
    missing = _missing_endpoints(subject, subnet, table)
    if missing:
        yield CHECK.error(
            f"pClientSubnet: {subnet_id} cannot reach AWS ({reason}) and lacks usable VPC"
            f" endpoints for {', '.join(missing)}.",
            "Choose another pClientSubnet, or add a NAT gateway or these endpoints (S3: gateway;"
            " the others with private DNS).",
        )
        return
    yield CHECK.ok("reaches AWS's services through VPC endpoints")
    if region != _PACKAGES and not subject.parameters["pClientPkgUrl"]:
        yield CHECK.error(
            "pClientPkgUrl: endpoints lead to S3 in this Region only, but the built-in package is"
            f" in {_PACKAGES}.",
            "Copy it to a bucket here and set pClientPkgUrl and pClientPkgSha256.",
        )


def _missing_endpoints(subject: Subject, subnet: Json, table: Json) -> list[str]:
    """The services that no endpoint of the VPC serves to the subnet."""
    prefix = f"com.amazonaws.{subject.account.region}."
    served = set()
    for endpoint in subject.account.pages(
        "ec2",
        "describe_vpc_endpoints",
        "VpcEndpoints",
        Filters=[{"Name": "vpc-id", "Values": [subnet["VpcId"]]}],
    ):
        is_reached = endpoint.get("PrivateDnsEnabled") or table["RouteTableId"] in (
            endpoint.get("RouteTableIds") or []
        )
        if endpoint["State"].lower() == "available" and is_reached:
            served.add(endpoint["ServiceName"].removeprefix(prefix))
    missing = [each for each in (*_INTERFACES, "s3") if each not in served]
    if set(_INTERFACES) & served:
        for attribute in ("enableDnsSupport", "enableDnsHostnames"):
            found = subject.account.ask(
                "ec2", "describe_vpc_attribute", VpcId=subnet["VpcId"], Attribute=attribute
            )
            if not found[attribute[0].upper() + attribute[1:]]["Value"]:
                missing.append(f"private DNS (the VPC has {attribute}=false)")
    return missing
