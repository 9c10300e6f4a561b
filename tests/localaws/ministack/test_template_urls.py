"""Where CloudFormation, Lambda and Step Functions read from, and with whose permissions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from localaws.client import BUCKET, LocalAws
from tests.iam.roles import ACCOUNT, TRUST_ACCOUNT
from tests.localaws.ministack.support import (
    Json,
    SampleStack,
    error_from,
    function,
    role,
    unique_name,
)
from tests.scripts.preflight.support import Session

KEY = "templates/one group.json"
FOREIGN = "artifacts-of-another-region"
BODY = json.dumps({"Resources": {"Group": {"Type": "AWS::Logs::LogGroup"}}})
UNSUPPORTED = "TemplateURL must be a supported URL."
ELSEWHERE = "S3 error: The bucket you are attempting to access must be addressed using"
DENIED = "S3 error: Access Denied"
MACHINE = json.dumps({"StartAt": "End", "States": {"End": {"Type": "Succeed"}}})


@pytest.fixture(scope="module", name="bucket")
def _bucket(aws: LocalAws) -> str:
    """A bucket of this Region with a template; another one is in another Region."""
    s3 = aws.client("s3")
    s3.create_bucket(
        Bucket=FOREIGN, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    for bucket in (BUCKET, FOREIGN):
        s3.put_object(Bucket=bucket, Key=KEY, Body=BODY)
        s3.put_object(Bucket=bucket, Key="machine.json", Body=MACHINE)
    return BUCKET


@pytest.fixture(scope="module", name="govcloud")
def _govcloud() -> Iterator[LocalAws]:
    with LocalAws("--region", "us-gov-west-1") as aws:
        aws.client("s3").put_object(Bucket=BUCKET, Key=KEY, Body=BODY)
        yield aws


def url(form: str, aws: LocalAws) -> str:
    return form.format(
        bucket=BUCKET, foreign=FOREIGN, key=KEY.replace(" ", "%20"), endpoint=aws.endpoint
    )


@pytest.mark.parametrize(
    "form",
    [
        "https://s3.amazonaws.com/{bucket}/{key}",
        "https://s3.us-east-1.amazonaws.com/{bucket}/{key}",
        "https://s3-us-east-1.amazonaws.com/{bucket}/{key}",
        "https://{bucket}.s3.amazonaws.com/{key}",
        "https://{bucket}.s3.us-east-1.amazonaws.com/{key}",
        "https://{bucket}.s3-us-east-1.amazonaws.com/{key}",
        "https://{foreign}.s3.eu-central-1.amazonaws.com/{key}",
        "{endpoint}/{bucket}/{key}",
    ],
)
def test_a_template_may_be_at_any_url_of_s3(
    aws: LocalAws, bucket: str, stack: SampleStack, form: str
) -> None:
    stack.id = aws.client("cloudformation").create_stack(
        StackName=stack.name, TemplateURL=url(form, aws)
    )["StackId"]
    assert stack.wait() == "CREATE_COMPLETE"


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("https://example.com/{bucket}/{key}", UNSUPPORTED),
        ("s3://{bucket}/{key}", UNSUPPORTED),
        ("https://s3.example.com/{bucket}/{key}", UNSUPPORTED),
        ("http://s3.us-east-1.amazonaws.com/{bucket}/{key}", UNSUPPORTED),
        ("https://{bucket}.s3-website-us-east-1.amazonaws.com/{key}", UNSUPPORTED),
        ("https://s3.cn-north-1.amazonaws.com/{bucket}/{key}", UNSUPPORTED),
        ("https://s3.us-east-1.amazonaws.com/{bucket}", UNSUPPORTED),
        ("https://s3.us-east-1.amazonaws.com/{bucket}/{key}?X-Amz-Signature=1", UNSUPPORTED),
        ("https://s3.eu-west-1.amazonaws.com/{bucket}/{key}", ELSEWHERE),
        ("https://s3.amazonaws.com/{foreign}/{key}", ELSEWHERE),
        ("https://{foreign}.s3.amazonaws.com/{key}", ELSEWHERE),
        ("https://s3.us-east-1.amazonaws.com/{bucket}/no", "S3 error: The specified key does not"),
        ("https://s3.us-east-1.amazonaws.com/no-such/{key}", "S3 error: The specified bucket does"),
    ],
)
def test_any_other_url_is_refused(aws: LocalAws, bucket: str, form: str, message: str) -> None:
    code, found = error_from(
        aws.client("cloudformation").validate_template, TemplateURL=url(form, aws)
    )
    assert (code, found[: len(message)]) == ("ValidationError", message)


def test_a_version_of_a_template_is_not_offered(aws: LocalAws, bucket: str) -> None:
    versioned = url("https://{bucket}.s3.us-east-1.amazonaws.com/{key}?versionId=1", aws)
    code, _ = error_from(aws.client("cloudformation").validate_template, TemplateURL=versioned)
    assert code == "NotImplemented"


def test_govcloud_has_its_own_hosts(govcloud: LocalAws) -> None:
    cloudformation = govcloud.client("cloudformation")
    for form in (
        "https://{bucket}.s3.us-gov-west-1.amazonaws.com/{key}",
        "https://s3.us-gov-west-1.amazonaws.com/{bucket}/{key}",
    ):
        cloudformation.validate_template(TemplateURL=url(form, govcloud))
    refused = error_from(
        cloudformation.validate_template,
        TemplateURL=url("https://{bucket}.s3.amazonaws.com/{key}", govcloud),
    )
    assert refused == ("ValidationError", UNSUPPORTED)


def _role(aws: LocalAws, actions: str) -> tuple[str, Any]:
    """A role that is allowed actions, as its ARN and a client of CloudFormation."""
    name, iam = unique_name(), aws.client("iam")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST_ACCOUNT)
    arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
    allowed = {"Effect": "Allow", "Action": actions.split(), "Resource": "*"}
    iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=_document(allowed))
    session = aws.client("sts").assume_role(RoleArn=arn, RoleSessionName="reader")["Credentials"]
    return arn, Session(aws, session).client("cloudformation")


def _document(statement: Json) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_the_caller_needs_permission_to_read_the_template(aws: LocalAws, bucket: str) -> None:
    arn, cloudformation = _role(aws, "cloudformation:ValidateTemplate")
    where = url("https://{bucket}.s3.us-east-1.amazonaws.com/{key}", aws)
    code, message = error_from(cloudformation.validate_template, TemplateURL=where)
    assert (code, message[: len(DENIED)]) == ("ValidationError", DENIED)

    objects = f"arn:aws:s3:::{bucket}/*"
    allowed = {"Effect": "Allow", "Principal": {"AWS": arn}, "Action": "s3:GetObject"}
    s3 = aws.client("s3")
    s3.put_bucket_policy(Bucket=bucket, Policy=_document({**allowed, "Resource": objects}))
    assert "Parameters" in cloudformation.validate_template(TemplateURL=where)
    s3.delete_bucket_policy(Bucket=bucket)


def test_the_caller_needs_permission_to_look_up_a_parameter(aws: LocalAws) -> None:
    # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-supplied-parameter-types.html
    declared = {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/for/templates"}
    aws.client("ssm").put_parameter(Name="/for/templates", Value="value", Type="String")
    template = {**json.loads(BODY), "Parameters": {"P": declared}}
    create = "cloudformation:CreateStack logs:*"
    request = {"StackName": unique_name(), "TemplateBody": json.dumps(template)}
    code, message = error_from(_role(aws, create)[1].create_stack, **request)
    assert code == "ValidationError"
    assert "not authorized to perform: ssm:GetParameters on resource: arn:aws:ssm:" in message
    created = SampleStack(aws, request["StackName"])
    allowed = _role(aws, f"{create} ssm:GetParameters")[1]
    created.id = allowed.create_stack(**request)["StackId"]
    assert created.wait() == "CREATE_COMPLETE"
    created.delete()


@pytest.mark.parametrize(
    ("service", "resource"),
    [
        ("lambda", function("", "Role", Code={"S3Bucket": FOREIGN, "S3Key": KEY})),
        (
            "states",
            {
                "Type": "AWS::StepFunctions::StateMachine",
                "Properties": {
                    "DefinitionS3Location": {"Bucket": FOREIGN, "Key": "machine.json"},
                    "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
                },
            },
        ),
    ],
)
def test_code_and_definitions_are_read_from_the_region_only(
    aws: LocalAws, bucket: str, stack: SampleStack, service: str, resource: Json
) -> None:
    assert stack.create({"Role": role(service), "It": resource}) == "ROLLBACK_COMPLETE"
    assert "The bucket is in this region: eu-central-1." in stack.reason("It")
