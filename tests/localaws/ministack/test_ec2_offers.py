"""What EC2 offers where, as `make preflight` reads it."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.client import LocalAws


def _offering_zones(aws: LocalAws, instance_type: str) -> list[str]:
    offerings = aws.client("ec2").describe_instance_type_offerings(
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": [instance_type]}],
    )["InstanceTypeOfferings"]
    return [each["Location"][-1] for each in offerings]


def test_a_zone_may_lack_an_instance_type_and_then_launches_none(aws: LocalAws) -> None:
    assert _offering_zones(aws, "t3a.small") == ["a", "b", "c"]
    assert _offering_zones(aws, "a1.large") == ["a", "b"]
    image = "ami-0b12c3d4e5f6a7b81"
    with pytest.raises(ClientError, match=r"Unsupported.*us-east-1c"):
        aws.client("ec2").run_instances(
            ImageId=image,
            InstanceType="a1.large",
            SubnetId=aws.subnets[2],
            MinCount=1,
            MaxCount=1,
        )


def test_instance_types_have_their_architecture(aws: LocalAws) -> None:
    types = aws.client("ec2").describe_instance_types(InstanceTypes=["t4g.small", "t3a.small"])
    found = {
        each["InstanceType"]: each["ProcessorInfo"]["SupportedArchitectures"]
        for each in types["InstanceTypes"]
    }
    assert found == {"t4g.small": ["arm64"], "t3a.small": ["x86_64"]}


def test_the_endpoint_of_cloudhsm_is_not_in_every_zone(aws: LocalAws) -> None:
    name = f"com.amazonaws.{aws.region}.cloudhsmv2"
    services = aws.client("ec2").describe_vpc_endpoint_services(ServiceNames=[name])
    zones = services["ServiceDetails"][0]["AvailabilityZones"]
    assert [zone[-1] for zone in zones] == ["a", "b"]


def test_endpoints_are_filtered_and_have_private_dns_unless_declined(aws: LocalAws) -> None:
    ec2 = aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.20.0.0/16")["Vpc"]["VpcId"]
    for service, more in (("ssm", {}), ("ssmmessages", {"PrivateDnsEnabled": False})):
        ec2.create_vpc_endpoint(
            VpcId=vpc,
            ServiceName=f"com.amazonaws.{aws.region}.{service}",
            VpcEndpointType="Interface",
            **more,
        )

    def listed(**filters: str) -> dict[str, bool]:
        named = [{"Name": name, "Values": [value]} for name, value in filters.items()]
        named.append({"Name": "vpc-id", "Values": [vpc]})
        return {
            each["ServiceName"].rpartition(".")[2]: each["PrivateDnsEnabled"]
            for each in ec2.describe_vpc_endpoints(Filters=named)["VpcEndpoints"]
        }

    assert listed() == {"ssm": True, "ssmmessages": False}
    named = f"com.amazonaws.{aws.region}.ssm"
    assert listed(**{"service-name": named}) == {"ssm": True}


def test_free_addresses_are_counted(aws: LocalAws) -> None:
    ec2 = aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.21.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.21.0.0/28")["Subnet"]["SubnetId"]

    def free() -> int:
        described: list[Any] = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"]
        return int(described[0]["AvailableIpAddressCount"])

    assert free() == 11
    ec2.create_network_interface(SubnetId=subnet)
    assert free() == 10


def test_the_default_network_leads_to_the_internet(aws: LocalAws) -> None:
    tables = aws.client("ec2").describe_route_tables(
        Filters=[{"Name": "vpc-id", "Values": [aws.vpc]}]
    )["RouteTables"]
    routes = {route["DestinationCidrBlock"]: route["GatewayId"] for route in tables[0]["Routes"]}
    assert routes["0.0.0.0/0"].startswith("igw-")


@pytest.mark.parametrize(
    ("operation", "request_", "code"),
    [
        ("describe_images", {"ImageIds": ["ami-00000000"]}, "InvalidAMIID.NotFound"),
        (
            "describe_vpc_endpoint_services",
            {"ServiceNames": ["com.amazonaws.us-east-1.nothing"]},
            "InvalidServiceName",
        ),
        (
            "describe_route_tables",
            {"Filters": [{"Name": "route.state", "Values": ["active"]}]},
            "InvalidParameterValue",
        ),
        ("describe_instance_types", {}, "InvalidInstanceType"),
        ("describe_instance_type_offerings", {"LocationType": "outpost"}, "InvalidParameterValue"),
    ],
)
def test_what_is_unknown_is_refused(
    aws: LocalAws, operation: str, request_: dict[str, Any], code: str
) -> None:
    with pytest.raises(ClientError) as error:
        getattr(aws.client("ec2"), operation)(**request_)
    assert error.value.response["Error"]["Code"] == code
