"""What Ref and Fn::GetAtt return, and the types of properties."""

from __future__ import annotations

import re
from typing import Any

from localaws.client import LocalAws
from tests.localaws.ministack.support import SampleStack

Json = dict[str, Any]
RESOURCES: Json = {
    "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.9.0.0/16"}},
    "Subnet": {
        "Type": "AWS::EC2::Subnet",
        "Properties": {
            "VpcId": {"Ref": "Vpc"},
            "CidrBlock": {"Fn::Select": [1, {"Fn::Cidr": [{"Fn::GetAtt": "Vpc.CidrBlock"}, 2, 8]}]},
        },
    },
    "Group": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": "7"}},
    "Parameter": {
        "Type": "AWS::SSM::Parameter",
        "Properties": {"Type": "String", "Value": 5, "Description": "five"},
    },
    "Secret": {
        "Type": "AWS::SecretsManager::Secret",
        "Properties": {"GenerateSecretString": {"PasswordLength": "40"}},
    },
    "Bucket": {"Type": "AWS::S3::Bucket"},
    "Policy": {
        "Type": "AWS::S3::BucketPolicy",
        "Properties": {
            "Bucket": {"Ref": "Bucket"},
            "PolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Deny",
                        "Principal": "*",
                        "Action": "s3:*",
                        "Resource": {"Fn::Sub": "${Bucket.Arn}/*"},
                    }
                ],
            },
        },
    },
}
PATTERNS = {
    "Group": r"{stack}-Group-\w+",
    "Parameter": r"CFN-Parameter-\w+",
    "Secret": r"arn:aws:secretsmanager:us-east-1:123456789012:secret:{stack}-Secret-\w+-\w{{6}}",
    "Policy": r"{stack}-bucket-\w+",
    "Subnet.CidrBlock": r"10\.9\.1\.0/24",
    "Subnet.VpcId": r"vpc-\w+",
    "Parameter.Description": r"five",
    "Bucket.DualStackDomainName": r"{stack}-bucket-\w+\.s3\.dualstack\.us-east-1\.amazonaws\.com",
}


def test_references_and_attributes_are_those_of_aws(stack: SampleStack) -> None:
    outputs = {
        name.replace(".", ""): {"Value": {"Fn::GetAtt": name} if "." in name else {"Ref": name}}
        for name in PATTERNS
    }
    assert stack.create(RESOURCES, Outputs=outputs) == "CREATE_COMPLETE"
    found = {name: stack.output(name.replace(".", "")) for name in PATTERNS}
    wrong = {
        name: value
        for name, value in found.items()
        if not re.fullmatch(PATTERNS[name].format(stack=stack.name), value)
    }
    assert wrong == {}


def test_properties_have_the_types_of_their_schema(aws: LocalAws, stack: SampleStack) -> None:
    stack.create(RESOURCES)
    secret = aws.client("secretsmanager").get_secret_value(SecretId=stack.physical_id("Secret"))
    value = aws.client("ssm").get_parameter(Name=stack.physical_id("Parameter"))["Parameter"]
    assert (len(secret["SecretString"]), value["Value"]) == (40, "5")


def test_generated_names_survive_updates(stack: SampleStack) -> None:
    stack.create(RESOURCES)
    names = {each: stack.physical_id(each) for each in ("Group", "Parameter", "Secret")}
    changed = {
        "Group": {**RESOURCES["Group"], "Properties": {"RetentionInDays": 14}},
        "Parameter": {**RESOURCES["Parameter"], "Properties": {"Type": "String", "Value": "6"}},
        "Secret": {
            **RESOURCES["Secret"],
            "Properties": {"Description": "d", "GenerateSecretString": {"PasswordLength": 40}},
        },
    }
    assert stack.update({**RESOURCES, **changed}) == "UPDATE_COMPLETE"
    assert {each: stack.physical_id(each) for each in names} == names
