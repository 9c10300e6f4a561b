from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.config import Config

from localaws.client import LocalAws
from tests.localaws.ministack.support import Json, error_from, unique_name

CLUSTER = "cluster-22222222222"


def client(aws: LocalAws, service: str) -> Any:
    """A client that leaves all checks to the server."""
    config = Config(parameter_validation=False, retries={"total_max_attempts": 1}, proxies={})
    return boto3.client(
        service,
        endpoint_url=aws.endpoint,
        region_name=aws.region,
        aws_access_key_id=aws.access_key_id,
        aws_secret_access_key=aws.secret_access_key,
        config=config,
    )


@pytest.mark.parametrize(
    ("service", "operation", "params", "code", "words"),
    [
        # JSON
        (
            "cloudhsmv2",
            "create_cluster",
            {"HsmType": "hsm1", "SubnetIds": ["subnet-12345678"]},
            "CloudHsmInvalidRequestException",
            "at 'hsmType' failed to satisfy constraint: Member must satisfy regular expression",
        ),
        (
            "cloudhsmv2",
            "tag_resource",
            {"ResourceId": CLUSTER, "TagList": []},
            "CloudHsmInvalidRequestException",
            "Value '[]' at 'tagList' failed to satisfy constraint: Member must have length greater",
        ),
        (
            "kms",
            "schedule_key_deletion",
            {"KeyId": "k", "PendingWindowInDays": 0},
            "ValidationException",
            "Value '0' at 'pendingWindowInDays'",
        ),
        (
            "kms",
            "connect_custom_key_store",
            {},
            "ValidationException",
            "Value null at 'customKeyStoreId'",
        ),
        (
            "secretsmanager",
            "create_secret",
            {"Name": "n" * 513},
            "ValidationException",
            "at 'name' failed to satisfy constraint: Member must have length less than or equal",
        ),
        ("secretsmanager", "create_secret", {"Name": "a b"}, "ValidationException", "Invalid name"),
        (
            "ssm",
            "put_parameter",
            {"Name": "aws-x", "Value": "v", "Type": "String"},
            "ValidationException",
            "can't be prefixed with",
        ),
        (
            "ssm",
            "send_command",
            {"DocumentName": "d", "InstanceIds": ["x"]},
            "ValidationException",
            "Value '[x]' at 'instanceIds'",
        ),
        (
            "logs",
            "create_log_group",
            {"logGroupName": "a b"},
            "InvalidParameterException",
            "Value 'a b' at 'logGroupName'",
        ),
        (
            "events",
            "put_rule",
            {"Name": "a b"},
            "ValidationException",
            "Value 'a b' at 'name'",
        ),
        (
            "stepfunctions",
            "start_execution",
            {"stateMachineArn": "arn", "name": "n" * 81},
            "ValidationException",
            "at 'name' failed to satisfy constraint: Member must have length less than or equal "
            "to 80",
        ),
        # Query
        (
            "iam",
            "create_role",
            {"RoleName": "r" * 65, "AssumeRolePolicyDocument": "{}"},
            "ValidationError",
            "at 'roleName' failed to satisfy constraint: Member must have length less than or "
            "equal to 64",
        ),
        (
            "cloudformation",
            "create_stack",
            {"StackName": "s", "TemplateBody": "{}", "Capabilities": ["CAPABILITY_ALL"]},
            "ValidationError",
            "at 'capabilities' failed to satisfy constraint: Member must satisfy constraint: "
            "[Member must satisfy enum value set:",
        ),
        (
            "sts",
            "assume_role",
            {"RoleArn": "arn:aws:iam::123456789012:role/r", "RoleSessionName": "a b"},
            "ValidationError",
            "Value 'a b' at 'roleSessionName'",
        ),
        (
            "ec2",
            "run_instances",
            {"ImageId": "ami-12345678", "InstanceType": "t9.mega", "MinCount": 1, "MaxCount": 1},
            "InvalidParameterValue",
            "Invalid value 't9.mega' for InstanceType",
        ),
        (
            "ec2",
            "create_security_group",
            {"GroupName": "g", "Description": "two\nlines"},
            "InvalidParameterValue",
            "Invalid security group description",
        ),
        ("ec2", "create_vpc", {"CidrBlock": "10.0.0.0/8"}, "InvalidVpc.Range", "between /16 and"),
        (
            "iam",
            "create_role",
            {"RoleName": "r", "AssumeRolePolicyDocument": "{"},
            "MalformedPolicyDocument",
            "invalid Json",
        ),
        ("ec2", "create_subnet", {}, "MissingParameter", "the parameter VpcId"),
        # REST
        (
            "lambda",
            "create_function",
            {
                "FunctionName": "f",
                "Role": "arn:aws:iam::123456789012:role/r",
                "Code": {"ZipFile": b"x"},
                "Runtime": "banana",
            },
            "InvalidParameterValueException",
            "Value 'banana' at 'runtime' failed to satisfy constraint: Member must satisfy enum "
            "value set:",
        ),
        (
            "lambda",
            "create_function",
            {
                "FunctionName": "f",
                "Role": "arn:aws:iam::123456789012:role/r",
                "Code": {"ZipFile": b"x"},
                "MemorySize": 50,
            },
            "ValidationException",
            "Value '50' at 'memorySize' failed to satisfy constraint: Member must have value "
            "greater than or equal to 128",
        ),
        (
            "s3",
            "put_object",
            {"Bucket": "rehearsal-artifacts", "Key": "k" * 1025},
            "KeyTooLongError",
            "too long",
        ),
        (
            "s3",
            "put_object",
            {"Bucket": "rehearsal-artifacts", "Key": "k", "StorageClass": "COLD"},
            "InvalidArgument",
            "Value 'COLD' at 'storageClass'",
        ),
        (
            "s3",
            "put_bucket_versioning",
            {"Bucket": "rehearsal-artifacts", "VersioningConfiguration": {"Status": "On"}},
            "MalformedXML",
            "did not validate against our published schema",
        ),
    ],
)
def test_a_request_that_breaks_the_service_model_is_refused_as_aws_does(
    aws: LocalAws, service: str, operation: str, params: Json, code: str, words: str
) -> None:
    given, message = error_from(getattr(client(aws, service), operation), **params)
    assert (given, words in message) == (code, True), message


