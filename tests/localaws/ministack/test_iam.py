from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from localaws.client import LocalAws
from tests.localaws.ministack.support import (
    Json,
    SampleStack,
    error_from,
    function,
    role,
    unique_name,
)

SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:"
GROUP = "arn:aws:ec2:us-east-1:123456789012:security-group/"


def allow(sid: str, *actions: str, resource: Any = "*", **condition: Any) -> Json:
    statement = {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": resource}
    return {**statement, "Condition": condition} if condition else statement


class Actor:
    """A role, and clients with its permissions."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws, self.name = aws, unique_name("actor")
        self._iam = aws.client("iam")
        trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        self.arn = self._iam.create_role(
            RoleName=self.name, AssumeRolePolicyDocument=document(trust)
        )["Role"]["Arn"]

    def may(self, *statements: Json) -> None:
        """Replace the policy of the role."""
        self._iam.put_role_policy(
            RoleName=self.name, PolicyName="inline", PolicyDocument=document(*statements)
        )

    def client(self, service: str) -> Any:
        credentials = self.aws.client("sts").assume_role(RoleArn=self.arn, RoleSessionName="try")[
            "Credentials"
        ]
        return boto3.client(
            service,
            endpoint_url=self.aws.endpoint,
            region_name=self.aws.region,
            aws_access_key_id=credentials["AccessKeyId"],
            aws_secret_access_key=credentials["SecretAccessKey"],
            aws_session_token=credentials["SessionToken"],
            config=Config(proxies={}, retries={"total_max_attempts": 1}),
        )

    def decisions(self) -> list[Json]:
        return [each for each in self.aws.admin.decisions() if each["principal"] == self.name]

    def remove(self) -> None:
        if self._iam.list_role_policies(RoleName=self.name)["PolicyNames"]:
            self._iam.delete_role_policy(RoleName=self.name, PolicyName="inline")
        self._iam.delete_role(RoleName=self.name)


def document(*statements: Json) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


@pytest.fixture(name="actor")
def _actor(aws: LocalAws) -> Iterator[Actor]:
    actor = Actor(aws)
    yield actor
    actor.remove()


@pytest.fixture(name="secret")
def _secret(aws: LocalAws) -> Iterator[str]:
    """The name of a secret with the tag stack=mine."""
    name = f"/{unique_name('secret')}"
    client = aws.client("secretsmanager")
    client.create_secret(Name=name, SecretString="s", Tags=[{"Key": "stack", "Value": "mine"}])
    yield name
    client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)


# --- The decision log ---


def test_each_decision_is_recorded_once_with_principal_resource_and_statement(
    actor: Actor, secret: str
) -> None:
    actor.may(allow("ReadIt", "secretsmanager:GetSecretValue", resource=f"{SECRET}{secret}-??????"))
    client = actor.client("secretsmanager")
    client.get_secret_value(SecretId=secret)
    client.get_secret_value(SecretId=secret)
    code, message = error_from(client.delete_secret, SecretId=secret)
    assert code == "AccessDeniedException"
    arn = actor.aws.client("secretsmanager").describe_secret(SecretId=secret)["ARN"]
    assert message == (
        f"User: arn:aws:sts::123456789012:assumed-role/{actor.name}/try is not authorized to "
        f"perform: secretsmanager:DeleteSecret on resource: {arn} because no identity-based "
        "policy allows the secretsmanager:DeleteSecret action"
    )
    assert actor.decisions() == [
        {
            "principal": actor.name,
            "action": "secretsmanager:GetSecretValue",
            "resource": arn,
            "allowed": True,
            "statement": "ReadIt",
            "behind": None,
        },
        {
            "principal": actor.name,
            "action": "secretsmanager:DeleteSecret",
            "resource": arn,
            "allowed": False,
            "statement": None,
            "behind": None,
        },
    ]


def test_a_decision_names_a_statement_only_if_it_is_the_only_one_to_allow(actor: Actor) -> None:
    actor.may(allow("One", "ec2:DescribeVpcs"), allow("Other", "ec2:Describe*"))
    actor.client("ec2").describe_vpcs()
    assert [each["statement"] for each in actor.decisions()] == [None]


def test_decisions_about_root_are_not_recorded(aws: LocalAws) -> None:
    aws.client("ec2").describe_vpcs()
    assert all(each["principal"] != "root" for each in aws.admin.decisions())


# --- Resources ---


@pytest.mark.parametrize(
    ("pattern", "allowed"),
    [("-??????", True), ("-*", True), ("-?????", False), ("", False), ("*", True)],
)
def test_a_secret_is_authorized_by_its_arn_with_the_random_suffix(
    actor: Actor, secret: str, pattern: str, allowed: bool
) -> None:
    resource = f"{SECRET}{secret}{pattern}"
    actor.may(allow("It", "secretsmanager:DescribeSecret", resource=resource))
    client = actor.client("secretsmanager")
    if allowed:
        client.describe_secret(SecretId=secret)
    else:
        assert error_from(client.describe_secret, SecretId=secret)[0] == "AccessDeniedException"


def test_a_missing_secret_is_authorized_without_a_suffix(actor: Actor) -> None:
    name = f"/{unique_name('missing')}"
    actor.may(allow("It", "secretsmanager:DescribeSecret", resource=f"{SECRET}{name}-??????"))
    client = actor.client("secretsmanager")
    assert error_from(client.describe_secret, SecretId=name)[0] == "AccessDeniedException"
    actor.may(allow("It", "secretsmanager:DescribeSecret", resource=f"{SECRET}{name}*"))
    assert error_from(client.describe_secret, SecretId=name)[0] == "ResourceNotFoundException"


def test_create_secret_is_authorized_with_a_suffix(actor: Actor) -> None:
    name = f"/{unique_name('new')}"
    actor.may(allow("It", "secretsmanager:CreateSecret", resource=f"{SECRET}{name}-??????"))
    client = actor.client("secretsmanager")
    tags = [{"Key": "stack", "Value": "mine"}]
    code, message = error_from(client.create_secret, Name=name, SecretString="s", Tags=tags)
    assert (code, "secretsmanager:TagResource" in message) == ("AccessDeniedException", True)
    client.create_secret(Name=name, SecretString="s")
    actor.aws.client("secretsmanager").delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)


def test_an_action_without_resource_level_requires_the_resource_star(actor: Actor) -> None:
    actor.may(allow("It", "ec2:DescribeSecurityGroups", resource=f"{GROUP}*"))
    code, _ = error_from(actor.client("ec2").describe_security_groups)
    assert code == "UnauthorizedOperation"


def test_a_security_group_is_authorized_by_its_arn(actor: Actor) -> None:
    ec2 = actor.aws.client("ec2")
    mine, other = (
        ec2.create_security_group(
            GroupName=unique_name("group"), Description="d", VpcId=actor.aws.vpc
        )["GroupId"]
        for _ in range(2)
    )
    actor.may(allow("It", "ec2:DeleteSecurityGroup", resource=f"{GROUP}{mine}"))
    client = actor.client("ec2")
    client.delete_security_group(GroupId=mine)
    assert error_from(client.delete_security_group, GroupId=other)[0] == "UnauthorizedOperation"
    ec2.delete_security_group(GroupId=other)


def test_send_command_requires_permission_for_document_and_instance(actor: Actor) -> None:
    prefix = "us-east-1:123456789012"
    documents, instances = f"arn:aws:ssm:{prefix}:document/*", f"arn:aws:ec2:{prefix}:instance/*"
    given: Json = {"DocumentName": "Missing", "InstanceIds": ["i-0123456789abcdef0"]}
    for resources, code in (
        ([documents], "AccessDeniedException"),
        ([instances], "AccessDeniedException"),
        ([documents, instances], "InvalidDocument"),
    ):
        actor.may(allow("It", "ssm:SendCommand", resource=resources))
        assert error_from(actor.client("ssm").send_command, **given)[0] == code


# --- Conditions ---


@pytest.mark.parametrize("key", ["aws:ResourceTag/stack", "secretsmanager:ResourceTag/stack"])
@pytest.mark.parametrize(("value", "allowed"), [("mine", True), ("yours", False)])
def test_a_condition_can_match_the_tags_of_a_secret(
    actor: Actor, secret: str, key: str, value: str, allowed: bool
) -> None:
    actor.may(allow("It", "secretsmanager:DescribeSecret", StringEquals={key: value}))
    client = actor.client("secretsmanager")
    if allowed:
        client.describe_secret(SecretId=secret)
    else:
        assert error_from(client.describe_secret, SecretId=secret)[0] == "AccessDeniedException"


def test_a_condition_can_match_the_tags_of_a_parameter(actor: Actor) -> None:
    owner, names = actor.aws.client("ssm"), {}
    for value in ("mine", "yours"):
        names[value] = f"/{unique_name(value)}"
        tags = [{"Key": "stack", "Value": value}]
        owner.put_parameter(Name=names[value], Value="v", Type="String", Tags=tags)
    condition = {"aws:ResourceTag/stack": "mine"}
    actor.may(allow("It", "ssm:DeleteParameters", StringEquals=condition))
    client = actor.client("ssm")
    denied, _ = error_from(client.delete_parameters, Names=list(names.values()))
    assert denied == "AccessDeniedException"
    client.delete_parameters(Names=[names["mine"]])
    owner.delete_parameter(Name=names["yours"])


def test_a_condition_can_match_the_tags_of_a_cluster(actor: Actor) -> None:
    owner = actor.aws.client("cloudhsmv2")
    ids = {}
    for value in ("mine", "yours"):
        ids[value] = owner.create_cluster(
            HsmType="hsm2m.medium",
            Mode="FIPS",
            SubnetIds=actor.aws.subnets[:1],
            TagList=[{"Key": "stack", "Value": value}],
        )["Cluster"]["ClusterId"]
    actor.aws.admin.advance(300)
    condition = {"aws:ResourceTag/stack": "mine"}
    actor.may(allow("It", "cloudhsm:TagResource", "cloudhsm:CreateHsm", StringEquals=condition))
    client = actor.client("cloudhsmv2")
    more = [{"Key": "more", "Value": "m"}]
    client.tag_resource(ResourceId=ids["mine"], TagList=more)
    denied, _ = error_from(client.tag_resource, ResourceId=ids["yours"], TagList=more)
    assert "AccessDenied" in denied
    for cluster in ids.values():
        owner.delete_cluster(ClusterId=cluster)
    actor.aws.admin.advance(300)


def test_a_condition_can_match_the_tags_of_an_instance(actor: Actor) -> None:
    ec2 = actor.aws.client("ec2")
    ids = {}
    for value in ("mine", "yours"):
        ids[value] = ec2.run_instances(
            ImageId="ami-0a12c3d4e5f6a7b80", MinCount=1, MaxCount=1, SubnetId=actor.aws.subnets[0]
        )["Instances"][0]["InstanceId"]
        ec2.create_tags(Resources=[ids[value]], Tags=[{"Key": "stack", "Value": value}])
    actor.aws.admin.advance(120)
    condition = {"aws:ResourceTag/stack": "mine"}
    actor.may(allow("It", "ec2:StopInstances", StringEquals=condition))
    client = actor.client("ec2")
    client.stop_instances(InstanceIds=[ids["mine"]])
    code, _ = error_from(client.stop_instances, InstanceIds=[ids["yours"]])
    assert code == "UnauthorizedOperation"
    ec2.terminate_instances(InstanceIds=[*ids.values()])


def test_a_condition_can_match_the_tags_in_a_request(actor: Actor) -> None:
    condition = {"aws:RequestTag/stack": "mine"}
    actor.may(allow("It", "cloudhsm:CreateCluster", StringEquals=condition))
    client = actor.client("cloudhsmv2")
    given = {"HsmType": "hsm2m.medium", "Mode": "FIPS", "SubnetIds": actor.aws.subnets[:1]}
    code, _ = error_from(client.create_cluster, **given)
    assert "AccessDenied" in code
    tags = [{"Key": "stack", "Value": "mine"}]
    # The requested action is allowed now; the dependent ones are not.
    _, message = error_from(client.create_cluster, **given, TagList=tags)
    assert "cloudhsm:CreateCluster" not in message


# --- Dependent permissions ---


def test_creating_a_cluster_requires_dependent_permissions_of_its_caller(actor: Actor) -> None:
    client = actor.client("cloudhsmv2")
    given = {"HsmType": "hsm2m.medium", "Mode": "FIPS", "SubnetIds": actor.aws.subnets[:1]}
    actor.may(allow("It", "cloudhsm:CreateCluster"))
    code, message = error_from(client.create_cluster, **given)
    assert "AccessDenied" in code
    assert "ec2:" in message or "iam:" in message
    behind = [each for each in actor.decisions() if each["behind"]]
    assert {each["behind"] for each in behind} == {"cloudhsm:CreateCluster"}
    assert not any(each["allowed"] for each in behind)


# --- Trust ---


def test_a_function_requires_a_role_that_trusts_lambda(stack: SampleStack) -> None:
    resources = {
        "FunctionRole": role("ec2", everything=True),
        "Function": function("def handler(e, c): return 1"),
    }
    assert stack.create(resources) == "ROLLBACK_COMPLETE"
    assert "cannot be assumed by Lambda" in stack.reason("Function")


def test_a_trust_policy_can_require_source_account_and_source_arn(stack: SampleStack) -> None:
    resources = {
        "FunctionRole": role("lambda", everything=True),
        "Function": function("def handler(e, c): return 1", FunctionName=unique_name("trusted")),
    }
    trust = resources["FunctionRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"][0]
    trust["Condition"] = {"StringEquals": {"aws:SourceAccount": "210987654321"}}
    assert stack.create(resources) == "ROLLBACK_COMPLETE"
    stack.delete()
    stack.name = unique_name()
    arn = "arn:aws:lambda:us-east-1:123456789012:function:trusted-*"
    trust["Condition"] = {
        "StringEquals": {"aws:SourceAccount": "123456789012"},
        "ArnLike": {"aws:SourceArn": arn},
    }
    assert stack.create(resources) == "CREATE_COMPLETE"


def test_starting_an_instance_needs_a_grant_on_the_key_of_its_volumes(
    actor: Actor, aws: LocalAws
) -> None:
    # https://repost.aws/knowledge-center/kms-iam-ec2-permission
    through_ec2 = {
        "Bool": {"kms:GrantIsForAWSResource": "true"},
        "StringEquals": {"kms:ViaService": f"ec2.{aws.region}.amazonaws.com"},
    }
    start = allow("Start", "ec2:StartInstances")
    ec2 = aws.client("ec2")
    launched = ec2.run_instances(
        ImageId="ami-0a12c3d4e5f6a7b80", MinCount=1, MaxCount=1, SubnetId=aws.subnets[0]
    )
    instance = launched["Instances"][0]["InstanceId"]
    aws.admin.advance(60)
    states = []
    for statements in ([start], [start, allow("Grant", "kms:CreateGrant", **through_ec2)]):
        actor.may(*statements)
        ec2.stop_instances(InstanceIds=[instance])
        aws.admin.advance(60)
        actor.client("ec2").start_instances(InstanceIds=[instance])
        aws.admin.advance(60)
        described = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"]
        reason = described[0].get("StateReason", {}).get("Code")
        states.append((described[0]["State"]["Name"], reason))
    ec2.terminate_instances(InstanceIds=[instance])
    assert states == [("stopped", "Client.InternalError"), ("running", None)]
