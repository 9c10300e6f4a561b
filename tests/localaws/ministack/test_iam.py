from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from localaws.client import LocalAws
from tests.localaws.ministack.support import Json, Try, fresh, function, refusal, role

SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:"
GROUP = "arn:aws:ec2:us-east-1:123456789012:security-group/"


def allow(sid: str, *actions: str, resource: Any = "*", **condition: Any) -> Json:
    statement = {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": resource}
    return {**statement, "Condition": condition} if condition else statement


class Actor:
    """A role, and clients that act with it."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws, self.name = aws, fresh("actor")
        self._iam = aws.client("iam")
        trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        self.arn = self._iam.create_role(
            RoleName=self.name, AssumeRolePolicyDocument=document(trust)
        )["Role"]["Arn"]

    def may(self, *statements: Json) -> None:
        """Give the role these statements and no others."""
        self._iam.put_role_policy(
            RoleName=self.name, PolicyName="own", PolicyDocument=document(*statements)
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
            self._iam.delete_role_policy(RoleName=self.name, PolicyName="own")
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
    name = f"/{fresh('secret')}"
    client = aws.client("secretsmanager")
    client.create_secret(Name=name, SecretString="s", Tags=[{"Key": "stack", "Value": "mine"}])
    yield name
    client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)


# --- What is on record ---


def test_every_decision_says_who_asked_for_what_and_which_statement_allowed_it(
    actor: Actor, secret: str
) -> None:
    actor.may(allow("ReadIt", "secretsmanager:GetSecretValue", resource=f"{SECRET}{secret}-??????"))
    client = actor.client("secretsmanager")
    client.get_secret_value(SecretId=secret)
    client.get_secret_value(SecretId=secret)
    code, message = refusal(client.delete_secret, SecretId=secret)
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


def test_a_statement_is_named_only_if_no_other_would_do(actor: Actor) -> None:
    actor.may(allow("One", "ec2:DescribeVpcs"), allow("Other", "ec2:Describe*"))
    actor.client("ec2").describe_vpcs()
    assert [each["statement"] for each in actor.decisions()] == [None]


def test_the_account_itself_is_not_on_record(aws: LocalAws) -> None:
    aws.client("ec2").describe_vpcs()
    assert all(each["principal"] != "root" for each in aws.admin.decisions())


# --- Resources ---


@pytest.mark.parametrize(
    ("pattern", "allowed"),
    [("-??????", True), ("-*", True), ("-?????", False), ("", False), ("*", True)],
)
def test_a_secret_is_matched_with_its_six_characters(
    actor: Actor, secret: str, pattern: str, allowed: bool
) -> None:
    resource = f"{SECRET}{secret}{pattern}"
    actor.may(allow("It", "secretsmanager:DescribeSecret", resource=resource))
    client = actor.client("secretsmanager")
    if allowed:
        client.describe_secret(SecretId=secret)
    else:
        assert refusal(client.describe_secret, SecretId=secret)[0] == "AccessDeniedException"


def test_a_missing_secret_has_no_six_characters(actor: Actor) -> None:
    name = f"/{fresh('missing')}"
    actor.may(allow("It", "secretsmanager:DescribeSecret", resource=f"{SECRET}{name}-??????"))
    client = actor.client("secretsmanager")
    assert refusal(client.describe_secret, SecretId=name)[0] == "AccessDeniedException"
    actor.may(allow("It", "secretsmanager:DescribeSecret", resource=f"{SECRET}{name}*"))
    assert refusal(client.describe_secret, SecretId=name)[0] == "ResourceNotFoundException"


def test_a_secret_to_be_is_matched_with_a_suffix(actor: Actor) -> None:
    name = f"/{fresh('new')}"
    actor.may(allow("It", "secretsmanager:CreateSecret", resource=f"{SECRET}{name}-??????"))
    client = actor.client("secretsmanager")
    tags = [{"Key": "stack", "Value": "mine"}]
    code, message = refusal(client.create_secret, Name=name, SecretString="s", Tags=tags)
    assert (code, "secretsmanager:TagResource" in message) == ("AccessDeniedException", True)
    client.create_secret(Name=name, SecretString="s")
    actor.aws.client("secretsmanager").delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)


def test_an_action_without_resource_level_needs_the_star(actor: Actor) -> None:
    actor.may(allow("It", "ec2:DescribeSecurityGroups", resource=f"{GROUP}*"))
    code, _ = refusal(actor.client("ec2").describe_security_groups)
    assert code == "UnauthorizedOperation"


def test_a_group_is_authorized_by_its_arn(actor: Actor) -> None:
    ec2 = actor.aws.client("ec2")
    mine, other = (
        ec2.create_security_group(GroupName=fresh("group"), Description="d", VpcId=actor.aws.vpc)[
            "GroupId"
        ]
        for _ in range(2)
    )
    actor.may(allow("It", "ec2:DeleteSecurityGroup", resource=f"{GROUP}{mine}"))
    client = actor.client("ec2")
    client.delete_security_group(GroupId=mine)
    assert refusal(client.delete_security_group, GroupId=other)[0] == "UnauthorizedOperation"
    ec2.delete_security_group(GroupId=other)


def test_a_command_needs_the_right_to_its_document_and_to_its_instance(actor: Actor) -> None:
    prefix = "us-east-1:123456789012"
    documents, instances = f"arn:aws:ssm:{prefix}:document/*", f"arn:aws:ec2:{prefix}:instance/*"
    given: Json = {"DocumentName": "Nobodys", "InstanceIds": ["i-0123456789abcdef0"]}
    for resources, code in (
        ([documents], "AccessDeniedException"),
        ([instances], "AccessDeniedException"),
        ([documents, instances], "InvalidDocument"),
    ):
        actor.may(allow("It", "ssm:SendCommand", resource=resources))
        assert refusal(actor.client("ssm").send_command, **given)[0] == code


# --- Conditions ---


@pytest.mark.parametrize("key", ["aws:ResourceTag/stack", "secretsmanager:ResourceTag/stack"])
@pytest.mark.parametrize(("value", "allowed"), [("mine", True), ("yours", False)])
def test_a_secret_may_be_known_by_its_tags(
    actor: Actor, secret: str, key: str, value: str, allowed: bool
) -> None:
    actor.may(allow("It", "secretsmanager:DescribeSecret", StringEquals={key: value}))
    client = actor.client("secretsmanager")
    if allowed:
        client.describe_secret(SecretId=secret)
    else:
        assert refusal(client.describe_secret, SecretId=secret)[0] == "AccessDeniedException"


def test_a_cluster_may_be_known_by_its_tags(actor: Actor) -> None:
    owner = actor.aws.client("cloudhsmv2")
    made = {}
    for value in ("mine", "yours"):
        made[value] = owner.create_cluster(
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
    client.tag_resource(ResourceId=made["mine"], TagList=more)
    denied, _ = refusal(client.tag_resource, ResourceId=made["yours"], TagList=more)
    assert "AccessDenied" in denied
    for cluster in made.values():
        owner.delete_cluster(ClusterId=cluster)
    actor.aws.admin.advance(300)


def test_an_instance_may_be_known_by_its_tags(actor: Actor) -> None:
    ec2 = actor.aws.client("ec2")
    made = {}
    for value in ("mine", "yours"):
        made[value] = ec2.run_instances(
            ImageId="ami-00000001", MinCount=1, MaxCount=1, SubnetId=actor.aws.subnets[0]
        )["Instances"][0]["InstanceId"]
        ec2.create_tags(Resources=[made[value]], Tags=[{"Key": "stack", "Value": value}])
    actor.aws.admin.advance(120)
    condition = {"aws:ResourceTag/stack": "mine"}
    actor.may(allow("It", "ec2:StopInstances", StringEquals=condition))
    client = actor.client("ec2")
    client.stop_instances(InstanceIds=[made["mine"]])
    code, _ = refusal(client.stop_instances, InstanceIds=[made["yours"]])
    assert code == "UnauthorizedOperation"
    ec2.terminate_instances(InstanceIds=[*made.values()])


def test_a_request_may_be_known_by_the_tags_it_sets(actor: Actor) -> None:
    condition = {"aws:RequestTag/stack": "mine"}
    actor.may(allow("It", "cloudhsm:CreateCluster", StringEquals=condition))
    client = actor.client("cloudhsmv2")
    given = {"HsmType": "hsm2m.medium", "Mode": "FIPS", "SubnetIds": actor.aws.subnets[:1]}
    code, _ = refusal(client.create_cluster, **given)
    assert "AccessDenied" in code
    tags = [{"Key": "stack", "Value": "mine"}]
    # Past the first check; what creating a cluster needs besides is still missing.
    _, message = refusal(client.create_cluster, **given, TagList=tags)
    assert "cloudhsm:CreateCluster" not in message


# --- What is demanded besides ---


def test_a_cluster_needs_rights_of_its_caller_besides(actor: Actor) -> None:
    client = actor.client("cloudhsmv2")
    given = {"HsmType": "hsm2m.medium", "Mode": "FIPS", "SubnetIds": actor.aws.subnets[:1]}
    actor.may(allow("It", "cloudhsm:CreateCluster"))
    code, message = refusal(client.create_cluster, **given)
    assert "AccessDenied" in code
    assert "ec2:" in message or "iam:" in message
    behind = [each for each in actor.decisions() if each["behind"]]
    assert {each["behind"] for each in behind} == {"cloudhsm:CreateCluster"}
    assert not any(each["allowed"] for each in behind)


# --- Trust ---


def test_a_function_cannot_have_a_role_that_lambda_may_not_take(stack: Try) -> None:
    resources = {
        "FunctionRole": role("ec2", everything=True),
        "Function": function("def handler(e, c): return 1"),
    }
    assert stack.create(resources) == "ROLLBACK_COMPLETE"
    assert "cannot be assumed by Lambda" in stack.reason("Function")


def test_trust_may_be_bound_to_the_account_and_the_resource(stack: Try) -> None:
    resources = {
        "FunctionRole": role("lambda", everything=True),
        "Function": function("def handler(e, c): return 1", FunctionName=fresh("trusted")),
    }
    trust = resources["FunctionRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"][0]
    trust["Condition"] = {"StringEquals": {"aws:SourceAccount": "210987654321"}}
    assert stack.create(resources) == "ROLLBACK_COMPLETE"
    stack.delete()
    stack.name = fresh()
    arn = "arn:aws:lambda:us-east-1:123456789012:function:trusted-*"
    trust["Condition"] = {
        "StringEquals": {"aws:SourceAccount": "123456789012"},
        "ArnLike": {"aws:SourceArn": arn},
    }
    assert stack.create(resources) == "CREATE_COMPLETE"
