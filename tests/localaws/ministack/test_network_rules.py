from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from localaws.client import LocalAws
from tests.localaws.ministack.support import Json, SampleStack, error_from


def of(kind: str, **properties: Any) -> Json:
    return {"Type": f"AWS::EC2::{kind}", "Properties": properties}


def subnet(block: str = "10.9.1.0/24", **properties: Any) -> Json:
    return of("Subnet", **{"VpcId": {"Ref": "Vpc"}, "CidrBlock": block, **properties})


def group(**rule: Any) -> Json:
    given = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 2, "CidrIp": "10.0.0.0/8", **rule}
    kept = {key: given[key] for key in given if given[key] is not None}
    return of("SecurityGroup", GroupDescription="d", SecurityGroupIngress=[kept])


def twice(resource: Json) -> Json:
    resource["Properties"]["SecurityGroupIngress"] *= 2
    return resource


@pytest.mark.parametrize(
    ("resource", "problem"),
    [
        (subnet("10.8.0.0/24"), "The CIDR '10.8.0.0/24' is invalid."),
        (subnet("10.9.1.0/29"), "The CIDR '10.9.1.0/29' is invalid."),
        (subnet("10.9.0.128/25"), "The CIDR '10.9.0.128/25' conflicts with another subnet"),
        (subnet(AvailabilityZone="us-east-1z"), "Value (us-east-1z) for parameter availability"),
        (subnet(VpcId="vpc-99999999"), "The vpc ID 'vpc-99999999' does not exist"),
        (of("RouteTable", VpcId="vpc-99999999"), "The vpc ID 'vpc-99999999' does not exist"),
        (
            of("Route", RouteTableId={"Ref": "Table"}, DestinationCidrBlock="0.0.0.0/0"),
            "The request must contain exactly one of gatewayId",
        ),
        (
            of(
                "Route",
                RouteTableId={"Ref": "Table"},
                DestinationCidrBlock="0.0.0.0/0",
                GatewayId="igw-99999999",
            ),
            "The gateway ID 'igw-99999999' does not exist",
        ),
        (
            of(
                "SubnetRouteTableAssociation",
                RouteTableId={"Ref": "Table"},
                SubnetId="subnet-99999999",
            ),
            "The subnet ID 'subnet-99999999' does not exist",
        ),
        (
            of(
                "VPCGatewayAttachment",
                VpcId="vpc-99999999",
                InternetGatewayId={"Ref": "Gateway"},
            ),
            "The vpc ID 'vpc-99999999' does not exist",
        ),
        (group(ToPort=70000), "Invalid value '1-70000' for portRange."),
        (group(FromPort=5), "Invalid value '5-2' for portRange."),
        (group(FromPort=None, ToPort=None), "Must specify both from and to ports"),
        (group(IpProtocol="banana"), "Invalid value 'banana' for IP protocol."),
        (twice(group()), "The same permission must not appear multiple times"),
        (
            group(CidrIp=None, SourceSecurityGroupId="sg-99999999"),
            "The security group 'sg-99999999' does not exist",
        ),
        (
            of(
                "SecurityGroupEgress",
                GroupId={"Fn::GetAtt": "Group.GroupId"},
                IpProtocol="tcp",
                FromPort=1,
                ToPort=70000,
                CidrIp="10.0.0.0/8",
            ),
            "Invalid value '1-70000' for portRange.",
        ),
    ],
)
def test_a_part_of_a_network_that_ec2_would_refuse_fails_its_stack(
    stack: SampleStack, resource: Json, problem: str
) -> None:
    resources = {
        "Vpc": of("VPC", CidrBlock="10.9.0.0/16"),
        "First": subnet("10.9.0.0/24"),
        "Table": of("RouteTable", VpcId={"Ref": "Vpc"}),
        "Gateway": of("InternetGateway"),
        "Group": {**group(), "Properties": {**group()["Properties"], "VpcId": {"Ref": "Vpc"}}},
        "Tested": {**resource, "DependsOn": ["First", "Gateway", "Group", "Table"]},
    }
    assert stack.create(resources) == "ROLLBACK_COMPLETE"
    assert problem in stack.reason("Tested")


@pytest.mark.parametrize(
    ("name", "given", "code"),
    [
        ("create_subnet", {"CidrBlock": "10.8.0.0/24"}, "InvalidSubnet.Range"),
        ("create_subnet", {"CidrBlock": "172.31.0.0/20"}, "InvalidSubnet.Conflict"),
        ("create_subnet", {"CidrBlock": "banana"}, "InvalidParameterValue"),
        ("create_route_table", {"VpcId": "vpc-99999999"}, "InvalidVpcID.NotFound"),
    ],
)
def test_the_api_refuses_them_too(aws: LocalAws, name: str, given: Json, code: str) -> None:
    call: Callable[..., Any] = getattr(aws.client("ec2"), name)
    assert error_from(call, **{"VpcId": aws.vpc, **given})[0] == code


def test_rules_of_every_protocol_are_accepted(stack: SampleStack) -> None:
    rules: list[Json] = [
        {"IpProtocol": "-1"},
        {"IpProtocol": -1, "FromPort": 0, "ToPort": 65535, "Description": "d"},
        {"IpProtocol": "icmp", "FromPort": -1, "ToPort": -1},
        {"IpProtocol": "50"},
        {"IpProtocol": 6, "FromPort": "443", "ToPort": "443"},
    ]
    given = [{**rule, "CidrIp": f"10.{number}.0.0/16"} for number, rule in enumerate(rules)]
    resource = of("SecurityGroup", GroupDescription="d", SecurityGroupIngress=given)
    assert stack.create({"Group": resource}) == "CREATE_COMPLETE"
