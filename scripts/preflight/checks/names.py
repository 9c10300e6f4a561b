"""Names that the template chooses, and who has them already."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError

from scripts.preflight.account import Json, error_code
from scripts.preflight.findings import Check, Finding
from scripts.preflight.subject import KEY_STORE, Subject
from scripts.stack.account import stack_of

CHECK = Check("names")
_STACK_TAG = "aws:cloudformation:stack-name"
_ABSENT = frozenset(
    {"ResourceNotFoundException", "StateMachineDoesNotExist", "InvalidVpcID.NotFound"}
)


def names(subject: Subject) -> Iterator[Finding]:
    """A second stack with the same pSystem and pEnvPurpose cannot be created."""
    taken: dict[str, list[str]] = {}
    for kind, property_, find in _LOOKUPS:
        for resource in subject.template["Resources"].values():
            if resource["Type"] != kind or property_ not in resource["Properties"]:
                continue
            name = subject.resolver.resolve(resource["Properties"][property_])
            owner = _owner(find, subject, name)
            if owner is not None:
                taken.setdefault(owner, []).append(name)
    stacks = [owner for owner in taken if owner]
    # Not all resources tell their stack, but they have the same names.
    if len(stacks) == 1:
        taken[stacks[0]] += taken.pop("", [])
    for owner, owned in taken.items():
        yield _row(subject, owner, owned)
    if not taken:
        yield CHECK.ok(f"{subject.prefix}-* are free")


def _row(subject: Subject, owner: str, owned: list[str]) -> Finding:
    some = ", ".join(owned[:2]) + (f" and {len(owned) - 2} more" if len(owned) > 2 else "")
    if owner and owner == subject.stack:
        return CHECK.warning(
            f"the stack {owner} exists already and owns {some}.",
            "Preflight is for creations; `make deploy` would update the stack.",
        )
    if owner:
        return CHECK.error(
            f"pEnvPurpose: the stack {owner} uses pSystem={subject.parameters['pSystem']} and"
            f" pEnvPurpose={subject.parameters['pEnvPurpose']}: {some} exist.",
            "Set another pEnvPurpose.",
        )
    return CHECK.error(
        f"pEnvPurpose: {some} exist already.", "Delete them, or set another pEnvPurpose."
    )


Find = Callable[[Subject, str], str | None]


def _owner(find: Find, subject: Subject, name: str) -> str | None:
    """The stack that owns what has the name, empty if unknown; None if the name is free."""
    try:
        return find(subject, name)
    except ClientError as error:
        if error_code(error) in _ABSENT:
            return None
        raise


def _function(subject: Subject, name: str) -> str:
    found = subject.account.ask("lambda", "get_function_configuration", FunctionName=name)
    return stack_of(found)


def _state_machine(subject: Subject, name: str) -> str:
    arn = subject.arn("states", f"stateMachine:{name}")
    subject.account.ask("stepfunctions", "describe_state_machine", stateMachineArn=arn)
    return ""


def _log_group(subject: Subject, name: str) -> str | None:
    groups = subject.account.pages(
        "logs", "describe_log_groups", "logGroups", logGroupNamePrefix=name
    )
    return "" if any(group["logGroupName"] == name for group in groups) else None


def _security_group(subject: Subject, name: str) -> str | None:
    filters = {"group-name": name, "vpc-id": subject.parameters["pClientVpcId"]}
    groups = subject.account.pages(
        "ec2",
        "describe_security_groups",
        "SecurityGroups",
        Filters=[{"Name": key, "Values": [value]} for key, value in filters.items()],
    )
    for group in groups:
        tags = {tag["Key"]: tag["Value"] for tag in group.get("Tags") or []}
        return str(tags.get(_STACK_TAG, ""))
    return None


_LOOKUPS: tuple[tuple[str, str, Find], ...] = (
    ("AWS::Lambda::Function", "FunctionName", _function),
    ("AWS::StepFunctions::StateMachine", "StateMachineName", _state_machine),
    ("AWS::Logs::LogGroup", "LogGroupName", _log_group),
    ("AWS::EC2::SecurityGroup", "GroupName", _security_group),
)


def password_secret(subject: Subject) -> Iterator[Finding]:
    """The secret of kmsuser's password, which a workflow creates."""
    properties: Json = subject.template["Resources"][KEY_STORE]["Properties"]
    name: Any = subject.resolver.resolve(properties["PasswordSecretName"])
    try:
        secret = subject.account.ask("secretsmanager", "describe_secret", SecretId=name)
    except ClientError as error:
        if error_code(error) not in _ABSENT:
            raise
        yield CHECK.ok(f"{name} is free")
        return
    if "DeletedDate" in secret:
        yield CHECK.error(
            f"pEnvPurpose: the secret {name} is scheduled for deletion, which reserves its name.",
            "Set another pEnvPurpose, or: aws secretsmanager delete-secret"
            f" --force-delete-without-recovery --secret-id {name}",
        )
        return
    yield CHECK.error(f"pEnvPurpose: the secret {name} exists.", "Set another pEnvPurpose.")
