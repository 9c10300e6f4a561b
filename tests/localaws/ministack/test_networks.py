from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from localaws.client import LocalAws
from tests.localaws.ministack.support import Json, SampleStack, elapsed, error_from, unique_name


class Groups:
    """Security groups created by the API, deleted after the test."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws, self.ec2 = aws, aws.client("ec2")
        self.ids: list[str] = []

    def create(self, vpc: str | None = None) -> str:
        group = self.ec2.create_security_group(
            GroupName=unique_name("group"), Description="d", VpcId=vpc or self.aws.vpc
        )
        self.ids.append(group["GroupId"])
        return self.ids[-1]

    def remove(self) -> None:
        for group in self.existing():
            for direction in ("ingress", "egress"):
                rules = group["IpPermissions" + ("" if direction == "ingress" else "Egress")]
                if rules:
                    revoke = getattr(self.ec2, f"revoke_security_group_{direction}")
                    revoke(GroupId=group["GroupId"], IpPermissions=rules)
        for group in self.existing():
            self.ec2.delete_security_group(GroupId=group["GroupId"])

    def existing(self, **more: Any) -> list[Json]:
        filters = [{"Name": "group-id", "Values": self.ids}, *more.pop("Filters", [])]
        groups: list[Json] = self.ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
        return groups


@pytest.fixture(name="groups")
def _groups(aws: LocalAws) -> Iterator[Groups]:
    groups = Groups(aws)
    yield groups
    groups.remove()


def rule(peer: str, port: int = 2223) -> list[Json]:
    pair = [{"GroupId": peer}]
    return [{"IpProtocol": "tcp", "FromPort": port, "ToPort": 2225, "UserIdGroupPairs": pair}]


def group(**properties: Any) -> Json:
    more = {"GroupDescription": "d", "VpcId": {"Ref": "pVpc"}, **properties}
    return {"Type": "AWS::EC2::SecurityGroup", "Properties": more}


def created(stack: SampleStack, resources: Json) -> str:
    return stack.create(
        resources,
        {"pVpc": stack.aws.vpc},
        Parameters={"pVpc": {"Type": "AWS::EC2::VPC::Id"}},
    )


# --- API ---


def test_a_group_named_in_a_rule_of_another_cannot_be_deleted(groups: Groups) -> None:
    mine, other = groups.create(), groups.create()
    groups.ec2.authorize_security_group_ingress(GroupId=other, IpPermissions=rule(mine))
    code, _ = error_from(groups.ec2.delete_security_group, GroupId=mine)
    assert code == "DependencyViolation"
    groups.ec2.revoke_security_group_ingress(GroupId=other, IpPermissions=rule(mine))
    groups.ec2.delete_security_group(GroupId=mine)


def test_a_group_named_in_its_own_rule_can_be_deleted(groups: Groups) -> None:
    mine = groups.create()
    groups.ec2.authorize_security_group_ingress(GroupId=mine, IpPermissions=rule(mine))
    groups.ec2.delete_security_group(GroupId=mine)


def test_a_group_of_an_interface_cannot_be_deleted(groups: Groups) -> None:
    mine = groups.create()
    subnet = groups.aws.subnets[0]
    interface = groups.ec2.create_network_interface(SubnetId=subnet, Groups=[mine])
    identifier = interface["NetworkInterface"]["NetworkInterfaceId"]
    assert error_from(groups.ec2.delete_security_group, GroupId=mine)[0] == "DependencyViolation"
    groups.ec2.delete_network_interface(NetworkInterfaceId=identifier)
    groups.ec2.delete_security_group(GroupId=mine)


@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_a_duplicate_rule_is_rejected(groups: Groups, direction: str) -> None:
    mine, other = groups.create(), groups.create()
    authorize = getattr(groups.ec2, f"authorize_security_group_{direction}")
    authorize(GroupId=mine, IpPermissions=rule(other))
    code, _ = error_from(authorize, GroupId=mine, IpPermissions=rule(other))
    assert code == "InvalidPermission.Duplicate"
    authorize(GroupId=mine, IpPermissions=rule(other, port=2224))


@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_revoking_a_missing_rule_fails(groups: Groups, direction: str) -> None:
    mine = groups.create()
    revoke = getattr(groups.ec2, f"revoke_security_group_{direction}")
    code, _ = error_from(revoke, GroupId=mine, IpPermissions=rule(mine))
    assert code == "InvalidPermission.NotFound"


def test_a_rule_for_a_missing_group_is_rejected(groups: Groups) -> None:
    given = {"GroupId": groups.create(), "IpPermissions": rule("sg-0abc")}
    assert error_from(groups.ec2.authorize_security_group_ingress, **given) == (
        "InvalidGroup.NotFound",
        "The security group 'sg-0abc' does not exist",
    )


@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_a_rule_may_name_a_group_of_another_vpc_only_while_the_two_are_peered(
    groups: Groups, direction: str
) -> None:
    ec2 = groups.ec2
    vpc = ec2.create_vpc(CidrBlock="10.98.0.0/24")["Vpc"]["VpcId"]
    mine, other = groups.create(), groups.create(vpc)
    authorize = getattr(ec2, f"authorize_security_group_{direction}")
    given = {"GroupId": mine, "IpPermissions": rule(other)}
    unpeered = (
        "InvalidGroup.NotFound",
        "You have specified two resources that belong to different networks.",
    )
    assert error_from(authorize, **given) == unpeered
    requested = ec2.create_vpc_peering_connection(VpcId=groups.aws.vpc, PeerVpcId=vpc)
    peering = requested["VpcPeeringConnection"]["VpcPeeringConnectionId"]
    assert error_from(authorize, **given) == unpeered
    ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering)
    authorize(**given)
    ec2.delete_vpc_peering_connection(VpcPeeringConnectionId=peering)
    assert error_from(authorize, GroupId=mine, IpPermissions=rule(other, 2224)) == unpeered


def test_groups_are_filtered_by_the_peers_in_their_rules(groups: Groups) -> None:
    mine, other = groups.create(), groups.create()
    groups.ec2.authorize_security_group_ingress(GroupId=other, IpPermissions=rule(mine))

    def naming(direction: str) -> list[str]:
        found = groups.ec2.describe_security_groups(
            Filters=[{"Name": f"{direction}ip-permission.group-id", "Values": [mine]}]
        )
        return [each["GroupId"] for each in found["SecurityGroups"]]

    assert (naming(""), naming("egress.")) == ([other], [])


def test_groups_are_filtered_by_tag_and_vpc_together(groups: Groups) -> None:
    mine, other = groups.create(), groups.create()
    for tagged, value in ((mine, "mine"), (other, "other")):
        tags = [{"Key": "stack", "Value": value}]
        groups.ec2.create_tags(Resources=[tagged], Tags=tags)
    vpc = {"Name": "vpc-id", "Values": [groups.aws.vpc]}

    def found(*values: str) -> list[str]:
        filters = [{"Name": "tag:stack", "Values": list(values)}, vpc]
        return [each["GroupId"] for each in groups.existing(Filters=filters)]

    assert found("mine") == [mine]
    assert set(found("mine", "other")) == {mine, other}
    assert found("neither") == []


def test_an_unsupported_filter_is_rejected(groups: Groups) -> None:
    given = [{"Name": "owner-id", "Values": ["1"]}]
    assert "does not support" in error_from(groups.ec2.describe_security_groups, Filters=given)[1]
    assert (
        "does not support" in error_from(groups.ec2.describe_network_interfaces, Filters=given)[1]
    )
    assert "does not support" in error_from(groups.ec2.describe_instances, Filters=given)[1]


def test_interfaces_are_filtered_by_group_subnet_and_description(groups: Groups) -> None:
    mine, subnet = groups.create(), groups.aws.subnets[0]
    created = groups.ec2.create_network_interface(
        SubnetId=subnet, Groups=[mine], Description="of the test"
    )["NetworkInterface"]

    def matching(name: str, value: str) -> list[str]:
        found = groups.ec2.describe_network_interfaces(
            Filters=[{"Name": name, "Values": [value]}, {"Name": "group-id", "Values": [mine]}]
        )
        return [each["NetworkInterfaceId"] for each in found["NetworkInterfaces"]]

    identifier = created["NetworkInterfaceId"]
    assert matching("subnet-id", subnet) == [identifier]
    assert matching("subnet-id", groups.aws.subnets[1]) == []
    assert matching("description", "of the test") == [identifier]
    groups.ec2.delete_network_interface(NetworkInterfaceId=identifier)


def test_the_default_vpc_has_subnets_in_three_zones(aws: LocalAws) -> None:
    subnets = aws.client("ec2").describe_subnets(SubnetIds=aws.subnets)["Subnets"]
    assert len({subnet["AvailabilityZone"] for subnet in subnets}) == 3
    assert {subnet["VpcId"] for subnet in subnets} == {aws.vpc}


# --- CloudFormation ---


def test_a_stack_creates_and_deletes_rule_resources(aws: LocalAws, stack: SampleStack) -> None:
    between: Json = {"IpProtocol": "tcp", "FromPort": 2223, "ToPort": 2225}
    inward = {**between, "GroupId": {"Ref": "Mine"}, "SourceSecurityGroupId": {"Ref": "Other"}}
    outward = {
        **between,
        "GroupId": {"Ref": "Mine"},
        "DestinationSecurityGroupId": {"Ref": "Other"},
    }
    resources = {
        "Mine": group(),
        "Other": group(),
        "In": {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": inward},
        "Out": {"Type": "AWS::EC2::SecurityGroupEgress", "Properties": outward},
    }
    assert created(stack, resources) == "CREATE_COMPLETE"
    mine, other = stack.physical_id("Mine"), stack.physical_id("Other")
    (found,) = aws.client("ec2").describe_security_groups(GroupIds=[mine])["SecurityGroups"]
    for key in ("IpPermissions", "IpPermissionsEgress"):
        named = [pair["GroupId"] for each in found[key] for pair in each["UserIdGroupPairs"]]
        assert named == [other]
    began = elapsed(aws)
    assert stack.delete() == "DELETE_COMPLETE"
    assert elapsed(aws) == began


def test_a_stack_with_a_revoked_rule_can_be_deleted(aws: LocalAws, stack: SampleStack) -> None:
    properties = {
        "GroupId": {"Ref": "Mine"},
        "IpProtocol": "tcp",
        "FromPort": 443,
        "ToPort": 443,
        "CidrIp": "10.0.0.0/8",
    }
    resources = {
        "Mine": group(),
        "In": {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": properties},
    }
    created(stack, resources)
    aws.client("ec2").revoke_security_group_ingress(
        GroupId=stack.physical_id("Mine"),
        IpPermissions=[
            {
                "IpProtocol": "tcp",
                "FromPort": 443,
                "ToPort": 443,
                "IpRanges": [{"CidrIp": "10.0.0.0/8"}],
            }
        ],
    )
    assert stack.delete() == "DELETE_COMPLETE"


def test_a_stack_retries_for_15_minutes_to_delete_a_group_in_use(
    aws: LocalAws, stack: SampleStack, groups: Groups
) -> None:
    created(stack, {"Mine": group()})
    mine, outside = stack.physical_id("Mine"), groups.create()
    groups.ec2.authorize_security_group_ingress(GroupId=outside, IpPermissions=rule(mine))
    began = elapsed(aws)
    assert stack.delete() == "DELETE_FAILED"
    assert elapsed(aws) - began == 900
    assert "has a dependent object" in stack.reason("Mine")
    groups.ec2.revoke_security_group_ingress(GroupId=outside, IpPermissions=rule(mine))
    assert stack.delete() == "DELETE_COMPLETE"


def test_a_group_with_an_existing_name_is_rejected(stack: SampleStack) -> None:
    name = unique_name("named")
    resources = {
        "First": group(GroupName=name),
        "Second": {**group(GroupName=name), "DependsOn": "First"},
    }
    assert created(stack, resources) == "ROLLBACK_COMPLETE"
    assert "already exists" in stack.reason("Second")
