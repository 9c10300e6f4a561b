from __future__ import annotations

from typing import Any

import pytest

from localaws.client import LocalAws, until
from localaws.ministack.instances import AGENT_ACTIONS
from tests.localaws.ministack.custom_resource_function import CustomResourceStack
from tests.localaws.ministack.support import (
    Json,
    SampleStack,
    elapsed,
    error_from,
    role,
    unique_name,
)

IMAGE = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-"
AGENT = {"Sid": "Agent", "Effect": "Allow", "Action": list(AGENT_ACTIONS), "Resource": "*"}


def instance(**properties: Any) -> Json:
    more = {
        "ImageId": {"Ref": "pImage"},
        "InstanceType": "t3a.small",
        "SubnetId": {"Ref": "pSubnet"},
        "SecurityGroupIds": [{"Ref": "Group"}],
        "IamInstanceProfile": {"Ref": "Profile"},
        **properties,
    }
    return {"Type": "AWS::EC2::Instance", "Properties": more}


def around(*statements: Json) -> Json:
    """The role, profile and security group of an instance."""
    group = {"GroupDescription": "d", "VpcId": {"Ref": "pVpc"}}
    profile = {"Roles": [{"Ref": "InstanceRole"}]}
    return {
        "InstanceRole": role("ec2", *(statements or (AGENT,))),
        "Profile": {"Type": "AWS::IAM::InstanceProfile", "Properties": profile},
        "Group": {"Type": "AWS::EC2::SecurityGroup", "Properties": group},
    }


class Client:
    """A stack with an instance, Client."""

    def __init__(self, stack: SampleStack) -> None:
        self.stack, self.aws = stack, stack.aws
        self.ec2 = stack.aws.client("ec2")

    def _deploy(self, operation: Any, resources: Json, image: str) -> str:
        given = {
            "pVpc": self.aws.vpc,
            "pSubnet": self.aws.subnets[0],
            "pImage": IMAGE + image,
        }
        kinds = {
            "pVpc": {"Type": "AWS::EC2::VPC::Id"},
            "pSubnet": {"Type": "AWS::EC2::Subnet::Id"},
            "pImage": {"Type": "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>"},
        }
        return str(operation(resources, given, Parameters=kinds))

    def create(self, resources: Json | None = None, image: str = "x86_64", **more: Any) -> str:
        resources = resources or {**around(), "Client": instance(**more)}
        return self._deploy(self.stack.create, resources, image)

    def update(self, resources: Json | None = None, image: str = "x86_64", **more: Any) -> str:
        resources = resources or {**around(), "Client": instance(**more)}
        return self._deploy(self.stack.update, resources, image)

    @property
    def id(self) -> str:
        return self.stack.physical_id("Client")

    def described(self) -> Json:
        found = self.ec2.describe_instances(InstanceIds=[self.id])
        described: Json = found["Reservations"][0]["Instances"][0]
        return described

    def state(self) -> str:
        return str(self.described()["State"]["Name"])

    def agent(self, instance_id: str = "") -> str | None:
        """The PingStatus of the agent, if it has registered."""
        known = self.aws.client("ssm").describe_instance_information(
            Filters=[{"Key": "InstanceIds", "Values": [instance_id or self.id]}]
        )["InstanceInformationList"]
        return str(known[0]["PingStatus"]) if known else None

    def moments(self, instance_id: str) -> dict[str, float]:
        """When the instance last entered each state, in virtual seconds since the start."""
        return {
            event["event"]: event["at"]
            for event in self.aws.admin.event_log()
            if (event["service"], event["subject"]) == ("ec2", instance_id)
        }


@pytest.fixture(name="client")
def _client(stack: SampleStack) -> Client:
    return Client(stack)


# --- States ---


def test_an_instance_that_nothing_depends_on_is_terminated_beside_a_custom_resource(
    client: Client,
) -> None:
    custom = CustomResourceStack(client.stack)
    resources = custom.resources({"Example": {"Delete": {"Sleep": "60"}}})
    client.create({**around(), **resources, "Client": instance()})
    instance_id, began = client.id, elapsed(client.aws)
    assert client.stack.delete() == "DELETE_COMPLETE"
    assert client.moments(instance_id)["shutting-down"] == round(began, 1)
    assert elapsed(client.aws) - began == 62
    assert [status for _, status, _ in client.stack.events("Client")][2:] == [
        "DELETE_IN_PROGRESS",
        "DELETE_COMPLETE",
    ]


