from __future__ import annotations

from typing import Any

import pytest

from tests.localaws.ministack.support import Json, SampleStack, function, role

POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
}
TAGS = [{"Key": "aws:x", "Value": "y"}]


def of(kind: str, **properties: Any) -> Json:
    return {"Type": f"AWS::{kind}", "Properties": properties}


@pytest.mark.parametrize(
    ("resource", "problem"),
    [
        (
            of("IAM::ManagedPolicy", ManagedPolicyName="p" * 129, PolicyDocument=POLICY),
            "at 'policyName' failed to satisfy constraint: Member must have length less than or",
        ),
        (
            of("IAM::ManagedPolicy", Roles=["missing"], PolicyDocument=POLICY),
            "The role with name missing cannot be found.",
        ),
        (
            of("SecretsManager::Secret", GenerateSecretString={"PasswordLength": 5000}),
            "at 'passwordLength' failed to satisfy constraint: Member must have value less than",
        ),
        (
            of("SecretsManager::Secret", GenerateSecretString={"PasswordLength": "0"}),
            "at 'passwordLength' failed to satisfy constraint: Member must have value greater than",
        ),
        (of("SecretsManager::Secret", Tags=TAGS), "aws: prefixed tag key names are reserved"),
        (of("Logs::LogGroup", Tags=TAGS), "aws: prefixed tag key names are reserved"),
        (of("S3::Bucket", Tags=TAGS), "aws: prefixed tag key names are reserved"),
        (
            of("EC2::InternetGateway", Tags=[{"Key": "a", "Value": "b"}] * 2),
            "Duplicate tag keys found: a",
        ),
        (function("def handler(e, c): pass", MemorySize=10241), "less than or equal to 10240"),
        (function("def handler(e, c): pass", Timeout="901"), "Timeout must be between 1 and 900"),
    ],
)
def test_a_property_that_the_service_would_refuse_fails_its_stack(
    stack: SampleStack, resource: Json, problem: str
) -> None:
    resources = {"Tested": resource, "FunctionRole": role("lambda")}
    assert stack.create(resources) == "ROLLBACK_COMPLETE"
    assert problem in stack.reason("Tested")


def test_a_function_needs_runtime_and_handler(stack: SampleStack) -> None:
    incomplete = function("def handler(e, c): pass")
    del incomplete["Properties"]["Runtime"]
    resources = {"Tested": incomplete, "FunctionRole": role("lambda")}
    assert stack.create(resources) == "ROLLBACK_COMPLETE"
    assert "Runtime and Handler are mandatory parameters" in stack.reason("Tested")
