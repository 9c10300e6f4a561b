from __future__ import annotations

from typing import Any

import pytest

from localaws.ministack.authorization import Permission, Scope, required_permissions

REGION, ACCOUNT = "eu-central-1", "123456789012"
KNOWN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:/a/known-Xy12Zz"


def secret_arn(name: str) -> str | None:
    return KNOWN if name in ("/a/known", KNOWN) else None


SCOPE = Scope(REGION, ACCOUNT, secret_arn)


def asked(action: str, **given: Any) -> list[tuple[str, str]]:
    """Action and resource, the ARN's beginning left out."""
    found = required_permissions(action, given, SCOPE)
    assert found is not None
    return [
        (
            demand.action,
            demand.resource.removeprefix(
                f"arn:aws:{demand.action.partition(':')[0]}:"
            ).removeprefix(f"{REGION}:{ACCOUNT}:"),
        )
        for demand in found
    ]


ONE: list[tuple[str, dict[str, Any], str]] = [
    ("cloudhsm:CreateCluster", {"SubnetIds": ["subnet-1"]}, "*"),
    ("cloudhsm:CreateCluster", {"SourceBackupId": "backup-1"}, "backup/backup-1"),
    ("cloudhsm:DeleteCluster", {"ClusterId": "cluster-1"}, "cluster/cluster-1"),
    ("cloudhsm:InitializeCluster", {"ClusterId": "cluster-1"}, "cluster/cluster-1"),
    ("cloudhsm:ModifyCluster", {"ClusterId": "cluster-1"}, "cluster/cluster-1"),
    ("cloudhsm:CreateHsm", {"ClusterId": "cluster-1"}, "cluster/cluster-1"),
    ("cloudhsm:DeleteHsm", {"ClusterId": "cluster-1", "HsmId": "hsm-1"}, "*"),
    ("cloudhsm:DescribeClusters", {"Filters": {"clusterIds": ["cluster-1"]}}, "*"),
    ("cloudhsm:DescribeBackups", {}, "*"),
    ("cloudhsm:TagResource", {"ResourceId": "cluster-1"}, "cluster/cluster-1"),
    ("cloudhsm:TagResource", {"ResourceId": "backup-1"}, "backup/backup-1"),
    ("kms:CreateCustomKeyStore", {"CustomKeyStoreName": "x"}, "*"),
    ("kms:DescribeCustomKeyStores", {}, "*"),
    ("secretsmanager:GetSecretValue", {"SecretId": "/a/known"}, "secret:/a/known-Xy12Zz"),
    ("secretsmanager:GetSecretValue", {"SecretId": KNOWN}, "secret:/a/known-Xy12Zz"),
    ("secretsmanager:GetSecretValue", {"SecretId": "/a/missing"}, "secret:/a/missing"),
    ("secretsmanager:CreateSecret", {"Name": "/a/new"}, "secret:/a/new-AbCdEf"),
    ("secretsmanager:ListSecrets", {}, "*"),
    ("ssm:GetCommandInvocation", {"CommandId": "c"}, "*"),
    ("ssm:CancelCommand", {"CommandId": "c"}, "*"),
    ("ssm:DescribeInstanceInformation", {}, "*"),
    ("ssm:DeleteDocument", {"Name": "Mine"}, "document/Mine"),
    ("ssm:PutParameter", {"Name": "/a/b"}, "parameter/a/b"),
    ("ssm:GetParameter", {"Name": "plain"}, "parameter/plain"),
    ("ec2:DescribeInstances", {"InstanceId.1": "i-1"}, "*"),
    ("ec2:StartInstances", {"InstanceId.1": "i-1"}, "instance/i-1"),
    ("ec2:StopInstances", {"InstanceId.1": "i-1"}, "instance/i-1"),
    ("ec2:DeleteSecurityGroup", {"GroupId": "sg-1"}, "security-group/sg-1"),
    ("ec2:AuthorizeSecurityGroupEgress", {"GroupId": "sg-1"}, "security-group/sg-1"),
    ("ec2:RevokeSecurityGroupIngress", {"GroupId": "sg-1"}, "security-group/sg-1"),
    ("states:StartExecution", {"stateMachineArn": "arn:m"}, "arn:m"),
    ("states:StopExecution", {"executionArn": "arn:e"}, "arn:e"),
    ("states:DescribeExecution", {"executionArn": "arn:e"}, "arn:e"),
    ("states:ListExecutions", {"stateMachineArn": "arn:m"}, "arn:m"),
    ("states:ListStateMachines", {}, "*"),
    ("cloudformation:DescribeStacks", {"StackName": "s"}, "stack/s/*"),
    ("cloudformation:DescribeStacks", {"StackName": "arn:s"}, "arn:s"),
    (
        "logs:PutLogEvents",
        {"logGroupName": "/g", "logStreamName": "s"},
        "log-group:/g:log-stream:s",
    ),
    ("logs:DescribeLogGroups", {"logGroupNamePrefix": "/g"}, "*"),
    ("events:PutRule", {"Name": "r"}, "rule/r"),
    ("events:PutTargets", {"Rule": "r", "EventBusName": "bus"}, "rule/bus/r"),
    (
        "iam:GetInstanceProfile",
        {"InstanceProfileName": "p"},
        f":{ACCOUNT}:instance-profile/p",
    ),
]


