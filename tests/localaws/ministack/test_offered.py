"""What CloudFormation offers on AWS and the local AWS refuses by name, instead of half doing it."""

from __future__ import annotations

import json
from typing import Any

from localaws.client import LocalAws
from tests.localaws.ministack.support import SampleStack, error_from, function, machine, role

Json = dict[str, Any]
PARAMETER: Json = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "v"}}
PASS: Json = {"Do": {"Type": "Pass", "End": True}}
# Templates by what they need.
TEMPLATES: dict[str, Json] = {
    "the resource type AWS::CloudFormation::Stack": {
        "Resources": {"N": {"Type": "AWS::CloudFormation::Stack", "Properties": {}}}
    },
    "the transform AWS::Include": {
        "Transform": {"Name": "AWS::Include", "Parameters": {"Location": "s3://bucket/key"}},
        "Resources": {"P": PARAMETER},
    },
    "the transform AWS::Serverless-2016-10-31": {
        "Transform": ["AWS::Serverless-2016-10-31"],
        "Resources": {"P": PARAMETER},
    },
    "the transform MyMacro": {"Transform": "MyMacro", "Resources": {"P": PARAMETER}},
    "state machines of type EXPRESS": {
        "Resources": {
            "MachineRole": role("states"),
            "M": machine(PASS, StateMachineType="EXPRESS"),
        }
    },
    "the property UserData of AWS::EC2::Instance": {
        "Resources": {"I": {"Type": "AWS::EC2::Instance", "Properties": {"UserData": "eA=="}}}
    },
    "the property LoggingConfiguration of AWS::S3::Bucket": {
        "Resources": {
            "B": {"Type": "AWS::S3::Bucket", "Properties": {"LoggingConfiguration": {}}},
        }
    },
}
OPTIONS: dict[str, Any] = {
    "NotificationARNs": ["arn:aws:sns:us-east-1:123456789012:topic"],
    "ResourceTypes": ["AWS::SSM::*"],
    "RoleARN": "arn:aws:iam::123456789012:role/deployment",
    "RollbackConfiguration": {"MonitoringTimeInMinutes": 5},
    "StackPolicyBody": '{"Statement": []}',
    "TimeoutInMinutes": 5,
}


def test_what_a_template_needs_is_refused_by_name(aws: LocalAws) -> None:
    create = aws.client("cloudformation").create_stack
    answers = {
        name: error_from(
            create,
            StackName="refused",
            TemplateBody=json.dumps(template),
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
        for name, template in TEMPLATES.items()
    }
    wrong = {
        name: answer
        for name, answer in answers.items()
        if answer[0] != "NotImplemented" or f"does not offer {name}" not in answer[1]
    }
    assert wrong == {}


def test_options_of_a_request_are_refused_by_name(aws: LocalAws) -> None:
    create = aws.client("cloudformation").create_stack
    body = json.dumps({"Resources": {"P": PARAMETER}})
    answers = {
        name: error_from(create, StackName="refused", TemplateBody=body, **{name: value})
        for name, value in OPTIONS.items()
    }
    wrong = {
        name: answer
        for name, answer in answers.items()
        if answer[0] != "NotImplemented" or f"the parameter {name} of" not in answer[1]
    }
    assert wrong == {}


def test_stack_policies_and_drift_are_refused(aws: LocalAws) -> None:
    client = aws.client("cloudformation")
    refused = [
        error_from(client.set_stack_policy, StackName="any", StackPolicyBody="{}"),
        error_from(client.detect_stack_drift, StackName="any"),
    ]
    assert refused == [
        ("NotImplemented", "The local AWS does not offer cloudformation:SetStackPolicy."),
        ("NotImplemented", "The local AWS does not offer cloudformation:DetectStackDrift."),
    ]


def test_functions_in_other_languages_and_jsonata_fail_by_name(stack: SampleStack) -> None:
    jsonata = {"Do": {"Type": "Pass", "QueryLanguage": "JSONata", "End": True}}
    resources = {
        "FunctionRole": role("lambda"),
        "MachineRole": role("states"),
        "Function": function("exports.handler = async () => 1", Runtime="nodejs24.x"),
    }
    assert stack.create(resources) == "ROLLBACK_COMPLETE"
    assert "does not offer the Lambda runtime nodejs24.x" in stack.reason("Function")
    stack.delete()
    assert stack.create({"MachineRole": role("states"), "Machine": machine(jsonata)}) == (
        "ROLLBACK_COMPLETE"
    )
    assert "does not offer the query language JSONata" in stack.reason("Machine")
