from __future__ import annotations

from typing import Any

import botocore.session
import pytest

from localaws.core import shapes

SERVICES = (
    "cloudformation",
    "cloudhsmv2",
    "ec2",
    "events",
    "iam",
    "kms",
    "lambda",
    "logs",
    "s3",
    "secretsmanager",
    "ssm",
    "stepfunctions",
    "sts",
)
_session = botocore.session.get_session()


def errors(service: str, operation: str, **params: Any) -> list[str]:
    shape = _session.get_service_model(service).operation_model(operation).input_shape
    return [str(violation) for violation in shapes.violations(shape, params)]


@pytest.mark.parametrize(
    ("service", "operation", "params", "expected"),
    [
        (
            "kms",
            "DescribeKey",
            {},
            "Value null at 'keyId' failed to satisfy constraint: Member must not be null",
        ),
        (
            "kms",
            "DescribeKey",
            {"KeyId": "k" * 2049},
            "Member must have length less than or equal to 2048",
        ),
        (
            "kms",
            "ScheduleKeyDeletion",
            {"KeyId": "k", "PendingWindowInDays": 366},
            "Value '366' at 'pendingWindowInDays' failed to satisfy constraint: Member must have "
            "value less than or equal to 365",
        ),
        (
            "cloudhsmv2",
            "CreateCluster",
            {"HsmType": "hsm2m.medium", "SubnetIds": ["subnet-1"]},
            "Value '[subnet-1]' at 'subnetIds' failed to satisfy constraint: Member must satisfy "
            "constraint: [Member must satisfy regular expression pattern: "
            "subnet-[0-9a-fA-F]{8,17}]",
        ),
        (
            "cloudhsmv2",
            "CreateCluster",
            {"HsmType": "hsm2m.medium", "SubnetIds": ["subnet-12345678"], "Mode": "OFF"},
            "Value 'OFF' at 'mode' failed to satisfy constraint: Member must satisfy enum value "
            "set: [FIPS, NON_FIPS]",
        ),
        (
            "cloudhsmv2",
            "TagResource",
            {"ResourceId": "cluster-22222222222", "TagList": [{"Key": "", "Value": "x"}]},
            "at 'tagList.1.member.key' failed to satisfy constraint: Member must have length "
            "greater than or equal to 1",
        ),
        (
            "lambda",
            "CreateFunction",
            {"FunctionName": "f", "Role": "r", "Code": {}, "MemorySize": True},
            "Value 'True' at 'memorySize' failed to satisfy constraint: Member must be of type "
            "integer",
        ),
        (
            "kms",
            "Encrypt",
            {"KeyId": "k", "Plaintext": "eHh4" * 2000},
            "Value at 'plaintext' failed to satisfy constraint: Member must have length less than "
            "or equal to 4096",
        ),
    ],
)
def test_a_broken_constraint_is_reported_as_aws_words_it(
    service: str, operation: str, params: dict[str, Any], expected: str
) -> None:
    assert expected in "; ".join(errors(service, operation, **params))


def test_values_that_are_marked_as_sensitive_are_not_repeated() -> None:
    found = errors("kms", "CreateCustomKeyStore", CustomKeyStoreName="n", KeyStorePassword="short")
    assert [error for error in found if "short" in error] == []
    assert "Value at 'keyStorePassword'" in "; ".join(found)


def test_a_valid_request_and_members_that_the_shape_lacks_have_no_violations() -> None:
    assert errors("kms", "DescribeKey", KeyId="alias/x", Unknown=1) == []


def test_the_message_counts_the_violations() -> None:
    shape = _session.get_service_model("kms").operation_model("DescribeKey").input_shape
    found = list(shapes.violations(shape, {}))
    assert shapes.message(found).startswith("1 validation error detected: Value null at")
    assert shapes.message(found * 2).startswith("2 validation errors detected: ")


def test_every_pattern_of_the_offered_services_compiles() -> None:
    broken = []
    for service in SERVICES:
        model = _session.get_service_model(service)
        for name in model.shape_names:
            pattern = model.shape_for(name).metadata.get("pattern")
            try:
                shapes.compiled(pattern or "")
            except ValueError as problem:
                broken.append((service, name, pattern, problem))
    assert broken == []
