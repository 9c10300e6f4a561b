"""Constraints of values that AWS documents in prose only: no model and no schema has them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import regex

from localaws.core.api_error import ApiError


@dataclass(frozen=True)
class Rule:
    """What a parameter of an operation, or a property of a resource type, must satisfy."""

    # Such as "ec2:CreateSecurityGroup", with the service as ministack calls it.
    operation: str
    parameter: str
    # Such as "AWS::EC2::SecurityGroup.GroupDescription"; empty if no resource type has it.
    property: str
    holds: Callable[[str], bool]
    code: str
    message: str


def _matching(pattern: str) -> Callable[[str], bool]:
    return lambda value: regex.fullmatch(pattern, value) is not None


def _is_json(value: str) -> bool:
    try:
        json.loads(value)
    except ValueError:
        return False
    return True


# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
GROUP_TEXT = r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{0,255}"
GROUP_MESSAGE = (
    "Invalid security group {}. Valid descriptions are strings less than 256 characters from the "
    "following set: a-zA-Z0-9. _-:/()#,@[]+=&;{{}}!$*"
)
# No white space, brackets, wildcards or characters that are special in URLs.
STATES_NAME = r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]+"
RULES = (
    Rule(
        "ec2:CreateSecurityGroup",
        "Description",
        "AWS::EC2::SecurityGroup.GroupDescription",
        _matching(GROUP_TEXT),
        "InvalidParameterValue",
        GROUP_MESSAGE.format("description"),
    ),
    Rule(
        "ec2:CreateSecurityGroup",
        "GroupName",
        "AWS::EC2::SecurityGroup.GroupName",
        lambda value: _matching(GROUP_TEXT)(value) and not value.startswith("sg-"),
        "InvalidParameterValue",
        GROUP_MESSAGE.format("name"),
    ),
    # https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html
    Rule(
        "ec2:CreateVpc",
        "CidrBlock",
        "AWS::EC2::VPC.CidrBlock",
        _matching(r"[\d.]+/(1[6-9]|2[0-8])"),
        "InvalidVpc.Range",
        "The CIDR block size must be between /16 and /28.",
    ),
    # https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
    Rule(
        "secretsmanager:CreateSecret",
        "Name",
        "AWS::SecretsManager::Secret.Name",
        _matching(r"[A-Za-z0-9/_+=.@!-]{1,512}"),
        "ValidationException",
        "Invalid name. Must be a valid name containing alphanumeric characters, or any of the "
        "following: -/_+=.@!",
    ),
    # https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
    Rule(
        "ssm:PutParameter",
        "Name",
        "AWS::SSM::Parameter.Name",
        _matching(r"(?!/?(?i:aws|ssm))[a-zA-Z0-9_.\-/]+"),
        "ValidationException",
        'Parameter name: can\'t be prefixed with "ssm" or "aws" (case-insensitive). If formed as a '
        "path, it can consist of sub-paths divided by slash symbol; each sub-path can be formed as "
        "a mix of letters, numbers and the following 3 symbols .-_",
    ),
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    Rule(
        "s3:CreateBucket",
        "Bucket",
        "AWS::S3::Bucket.BucketName",
        _matching(
            r"(?!xn--|sthree-|amzn-s3-demo-)(?!.*(\.\.|-s3alias$|--ol-s3$|--x-s3$|\.mrap$))"
            r"(?!\d+\.\d+\.\d+\.\d+$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
        ),
        "InvalidBucketName",
        "The specified bucket is not valid.",
    ),
    # https://docs.aws.amazon.com/step-functions/latest/apireference/API_CreateStateMachine.html
    Rule(
        "states:CreateStateMachine",
        "name",
        "AWS::StepFunctions::StateMachine.StateMachineName",
        _matching(STATES_NAME),
        "InvalidName",
        "Invalid Name",
    ),
    Rule(
        "states:StartExecution", "name", "", _matching(STATES_NAME), "InvalidName", "Invalid Name"
    ),
    Rule(
        "states:StartExecution",
        "input",
        "",
        _is_json,
        "InvalidExecutionInput",
        "Invalid State Machine Execution Input: the input is not JSON",
    ),
    # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html
    Rule(
        "logs:CreateLogGroup",
        "logGroupName",
        "AWS::Logs::LogGroup.LogGroupName",
        lambda value: not value.startswith("aws/"),
        "InvalidParameterException",
        "Log groups starting with AWS/ are reserved for AWS.",
    ),
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
    Rule(
        "s3:PutObject",
        "Key",
        "",
        lambda value: len(value.encode()) <= 1024,
        "KeyTooLongError",
        "Your key is too long",
    ),
)
_OPERATIONS: dict[str, list[Rule]] = {}
for _rule in RULES:
    _OPERATIONS.setdefault(_rule.operation, []).append(_rule)
_PROPERTIES = {rule.property: rule for rule in RULES if rule.property}


def check_request(service: str, operation: str, given: Mapping[str, Any]) -> None:
    """Raise ApiError for a request that breaks a rule."""
    for rule in _OPERATIONS.get(f"{service}:{operation}", ()):
        value = given.get(rule.parameter)
        if isinstance(value, str) and not rule.holds(value):
            raise ApiError(rule.code, rule.message)


def broken_by(kind: str, properties: Mapping[str, Any]) -> Iterator[Rule]:
    """The rules that a resource's properties break."""
    for name, value in properties.items():
        rule = _PROPERTIES.get(f"{kind}.{name}")
        if rule and isinstance(value, str) and not rule.holds(value):
            yield rule