def test_an_instance_is_terminated_after_what_depends_on_it(client: Client) -> None:
    custom = CustomResourceStack(client.stack)
    resources = custom.resources({"Example": {"DependsOn": "Client", "Delete": {"Sleep": "60"}}})
    client.create({**around(), **resources, "Client": instance()})
    instance_id, began = client.id, elapsed(client.aws)
    assert client.stack.delete() == "DELETE_COMPLETE"
    assert client.moments(instance_id)["shutting-down"] == round(began + 62, 1)


def test_cloudformation_waits_38_seconds_for_an_instance_to_run(client: Client) -> None:
    began = elapsed(client.aws)
    assert client.create() == "CREATE_COMPLETE"
    assert elapsed(client.aws) - began == 38
    moments = client.moments(client.id)
    assert moments["running"] - moments["pending"] == 38
    assert client.state() == "running"


def test_the_agent_is_online_71_seconds_after_launch(client: Client) -> None:
    client.create()
    launched = client.moments(client.id)["pending"]
    client.aws.admin.advance(launched + 70 - elapsed(client.aws))
    assert client.agent() is None
    client.aws.admin.advance(2)
    assert client.agent() == "Online"


def test_the_agent_registers_only_with_all_permissions(client: Client) -> None:
    resources = {**around(), "Client": instance()}
    for number, missing in enumerate(AGENT_ACTIONS):
        actions = [action for action in AGENT_ACTIONS if action != missing]
        profile = {"Roles": [{"Ref": f"Role{number}"}]}
        resources[f"Role{number}"] = role("ec2", {**AGENT, "Action": actions})
        resources[f"Profile{number}"] = {
            "Type": "AWS::IAM::InstanceProfile",
            "Properties": profile,
        }
        resources[f"Client{number}"] = instance(IamInstanceProfile={"Ref": f"Profile{number}"})
    assert client.create(resources) == "CREATE_COMPLETE"
    client.aws.admin.advance(1000)
    registered = [
        missing
        for number, missing in enumerate(AGENT_ACTIONS)
        if client.agent(client.stack.physical_id(f"Client{number}"))
    ]
    assert (client.agent(), registered) == ("Online", [])


def test_the_agent_does_not_register_with_a_role_that_does_not_trust_ec2(client: Client) -> None:
    resources = {**around(), "InstanceRole": role("lambda", AGENT), "Client": instance()}
    assert client.create(resources) == "CREATE_COMPLETE"
    client.aws.admin.advance(1000)
    assert client.agent() is None


def test_stopping_takes_29_seconds_and_starting_38(client: Client) -> None:
    client.create()
    client.ec2.stop_instances(InstanceIds=[client.id])
    client.aws.admin.advance(1)
    assert client.state() in ("stopping", "stopped")
    client.aws.admin.advance(60)
    assert client.state() == "stopped"
    client.ec2.start_instances(InstanceIds=[client.id])
    client.aws.admin.advance(100)
    assert client.state() == "running"
    moments = client.moments(client.id)
    assert moments["stopped"] - moments["stopping"] == 29
    assert moments["running"] - moments["pending"] == 38


def test_an_injected_fault_makes_a_started_instance_fall_back_to_stopped(client: Client) -> None:
    client.create()
    launched = client.described()["LaunchTime"]
    client.ec2.stop_instances(InstanceIds=[client.id])
    client.aws.admin.advance(60)
    reason = client.described()["StateReason"]
    assert reason["Code"] == "Client.UserInitiatedShutdown"
    client.aws.admin.fault(start="stopped", reason="Client.InternalError")
    client.ec2.start_instances(InstanceIds=[client.id])
    client.aws.admin.advance(100)
    assert client.described()["StateReason"] == {
        "Code": "Client.InternalError",
        "Message": "Client.InternalError: Client error on launch",
    }
    assert client.described()["LaunchTime"] > launched
    assert client.agent() is None
    client.ec2.start_instances(InstanceIds=[client.id])
    client.aws.admin.advance(100)
    assert client.state() == "running"
    assert "StateReason" not in client.described()


def test_the_agent_is_online_again_after_a_restart(client: Client) -> None:
    client.create()
    client.aws.admin.advance(100)
    client.ec2.stop_instances(InstanceIds=[client.id])
    client.aws.admin.advance(1000)
    assert client.agent() == "ConnectionLost"
    client.ec2.start_instances(InstanceIds=[client.id])
    client.aws.admin.advance(100)
    assert client.agent() == "Online"


def test_a_stopping_instance_cannot_be_started(client: Client) -> None:
    client.create()
    client.aws.admin.pause_after("StopInstances")
    client.ec2.stop_instances(InstanceIds=[client.id])
    code, _ = error_from(client.ec2.start_instances, InstanceIds=[client.id])
    assert code == "IncorrectInstanceState"
    client.aws.admin.resume()
    until(lambda: client.state() == "stopped", "it did not stop")


