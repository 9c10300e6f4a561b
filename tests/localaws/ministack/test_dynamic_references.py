"""Parameters and dynamic references that CloudFormation refuses, and how it shows parameters."""

from __future__ import annotations

import json
from typing import Any

from localaws.client import LocalAws
from tests.localaws.ministack.support import SampleStack, error_from, unique_name

Json = dict[str, Any]


def _parameter(value: Any) -> Json:
    return {"P": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": value}}}


def test_a_secure_string_is_not_resolved(aws: LocalAws, stack: SampleStack) -> None:
    name = unique_name("secure")
    aws.client("ssm").put_parameter(Name=name, Type="SecureString", Value="hidden")
    for reference, problem in (
        ("ssm:" + name, "Non-secure ssm prefix was used for secure parameter"),
        (f"ssm-secure:{name}:1", "SSM Secure reference is not supported"),
    ):
        assert stack.create(_parameter("{{resolve:" + reference + "}}")) == "ROLLBACK_COMPLETE"
        assert problem in stack.reason("P")
        stack.delete()
    aws.client("ssm").delete_parameter(Name=name)


def test_a_value_that_does_not_exist_is_refused(aws: LocalAws) -> None:
    create = aws.client("cloudformation").create_stack
    values = {
        "AWS::EC2::AvailabilityZone::Name": "us-east-1z",
        "AWS::EC2::Image::Id": "ami-0123",
        "AWS::EC2::KeyPair::KeyName": "missing",
        "AWS::Route53::HostedZone::Id": "Z123",
        "AWS::SSM::Parameter::Name": "/missing",
        "List<AWS::EC2::AvailabilityZone::Name>": "us-east-1a,us-east-1z",
    }
    answers = {
        kind: error_from(
            create,
            StackName="refused",
            TemplateBody=json.dumps(
                {"Parameters": {"K": {"Type": kind}}, "Resources": _parameter("v")}
            ),
            Parameters=[{"ParameterKey": "K", "ParameterValue": value}],
        )
        for kind, value in values.items()
    }
    wrong = {
        kind: answer
        for kind, answer in answers.items()
        if answer[0] != "ValidationError" or "for parameter name K does not exist" not in answer[1]
    }
    assert wrong == {}


def test_a_stack_shows_the_name_and_the_resolved_value(aws: LocalAws, stack: SampleStack) -> None:
    name = "/" + unique_name("setting")
    aws.client("ssm").put_parameter(Name=name, Type="String", Value="resolved")
    stack.create(
        _parameter({"Ref": "K"}),
        Parameters={"K": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": name}},
    )
    (found,) = aws.client("cloudformation").describe_stacks(StackName=stack.name)["Stacks"]
    assert found["Parameters"] == [
        {"ParameterKey": "K", "ParameterValue": name, "ResolvedValue": "resolved"}
    ]
    aws.client("ssm").delete_parameter(Name=name)


def test_a_parameter_without_a_value_is_refused(aws: LocalAws) -> None:
    template = {"Parameters": {"K": {"Type": "String"}}, "Resources": _parameter("v")}
    answer = error_from(
        aws.client("cloudformation").create_stack,
        StackName="refused",
        TemplateBody=json.dumps(template),
    )
    assert answer == ("ValidationError", "Parameters: [K] must have values")
