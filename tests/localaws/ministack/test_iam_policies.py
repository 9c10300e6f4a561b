from __future__ import annotations

import json
from typing import Any

import pytest

from localaws.client import LocalAws
from tests.localaws.ministack.support import Json, SampleStack, error_from, function, role

READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"


def policy(name: str = "inline", length: int = 0) -> Json:
    """An inline policy, of about this many characters."""
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:{'x' * length}"}
    return {"PolicyName": name, "PolicyDocument": {"Statement": [statement]}}


def with_properties(**properties: Any) -> Json:
    plain = role("lambda")
    return {**plain, "Properties": {**plain["Properties"], **properties}}


@pytest.mark.parametrize(
    ("properties", "problem"),
    [
        (
            {"Policies": [policy("a", 5200), policy("b", 5200)]},
            "Maximum policy size of 10240 bytes exceeded for role",
        ),
        (
            {"ManagedPolicyArns": ["arn:aws:iam::aws:policy/NoSuchPolicy"]},
            "Policy arn:aws:iam::aws:policy/NoSuchPolicy does not exist or is not attachable.",
        ),
        (
            {"ManagedPolicyArns": ["arn:aws-cn:iam::aws:policy/ReadOnlyAccess"]},
            "arn:aws-cn:iam::aws:policy/ReadOnlyAccess does not exist or is not attachable.",
        ),
        (
            {"ManagedPolicyArns": ["arn:aws:iam::123456789012:policy/missing"]},
            "does not exist or is not attachable.",
        ),
        (
            {"PermissionsBoundary": "arn:aws:iam::123456789012:policy/missing"},
            "does not exist or is not attachable.",
        ),
        (
            {"Policies": [{"PolicyName": "p", "PolicyDocument": {"Statement": []}}]},
            "must contain at least one Statement",
        ),
        (
            {
                "AssumeRolePolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Sid": "x" * 2048,
                            "Effect": "Allow",
                            "Principal": {"Service": "lambda.amazonaws.com"},
                            "Action": "sts:AssumeRole",
                        }
                    ],
                }
            },
            "Cannot exceed quota for ACLSizePerRole: 2048",
        ),
    ],
)
def test_a_role_that_iam_would_refuse_fails_its_stack(
    stack: SampleStack, properties: Json, problem: str
) -> None:
    assert stack.create({"Role": with_properties(**properties)}) == "ROLLBACK_COMPLETE"
    assert problem in stack.reason("Role")


def test_white_space_does_not_count_and_the_limit_is_for_all_policies_of_a_role(
    aws: LocalAws, stack: SampleStack
) -> None:
    stack.create({"Role": with_properties(Policies=[policy("a", 5000)])})
    put, name = aws.client("iam").put_role_policy, stack.physical_id("Role")
    spaced = json.dumps(policy(length=5000)["PolicyDocument"], indent=100)
    put(RoleName=name, PolicyName="b", PolicyDocument=spaced)
    code, message = error_from(put, RoleName=name, PolicyName="c", PolicyDocument=spaced)
    assert (code, message) == (
        "LimitExceeded",
        f"Maximum policy size of 10240 bytes exceeded for role {name}",
    )


def test_a_policy_resource_counts_towards_the_limit_of_its_role(stack: SampleStack) -> None:
    resources = {
        "Role": with_properties(Policies=[policy("a", 8000)]),
        "Policy": {
            "Type": "AWS::IAM::Policy",
            "Properties": {**policy("b", 3000), "Roles": [{"Ref": "Role"}]},
        },
    }
    assert stack.create(resources) == "ROLLBACK_COMPLETE"
    assert "Maximum policy size of 10240 bytes exceeded" in stack.reason("Policy")


def test_managed_policies_are_those_of_aws(aws: LocalAws, stack: SampleStack) -> None:
    resources = {"Role": with_properties(Policies=[], ManagedPolicyArns=[READ_ONLY])}
    assert stack.create(resources) == "CREATE_COMPLETE"
    attach, name = aws.client("iam").attach_role_policy, stack.physical_id("Role")
    code, _ = error_from(attach, RoleName=name, PolicyArn=f"{READ_ONLY}s")
    assert code == "NoSuchEntity"


def test_a_managed_policy_has_a_limit_of_its_own(stack: SampleStack) -> None:
    document = policy(length=6200)["PolicyDocument"]
    resources = {
        "Policy": {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": document}}
    }
    assert stack.create(resources) == "ROLLBACK_COMPLETE"
    assert "Cannot exceed quota for PolicySize: 6144" in stack.reason("Policy")


def test_the_permissions_boundary_of_a_role_in_a_stack_limits_it(stack: SampleStack) -> None:
    code = (
        "import boto3\n"
        "def handler(event, context):\n"
        "    return len(boto3.client('s3').list_buckets()['Buckets'])\n"
    )
    boundary = {
        "Type": "AWS::IAM::ManagedPolicy",
        "Properties": {
            "PolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}],
            }
        },
    }
    allowing = role("lambda", everything=True)
    resources = {"Boundary": boundary, "FunctionRole": allowing, "Function": function(code)}
    assert stack.create(resources) == "CREATE_COMPLETE"
    assert stack.invoke("Function")["error"] is None
    limited = {**allowing["Properties"], "PermissionsBoundary": {"Ref": "Boundary"}}
    resources["FunctionRole"] = {**allowing, "Properties": limited}
    assert stack.update(resources) == "UPDATE_COMPLETE"
    assert "AccessDenied" in json.dumps(stack.invoke("Function"))
