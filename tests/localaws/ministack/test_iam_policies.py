from __future__ import annotations

import json
from typing import Any

import pytest

from localaws.client import LocalAws
from tests.localaws.ministack.support import Json, SampleStack, error_from, function, role

READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"


def policy(name: str = "inline", length: int = 0) -> Json:
    """An inline policy, of about this many characters."""
    statement = {
        "Effect": "Allow",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{'x' * length}",
    }
    return {"PolicyName": name, "PolicyDocument": {"Statement": [statement]}}


def statement(**elements: Any) -> Json:
    """The properties of a role with one statement, with these elements instead of its own."""
    own = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", **elements}
    document = {"Statement": [{key: own[key] for key in own if own[key] is not None}]}
    return {"Policies": [{"PolicyName": "p", "PolicyDocument": document}]}


def trust(**elements: Any) -> Json:
    """The same for a role's trust policy."""
    own = {
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
        **elements,
    }
    document = {"Statement": [{key: own[key] for key in own if own[key] is not None}]}
    return {"AssumeRolePolicyDocument": document}


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


@pytest.mark.parametrize(
    ("properties", "problem"),
    [
        (statement(Principal="*"), "Policy document should not specify a principal."),
        (statement(Action="GetObject"), "Actions/Conditions must be prefaced by a vendor"),
        (statement(Resource="bucket"), "must be in ARN format or"),
        (statement(Sid="a-b"), "Statement IDs (SID) must be alpha-numeric."),
        (statement(Condition={"StringEq": {"aws:a": "b"}}), "Syntax errors in policy."),
        (statement(Banana=1), "Syntax errors in policy."),
        (
            {
                "Policies": [
                    {
                        "PolicyName": "p",
                        "PolicyDocument": {
                            "Version": "2012-10-17",
                            "Statement": [
                                {"Sid": "A", "Effect": "Allow", "Action": "s3:*", "Resource": "*"}
                            ]
                            * 2,
                        },
                    }
                ]
            },
            "Statement IDs (SID) in a single policy must be unique.",
        ),
        (
            {"Policies": [{**policy(), "PolicyName": "p" * 129}]},
            "Member must have length less than or equal to 128",
        ),
        ({"Policies": [{**policy(), "PolicyName": "a b"}]}, "regular expression pattern"),
        ({"Policies": [policy("a"), policy("a")]}, "Duplicate policy names found: a"),
        ({"Tags": [{"Key": "aws:x", "Value": "y"}]}, "aws: prefixed tag key names are reserved"),
        (trust(Principal=None), "Missing required field Principal"),
        (trust(Resource="*"), "Has prohibited field Resource."),
        (trust(Action="s3:GetObject"), "Trust Policy statement actions can only be sts:AssumeRole"),
        (
            trust(Principal={"Service": "lambda"}),
            'Invalid principal in policy: "SERVICE":"lambda"',
        ),
        (
            trust(Principal={"AWS": "arn:aws:iam::123456789012:role/missing"}),
            'Invalid principal in policy: "AWS":"arn:aws:iam::123456789012:role/missing"',
        ),
    ],
)
def test_a_policy_outside_of_iams_grammar_fails_its_stack(
    stack: SampleStack, properties: Json, problem: str
) -> None:
    assert stack.create({"Role": with_properties(**properties)}) == "ROLLBACK_COMPLETE"
    assert problem in stack.reason("Role")


def of_key(**elements: Any) -> Json:
    own = {"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*", **elements}
    policy = {"Statement": [{key: own[key] for key in own if own[key] is not None}]}
    return {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": policy}}


@pytest.mark.parametrize(
    ("resource", "problem"),
    [
        (of_key(Principal=None), "Missing required field Principal"),
        (of_key(Banana=1), "Syntax errors in policy."),
        (of_key(Action="kms:Describe*"), "will not allow you to update the key policy"),
        (
            {
                "Type": "AWS::S3::BucketPolicy",
                "Properties": {
                    "Bucket": {"Ref": "Bucket"},
                    "PolicyDocument": {
                        "Statement": {
                            "Effect": "Allow",
                            "Principal": "*",
                            "Action": "s3:GetObject",
                            "Resource": "arn:aws:s3:::other/*",
                        }
                    },
                },
            },
            "Policy has invalid resource",
        ),
    ],
)
def test_the_policy_of_a_resource_follows_the_grammar(
    stack: SampleStack, resource: Json, problem: str
) -> None:
    resources = {"Tested": resource, "Bucket": {"Type": "AWS::S3::Bucket"}}
    assert stack.create(resources) == "ROLLBACK_COMPLETE"
    assert problem in stack.reason("Tested")


def test_iam_takes_every_form_of_principal_and_policy(stack: SampleStack) -> None:
    principals = [
        {"AWS": "*"},
        {"AWS": ["123456789012", "arn:aws:iam::123456789012:root"]},
        {"Service": ["states.amazonaws.com", "states.us-east-1.amazonaws.com"]},
        {"AWS": {"Fn::GetAtt": ["Role0", "Arn"]}},
        {"AWS": "arn:aws:iam::999999999999:role/of-another-account"},
    ]
    roles = {
        f"Role{number}": with_properties(
            **trust(Principal=principal),
            **statement(
                Action=["s3:*", "cloudhsm:DescribeClusters"],
                Condition={
                    "ForAnyValue:StringLikeIfExists": {"aws:TagKeys": ["a"]},
                    "Null": {"aws:ResourceTag/a": "true"},
                },
            ),
        )
        for number, principal in enumerate(principals)
    }
    assert stack.create(roles) == "CREATE_COMPLETE"


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
