from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from localaws.client import LocalAws
from tests.localaws.ministack.support import Json, SampleStack, error_from, unique_name

PATTERN = {"source": ["a"]}


def of(kind: str, **properties: Any) -> Json:
    return {"Type": f"AWS::{kind}", "Properties": properties}


def parameter(**properties: Any) -> Json:
    return of("SSM::Parameter", **{"Type": "String", "Value": "x", **properties})


def secret(**generated: Any) -> Json:
    return of("SecretsManager::Secret", GenerateSecretString=generated)


def schedule(expression: str) -> Json:
    return of("Events::Rule", ScheduleExpression=expression)


REFUSED: list[tuple[str, Json]] = [
    ("hierarchy is too deep", parameter(Name="/a" * 16)),
    ("must begin with", parameter(Name="a/b")),
    ("can't be empty", parameter(Value="")),
    ("can't nest another parameter", parameter(Value="{{x}}")),
    ("maximum parameter value of 4096", parameter(Value="x" * 4097)),
    (
        "value of 8192 characters",
        parameter(Value="x" * 8193, Tier="Advanced"),
    ),
    ("failed to satisfy pattern ^y$", parameter(AllowedPattern="^y$")),
    ("not the id of an image", parameter(Value="ami-00000000", DataType="aws:ec2:image")),
    (
        "GenerateSecretString and SecretString",
        of("SecretsManager::Secret", SecretString="x", GenerateSecretString={}),
    ),
    ("both SecretStringTemplate and", secret(SecretStringTemplate="{}")),
    ("Could not parse", secret(SecretStringTemplate="{x", GenerateStringKey="p")),
    (
        "every type of character",
        secret(
            ExcludeLowercase=True,
            ExcludeUppercase="true",
            ExcludeNumbers=True,
            ExcludePunctuation=True,
        ),
    ),
    ("ScheduleExpression is not valid", schedule("rate(0 minutes)")),
    ("ScheduleExpression is not valid", schedule("rate(1 minutes)")),
    ("ScheduleExpression is not valid", schedule("cron(0 1 * * *)")),
    ("Event pattern is not valid", of("Events::Rule", EventPattern={"source": "a"})),
    ("does not exist", of("Events::Rule", EventPattern=PATTERN, EventBusName="missing")),
    ("bucket is not valid", of("S3::Bucket", BucketName="192.168.1.1")),
    ("bucket is not valid", of("S3::Bucket", BucketName="a..b")),
    ("bucket is not valid", of("S3::Bucket", BucketName="abc-s3alias")),
    ("reserved for AWS", of("Logs::LogGroup", LogGroupName="aws/x")),
    (
        "smaller than snapshot",
        of(
            "EC2::Instance",
            ImageId="ami-0a12c3d4e5f6a7b80",
            BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 1}}],
        ),
    ),
    (
        "does not match the subnet",
        of(
            "EC2::Instance",
            ImageId="ami-0a12c3d4e5f6a7b80",
            SubnetId="subnet-00000001",
            AvailabilityZone="us-east-1f",
        ),
    ),
]


@pytest.mark.parametrize(("problem", "resource"), REFUSED)
def test_a_resource_that_its_service_would_refuse_fails_its_stack(
    stack: SampleStack, problem: str, resource: Json
) -> None:
    assert stack.create({"Tested": resource}) == "ROLLBACK_COMPLETE"
    assert problem in stack.reason("Tested")


def test_what_the_services_take_is_taken(stack: SampleStack) -> None:
    resources = {
        "Parameter": parameter(Name="/a/b", Value="y" * 8000, Tier="Advanced", AllowedPattern="y+"),
        "Secret": secret(SecretStringTemplate='{"a": 1}', GenerateStringKey="p"),
        "Minute": schedule("rate(1 minute)"),
        "Noon": schedule("cron(0 12 * * ? *)"),
        "Bus": of("Events::EventBus", Name=unique_name("bus")),
        "Rule": of("Events::Rule", EventPattern=PATTERN, EventBusName={"Ref": "Bus"}),
        "Bucket": of("S3::Bucket", BucketName=unique_name("my.own-bucket")),
    }
    assert stack.create(resources) == "CREATE_COMPLETE"


@pytest.mark.parametrize(
    ("service", "name", "given", "code"),
    [
        ("ssm", "put_parameter", {"Name": "a", "Value": "x" * 4097}, "ValidationException"),
        ("events", "put_rule", {"Name": "a", "ScheduleExpression": "rate(0 days)"}, "Validation"),
        ("s3", "create_bucket", {"Bucket": "xn--abc"}, "InvalidBucketName"),
        ("logs", "create_log_group", {"logGroupName": "aws/x"}, "InvalidParameterException"),
        (
            "stepfunctions",
            "start_execution",
            {"stateMachineArn": "arn:aws:states:r:1:stateMachine:m", "input": "{"},
            "InvalidExecutionInput",
        ),
        (
            "stepfunctions",
            "create_state_machine",
            {"name": "a b", "definition": "{}", "roleArn": "arn:aws:iam::1:role/r"},
            "InvalidName",
        ),
    ],
)
def test_the_api_refuses_them_too(
    aws: LocalAws, service: str, name: str, given: Json, code: str
) -> None:
    call: Callable[..., Any] = getattr(aws.client(service), name)
    assert code in error_from(call, **given)[0]
