"""The local AWS checks the requests of a role on the resources and conditions that AWS would."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from localaws.client import LocalAws

Json = dict[str, Any]

ACCOUNT = "123456789012"
DENIALS = {
    "AccessDenied",
    "AccessDeniedException",
    "CloudHsmAccessDeniedException",
    "UnauthorizedOperation",
}
STACK = "hsm-lifecycle:stack-id"
OWN, FOREIGN = [{"Key": STACK, "Value": "own"}], [{"Key": STACK, "Value": "foreign"}]
IF_OWN = {"StringEquals": {f"aws:ResourceTag/{STACK}": "own"}}
IF_MADE_OWN = {"StringEquals": {f"aws:RequestTag/{STACK}": "own"}}
_numbers = itertools.count(1)


@pytest.fixture(scope="module", name="aws")
def _aws() -> Iterator[LocalAws]:
    with LocalAws() as aws:
        secrets = aws.client("secretsmanager")
        secrets.create_secret(Name="/own/secret", SecretString="text", Tags=OWN)
        secrets.create_secret(Name="/foreign/secret", SecretString="text", Tags=FOREIGN)
        yield aws


def arn(service: str, resource: str) -> str:
    region = "" if service == "iam" else "us-east-1"
    return f"arn:aws:{service}:{region}:{ACCOUNT}:{resource}"


def allow(actions: str, *resources: str, given: Json | None = None) -> Json:
    """A statement that allows this, under a condition or not."""
    statement = {"Effect": "Allow", "Action": actions.split(), "Resource": list(resources)}
    return {**statement, "Condition": given} if given else statement


def may(aws: LocalAws, statements: list[Json], call: str, **request: Any) -> bool:
    """Whether a role with this policy is let through to the service, whatever that then says."""
    name = f"try-{next(_numbers)}"
    iam, policy = aws.client("iam"), {"Version": "2012-10-17", "Statement": statements}
    trust = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
    session = aws.client("sts").assume_role(RoleArn=role, RoleSessionName=name)["Credentials"]
    service, _, operation = call.partition(".")
    client = boto3.client(
        service,
        endpoint_url=aws.endpoint,
        region_name=aws.region,
        aws_access_key_id=session["AccessKeyId"],
        aws_secret_access_key=session["SecretAccessKey"],
        aws_session_token=session["SessionToken"],
        config=Config(proxies={}, retries={"total_max_attempts": 1}),
    )
    try:
        getattr(client, operation)(**request)
    except ClientError as refusal:
        return refusal.response["Error"]["Code"] not in DENIALS
    return True


READ = "secretsmanager:GetSecretValue"


@pytest.mark.parametrize(
    ("resource", "condition", "secret", "allowed"),
    [
        ("secret:/own/secret-??????", None, "/own/secret", True),
        ("secret:/own/secret-?????", None, "/own/secret", False),
        ("secret:/own/secret", None, "/own/secret", False),
        ("secret:/own/secret-??????", None, "/foreign/secret", False),
        ("secret:/*-??????", IF_OWN, "/own/secret", True),
        ("secret:/*-??????", IF_OWN, "/foreign/secret", False),
        # One that does not exist has neither a suffix nor tags.
        ("secret:/no/secret-??????", None, "/no/secret", False),
        ("secret:/no/secret", IF_OWN, "/no/secret", False),
        ("secret:/no/secret", None, "/no/secret", True),
    ],
)
def test_a_secret_is_known_by_its_suffix_and_its_tags(
    aws: LocalAws, resource: str, condition: Json | None, secret: str, allowed: bool
) -> None:
    policy = [allow(READ, arn("secretsmanager", resource), given=condition)]
    assert may(aws, policy, "secretsmanager.get_secret_value", SecretId=secret) == allowed


CREATE = "secretsmanager:CreateSecret"


@pytest.mark.parametrize(
    ("actions", "condition", "tags", "allowed"),
    [
        (CREATE, None, [], True),
        (CREATE, None, OWN, False),
        (f"{CREATE} secretsmanager:TagResource", None, OWN, True),
        (f"{CREATE} secretsmanager:TagResource", IF_MADE_OWN, OWN, True),
        (f"{CREATE} secretsmanager:TagResource", IF_MADE_OWN, FOREIGN, False),
        (f"{CREATE} secretsmanager:TagResource", IF_MADE_OWN, [], False),
    ],
)
def test_a_secret_is_made_with_the_tags_that_the_role_may_give(
    aws: LocalAws, actions: str, condition: Json | None, tags: list[Json], allowed: bool
) -> None:
    policy = [allow(actions, arn("secretsmanager", "secret:/new/*-??????"), given=condition)]
    request = {"Name": f"/new/{next(_numbers)}", "SecretString": "text", "Tags": tags}
    assert may(aws, policy, "secretsmanager.create_secret", **request) == allowed


DOCUMENT, INSTANCE = arn("ssm", "document/own"), arn("ec2", "instance/i-0123456789abcdef0")


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
def test_a_command_takes_the_right_to_its_document_and_to_its_instance(
    aws: LocalAws, resources: list[str], allowed: bool
) -> None:
    request = {"DocumentName": "own", "InstanceIds": [INSTANCE.rpartition("/")[2]]}
    assert may(aws, [allow("ssm:SendCommand", *resources)], "ssm.send_command", **request) == (
        allowed
    )


@pytest.mark.parametrize("named", ["cloudhsm.amazonaws.com", "cks.kms.amazonaws.com"])
def test_a_service_linked_role_is_made_for_the_service_that_the_condition_names(
    aws: LocalAws, named: str
) -> None:
    policy = allow(
        "iam:CreateServiceLinkedRole",
        arn("iam", "role/aws-service-role/*"),
        given={"StringEquals": {"iam:AWSServiceName": named}},
    )
    for service in ("cloudhsm.amazonaws.com", "cks.kms.amazonaws.com"):
        let = may(aws, [policy], "iam.create_service_linked_role", AWSServiceName=service)
        assert let == (service == named)


ON_A_STACK = arn("cloudformation", "stack/own/0123")
MACHINES = arn("states", "stateMachine:own")
EXECUTIONS = arn("states", "execution:own:*")


@pytest.mark.parametrize(
    ("action", "resource", "call", "own", "foreign"),
    [
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
            {"executionArn": EXECUTIONS.replace("own:*", "another:one")},
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
            arn("ssm", "parameter/own/claim"),
            "ssm.put_parameter",
            {"Name": "/own/claim", "Value": "text", "Type": "String"},
            {"Name": "/foreign/claim", "Value": "text", "Type": "String"},
        ),
        (
            "iam:GetInstanceProfile",
            arn("iam", "instance-profile/own"),
            "iam.get_instance_profile",
            {"InstanceProfileName": "own"},
            {"InstanceProfileName": "another"},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and ":" in value[:16] else "",
)
def test_a_right_to_one_thing_is_no_right_to_another(
    aws: LocalAws, action: str, resource: str, call: str, own: Json, foreign: Json
) -> None:
    assert may(aws, [allow(action, resource)], call, **own)
    assert not may(aws, [allow(action, resource)], call, **foreign)


@pytest.mark.parametrize(
    ("action", "call", "request_"),
    [
        ("cloudhsm:DescribeClusters", "cloudhsmv2.describe_clusters", {}),
        ("cloudhsm:DescribeBackups", "cloudhsmv2.describe_backups", {}),
        ("kms:DescribeCustomKeyStores", "kms.describe_custom_key_stores", {}),
        ("ec2:DescribeInstances", "ec2.describe_instances", {}),
        ("ec2:DescribeSubnets", "ec2.describe_subnets", {}),
        ("ec2:DescribeSecurityGroups", "ec2.describe_security_groups", {}),
        ("ssm:DescribeInstanceInformation", "ssm.describe_instance_information", {}),
        ("ssm:ListCommands", "ssm.list_commands", {}),
        ("ssm:CancelCommand", "ssm.cancel_command", {"CommandId": "0" * 36}),
    ],
)
def test_what_has_no_resource_level_is_allowed_on_everything_only(
    aws: LocalAws, action: str, call: str, request_: Json
) -> None:
    service = action.partition(":")[0]
    assert may(aws, [allow(action, "*")], call, **request_)
    assert not may(aws, [allow(action, arn(service, "*"))], call, **request_)


def cluster(aws: LocalAws, tags: list[Json]) -> str:
    made = aws.client("cloudhsmv2").create_cluster(
        HsmType="hsm2m.medium", Mode="FIPS", SubnetIds=aws.subnets[:1], TagList=tags
    )
    return str(made["Cluster"]["ClusterId"])


def test_a_cluster_is_changed_by_who_has_its_tag_in_the_condition(aws: LocalAws) -> None:
    own, foreign = cluster(aws, OWN), cluster(aws, FOREIGN)
    changes: list[tuple[str, str, Json]] = [
        ("CreateHsm", "create_hsm", {"AvailabilityZone": "us-east-1a"}),
        ("InitializeCluster", "initialize_cluster", {"SignedCert": "a", "TrustAnchor": "b"}),
        ("ModifyCluster", "modify_cluster", {"HsmType": "hsm2m.medium"}),
        ("DeleteCluster", "delete_cluster", {}),
    ]
    for action, operation, request in changes:
        policy = [allow(f"cloudhsm:{action}", arn("cloudhsm", "cluster/*"), given=IF_OWN)]
        call = f"cloudhsmv2.{operation}"
        assert not may(aws, policy, call, ClusterId=foreign, **request), action
        # CreateHsm and DeleteCluster miss what the model demands besides, in its own words.
        policy.append(allow("ec2:*", "*"))
        assert may(aws, policy, call, ClusterId=own, **request), action


@pytest.mark.parametrize(("tags", "allowed"), [(OWN, True), (FOREIGN, False), ([], False)])
def test_a_cluster_is_made_with_the_tag_that_the_condition_wants(
    aws: LocalAws, tags: list[Json], allowed: bool
) -> None:
    policy = [
        allow("cloudhsm:CreateCluster", "*", given=IF_MADE_OWN),
        allow("cloudhsm:TagResource", arn("cloudhsm", "cluster/*"), given=IF_MADE_OWN),
        allow("ec2:* iam:*", "*"),
    ]
    request = {"HsmType": "hsm2m.medium", "Mode": "FIPS", "SubnetIds": aws.subnets[:1]}
    tagged = {**request, "TagList": tags} if tags else request
    assert may(aws, policy, "cloudhsmv2.create_cluster", **tagged) == allowed
    # The right to tag is asked for besides.
    assert not may(aws, [policy[0], policy[2]], "cloudhsmv2.create_cluster", **tagged)