def test_starting_a_running_instance_changes_nothing(client: Client) -> None:
    client.create()
    client.ec2.start_instances(InstanceIds=[client.id])
    assert client.state() == "running"


def test_stopping_a_missing_instance_fails(aws: LocalAws) -> None:
    code, _ = error_from(aws.client("ec2").stop_instances, InstanceIds=["i-0123456789abcdef0"])
    assert code == "InvalidInstanceID.NotFound"


def test_an_attached_interface_and_its_groups_cannot_be_deleted(client: Client) -> None:
    client.create()
    described = client.described()
    group = client.stack.physical_id("Group")
    (interface,) = client.ec2.describe_network_interfaces(
        Filters=[{"Name": "attachment.instance-id", "Values": [client.id]}]
    )["NetworkInterfaces"]
    assert interface["SubnetId"] == described["SubnetId"] == client.aws.subnets[0]
    assert interface["PrivateIpAddress"] == described["PrivateIpAddress"]
    assert error_from(client.ec2.delete_security_group, GroupId=group)[0] == "DependencyViolation"
    code, _ = error_from(
        client.ec2.delete_network_interface, NetworkInterfaceId=interface["NetworkInterfaceId"]
    )
    assert code == "InvalidParameterValue"


def test_a_stack_deletes_an_instance_before_its_group(client: Client) -> None:
    client.create()
    instance_id = client.id
    began = elapsed(client.aws)
    assert client.stack.delete() == "DELETE_COMPLETE"
    moments = client.moments(instance_id)
    assert moments["terminated"] - moments["shutting-down"] == elapsed(client.aws) - began == 23
    remaining = client.aws.admin.inventory()["ec2"]
    assert instance_id not in [each["InstanceId"] for each in remaining["instances"]]


def test_a_terminated_instance_is_described_for_an_hour(client: Client) -> None:
    client.create()
    instance_id = client.id
    client.stack.delete()
    found = client.ec2.describe_instances(InstanceIds=[instance_id])
    assert found["Reservations"][0]["Instances"][0]["State"]["Name"] == "terminated"
    client.aws.admin.advance(3700)
    assert client.ec2.describe_instances()["Reservations"] == []


# --- Changes ---


def test_a_new_instance_type_restarts_the_instance(client: Client) -> None:
    client.create()
    before = client.id
    began = elapsed(client.aws)
    assert client.update(InstanceType="t3a.medium") == "UPDATE_COMPLETE"
    assert client.id == before
    assert client.described()["InstanceType"] == "t3a.medium"
    assert elapsed(client.aws) - began == 29 + 38


def test_a_new_subnet_replaces_the_instance(client: Client) -> None:
    client.create()
    before = client.id
    assert client.update(SubnetId=client.aws.subnets[1]) == "UPDATE_COMPLETE"
    assert client.id != before
    assert client.described()["SubnetId"] == client.aws.subnets[1]
    assert set(client.moments(before)) == {"pending", "running", "shutting-down", "terminated"}


def test_new_security_groups_are_applied_in_place(client: Client) -> None:
    client.create()
    before = client.id
    resources = {**around(), "More": around()["Group"]}
    groups = [{"Ref": "Group"}, {"Ref": "More"}]
    resources["Client"] = instance(SecurityGroupIds=groups)
    assert client.update(resources) == "UPDATE_COMPLETE"
    assert client.id == before
    carried = {group["GroupId"] for group in client.described()["SecurityGroups"]}
    assert carried == {client.stack.physical_id(name) for name in ("Group", "More")}


def test_only_cloudformation_sets_and_removes_its_tags(client: Client) -> None:
    client.create()
    tags = {tag["Key"]: tag["Value"] for tag in client.described()["Tags"]}
    assert tags["aws:cloudformation:stack-name"] == client.stack.name
    assert tags["aws:cloudformation:stack-id"].split("/")[1] == client.stack.name
    forged = [{"Key": "aws:cloudformation:stack-id", "Value": "another"}]
    for call in (client.ec2.create_tags, client.ec2.delete_tags):
        code, _ = error_from(call, Resources=[client.described()["InstanceId"]], Tags=forged)
        assert code == "InvalidParameterValue"


def test_new_tags_are_applied_in_place(client: Client) -> None:
    client.create(Tags=[{"Key": "Name", "Value": "one"}])
    before = client.id
    client.update(Tags=[{"Key": "Name", "Value": "two"}])
    assert client.id == before
    assert {"Key": "Name", "Value": "two"} in client.described()["Tags"]


# --- Images ---


