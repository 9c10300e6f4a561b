"""On which resources CloudFormation's handlers act, and with which condition keys.

Generated names begin with the stack's name and logical ID (F7.124): https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resources-section-structure.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from localaws.ministack.access import ministack
from localaws.ministack.partitions import partition

Permission = tuple[str, Mapping[str, Any]]

_responses = ministack("core.responses")
# CloudFormation's suffix of a generated name, and Secrets Manager's of an ARN.
GENERATED = "0A1B2C3D4E5F"
SUFFIX = "AbCdEf"
_SERVICES = {
    "AWS::EC2::Instance": "ec2.amazonaws.com",
    "AWS::IAM::InstanceProfile": "ec2.amazonaws.com",
    "AWS::Events::Rule": "events.amazonaws.com",
    "AWS::Lambda::Function": "lambda.amazonaws.com",
    "AWS::StepFunctions::StateMachine": "states.amazonaws.com",
}
# Actions of these services that no policy can limit to a resource.
# https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
_ANYWHERE = frozenset(
    {
        "logs:DescribeLogGroups",
        "logs:DescribeResourcePolicies",
        "secretsmanager:GetRandomPassword",
        "ssm:ListAssociations",
    }
)


@dataclass(frozen=True)
class Target:
    """A resource of a stack; without physical ID, it is about to be created."""

    kind: str
    logical_id: str
    stack: str
    physical_id: str
    props: Mapping[str, Any]

    def name(self, given: str) -> str:
        """The resource's name: the physical ID, that of a property, or a generated one."""
        if self.physical_id:
            return self.physical_id
        return str(self.props.get(given) or f"{self.stack}-{self.logical_id}-{GENERATED}")


def is_custom(kind: str) -> bool:
    """Whether a function handles a resource type."""
    return kind.startswith("Custom::") or kind == "AWS::CloudFormation::CustomResource"


def targets(action: str, target: Target) -> Iterator[Permission]:
    """The resources on which an action of a handler is authorized."""
    service, _, operation = action.partition(":")
    if action in _ANYWHERE or (service == "ec2" and operation.startswith("Describe")):
        yield "*", {}
    elif is_custom(target.kind):
        yield str(target.props.get("ServiceToken", "*")), {}
    elif action == "iam:PassRole":
        passed = {"iam:PassedToService": _SERVICES[target.kind]}
        for role in _roles(target):
            yield role, passed
    elif service == "s3":
        yield _artifact(target.props), {}
    else:
        yield from ((each, {}) for each in _RULES[service](operation, target))


def _arn(service: str, resource: str, *, region: bool = True) -> str:
    where = _responses.get_region() if region else ""
    return f"arn:{partition()}:{service}:{where}:{_responses.get_account_id()}:{resource}"


def _roles(target: Target) -> Iterator[str]:
    """ARNs of the roles that a resource passes to a service."""
    named = target.props.get("Role") or target.props.get("RoleArn")
    if named:
        yield str(named)
    for role in target.props.get("Roles") or []:
        yield _arn("iam", f"role/{role}", region=False)
    profile = target.props.get("IamInstanceProfile")
    if profile:
        roles = ministack("services.iam")._instance_profiles.get(profile, {}).get("Roles") or []
        for role in roles:
            yield _arn("iam", f"role/{role}", region=False)


def _artifact(props: Mapping[str, Any]) -> str:
    """The object that holds the code of a function or the definition of a state machine."""
    code, definition = props.get("Code") or {}, props.get("DefinitionS3Location") or {}
    bucket = code.get("S3Bucket") or definition.get("Bucket")
    key = code.get("S3Key") or definition.get("Key")
    return f"arn:{partition()}:s3:::{bucket}/{key}"


def _ec2(operation: str, target: Target) -> Iterator[str]:
    props = target.props
    if target.kind == "AWS::EC2::SecurityGroup":
        yield _arn("ec2", f"security-group/{target.physical_id or '*'}")
        if operation == "CreateSecurityGroup":
            yield _arn("ec2", f"vpc/{props.get('VpcId')}")
    elif target.kind == "AWS::EC2::Instance":
        yield _arn("ec2", f"instance/{target.physical_id or '*'}")
        if operation == "RunInstances":
            region = _responses.get_region()
            yield f"arn:{partition()}:ec2:{region}::image/{props.get('ImageId')}"
            yield _arn("ec2", "network-interface/*")
            yield _arn("ec2", "volume/*")
            yield _arn("ec2", f"subnet/{props.get('SubnetId')}")
            for group in props.get("SecurityGroupIds") or []:
                yield _arn("ec2", f"security-group/{group}")
    else:
        yield "*"


def _iam(operation: str, target: Target) -> Iterator[str]:
    if target.kind == "AWS::IAM::InstanceProfile":
        name = target.name("InstanceProfileName")
        yield _arn("iam", f"instance-profile/{name}", region=False)
    else:
        yield _arn("iam", f"role/{target.name('RoleName')}", region=False)


def _lambda(operation: str, target: Target) -> Iterator[str]:
    if target.kind == "AWS::Lambda::Function":
        name = target.name("FunctionName")
    else:
        name = str(target.props.get("FunctionName", ""))
    yield _arn("lambda", f"function:{name.rpartition('function:')[2]}")


def _states(operation: str, target: Target) -> Iterator[str]:
    name = target.name("StateMachineName")
    yield name if name.startswith("arn:") else _arn("states", f"stateMachine:{name}")


def _logs(operation: str, target: Target) -> Iterator[str]:
    """Tags belong to the group's ARN without `:*`; all else is authorized with it."""
    group = _arn("logs", f"log-group:{target.name('LogGroupName')}")
    yield group if operation.endswith(("TagResource", "TagsForResource")) else f"{group}:*"


def _secrets(operation: str, target: Target) -> Iterator[str]:
    """CloudFormation was seen to leave out the stack's name; nothing documents either form."""
    named = str(target.physical_id or target.props.get("Name") or "")
    generated = f"{target.logical_id}-{GENERATED}"
    for name in [named] if named else [generated, f"{target.stack}-{generated}"]:
        yield name if name.startswith("arn:") else _arn("secretsmanager", f"secret:{name}-{SUFFIX}")


def _events(operation: str, target: Target) -> Iterator[str]:
    yield _arn("events", f"rule/{target.name('Name').rpartition('|')[2]}")


def _ssm(operation: str, target: Target) -> Iterator[str]:
    if operation == "DescribeAssociation":
        yield _arn("ec2", f"instance/{target.physical_id or '*'}")
    else:
        yield _arn("ssm", f"document/{target.name('Name')}")


_RULES: Mapping[str, Callable[[str, Target], Iterator[str]]] = {
    "ec2": _ec2,
    "events": _events,
    "iam": _iam,
    "lambda": _lambda,
    "logs": _logs,
    "secretsmanager": _secrets,
    "ssm": _ssm,
    "states": _states,
}
