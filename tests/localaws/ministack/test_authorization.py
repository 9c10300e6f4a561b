from __future__ import annotations

from typing import Any

from localaws.ministack.authorization import Permission, Scope, required_permissions

REGION, ACCOUNT = "eu-central-1", "123456789012"
KNOWN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:/a/known-Xy12Zz"


def secret_arn(name: str) -> str | None:
    return KNOWN if name in ("/a/known", KNOWN) else None


SCOPE = Scope(REGION, ACCOUNT, secret_arn)


def required(action: str, **params: Any) -> list[tuple[str, str]]:
    """Action and resource of each permission, without the beginning of the ARN."""
    return [
        (
            permission.action,
            permission.resource.removeprefix(
                f"arn:aws:{permission.action.partition(':')[0]}:"
            ).removeprefix(f"{REGION}:{ACCOUNT}:"),
        )
        for permission in required_permissions(action, params, SCOPE) or []
    ]


REQUESTS: list[tuple[str, dict[str, Any], str]] = [
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
    ("ssm:GetParametersByPath", {"Path": "/a/b", "Recursive": True}, "parameter/a/b"),
    ("ssm:GetParametersByPath", {"Path": "/a/b/"}, "parameter/a/b/"),
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


def test_each_action_is_authorized_on_its_resource() -> None:
    wrong = [
        (action, params, found)
        for action, params, resource in REQUESTS
        if (found := required(action, **params)) != [(action, resource)]
    ]
    assert wrong == []


def test_send_command_is_authorized_on_the_document_and_each_instance() -> None:
    params = {"DocumentName": "Mine", "InstanceIds": ["i-1", "i-2"]}
    found = required_permissions("ssm:SendCommand", params, SCOPE)
    prefix = f"{REGION}:{ACCOUNT}"
    assert [permission.resource for permission in found or []] == [
        f"arn:aws:ssm:{prefix}:document/Mine",
        f"arn:aws:ec2:{prefix}:instance/i-1",
        f"arn:aws:ec2:{prefix}:instance/i-2",
    ]


def test_the_arn_of_an_aws_document_has_no_account() -> None:
    params = {"DocumentName": "AWS-RunShellScript"}
    assert required_permissions("ssm:SendCommand", params, SCOPE) == [
        Permission("ssm:SendCommand", "arn:aws:ssm:eu-central-1::document/AWS-RunShellScript")
    ]


def test_creating_a_secret_with_tags_requires_tag_resource() -> None:
    tags = [{"Key": "stack", "Value": "s"}]
    assert required("secretsmanager:CreateSecret", Name="/a", Tags=tags) == [
        ("secretsmanager:CreateSecret", "secret:/a-AbCdEf"),
        ("secretsmanager:TagResource", "secret:/a-AbCdEf"),
    ]


def test_creating_a_parameter_with_tags_requires_add_tags_to_resource() -> None:
    tags = [{"Key": "stack", "Value": "s"}]
    assert required("ssm:PutParameter", Name="/a", Tags=tags) == [
        ("ssm:PutParameter", "parameter/a"),
        ("ssm:AddTagsToResource", "parameter/a"),
    ]


def test_several_parameters_are_authorized_one_by_one() -> None:
    assert required("ssm:DeleteParameters", Names=["/a/b", "/a/c"]) == [
        ("ssm:DeleteParameters", "parameter/a/b"),
        ("ssm:DeleteParameters", "parameter/a/c"),
    ]


def test_create_network_interface_is_authorized_on_subnet_and_groups() -> None:
    params = {"SubnetId": "subnet-1", "SecurityGroupId.1": "sg-1"}
    assert [resource for _, resource in required("ec2:CreateNetworkInterface", **params)] == [
        "network-interface/*",
        "subnet/subnet-1",
        "security-group/sg-1",
    ]


def test_request_tags_become_condition_keys() -> None:
    tags = [{"Key": "stack", "Value": "s"}, {"Key": "empty"}]
    (found,) = required_permissions("cloudhsm:CreateCluster", {"TagList": tags}, SCOPE) or []
    assert found.context == {
        "aws:RequestTag/stack": "s",
        "aws:RequestTag/empty": "",
        "aws:TagKeys": ["stack", "empty"],
    }


def test_keys_of_removed_tags_become_a_condition_key() -> None:
    params = {"ResourceId": "cluster-1", "TagKeyList": ["a"]}
    (found,) = required_permissions("cloudhsm:UntagResource", params, SCOPE) or []
    assert found.context == {"aws:TagKeys": ["a"]}


def test_create_and_delete_tags_are_authorized_on_each_resource_with_the_tags() -> None:
    params = {"Tag.1.Key": "a", "Tag.1.Value": "x", "Tag.2.Key": "b"}
    context = {"aws:RequestTag/a": "x", "aws:RequestTag/b": "", "aws:TagKeys": ["a", "b"]}
    ids = {"ResourceId.1": "i-1", "ResourceId.2": "sg-1", "ResourceId.3": "rtb-1"}
    for action in ("ec2:CreateTags", "ec2:DeleteTags"):
        assert required_permissions(action, {**params, **ids}, SCOPE) == [
            Permission(action, f"arn:aws:ec2:{REGION}:{ACCOUNT}:{resource}", context)
            for resource in ("instance/i-1", "security-group/sg-1", "route-table/rtb-1")
        ]


def test_other_actions_are_left_to_ministack() -> None:
    assert required_permissions("s3:GetObject", {}, SCOPE) is None
    assert required_permissions("ssm:GetInventory", {}, SCOPE) is None
    assert required_permissions("kms:Encrypt", {"KeyId": "k"}, SCOPE) is None
