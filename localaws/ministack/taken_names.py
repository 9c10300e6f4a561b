"""Explicit names of resources that exist already, which AWS refuses.

ministack overwrites most of them, so that two stacks share a resource and the deletion of one takes
it from the other. CloudFormation names the stack if it knows it:
https://repost.aws/knowledge-center/cloudformation-stack-resource-exists
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from localaws.ministack.access import ministack
from localaws.ministack.resource_handlers import Props, handler_error

_cloudformation = ministack("services.cloudformation")
_stacks = ministack("services.cloudformation.stacks")
_events = ministack("services.eventbridge")
_iam = ministack("services.iam")
_kms = ministack("services.kms")
_lambda = ministack("services.lambda_svc")
_logs = ministack("services.cloudwatch_logs")
_parameters = ministack("services.ssm")
_responses = ministack("core.responses")
_secrets = ministack("services.secretsmanager")
_states = ministack("services.stepfunctions")


def _log_streams(props: Props) -> Mapping[str, Any]:
    group = _logs._log_groups.get(props["LogGroupName"]) or {}
    streams: Mapping[str, Any] = group.get("streams") or {}
    return streams


def _policies(props: Props) -> list[str]:
    # AWS's own policies have no account.
    own = f":iam::{_responses.get_account_id()}:policy/"
    return [arn.rpartition("/")[2] for arn in list(_iam._policies) if own in arn]


def _rules(props: Props) -> list[str]:
    bus = props.get("EventBusName", "default").rpartition("/")[2]
    return [rule["Name"] for rule in list(_events._rules.values()) if rule["EventBusName"] == bus]


# By resource type: the property with the name, and the names that are taken.
NAMES: Mapping[str, tuple[str, Callable[[Props], Any]]] = {
    "AWS::Events::Rule": ("Name", _rules),
    "AWS::IAM::InstanceProfile": ("InstanceProfileName", lambda props: _iam._instance_profiles),
    "AWS::IAM::ManagedPolicy": ("ManagedPolicyName", _policies),
    "AWS::IAM::Role": ("RoleName", lambda props: _iam._roles),
    "AWS::IAM::User": ("UserName", lambda props: _iam._users),
    "AWS::KMS::Alias": (
        "AliasName",
        lambda props: [arn.split(":", 5)[5] for arn in list(_kms._aliases)],
    ),
    "AWS::Lambda::Function": ("FunctionName", lambda props: _lambda._functions),
    "AWS::Logs::LogGroup": ("LogGroupName", lambda props: _logs._log_groups),
    "AWS::Logs::LogStream": ("LogStreamName", _log_streams),
    "AWS::Logs::ResourcePolicy": ("PolicyName", lambda props: _logs._resource_policies),
    "AWS::SSM::Parameter": ("Name", lambda props: _parameters._parameters),
    "AWS::SecretsManager::Secret": ("Name", lambda props: _secrets._secrets),
    "AWS::StepFunctions::StateMachine": (
        "StateMachineName",
        lambda props: [machine["name"] for machine in list(_states._state_machines.values())],
    ),
}


def install() -> None:
    """Refuse taken names when a resource is created, or replaced under a new name."""
    provision, update = _stacks._provision_resource, _stacks._update_resource

    def provision_unless_taken(kind: str, logical_id: str, props: Props, stack_name: str) -> Any:
        _demand_free(kind, props, stack_name)
        return provision(kind, logical_id, props, stack_name)

    def update_unless_taken(
        kind: str, physical_id: str, old: Props, new: Props, stack_name: str, *rest: Any
    ) -> Any:
        if kind in NAMES and old.get(NAMES[kind][0]) != new.get(NAMES[kind][0]):
            _demand_free(kind, new, stack_name)
        return update(kind, physical_id, old, new, stack_name, *rest)

    _stacks._provision_resource = provision_unless_taken
    _stacks._update_resource = update_unless_taken


def _demand_free(kind: str, props: Props, stack_name: str) -> None:
    """Raise ValueError if the explicit name of a resource is taken."""
    if kind not in NAMES:
        return
    name_property, taken = NAMES[kind]
    name = props.get(name_property)
    if not name or name not in taken(props):
        return
    for other in list(_cloudformation._stacks.values()):
        for record in other.get("_resources", {}).values():
            given = record.get("Properties") or {}
            if (record["ResourceType"], given.get(name_property)) == (kind, name):
                raise ValueError(f"{name} already exists in stack {other['StackId']}")
    raise handler_error(
        f"Resource of type '{kind}' with identifier '{name}' already exists.", "AlreadyExists"
    )