@pytest.mark.parametrize(("action", "given", "resource"), ONE, ids=[row[0] for row in ONE])
def test_an_action_is_authorized_on_its_resource(
    action: str, given: dict[str, Any], resource: str
) -> None:
    assert asked(action, **given) == [(action, resource)]


def test_a_command_is_authorized_on_its_document_and_on_each_instance() -> None:
    found = required_permissions(
        "ssm:SendCommand", {"DocumentName": "Mine", "InstanceIds": ["i-1", "i-2"]}, SCOPE
    )
    prefix = f"{REGION}:{ACCOUNT}"
    assert [demand.resource for demand in found or []] == [
        f"arn:aws:ssm:{prefix}:document/Mine",
        f"arn:aws:ec2:{prefix}:instance/i-1",
        f"arn:aws:ec2:{prefix}:instance/i-2",
    ]


def test_a_document_of_aws_has_no_account() -> None:
    found = required_permissions("ssm:SendCommand", {"DocumentName": "AWS-RunShellScript"}, SCOPE)
    assert found == [
        Permission("ssm:SendCommand", "arn:aws:ssm:eu-central-1::document/AWS-RunShellScript")
    ]


def test_a_secret_that_is_created_with_tags_needs_the_right_to_tag() -> None:
    tags = [{"Key": "stack", "Value": "s"}]
    assert asked("secretsmanager:CreateSecret", Name="/a", Tags=tags) == [
        ("secretsmanager:CreateSecret", "secret:/a-AbCdEf"),
        ("secretsmanager:TagResource", "secret:/a-AbCdEf"),
    ]


def test_a_network_interface_is_authorized_on_what_it_is_put_into() -> None:
    given = {"SubnetId": "subnet-1", "SecurityGroupId.1": "sg-1"}
    assert [resource for _, resource in asked("ec2:CreateNetworkInterface", **given)] == [
        "network-interface/*",
        "subnet/subnet-1",
        "security-group/sg-1",
    ]


def test_the_tags_of_a_request_are_condition_keys() -> None:
    tags = [{"Key": "stack", "Value": "s"}, {"Key": "empty"}]
    (found,) = required_permissions("cloudhsm:CreateCluster", {"TagList": tags}, SCOPE) or []
    assert found.context == {
        "aws:RequestTag/stack": "s",
        "aws:RequestTag/empty": "",
        "aws:TagKeys": ["stack", "empty"],
    }


def test_the_keys_of_tags_that_are_taken_away_are_a_condition_key() -> None:
    given = {"ResourceId": "cluster-1", "TagKeyList": ["a"]}
    (found,) = required_permissions("cloudhsm:UntagResource", given, SCOPE) or []
    assert found.context == {"aws:TagKeys": ["a"]}


@pytest.mark.parametrize("verb", ["Create", "Delete"])
def test_tags_are_put_on_an_instance_and_taken_away_by_its_arn_and_their_keys(verb: str) -> None:
    given = {"ResourceId.1": "i-1", "Tag.1.Key": "a", "Tag.1.Value": "x", "Tag.2.Key": "b"}
    (found,) = required_permissions(f"ec2:{verb}Tags", given, SCOPE) or []
    assert found.resource == f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/i-1"
    assert found.context == {
        "aws:RequestTag/a": "x",
        "aws:RequestTag/b": "",
        "aws:TagKeys": ["a", "b"],
    }


def test_what_is_not_known_here_is_left_to_ministack() -> None:
    assert required_permissions("s3:GetObject", {}, SCOPE) is None
    assert required_permissions("ssm:GetInventory", {}, SCOPE) is None
    assert required_permissions("kms:Encrypt", {"KeyId": "k"}, SCOPE) is None
