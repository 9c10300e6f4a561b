"""The local AWS authorizes requests on the same resources and conditions as AWS."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from localaws.client import LocalAws
from localaws.services.cloudhsmv2.settings import RESOURCE_LEVEL_IAM
from tests.iam.roles import ACCOUNT, TRUST_ACCOUNT, Role

Json = dict[str, Any]

STACK = "hsm-lifecycle:stack-id"
OWNED, OTHER = [{"Key": STACK, "Value": "owned"}], [{"Key": STACK, "Value": "other"}]
IF_OWNED = {"StringEquals": {f"aws:ResourceTag/{STACK}": "owned"}}
IF_TAGGED = {"StringEquals": {f"aws:RequestTag/{STACK}": "owned"}}
_numbers = itertools.count(1)


@pytest.fixture(scope="module", name="aws")
def _aws() -> Iterator[LocalAws]:
    with LocalAws() as aws:
        secrets = aws.client("secretsmanager")
        secrets.create_secret(Name="/owned/secret", SecretString="text", Tags=OWNED)
        secrets.create_secret(Name="/other/secret", SecretString="text", Tags=OTHER)
        yield aws


def arn(service: str, resource: str) -> str:
    region = "" if service == "iam" else "us-east-1"
    return f"arn:aws:{service}:{region}:{ACCOUNT}:{resource}"


def allow(actions: str, *resources: str, condition: Json | None = None) -> Json:
    """A statement that allows actions, given a condition if there is one."""
    statement = {"Effect": "Allow", "Action": actions.split(), "Resource": list(resources)}
    return {**statement, "Condition": condition} if condition else statement


def may(aws: LocalAws, statements: list[Json], call: str, **request: Any) -> bool:
    """Whether a role with this policy is authorized, whatever the service then responds."""
    name = f"try-{next(_numbers)}"
    iam, policy = aws.client("iam"), {"Version": "2012-10-17", "Statement": statements}
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST_ACCOUNT)
    iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=json.dumps(policy))
    return Role(aws, name).may(call, **request)


READ = "secretsmanager:GetSecretValue"


@pytest.mark.parametrize(
    ("resource", "condition", "secret", "allowed"),
    [
        ("secret:/owned/secret-??????", None, "/owned/secret", True),
        ("secret:/owned/secret-?????", None, "/owned/secret", False),
        ("secret:/owned/secret", None, "/owned/secret", False),
        ("secret:/owned/secret-??????", None, "/other/secret", False),
        ("secret:/*-??????", IF_OWNED, "/owned/secret", True),
        ("secret:/*-??????", IF_OWNED, "/other/secret", False),
        # A missing secret has neither a suffix nor tags.
        ("secret:/no/secret-??????", None, "/no/secret", False),
        ("secret:/no/secret", IF_OWNED, "/no/secret", False),
        ("secret:/no/secret", None, "/no/secret", True),
    ],
)
def test_a_secret_is_authorized_by_its_full_arn_and_tags(
    aws: LocalAws, resource: str, condition: Json | None, secret: str, allowed: bool
) -> None:
    policy = [allow(READ, arn("secretsmanager", resource), condition=condition)]
    assert may(aws, policy, "secretsmanager.get_secret_value", SecretId=secret) == allowed


CREATE = "secretsmanager:CreateSecret"


@pytest.mark.parametrize(
    ("actions", "condition", "tags", "allowed"),
    [
        (CREATE, None, [], True),
        (CREATE, None, OWNED, False),
        (f"{CREATE} secretsmanager:TagResource", None, OWNED, True),
        (f"{CREATE} secretsmanager:TagResource", IF_TAGGED, OWNED, True),
        (f"{CREATE} secretsmanager:TagResource", IF_TAGGED, OTHER, False),
        (f"{CREATE} secretsmanager:TagResource", IF_TAGGED, [], False),
    ],
)
def test_create_secret_requires_permission_for_its_tags(
    aws: LocalAws, actions: str, condition: Json | None, tags: list[Json], allowed: bool
) -> None:
    policy = [allow(actions, arn("secretsmanager", "secret:/new/*-??????"), condition=condition)]
    request = {"Name": f"/new/{next(_numbers)}", "SecretString": "text", "Tags": tags}
    assert may(aws, policy, "secretsmanager.create_secret", **request) == allowed


DOCUMENT, INSTANCE = arn("ssm", "document/owned"), arn("ec2", "instance/i-0123456789abcdef0")


@pytest.mark.parametrize(
    ("resources", "allowed"),
    [
        ([DOCUMENT, INSTANCE], True),
        ([DOCUMENT], False),
        ([INSTANCE], False),
        ([arn("ssm", "document/other"), INSTANCE], False),
        ([DOCUMENT, arn("ec2", "instance/i-0000000000000000f")], False),
    ],
)
def test_send_command_requires_permission_for_document_and_instance(
    aws: LocalAws, resources: list[str], allowed: bool
) -> None:
    request = {"DocumentName": "owned", "InstanceIds": [INSTANCE.rpartition("/")[2]]}
    assert may(aws, [allow("ssm:SendCommand", *resources)], "ssm.send_command", **request) == (
        allowed
    )


@pytest.mark.parametrize("named", ["cloudhsm.amazonaws.com", "cks.kms.amazonaws.com"])
def test_a_condition_can_restrict_the_service_of_a_service_linked_role(
    aws: LocalAws, named: str
) -> None:
    policy = allow(
        "iam:CreateServiceLinkedRole",
        arn("iam", "role/aws-service-role/*"),
        condition={"StringEquals": {"iam:AWSServiceName": named}},
    )
    for service in ("cloudhsm.amazonaws.com", "cks.kms.amazonaws.com"):
        allowed = may(aws, [policy], "iam.create_service_linked_role", AWSServiceName=service)
        assert allowed == (service == named)


ON_A_STACK = arn("cloudformation", "stack/owned/0123")
MACHINES = arn("states", "stateMachine:owned")
EXECUTIONS = arn("states", "execution:owned:*")


# Action, allowed resource, call, and the parameters for that resource and for another one.
SPECIFIC: list[tuple[str, str, str, Json, Json]] = [
    (
        "cloudformation:DescribeStacks",
        ON_A_STACK,
        "cloudformation.describe_stacks",
        {"StackName": ON_A_STACK},
        {"StackName": "another"},
    ),
    (
        "states:ListExecutions",
        MACHINES,
        "stepfunctions.list_executions",
        {"stateMachineArn": MACHINES},
        {"stateMachineArn": MACHINES + "2"},
    ),
    (
        "states:StopExecution",
        EXECUTIONS,
        "stepfunctions.stop_execution",
        {"executionArn": EXECUTIONS.replace("*", "one")},
        {"executionArn": EXECUTIONS.replace("owned:*", "another:one")},
    ),
    (
        "ec2:StartInstances",
        INSTANCE,
        "ec2.start_instances",
        {"InstanceIds": [INSTANCE.rpartition("/")[2]]},
        {"InstanceIds": ["i-0000000000000000f"]},
    ),
    (
        "ssm:PutParameter",
        arn("ssm", "parameter/owned/claim"),
        "ssm.put_parameter",
        {"Name": "/owned/claim", "Value": "text", "Type": "String"},
        {"Name": "/other/claim", "Value": "text", "Type": "String"},
    ),
    (
        "iam:GetInstanceProfile",
        arn("iam", "instance-profile/owned"),
        "iam.get_instance_profile",
        {"InstanceProfileName": "owned"},
        {"InstanceProfileName": "another"},
    ),
]


def test_permission_for_one_resource_does_not_extend_to_another(aws: LocalAws) -> None:
    wrong = [
        action
        for action, resource, call, params, other in SPECIFIC
        if not may(aws, [allow(action, resource)], call, **params)
        or may(aws, [allow(action, resource)], call, **other)
    ]
    assert wrong == []


WITHOUT_RESOURCE_LEVEL: list[tuple[str, str, Json]] = [
    ("cloudhsm:DescribeClusters", "cloudhsmv2.describe_clusters", {}),
    ("cloudhsm:DescribeBackups", "cloudhsmv2.describe_backups", {}),
    ("kms:DescribeCustomKeyStores", "kms.describe_custom_key_stores", {}),
    ("ec2:DescribeInstances", "ec2.describe_instances", {}),
    ("ec2:DescribeSubnets", "ec2.describe_subnets", {}),
    ("ec2:DescribeSecurityGroups", "ec2.describe_security_groups", {}),
    ("ssm:DescribeInstanceInformation", "ssm.describe_instance_information", {}),
    ("ssm:ListCommands", "ssm.list_commands", {}),
    ("ssm:CancelCommand", "ssm.cancel_command", {"CommandId": "0" * 36}),
]


def test_an_action_without_resource_level_requires_the_resource_star(aws: LocalAws) -> None:
    wrong = [
        action
        for action, call, params in WITHOUT_RESOURCE_LEVEL
        if not may(aws, [allow(action, "*")], call, **params)
        or may(aws, [allow(action, arn(action.partition(":")[0], "*"))], call, **params)
    ]
    assert wrong == []


def cluster(aws: LocalAws, tags: list[Json]) -> str:
    created = aws.client("cloudhsmv2").create_cluster(
        HsmType="hsm2m.medium", Mode="FIPS", SubnetIds=aws.subnets[:1], TagList=tags
    )
    return str(created["Cluster"]["ClusterId"])


def test_a_tag_condition_restricts_changes_to_tagged_clusters(aws: LocalAws) -> None:
    owned, other = cluster(aws, OWNED), cluster(aws, OTHER)
    changes: list[tuple[str, str, Json]] = [
        ("CreateHsm", "create_hsm", {"AvailabilityZone": "us-east-1a"}),
        ("InitializeCluster", "initialize_cluster", {"SignedCert": "a", "TrustAnchor": "b"}),
        ("ModifyCluster", "modify_cluster", {"HsmType": "hsm2m.medium"}),
        ("DeleteCluster", "delete_cluster", {}),
    ]
    for action, operation, request in changes:
        policy = [allow(f"cloudhsm:{action}", arn("cloudhsm", "cluster/*"), condition=IF_OWNED)]
        call = f"cloudhsmv2.{operation}"
        assert not may(aws, policy, call, ClusterId=other, **request), action
        # CreateHsm and DeleteCluster have dependent actions.
        policy.append(allow("ec2:*", "*"))
        assert may(aws, policy, call, ClusterId=owned, **request), action


@pytest.mark.parametrize(("tags", "allowed"), [(OWNED, True), (OTHER, False), ([], False)])
def test_create_cluster_requires_the_request_tag_of_the_condition(
    aws: LocalAws, tags: list[Json], allowed: bool
) -> None:
    policy = [
        allow("cloudhsm:CreateCluster", "*", condition=IF_TAGGED),
        allow("cloudhsm:TagResource", arn("cloudhsm", "cluster/*"), condition=IF_TAGGED),
        allow("ec2:* iam:*", "*"),
    ]
    request = {"HsmType": "hsm2m.medium", "Mode": "FIPS", "SubnetIds": aws.subnets[:1]}
    tagged = {**request, "TagList": tags} if tags else request
    assert may(aws, policy, "cloudhsmv2.create_cluster", **tagged) == allowed
    # TagResource is required, too.
    assert not may(aws, [policy[0], policy[2]], "cloudhsmv2.create_cluster", **tagged)


READINGS: list[tuple[str, str, str, Json | None, bool]] = [
    # Reading, call, resource, condition, allowed.
    ("supported", "modify_cluster", "cluster/*", IF_OWNED, True),
    ("supported", "modify_cluster", "cluster/cluster-22222222222", None, False),
    ("arns-only", "modify_cluster", "cluster/*", None, True),
    ("arns-only", "modify_cluster", "cluster/*", IF_OWNED, False),
    ("arns-only", "tag_resource", "cluster/*", IF_TAGGED, True),
    ("not-supported", "modify_cluster", "cluster/*", None, False),
    ("not-supported", "modify_cluster", "*", None, True),
    ("not-supported", "modify_cluster", "*", IF_OWNED, False),
    ("not-supported", "tag_resource", "*", None, True),
    ("not-supported", "tag_resource", "*", IF_TAGGED, False),
]


@pytest.mark.parametrize("reading", RESOURCE_LEVEL_IAM)
def test_cloudhsm_evaluates_what_the_reading_says(reading: str) -> None:
    with LocalAws("--assume", f"cloudhsm-resource-level-iam={reading}") as aws:
        cluster_id = cluster(aws, OWNED)
        requests: dict[str, Json] = {
            "modify_cluster": {"ClusterId": cluster_id, "HsmType": "hsm2m.medium"},
            "tag_resource": {"ResourceId": cluster_id, "TagList": OWNED},
        }
        cases = [case[1:] for case in READINGS if case[0] == reading]
        found = [
            may(
                aws,
                [
                    allow(
                        "cloudhsm:ModifyCluster cloudhsm:TagResource",
                        resource if resource == "*" else arn("cloudhsm", resource),
                        condition=condition,
                    ),
                    allow("ec2:*", "*"),
                ],
                f"cloudhsmv2.{operation}",
                **requests[operation],
            )
            for operation, resource, condition, _ in cases
        ]
    assert found == [allowed for *_, allowed in cases] != []
