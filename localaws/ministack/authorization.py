"""On which resources AWS authorizes a request, and with which condition keys.

The Service Authorization Reference, as far as the roles of this project go:
https://docs.aws.amazon.com/service-authorization/latest/reference/. An action without resource
level is authorized on "*", which only the Resource "*" matches. What is not listed here is left to
ministack.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Parameters = Mapping[str, Any]
# A random suffix, for a secret whose real one is not known yet.
SIX = "AbCdEf"


@dataclass(frozen=True)
class Scope:
    """Where a request is made, and what of the services' state its authorization depends on."""

    region: str
    account: str
    # The ARN of an existing secret by name or ARN, or None.
    secret_arn: Callable[[str], str | None]

    def arn(self, service: str, resource: str) -> str:
        """An ARN of this account in this Region."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"


@dataclass(frozen=True)
class Demand:
    """One action on one resource that the caller has to be allowed."""

    action: str
    resource: str
    context: Mapping[str, Any] = field(default_factory=dict)
    # The action that was requested, if this one is demanded besides.
    behind: str | None = None


def demands(action: str, given: Parameters, scope: Scope) -> list[Demand] | None:
    """Everything the caller of an action has to be allowed; None if ministack knows better."""
    service, _, operation = action.partition(":")
    rule = _RULES.get(service)
    resources = rule(operation, given, scope) if rule else None
    if resources is None:
        return None
    context = _request_tags(given)
    if action == "iam:CreateServiceLinkedRole":
        context["iam:AWSServiceName"] = given.get("AWSServiceName", "")
    found = [Demand(action, resource, context) for resource in resources]
    # "If you include tags in the secret, you also need secretsmanager:TagResource" (CreateSecret).
    if action == "secretsmanager:CreateSecret" and given.get("Tags"):
        tag = "secretsmanager:TagResource"
        found += [Demand(tag, resource, context, behind=action) for resource in resources]
    return found


def _request_tags(given: Parameters) -> dict[str, Any]:
    tags = given.get("TagList") or given.get("Tags") or _tags_of_query(given)
    named = {tag["Key"]: tag.get("Value", "") for tag in tags if "Key" in tag}
    keys = list(named) or given.get("TagKeyList") or given.get("TagKeys") or []
    context: dict[str, Any] = {f"aws:RequestTag/{key}": value for key, value in named.items()}
    return {**context, "aws:TagKeys": keys} if keys else context


def _tags_of_query(given: Parameters) -> list[dict[str, str]]:
    """The tags in a request to EC2: Tag.1.Key, Tag.1.Value, Tag.2.Key, ..."""
    numbers = [key.split(".")[1] for key in given if key.startswith("Tag.") and key.endswith("Key")]
    return [
        {"Key": given[f"Tag.{number}.Key"], "Value": given.get(f"Tag.{number}.Value", "")}
        for number in numbers
    ]


def _cloudhsm(operation: str, given: Parameters, scope: Scope) -> list[str]:
    """DeleteHsm and the Describe actions have no resource level (F5.2)."""
    if operation == "CreateCluster":
        backup = given.get("SourceBackupId")
        return [scope.arn("cloudhsm", f"backup/{backup}") if backup else "*"]
    named = given.get("ClusterId") or given.get("BackupId") or given.get("ResourceId")
    if operation == "DeleteHsm" or operation.startswith("Describe") or not named:
        return ["*"]
    kind = "backup" if str(named).startswith("backup-") else "cluster"
    return [scope.arn("cloudhsm", f"{kind}/{named}")]


def _kms(operation: str, given: Parameters, scope: Scope) -> list[str] | None:
    """Key stores have no ARN (F5.5)."""
    return ["*"] if operation.endswith(("CustomKeyStore", "CustomKeyStores")) else None


_DOCUMENT_ACTIONS = frozenset(
    {"CreateDocument", "UpdateDocument", "DeleteDocument", "DescribeDocument", "GetDocument"}
)
_PARAMETER_ACTIONS = frozenset({"DeleteParameter", "GetParameter", "PutParameter"})
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


def _ssm(operation: str, given: Parameters, scope: Scope) -> list[str] | None:
    """SendCommand is authorized on the document and on each instance."""
    if operation == "SendCommand":
        name = str(given.get("DocumentName", ""))
        instances = [
            scope.arn("ec2", f"instance/{instance}") for instance in given.get("InstanceIds") or []
        ]
        return [_document(name, scope), *instances]
    if operation in _DOCUMENT_ACTIONS:
        return [_document(str(given.get("Name", "")), scope)]
    if operation in _PARAMETER_ACTIONS:
        return [scope.arn("ssm", f"parameter/{str(given.get('Name', '')).lstrip('/')}")]
    return ["*"] if operation in _NO_RESOURCE_LEVEL else None


def _document(name: str, scope: Scope) -> str:
    if name.startswith("arn:"):
        return name
    owner = "" if name.startswith("AWS-") else scope.account
    return f"arn:aws:ssm:{scope.region}:{owner}:document/{name}"


def _secrets(operation: str, given: Parameters, scope: Scope) -> list[str]:
    """A secret is authorized by its stored ARN, with the six random characters.

    One that is about to be created has a suffix already (measured by others:
    https://github.com/iann0036/iam-dataset/pull/22). One that does not exist has none, so that
    `name-??????` does not match: undocumented, and the harsher reading.
    """
    if operation == "CreateSecret":
        return [scope.arn("secretsmanager", f"secret:{given.get('Name')}-{SIX}")]
    named = given.get("SecretId")
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


def _ec2(operation: str, given: Parameters, scope: Scope) -> list[str]:
    def each(field_name: str, kind: str) -> list[str]:
        return [
            scope.arn("ec2", f"{kind}/{value}")
            for key, value in sorted(given.items())
            if key == field_name or key.startswith(f"{field_name}.")
        ]

    if operation.startswith(("Describe", "Get", "Search")):
        return ["*"]
    if operation in ("StartInstances", "StopInstances", "RebootInstances", "TerminateInstances"):
        return each("InstanceId", "instance") or ["*"]
    if operation in ("CreateTags", "DeleteTags"):
        # Of all that has tags, our roles tag instances.
        return each("ResourceId", "instance")
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


def _states(operation: str, given: Parameters, scope: Scope) -> list[str]:
    named = given.get("executionArn") or given.get("stateMachineArn")
    if not named and operation == "CreateStateMachine":
        named = scope.arn("states", f"stateMachine:{given.get('name')}")
    return [str(named)] if named else ["*"]


def _cloudformation(operation: str, given: Parameters, scope: Scope) -> list[str]:
    name = str(given.get("StackName", ""))
    if not name or operation.startswith(("List", "Validate", "GetTemplateSummary")):
        return ["*"]
    return [name if name.startswith("arn:") else scope.arn("cloudformation", f"stack/{name}/*")]


def _logs(operation: str, given: Parameters, scope: Scope) -> list[str]:
    """A log group's own ARN ends in `:*`, which is how a policy names it."""
    group, stream = given.get("logGroupName"), given.get("logStreamName", "")
    if not group or operation.startswith("DescribeLogGroups"):
        return ["*"]
    return [scope.arn("logs", f"log-group:{group}:log-stream:{stream}")]


def _events(operation: str, given: Parameters, scope: Scope) -> list[str] | None:
    """A rule of the default bus has no bus in its ARN."""
    name = given.get("Name") or given.get("Rule")
    bus = given.get("EventBusName") or "default"
    if operation == "PutEvents" or not name:
        return None
    return [scope.arn("events", f"rule/{name}" if bus == "default" else f"rule/{bus}/{name}")]


def _iam(operation: str, given: Parameters, scope: Scope) -> list[str] | None:
    if operation == "GetInstanceProfile":
        name = given.get("InstanceProfileName", "")
        return [f"arn:aws:iam::{scope.account}:instance-profile/{name}"]
    if operation == "CreateServiceLinkedRole":
        service = given.get("AWSServiceName", "")
        return [f"arn:aws:iam::{scope.account}:role/aws-service-role/{service}/*"]
    return None


_RULES: dict[str, Callable[[str, Parameters, Scope], list[str] | None]] = {
    "cloudformation": _cloudformation,
    "cloudhsm": _cloudhsm,
    "ec2": _ec2,
    "events": _events,
    "iam": _iam,
    "kms": _kms,
    "logs": _logs,
    "secretsmanager": _secrets,
    "ssm": _ssm,
    "states": _states,
}