@pytest.mark.parametrize(
    ("image", "kind", "architecture"),
    [("x86_64", "t3a.small", "x86_64"), ("arm64", "t4g.small", "arm64")],
)
def test_each_architecture_has_an_image(
    client: Client, image: str, kind: str, architecture: str
) -> None:
    assert client.create(image=image, InstanceType=kind) == "CREATE_COMPLETE"
    described = client.described()
    assert described["Architecture"] == architecture
    value = client.aws.client("ssm").get_parameter(Name=IMAGE + image)["Parameter"]["Value"]
    assert described["ImageId"] == value


# --- Rejected properties ---


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ({"SubnetId": "subnet-0abc"}, "does not exist"),
        ({"SecurityGroupIds": ["sg-0abc"]}, "does not exist"),
        ({"IamInstanceProfile": "missing"}, "Invalid IAM Instance Profile"),
        ({"ImageId": "ami-00000000"}, "The image id '[ami-00000000]' does not exist"),
        ({"InstanceType": "t9.mega"}, "Invalid value 't9.mega' for InstanceType."),
        ({"InstanceType": "t4g.small"}, "The architecture 'arm64' of the specified instance type"),
    ],
)
def test_an_instance_with_invalid_properties_is_rejected(
    client: Client, properties: Json, words: str
) -> None:
    assert client.create(**properties) == "ROLLBACK_COMPLETE"
    assert words in client.stack.reason("Client")


def launch(client: Client, **properties: Any) -> tuple[str, str]:
    """The error of RunInstances."""
    given = {
        "ImageId": client.aws.client("ssm").get_parameter(Name=f"{IMAGE}x86_64")["Parameter"][
            "Value"
        ],
        "InstanceType": "t3a.small",
        "SubnetId": client.aws.subnets[0],
        **properties,
    }
    return error_from(client.ec2.run_instances, MinCount=1, MaxCount=1, **given)


def test_the_api_refuses_a_launch_that_cannot_work(client: Client) -> None:
    vpc = client.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    group = client.ec2.create_security_group(GroupName="far", Description="d", VpcId=vpc)["GroupId"]
    assert launch(client, ImageId="ami-00000000")[0] == "InvalidAMIID.NotFound"
    assert launch(client, InstanceType="t9.mega")[0] == "InvalidParameterValue"
    assert "does not match the architecture" in launch(client, InstanceType="t4g.small")[1]
    assert "different networks" in launch(client, SecurityGroupIds=[group])[1]
    assert launch(client, SubnetId="subnet-0abc")[0] == "InvalidSubnetID.NotFound"
    client.ec2.delete_security_group(GroupId=group)
    client.ec2.delete_vpc(VpcId=vpc)


def test_an_agent_registers_only_if_its_subnet_reaches_systems_manager(
    aws: LocalAws, stack: SampleStack
) -> None:
    ec2, profile = aws.client("ec2"), _agents_profile(stack)
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.0.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="far", Description="d", VpcId=vpc)["GroupId"]
    launched = ec2.run_instances(
        ImageId=aws.client("ssm").get_parameter(Name=f"{IMAGE}x86_64")["Parameter"]["Value"],
        InstanceType="t3a.small",
        SubnetId=subnet,
        SecurityGroupIds=[group],
        IamInstanceProfile={"Name": profile},
        MinCount=1,
        MaxCount=1,
    )["Instances"][0]["InstanceId"]

    def is_registered() -> bool:
        aws.admin.advance(600)
        return bool(
            aws.client("ssm").describe_instance_information(
                Filters=[{"Key": "InstanceIds", "Values": [launched]}]
            )["InstanceInformationList"]
        )

    assert not is_registered()
    for service in ("ssm", "ssmmessages"):
        assert not is_registered()
        ec2.create_vpc_endpoint(
            VpcId=vpc,
            ServiceName=f"com.amazonaws.{aws.region}.{service}",
            VpcEndpointType="Interface",
        )
    assert is_registered()
    ec2.terminate_instances(InstanceIds=[launched])


def _agents_profile(stack: SampleStack) -> str:
    """An instance profile whose role lets the agent register."""
    resources = {name: each for name, each in around().items() if name != "Group"}
    assert stack.create(resources) == "CREATE_COMPLETE"
    return stack.physical_id("Profile")


def test_a_type_that_does_not_exist_fails_an_update_before_the_instance_is_stopped(
    client: Client,
) -> None:
    client.create()
    assert client.update(InstanceType="t9.mega") == "UPDATE_ROLLBACK_COMPLETE"
    assert client.described()["State"]["Name"] == "running"


def test_an_instance_profile_requires_an_existing_role(stack: SampleStack) -> None:
    properties = {"Roles": [unique_name("missing")]}
    profile = {"Type": "AWS::IAM::InstanceProfile", "Properties": properties}
    assert stack.create({"Profile": profile}) == "ROLLBACK_COMPLETE"
    assert "cannot be found" in stack.reason("Profile")
