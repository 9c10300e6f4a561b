"""Constraints among several properties of a resource that AWS documents in prose only.

A request has them under the same names, so that both are checked here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import regex

from localaws.core.api_error import ApiError
from localaws.ministack.access import ministack

Given = Mapping[str, Any]

# https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html
STANDARD_SIZE, ADVANCED_SIZE = 4096, 8192
# https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
LEVELS = 15
EXCLUSIONS = ("ExcludeLowercase", "ExcludeNumbers", "ExcludePunctuation", "ExcludeUppercase")

_events = ministack("services.eventbridge")
_ec2 = ministack("services.ec2")


def _parameter_problems(given: Given) -> Iterator[str]:
    name, value = str(given.get("Name") or "name"), str(given.get("Value", " "))
    if "/" in name and not name.startswith("/"):
        yield f'Parameter name must be a fully qualified name: "{name}" must begin with "/".'
    if name.count("/") > LEVELS:
        yield (
            "The hierarchy is too deep. Parameter Store supports a hierarchy of up to fifteen "
            "levels."
        )
    if not value:
        yield "Parameter value can't be empty."
    if value.startswith("{{") and value.endswith("}}"):
        yield 'Parameter value can\'t nest another parameter. Do not use "{{}}" in the value.'
    if given.get("Tier", "Standard") == "Standard" and len(value) > STANDARD_SIZE:
        yield (
            "Standard tier parameters support a maximum parameter value of 4096 characters. To "
            "create a larger parameter value, upgrade the parameter to use the advanced-parameter "
            "tier."
        )
    elif len(value) > ADVANCED_SIZE:
        yield f"Parameters support a maximum parameter value of {ADVANCED_SIZE} characters."
    pattern = given.get("AllowedPattern")
    if pattern and not regex.search(pattern, value):
        yield f"Parameter value, {value}, failed to satisfy pattern {pattern}."
    if given.get("DataType") == "aws:ec2:image" and value not in {
        image[0] for image in _ec2._STUB_AMIS
    }:
        yield f"The parameter value {value} is not the id of an image that exists."


def _secret_problems(given: Given) -> Iterator[str]:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-secretsmanager-secret-generatesecretstring.html"""
    generated = given.get("GenerateSecretString")
    if generated is None:
        return
    if "SecretString" in given:
        yield "You can't specify both GenerateSecretString and SecretString."
    if ("SecretStringTemplate" in generated) != ("GenerateStringKey" in generated):
        yield "You must specify both SecretStringTemplate and GenerateStringKey, or neither."
    try:
        json.loads(generated.get("SecretStringTemplate", "{}"))
    except ValueError:
        yield "Could not parse SecretStringTemplate JSON."
    if all(generated.get(name) in (True, "true") for name in EXCLUSIONS):
        yield "The password can't be generated: every type of character is excluded."


def _schedule_problems(expression: str) -> Iterator[str]:
    from cfnlint.jsonschema import StandardValidator
    from cfnlint.rules.resources.events.RuleScheduleExpression import RuleScheduleExpression

    for _ in RuleScheduleExpression().validate(StandardValidator({}), {}, expression, {}):
        yield "Parameter ScheduleExpression is not valid."
        return


def _event_rule_problems(given: Given) -> Iterator[str]:
    from moto.events.exceptions import InvalidEventPatternException
    from moto.events.models import EventPatternParser

    if given.get("ScheduleExpression"):
        yield from _schedule_problems(str(given["ScheduleExpression"]))
    pattern = given.get("EventPattern")
    if pattern is not None:
        text = pattern if isinstance(pattern, str) else json.dumps(pattern)
        try:
            EventPatternParser(text).parse()
        except InvalidEventPatternException as problem:
            yield str(problem.message)
    bus = str(given.get("EventBusName") or "default").rpartition("/")[2]
    if bus != "default" and bus not in {each["Name"] for each in _events._event_buses.values()}:
        yield f"Event bus {bus} does not exist."


def _volume_problems(given: Given) -> Iterator[str]:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EbsBlockDevice.html"""
    for mapping in given.get("BlockDeviceMappings") or []:
        size = (mapping.get("Ebs") or {}).get("VolumeSize")
        if size is not None and int(size) < IMAGE_SIZE:
            yield (
                f"Volume of size {size}GB is smaller than snapshot, expect size >= {IMAGE_SIZE}GB"
            )


def _zone_problems(given: Given) -> Iterator[str]:
    subnet = _ec2._subnets.get(given.get("SubnetId")) or {}
    zone = given.get("AvailabilityZone")
    if zone and subnet and subnet["AvailabilityZone"] != zone:
        yield (
            f"The availability zone '{zone}' does not match the subnet "
            f"'{given['SubnetId']}' in '{subnet['AvailabilityZone']}'."
        )


# In GB, of the root volume of Amazon Linux 2023.
IMAGE_SIZE = 8
CHECKS: Mapping[str, tuple[Callable[[Given], Iterator[str]], ...]] = {
    "AWS::EC2::Instance": (_volume_problems, _zone_problems),
    "AWS::Events::Rule": (_event_rule_problems,),
    "AWS::SSM::Parameter": (_parameter_problems,),
    "AWS::SecretsManager::Secret": (_secret_problems,),
}
OPERATIONS = {"events:PutRule": "AWS::Events::Rule", "ssm:PutParameter": "AWS::SSM::Parameter"}


def problems(kind: str, properties: Given) -> Iterator[str]:
    """What a resource's service would refuse."""
    for check in CHECKS.get(kind, ()):
        yield from check(properties)


def check_request(service: str, operation: str, given: Given) -> None:
    """Raise ApiError for a request that its service would refuse."""
    for problem in problems(OPERATIONS.get(f"{service}:{operation}", ""), given):
        raise ApiError("ValidationException", problem)
