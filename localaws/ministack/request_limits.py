"""Resource properties held to the requests that their handlers send.

The schemas of many resource types leave out what botocore's models say, such as the length of a
policy's name. Tags have rules in prose only:
https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from localaws.core import shapes
from localaws.ministack.access import ministack

# The request of each part of a resource type's properties ("*" for the members of a list), with
# the service as ministack calls it, and parameters that have another name than the property.
REQUESTS: Mapping[str, tuple[str, str, Mapping[str, str]]] = {
    "AWS::Events::EventBus": ("events", "CreateEventBus", {}),
    "AWS::Events::Rule": ("events", "PutRule", {}),
    "AWS::IAM::InstanceProfile": ("iam", "CreateInstanceProfile", {}),
    "AWS::IAM::ManagedPolicy": ("iam", "CreatePolicy", {"ManagedPolicyName": "PolicyName"}),
    "AWS::IAM::Policy": ("iam", "PutRolePolicy", {}),
    "AWS::IAM::Role": ("iam", "CreateRole", {}),
    "AWS::IAM::Role.Policies.*": ("iam", "PutRolePolicy", {}),
    "AWS::IAM::User": ("iam", "CreateUser", {}),
    "AWS::IAM::User.Policies.*": ("iam", "PutUserPolicy", {}),
    "AWS::KMS::Alias": ("kms", "CreateAlias", {}),
    "AWS::KMS::Key": ("kms", "CreateKey", {}),
    "AWS::Lambda::Alias": ("lambda", "CreateAlias", {}),
    "AWS::Lambda::EventInvokeConfig": ("lambda", "PutFunctionEventInvokeConfig", {}),
    "AWS::Lambda::Function": ("lambda", "CreateFunction", {}),
    "AWS::Lambda::Permission": ("lambda", "AddPermission", {}),
    "AWS::Logs::LogGroup": ("logs", "CreateLogGroup", {}),
    "AWS::Logs::LogStream": ("logs", "CreateLogStream", {}),
    "AWS::Logs::ResourcePolicy": ("logs", "PutResourcePolicy", {}),
    "AWS::SSM::Document": ("ssm", "CreateDocument", {}),
    "AWS::SSM::Parameter": ("ssm", "PutParameter", {}),
    "AWS::SecretsManager::Secret": ("secretsmanager", "CreateSecret", {}),
    "AWS::SecretsManager::Secret.GenerateSecretString": (
        "secretsmanager",
        "GetRandomPassword",
        {},
    ),
    "AWS::StepFunctions::StateMachine": (
        "states",
        "CreateStateMachine",
        {"StateMachineName": "name"},
    ),
}
RESERVED_PREFIX = "aws:"
# The tags that CloudFormation adds to every resource, and Service Catalog to those of its stacks.
OWN_PREFIXES = ("aws:cloudformation:", "aws:servicecatalog:")

_responses = ministack("core.responses")


def problems(kind: str, properties: Mapping[str, Any]) -> Iterator[str]:
    """What a resource's handler would be refused, in the words of AWS."""
    yield from _tag_problems(properties.get("Tags"))
    for place, (service, operation, names) in REQUESTS.items():
        resource, *path = place.split(".")
        if resource != kind:
            continue
        model = _responses._service_model(service)
        shape = model.operation_model(operation).input_shape
        for part in _parts(properties, path):
            request = _reshaped(shape, {names.get(key, key): part[key] for key in part})
            found = [each for each in shapes.violations(shape, request) if each.kind != "required"]
            if found:
                yield shapes.message(found)


def _parts(value: Any, path: list[str]) -> Iterator[Mapping[str, Any]]:
    if not path:
        if isinstance(value, Mapping):
            yield value
    elif path[0] == "*":
        for each in value if isinstance(value, list) else []:
            yield from _parts(each, path[1:])
    elif isinstance(value, Mapping) and path[0] in value:
        yield from _parts(value[path[0]], path[1:])


def _reshaped(shape: Any, value: Any) -> Any:
    """A value with the members that a shape has under its names; None if the types differ."""
    kinds = shapes.TYPES.get(shape.type_name, ())
    if type(value) not in kinds:
        return None
    if shape.type_name == "structure":
        names = {name.lower(): name for name in shape.members}
        known = {names[key.lower()]: value[key] for key in value if key.lower() in names}
        return {name: _reshaped(shape.members[name], known[name]) for name in known}
    if shape.type_name == "list":
        members = [_reshaped(shape.member, each) for each in value]
        return None if None in members else members
    # Maps stand for lists, and blobs for text, in properties.
    return None if shape.type_name in ("blob", "map") else value


def _tag_problems(tags: Any) -> Iterator[str]:
    # SSM has a map.
    keys: list[str] = (
        [each["Key"] for each in tags or []] if not isinstance(tags, dict) else [*tags]
    )
    for key in keys:
        if key.lower().startswith(RESERVED_PREFIX) and not key.startswith(OWN_PREFIXES):
            yield f"{key} is not a valid tag key: aws: prefixed tag key names are reserved."
    for key in sorted({key for key in keys if keys.count(key) > 1}):
        yield f"Duplicate tag keys found: {key}"
