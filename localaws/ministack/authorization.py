"""On which resources AWS authorizes a request, and with which condition keys.

This is the part of the Service Authorization Reference that this project's roles need:
https://docs.aws.amazon.com/service-authorization/latest/reference/. An action without resource
level is authorized on "*", which only the Resource "*" matches. Actions not covered here are left
to ministack.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from localaws.core.partitions import partition_of

Params = Mapping[str, Any]
# The action that a creation with tags requires as well:
# https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
# https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-param-tags.html
_TAGGING = {
    "secretsmanager:CreateSecret": "secretsmanager:TagResource",
    "ssm:PutParameter": "ssm:AddTagsToResource",
}
# Random suffix of a secret that is being created.
SUFFIX = "AbCdEf"


@dataclass(frozen=True)
class Scope:
    """Region and account of a request, and the state that its authorization depends on."""

    region: str
    account: str
    # The ARN of an existing secret by name or ARN, or None.
    secret_arn: Callable[[str], str | None]

    def arn(self, service: str, resource: str) -> str:
        """An ARN in this account and Region."""
        partition = partition_of(self.region)
        return f"arn:{partition}:{service}:{self.region}:{self.account}:{resource}"


@dataclass(frozen=True)
class Permission:
    """One action on one resource that the caller must be allowed."""

    action: str
    resource: str
    context: Mapping[str, Any] = field(default_factory=dict)
    # The requested action that depends on this one; None if this is the requested action.
    behind: str | None = None


def required_permissions(action: str, params: Params, scope: Scope) -> list[Permission] | None:
    """What the caller of an action must be allowed; None if ministack decides."""
    service, _, operation = action.partition(":")
    rule = _RULES.get(service)
    resources = rule(operation, params, scope) if rule else None
    if resources is None:
        return None
    context = _request_tags(params)
    if action == "iam:CreateServiceLinkedRole":
        context["iam:AWSServiceName"] = params.get("AWSServiceName", "")
    required = [Permission(action, resource, context) for resource in resources]
    tag = _TAGGING.get(action)
    if tag and params.get("Tags"):
        required += [Permission(tag, resource, context, behind=action) for resource in resources]
    return required


def _request_tags(params: Params) -> dict[str, Any]:
    tags = params.get("TagList") or params.get("Tags") or _tags_of_query(params)
    named = {tag["Key"]: tag.get("Value", "") for tag in tags if "Key" in tag}
    keys = list(named) or params.get("TagKeyList") or params.get("TagKeys") or []
    context: dict[str, Any] = {f"aws:RequestTag/{key}": value for key, value in named.items()}
    return {**context, "aws:TagKeys": keys} if keys else context


def _tags_of_query(params: Params) -> list[dict[str, str]]:
    """Tags of an EC2 request: Tag.1.Key, Tag.1.Value, Tag.2.Key, ..."""
    prefixes = [
        key.removesuffix("Key") for key in params if key.startswith("Tag.") and key.endswith("Key")
    ]
    return [
        {"Key": params[f"{prefix}Key"], "Value": params.get(f"{prefix}Value", "")}
        for prefix in prefixes
    ]


def _cloudhsm(operation: str, params: Params, scope: Scope) -> list[str]:
    """DeleteHsm and the Describe actions have no resource level (F5.2)."""
    if operation == "CreateCluster":
        backup = params.get("SourceBackupId")
        return [scope.arn("cloudhsm", f"backup/{backup}") if backup else "*"]
    named = params.get("ClusterId") or params.get("BackupId") or params.get("ResourceId")
    if operation == "DeleteHsm" or operation.startswith("Describe") or not named:
        return ["*"]
    kind = "backup" if str(named).startswith("backup-") else "cluster"
    return [scope.arn("cloudhsm", f"{kind}/{named}")]


def _kms(operation: str, params: Params, scope: Scope) -> list[str] | None:
    """Key stores have no ARN (F5.5)."""
    return ["*"] if operation.endswith(("CustomKeyStore", "CustomKeyStores")) else None


_DOCUMENT_ACTIONS = frozenset(
    {"CreateDocument", "UpdateDocument", "DeleteDocument", "DescribeDocument", "GetDocument"}
)
_PARAMETER_ACTIONS = frozenset(
    {"DeleteParameter", "DeleteParameters", "GetParameter", "GetParameters", "PutParameter"}
)
_NO_RESOURCE_LEVEL = frozenset(
    {
        "CancelCommand",
        "DescribeInstanceInformation",
        "GetCommandInvocation",
        "ListCommandInvocations",
        "ListCommands",
        "ListDocuments",
    }
)


def _ssm(operation: str, params: Params, scope: Scope) -> list[str] | None:
    """SendCommand is authorized on the document and on each instance."""
    if operation == "SendCommand":
        name = str(params.get("DocumentName", ""))
        instances = [
            scope.arn("ec2", f"instance/{instance}") for instance in params.get("InstanceIds") or []
        ]
        return [_document(name, scope), *instances]
    if operation in _DOCUMENT_ACTIONS:
        return [_document(str(params.get("Name", "")), scope)]
    if operation == "GetParametersByPath":
        # The path as it is given, not the parameters below it (F6.96).
        return [scope.arn("ssm", f"parameter/{str(params.get('Path', '')).removeprefix('/')}")]
    if operation in _PARAMETER_ACTIONS:
        named = params.get("Names") or [params.get("Name", "")]
        return [scope.arn("ssm", f"parameter/{str(name).lstrip('/')}") for name in named]
    return ["*"] if operation in _NO_RESOURCE_LEVEL else None


def _document(name: str, scope: Scope) -> str:
    if name.startswith("arn:"):
        return name
    owner = "" if name.startswith("AWS-") else scope.account
    return f"arn:{partition_of(scope.region)}:ssm:{scope.region}:{owner}:document/{name}"


def _secrets(operation: str, params: Params, scope: Scope) -> list[str]:
    """A secret is authorized by its full ARN, with the random suffix of six characters.

    CreateSecret already has a suffix (observed: https://github.com/iann0036/iam-dataset/pull/22).
    A secret that does not exist has none, so `name-??????` does not match it: undocumented, the
    stricter assumption.
    """
    if operation == "CreateSecret":
        return [scope.arn("secretsmanager", f"secret:{params.get('Name')}-{SUFFIX}")]
    named = params.get("SecretId")
    if not named:
        return ["*"]
    bare = (
        named if str(named).startswith("arn:") else scope.arn("secretsmanager", f"secret:{named}")
    )
    return [scope.secret_arn(str(named)) or str(bare)]


_GROUP_RULE_ACTIONS = frozenset(
    {
        "AuthorizeSecurityGroupIngress",
        "AuthorizeSecurityGroupEgress",
        "RevokeSecurityGroupIngress",
        "RevokeSecurityGroupEgress",
        "UpdateSecurityGroupRuleDescriptionsIngress",
        "UpdateSecurityGroupRuleDescriptionsEgress",
        "DeleteSecurityGroup",
    }
)


# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/resource-ids.html
_KINDS_BY_PREFIX = {
    "acl": "network-acl",
    "ami": "image",
    "eipalloc": "elastic-ip",
    "eni": "network-interface",
    "i": "instance",
    "igw": "internet-gateway",
    "key": "key-pair",
    "lt": "launch-template",
    "nat": "natgateway",
    "rtb": "route-table",
    "sg": "security-group",
    "sgr": "security-group-rule",
    "snap": "snapshot",
    "subnet": "subnet",
    "vol": "volume",
    "vpc": "vpc",
    "vpce": "vpc-endpoint",
}


def _ec2(operation: str, params: Params, scope: Scope) -> list[str]:
    def each_value(field_name: str) -> list[str]:
        return [
            str(value)
            for key, value in sorted(params.items())
            if key == field_name or key.startswith(f"{field_name}.")
        ]

    def each(field_name: str, kind: str) -> list[str]:
        return [scope.arn("ec2", f"{kind}/{value}") for value in each_value(field_name)]

    if operation.startswith(("Describe", "Get", "Search")):
        return ["*"]
    if operation in ("StartInstances", "StopInstances", "RebootInstances", "TerminateInstances"):
        return each("InstanceId", "instance") or ["*"]
    if operation in ("CreateTags", "DeleteTags"):
        return [
            scope.arn("ec2", f"{_KINDS_BY_PREFIX.get(value.partition('-')[0], '*')}/{value}")
            for value in each_value("ResourceId")
        ]
    if operation in _GROUP_RULE_ACTIONS:
        return each("GroupId", "security-group") or ["*"]
    if operation == "CreateSecurityGroup":
        return [scope.arn("ec2", "security-group/*"), *each("VpcId", "vpc")]
    if operation == "CreateNetworkInterface":
        return [
            scope.arn("ec2", "network-interface/*"),
            *each("SubnetId", "subnet"),
            *each("SecurityGroupId", "security-group"),
        ]
    if operation in ("DeleteNetworkInterface", "ModifyNetworkInterfaceAttribute"):
        return each("NetworkInterfaceId", "network-interface") + each(
            "SecurityGroupId", "security-group"
        )
    if operation == "ModifyInstanceAttribute":
        return each("InstanceId", "instance") + each("GroupId", "security-group")
    return ["*"]


def _states(operation: str, params: Params, scope: Scope) -> list[str]:
    named = params.get("executionArn") or params.get("stateMachineArn")
    if not named and operation == "CreateStateMachine":
        named = scope.arn("states", f"stateMachine:{params.get('name')}")
    return [str(named)] if named else ["*"]


def _cloudformation(operation: str, params: Params, scope: Scope) -> list[str]:
    name = str(params.get("StackName", ""))
    if not name or operation.startswith(("List", "Validate", "GetTemplateSummary")):
        return ["*"]
    return [name if name.startswith("arn:") else scope.arn("cloudformation", f"stack/{name}/*")]


def _logs(operation: str, params: Params, scope: Scope) -> list[str]:
    """Policies match a log group by its ARN with `:*`, which covers the log stream here."""
    group, stream = params.get("logGroupName"), params.get("logStreamName", "")
    if not group or operation.startswith("DescribeLogGroups"):
        return ["*"]
    return [scope.arn("logs", f"log-group:{group}:log-stream:{stream}")]


def _events(operation: str, params: Params, scope: Scope) -> list[str] | None:
    """The ARN of a rule on the default bus does not name the bus."""
    name = params.get("Name") or params.get("Rule")
    bus = params.get("EventBusName") or "default"
    if operation == "PutEvents" or not name:
        return None
    return [scope.arn("events", f"rule/{name}" if bus == "default" else f"rule/{bus}/{name}")]


def _iam(operation: str, params: Params, scope: Scope) -> list[str] | None:
    partition = partition_of(scope.region)
    if operation == "GetInstanceProfile":
        name = params.get("InstanceProfileName", "")
        return [f"arn:{partition}:iam::{scope.account}:instance-profile/{name}"]
    if operation == "CreateServiceLinkedRole":
        service = params.get("AWSServiceName", "")
        return [f"arn:{partition}:iam::{scope.account}:role/aws-service-role/{service}/*"]
    return None


def _service_catalog(operation: str, params: Params, scope: Scope) -> list[str]:
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsservicecatalog.html"""
    product = params.get("ProductId") or params.get("Id")
    if operation in ("ProvisionProduct", "DescribeProduct", "ListLaunchPaths") and product:
        return [scope.arn("catalog", f"product/{product}")]
    return ["*"]


_RULES: dict[str, Callable[[str, Params, Scope], list[str] | None]] = {
    "cloudformation": _cloudformation,
    "cloudhsm": _cloudhsm,
    "ec2": _ec2,
    "events": _events,
    "iam": _iam,
    "kms": _kms,
    "logs": _logs,
    "secretsmanager": _secrets,
    "servicecatalog": _service_catalog,
    # https://docs.aws.amazon.com/service-authorization/latest/reference/list_servicequotas.html
    "servicequotas": lambda *_: ["*"],
    "ssm": _ssm,
    "states": _states,
}
