"""What EC2 offers where: instance types and endpoint services by zone, addresses, a default route.

ministack ignores most filters, knows no architectures, counts no addresses, and its default VPC has
no route to the internet.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from typing import Any
from xml.sax.saxutils import escape  # nosec B406 # only writes

from localaws.core.api_error import ApiError
from localaws.ministack import images
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

# AWS reserves five addresses of a subnet:
# https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html
RESERVED = 5
CLOUDHSM = "cloudhsmv2"

_ec2 = ministack("services.ec2")
_responses = ministack("core.responses")


def install() -> None:
    """Add and correct the descriptions of what EC2 offers."""
    actions = _ec2._ACTION_MAP
    actions["DescribeInstanceTypeOfferings"] = reporting_errors(_describe_offerings)
    actions["DescribeInstanceTypes"] = reporting_errors(_describe_types)
    services = checked(_check_services, actions["DescribeVpcEndpointServices"])
    actions["DescribeVpcEndpointServices"] = _without_one_zone(services)
    actions["DescribeVpcEndpoints"] = _with_filters(actions["DescribeVpcEndpoints"])
    actions["CreateVpcEndpoint"] = _with_private_dns(actions["CreateVpcEndpoint"])
    for action, known in (
        ("DescribeRouteTables", {"vpc-id", "association.subnet-id", "association.main"}),
        ("DescribeVpcPeeringConnections", {"status-code"}),
    ):
        check = _rejecting_others(frozenset(known))
        actions[action] = checked(check, actions[action])
    _ec2._VPCE_INTERFACE_SERVICES = (*_ec2._VPCE_INTERFACE_SERVICES, CLOUDHSM)
    _ec2._vpce_fields_xml = _naming_private_dns(_ec2._vpce_fields_xml)
    _ec2._subnet_xml = _counting_addresses(_ec2._subnet_xml)
    _ec2._init_defaults = _routing_to_the_internet(_ec2._init_defaults)
    # That of the first account was made when ministack was loaded.
    _route_to_the_internet()


def _rejecting_others(known: frozenset[str]) -> Callable[[Params], None]:
    return lambda params: reject_unknown_filters(params, known)


# --- Instance types ---


def _describe_offerings(params: Params) -> Response:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceTypeOfferings.html"""
    reject_unknown_filters(params, frozenset({"instance-type", "location"}))
    kind, filters = _ec2._p(params, "LocationType") or "region", _ec2._parse_filters(params)
    if kind not in ("region", "availability-zone"):
        raise ApiError(
            "InvalidParameterValue", f"The local AWS does not support the location type '{kind}'"
        )
    region = _responses.get_region()
    items = "".join(
        f"<item><instanceType>{escape(each)}</instanceType><location>{location}</location>"
        f"<locationType>{kind}</locationType></item>"
        for each in sorted(images.instance_types(region))
        for location in ([region] if kind == "region" else images.zones(each, region))
        if each in filters.get("instance-type", [each])
        and location in filters.get("location", [location])
    )
    return _xml(
        "DescribeInstanceTypeOfferings",
        f"<instanceTypeOfferingSet>{items}</instanceTypeOfferingSet>",
    )


def _describe_types(params: Params) -> Response:
    """Only of named types, and only what this project reads."""
    reject_unknown_filters(params, frozenset())
    requested = _ec2._parse_member_list(params, "InstanceType")
    unknown = sorted(set(requested) - images.instance_types(_responses.get_region()))
    if unknown or not requested:
        raise ApiError(
            "InvalidInstanceType",
            f"The following supplied instance types do not exist: [{', '.join(unknown)}]",
        )
    items = "".join(
        f"<item><instanceType>{escape(each)}</instanceType><processorInfo><supportedArchitectures>"
        f"<item>{images.architecture(each)}</item></supportedArchitectures></processorInfo></item>"
        for each in requested
    )
    return _xml("DescribeInstanceTypes", f"<instanceTypeSet>{items}</instanceTypeSet>")


def _xml(action: str, body: str) -> Response:
    response: Response = _ec2._xml(200, f"{action}Response", body)
    return response


# --- VPC endpoints ---