def test_a_password_is_not_repeated_in_an_error(aws: LocalAws) -> None:
    code, message = error_from(
        client(aws, "kms").update_custom_key_store,
        CustomKeyStoreId="cks-1",
        KeyStorePassword="hidden",
    )
    assert code == "ValidationException"
    assert "hidden" not in message


def test_a_value_of_the_wrong_type_cannot_be_read(aws: LocalAws) -> None:
    code, _ = error_from(
        client(aws, "kms").schedule_key_deletion, KeyId="k", PendingWindowInDays="a week"
    )
    assert code == "SerializationException"


def test_a_service_that_is_not_offered_is_refused_by_name(aws: LocalAws) -> None:
    calls = {
        "dynamodb": ("list_tables", {}),
        "rds": ("describe_db_instances", {}),
        "sns": ("create_topic", {"Name": unique_name()}),
        "sqs": ("create_queue", {"QueueName": unique_name()}),
        "apigatewayv2": ("get_apis", {}),
    }
    served = {
        service: error
        for service, (operation, params) in calls.items()
        if (error := error_from(getattr(client(aws, service), operation), **params))[0]
        != "NotImplemented"
        or "The local AWS does not offer the service" not in error[1]
    }
    assert served == {}


def test_an_operation_that_is_not_offered_is_refused_by_name(aws: LocalAws) -> None:
    calls = {
        "cloudhsmv2": (
            "copy_backup_to_region",
            {"DestinationRegion": "us-east-2", "BackupId": "backup-22222222222"},
        ),
        "ec2": ("describe_fpga_images", {}),
        "iam": ("list_ssh_public_keys", {}),
        "ssm": ("describe_patch_baselines", {}),
    }
    served = {
        service: error
        for service, (operation, params) in calls.items()
        if (error := error_from(getattr(client(aws, service), operation), **params))[0]
        != "NotImplemented"
        or "The local AWS does not offer" not in error[1]
    }
    assert served == {}
