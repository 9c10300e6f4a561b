"""Stacks of a role: CloudFormation's handlers may do what the role may."""

from __future__ import annotations

import json
from typing import Any

import pytest

from localaws.client import LocalAws
from localaws.ministack import resource_schemas
from localaws.ministack.handler_permissions import NO_PROPERTY, ONLY_WITH, actions
from tests.iam.roles import ACCOUNT, TRUST_ACCOUNT
from tests.localaws.ministack.support import SampleStack, role, unique_name
from tests.support.portfolio import session

REGION = "us-east-1"
STATEMENTS = {
    "stacks": ("cloudformation:*", "*"),
    "roles": ("iam:*", f"arn:aws:iam::{ACCOUNT}:role/*"),
}


def create_as(aws: LocalAws, resources: dict[str, Any], *denied: str) -> SampleStack:
    """A stack created by a role that may manage roles, except for some actions."""
    name = unique_name("deployer")
    iam = aws.client("iam")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST_ACCOUNT)
    allowed = [
        {"Effect": "Allow", "Action": action, "Resource": resource}
        for action, resource in STATEMENTS.values()
    ]
    refused = [{"Effect": "Deny", "Action": [*denied], "Resource": "*"}] if denied else []
    document = json.dumps({"Version": "2012-10-17", "Statement": [*allowed, *refused]})
    iam.put_role_policy(RoleName=name, PolicyName="deploy", PolicyDocument=document)
    stack = SampleStack(aws)
    session(aws, name, "cloudformation").create_stack(
        StackName=stack.name,
        TemplateBody=json.dumps({"Resources": resources}),
        Capabilities=["CAPABILITY_IAM"],
    )
    stack.wait()
    return stack


def test_a_role_creates_what_it_may(aws: LocalAws) -> None:
    assert create_as(aws, {"Role": role("lambda")}).status() == "CREATE_COMPLETE"


@pytest.mark.parametrize("action", ["iam:CreateRole", "iam:GetRole", "iam:TagRole"])
def test_each_action_of_the_handler_is_required(aws: LocalAws, action: str) -> None:
    stack = create_as(aws, {"Role": role("lambda")}, action)
    assert stack.status() != "CREATE_COMPLETE"
    (reason,) = stack.reasons("Role")
    assert f"not authorized to perform: {action}" in reason
    assert "AccessDenied" in reason


def test_a_resource_of_another_type_is_refused(aws: LocalAws) -> None:
    stack = create_as(aws, {"Group": {"Type": "AWS::Logs::LogGroup"}})
    (reason,) = stack.reasons("Group")
    assert "not authorized to perform: logs:" in reason


def test_an_action_of_a_property_is_required_with_it_only() -> None:
    def needed(*properties: str) -> set[str]:
        given = dict.fromkeys(properties, "x")
        return {*actions("AWS::Lambda::Function", "create", given, region=REGION)}

    assert needed("KmsKeyArn") - needed() == {
        "kms:CreateGrant",
        "kms:Decrypt",
        "kms:DescribeKey",
        "kms:Encrypt",
        "kms:GenerateDataKey",
    }


def test_whatever_is_left_out_is_listed_by_the_schema_and_its_property_exists() -> None:
    offenders = []
    for kind, optional in ONLY_WITH.items():
        schema = resource_schemas.schema(kind, REGION)
        listed = {
            action
            for handler in schema["handlers"].values()
            for action in handler.get("permissions", [])
        }
        offenders += [action for action in optional if action not in listed]
        known = {*schema["properties"], NO_PROPERTY}
        offenders += [f"{kind}.{each}" for each in {*optional.values()} - known]
    assert offenders == []
