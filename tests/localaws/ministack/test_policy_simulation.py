"""SimulatePrincipalPolicy decides as IAM does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.client import LocalAws
from tests.iam.roles import ACCOUNT, TRUST_ACCOUNT

NAME, ARN = "simulated", f"arn:aws:iam::{ACCOUNT}:role/simulated"
FUNCTION = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:mine"
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "lambda:*", "Resource": FUNCTION},
        {"Effect": "Deny", "Action": "lambda:DeleteFunction", "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": "*",
            "Condition": {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}},
        },
    ],
}
PASSED = [
    {
        "ContextKeyName": "iam:PassedToService",
        "ContextKeyType": "string",
        "ContextKeyValues": ["lambda.amazonaws.com"],
    }
]


@pytest.fixture(scope="module", name="iam")
def _iam(aws: LocalAws) -> Any:
    iam = aws.client("iam")
    iam.create_role(RoleName=NAME, AssumeRolePolicyDocument=TRUST_ACCOUNT)
    iam.put_role_policy(RoleName=NAME, PolicyName="inline", PolicyDocument=json.dumps(POLICY))
    return iam


@pytest.mark.parametrize(
    ("action", "resource", "context", "decision", "missing"),
    [
        ("lambda:GetFunction", FUNCTION, [], "allowed", ["iam:PassedToService"]),
        ("lambda:GetFunction", f"{FUNCTION}s", [], "implicitDeny", ["iam:PassedToService"]),
        ("lambda:DeleteFunction", FUNCTION, [], "explicitDeny", ["iam:PassedToService"]),
        ("iam:PassRole", ARN, [], "implicitDeny", ["iam:PassedToService"]),
        ("iam:PassRole", ARN, PASSED, "allowed", []),
    ],
)
def test_decisions_and_missing_context_values(
    iam: Any, action: str, resource: str, context: Any, decision: str, missing: list[str]
) -> None:
    results = iam.simulate_principal_policy(
        PolicySourceArn=ARN,
        ActionNames=[action],
        ResourceArns=[resource],
        ContextEntries=context,
    )["EvaluationResults"]
    assert [each["EvalDecision"] for each in results] == [decision]
    assert results[0]["ResourceSpecificResults"][0]["MissingContextValues"] == missing


def test_a_boundary_limits_what_is_allowed(iam: Any) -> None:
    arn = iam.create_policy(
        PolicyName="simulated-boundary",
        PolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Action": "lambda:Get*", "Resource": "*"}],
            }
        ),
    )["Policy"]["Arn"]
    iam.create_role(
        RoleName="bounded", AssumeRolePolicyDocument=TRUST_ACCOUNT, PermissionsBoundary=arn
    )
    iam.put_role_policy(RoleName="bounded", PolicyName="i", PolicyDocument=json.dumps(POLICY))
    results = iam.simulate_principal_policy(
        PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:role/bounded",
        ActionNames=["lambda:GetFunction", "lambda:InvokeFunction"],
        ResourceArns=[FUNCTION],
    )["EvaluationResults"]
    assert [each["EvalDecision"] for each in results] == ["allowed", "implicitDeny"]


@pytest.mark.parametrize(
    ("arn", "code"),
    [
        (f"arn:aws:iam::{ACCOUNT}:root", "InvalidInput"),
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/{NAME}/session", "InvalidInput"),
        (f"arn:aws:iam::{ACCOUNT}:role/absent", "NoSuchEntity"),
    ],
)
def test_only_existing_users_and_roles_are_simulated(iam: Any, arn: str, code: str) -> None:
    with pytest.raises(ClientError) as error:
        iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=["iam:PassRole"])
    assert error.value.response["Error"]["Code"] == code


def test_what_is_not_emulated_is_refused(iam: Any) -> None:
    offenders = []
    for operation, request in (
        ("simulate_principal_policy", {"PolicySourceArn": ARN, "ResourceArns": [ARN, FUNCTION]}),
        ("simulate_principal_policy", {"PolicySourceArn": ARN, "CallerArn": ARN}),
        ("simulate_custom_policy", {"PolicyInputList": [json.dumps(POLICY)]}),
    ):
        try:
            getattr(iam, operation)(ActionNames=["iam:PassRole"], **request)
        except ClientError as error:
            if error.response["Error"]["Code"] == "NotImplemented":
                continue
        offenders.append((operation, request))
    assert offenders == []