def _check_services(params: Params) -> None:
    reject_unknown_filters(params, frozenset({"service-name", "service-type"}))
    prefix = f"com.amazonaws.{_responses.get_region()}."
    known = {*_ec2._VPCE_INTERFACE_SERVICES, *_ec2._VPCE_GATEWAY_SERVICES}
    for name in _ec2._parse_member_list(params, "ServiceName"):
        if not name.startswith(prefix) or name.removeprefix(prefix) not in known:
            raise ApiError(
                "InvalidServiceName", f"The Vpc Endpoint Service '{name}' does not exist"
            )


def _without_one_zone(action: Action) -> Action:
    """The endpoint of CloudHSM is not in all zones (F7.601), here not in the third."""

    def describe(params: Params) -> Response:
        status, headers, body = action(params)
        if any(name.endswith(CLOUDHSM) for name in _ec2._parse_member_list(params, "ServiceName")):
            body = body.replace(f"<item>{_responses.get_region()}c</item>".encode(), b"")
        return status, headers, body

    return describe


_ENDPOINT_FILTERS = {
    "service-name": "ServiceName",
    "vpc-endpoint-state": "State",
    "vpc-endpoint-type": "VpcEndpointType",
    "vpc-id": "VpcId",
}


def _with_filters(action: Action) -> Action:
    def describe(params: Params) -> Response:
        reject_unknown_filters(params, frozenset(_ENDPOINT_FILTERS))
        filters = _ec2._parse_filters(params)
        matching = [
            identifier
            for identifier, record in _ec2._vpc_endpoints.items()
            if all(record[_ENDPOINT_FILTERS[name]] in filters[name] for name in filters)
        ]
        if not matching:
            return _xml("DescribeVpcEndpoints", "<vpcEndpointSet/>")
        wanted = {f"VpcEndpointId.{number}": [each] for number, each in enumerate(matching, 1)}
        return action(wanted)

    return reporting_errors(describe)


def _with_private_dns(action: Action) -> Action:
    """Private DNS is the default of interface endpoints.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVpcEndpoint.html
    """

    def create(params: Params) -> Response:
        before = set(_ec2._vpc_endpoints)
        response = action(params)
        for identifier in set(_ec2._vpc_endpoints) - before:
            record = _ec2._vpc_endpoints[identifier]
            record["PrivateDnsEnabled"] = (
                record["VpcEndpointType"] == "Interface"
                and _ec2._p(params, "PrivateDnsEnabled").lower() != "false"
            )
        return response

    return create


def _naming_private_dns(view: Callable[..., str]) -> Callable[..., str]:
    def fields(record: Record, tag: str = "item") -> str:
        value, end = str(record.get("PrivateDnsEnabled", False)).lower(), f"</{tag}>"
        enabled = f"<privateDnsEnabled>{value}</privateDnsEnabled>"
        return f"{view(record, tag).removesuffix(end)}{enabled}{end}"

    return fields


# --- Subnets ---


def free_addresses(subnet: Record, interfaces: Iterable[Record]) -> int:
    """The addresses of a subnet that no interface has."""
    size = ipaddress.ip_network(subnet["CidrBlock"]).num_addresses
    taken = len([each for each in interfaces if each["SubnetId"] == subnet["SubnetId"]])
    return max(size - RESERVED - taken, 0)


def _counting_addresses(view: Callable[..., str]) -> Callable[..., str]:
    def subnet_xml(subnet: Record, *rest: Any) -> str:
        free = free_addresses(subnet, list(_ec2._network_interfaces.values()))
        return view({**subnet, "AvailableIpAddressCount": free}, *rest)

    return subnet_xml


def _routing_to_the_internet(initialize: Callable[[], None]) -> Callable[[], None]:
    def init_defaults() -> None:
        initialize()
        _route_to_the_internet()

    return init_defaults


def _route_to_the_internet() -> None:
    """The main route table of a default VPC leads to its internet gateway.

    https://docs.aws.amazon.com/vpc/latest/userguide/default-vpc-components.html
    """
    routes = _ec2._route_tables[_ec2._DEFAULT_RTB_ID]["Routes"]
    if all(route["DestinationCidrBlock"] != "0.0.0.0/0" for route in routes):
        routes.append(
            {
                "DestinationCidrBlock": "0.0.0.0/0",
                "GatewayId": _ec2._DEFAULT_IGW_ID,
                "State": "active",
                "Origin": "CreateRoute",
            }
        )
