"""Templates and parameters as CloudFormation reads them.

CloudFormation reads YAML booleans as "true" and "false", ministack as "True" and "False". AWS
requires the subnet, VPC, group or instance in a typed parameter to exist. Parsing YAML in C is ten
times as fast as ministack's parser.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import yaml

from localaws.core.api_error import ApiError
from localaws.ministack.access import ministack
from localaws.ministack.dynamic_references import is_secure
from localaws.ministack.iam import CallerPermissions
from localaws.ministack.partitions import partition

if TYPE_CHECKING:
    from localaws.state import EmulatorState

Authorize = Callable[[str, str, Mapping[str, Any]], None]

MODULES = ("engine", "handlers", "changesets")
# ministack's stores by the parameter types whose values must exist in the account.
EXISTING = {
    "AWS::EC2::Instance::Id": "_instances",
    "AWS::EC2::KeyPair::KeyName": "_key_pairs",
    "AWS::EC2::SecurityGroup::Id": "_security_groups",
    "AWS::EC2::Subnet::Id": "_subnets",
    "AWS::EC2::VPC::Id": "_vpcs",
}
# Short forms of the functions of AWS::LanguageExtensions, which ministack knows by full name only.
SHORT_FORMS = {
    "!Length": "Fn::Length",
    "!ToJsonString": "Fn::ToJsonString",
    "!Transform": "Fn::Transform",
}
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-supplied-parameter-types.html
SSM_NAME = "AWS::SSM::Parameter::Name"
ZONES = "abc"
SSM_VALUE = re.compile(r"AWS::SSM::Parameter::Value<(.+)>")

_ec2 = ministack("services.ec2")
_responses = ministack("core.responses")
_ssm = ministack("services.ssm")


def install(emulator: EmulatorState) -> None:
    """Read templates and parameters as CloudFormation does."""
    engine = ministack("services.cloudformation.engine")
    resolve_parameters = engine._resolve_parameters
    # Templates that ministack cannot transform are refused with the others.
    engine._SAM_TRANSFORM = None
    for tag, function in SHORT_FORMS.items():
        engine.CfnLoader.add_constructor(tag, engine._construct_cfn_tag(function))
    engine.CfnLoader = in_c(engine.CfnLoader)
    authorize = CallerPermissions(emulator).authorize

    def resolve(
        template: dict[str, Any], given: list[dict[str, Any]], *arguments: Any, **named: Any
    ) -> Any:
        for section in ("Parameters", "Conditions", "Rules"):
            if template.get(section):
                template[section] = _with_text_booleans(template[section])
        _demand_known(template.get("Parameters") or {}, given)
        _demand_values(template.get("Parameters") or {}, given)
        values = resolve_parameters(template, given, *arguments, **named)
        for name, value in values.items():
            _demand_existing(name, value)
            _demand_readable(value, authorize)
        return values

    for module in MODULES:
        ministack(f"services.cloudformation.{module}")._resolve_parameters = resolve


def in_c(loader: type[yaml.SafeLoader]) -> type[yaml.CSafeLoader]:
    """A loader with the same constructors that parses in C."""

    class Loader(yaml.CSafeLoader):
        yaml_constructors = loader.yaml_constructors

    return Loader


def _with_text_booleans(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_text_booleans(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_text_booleans(each) for each in value]
    return ("true" if value else "false") if isinstance(value, bool) else value


def _demand_known(parameters: Mapping[str, Any], given: list[dict[str, Any]]) -> None:
    unknown = sorted({each["Key"] for each in given} - set(parameters))
    if unknown:
        raise ValueError(f"Parameters: [{', '.join(unknown)}] do not exist in the template")


def _demand_values(parameters: Mapping[str, Any], given: list[dict[str, Any]]) -> None:
    known = {each["Key"] for each in given}
    missing = [
        name
        for name, parameter in parameters.items()
        if name not in known and "Default" not in parameter
    ]
    if missing:
        raise ValueError(f"Parameters: [{', '.join(missing)}] must have values")


def _demand_existing(name: str, value: Mapping[str, Any]) -> None:
    kind = str(value.get("Type", "String"))
    if found := SSM_VALUE.fullmatch(kind):
        kind = found[1]
        if is_secure(value.get("SsmName", "")):
            raise ValueError(
                f"Parameters [{value['SsmName']}] referenced by template have types not supported "
                "by CloudFormation."
            )
    is_list = kind.startswith("List<")
    exists = _existence(kind.removeprefix("List<").removesuffix(">"))
    if exists is None:
        return
    _ec2._ensure_defaults_initialized()
    members = value["Value"].split(",") if is_list else [value["Value"]]
    for member in members:
        if not exists(member.strip()):
            raise ValueError(
                f"Parameter validation failed: parameter value {member.strip()} for parameter "
                f"name {name} does not exist. Rollback requested by user."
            )


def _demand_readable(value: Mapping[str, Any], authorize: Authorize) -> None:
    """CloudFormation looks up a parameter of Parameter Store with the caller's permissions."""
    if not SSM_VALUE.fullmatch(str(value.get("Type", ""))):
        return
    name = str(value.get("SsmName", ""))
    owner = "" if name.startswith("/aws/") else _responses.get_account_id()
    resource = f"parameter/{name.lstrip('/')}"
    try:
        authorize(
            "ssm:GetParameters",
            f"arn:{partition()}:ssm:{_responses.get_region()}:{owner}:{resource}",
            {},
        )
    except ApiError as error:
        raise ValueError(error.message) from error


def _existence(kind: str) -> Callable[[str], bool] | None:
    """Whether a value of a parameter type exists in the account; None for types without check."""
    if kind in EXISTING:
        return lambda member: member in getattr(_ec2, EXISTING[kind])
    if kind == "AWS::EC2::AvailabilityZone::Name":
        return lambda member: member in {f"{_responses.get_region()}{zone}" for zone in ZONES}
    if kind == "AWS::EC2::Image::Id":
        return lambda member: member in {image[0] for image in _ec2._STUB_AMIS}
    if kind == "AWS::Route53::HostedZone::Id":
        # There is no Route 53.
        return lambda member: False
    if kind == SSM_NAME:
        return lambda member: _ssm.resolve_parameter_value(member) is not None
    return None
