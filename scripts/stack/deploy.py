"""Create or update a stack, and follow the request to its end."""

from __future__ import annotations

import hashlib
import os
import subprocess  # nosec B404 # runs the AWS CLI
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import ClientError
from rich.console import Console

from scripts import templates
from scripts.stack import assignments, protection, watch
from scripts.stack.account import Account, Json, OperatorError, stack_of
from scripts.stack.observer import latest_request_id

REVIEW = "REVIEW_IN_PROGRESS"
_SECONDS = 5  # as `aws cloudformation wait change-set-create-complete`
_NO_CHANGES = ("didn't contain changes", "No updates are to be performed")
_STUCK = {
    "ROLLBACK_COMPLETE": "Its creation failed. Delete it and deploy again: make destroy STACK={}",
    "ROLLBACK_FAILED": "CloudFormation can only delete it: see docs/troubleshooting.md.",
    "CREATE_FAILED": "Its creation failed. Delete it and deploy again: make destroy STACK={}",
    "DELETE_FAILED": "CloudFormation can only delete it: see docs/troubleshooting.md.",
    "UPDATE_ROLLBACK_FAILED": "Continue the rollback first: see docs/troubleshooting.md.",
}


@dataclass(frozen=True)
class Deployment:
    """What make was asked to deploy."""

    template: Path
    packaged: Path
    stack: str
    bucket: str
    aws: str
    parameters: Mapping[str, str]
    tags: Mapping[str, str]
    protect: bool


def deploy(console: Console, account: Account, wanted: Deployment) -> bool:
    """Package and deploy; returns whether the request succeeded."""
    declared: Json = templates.load(wanted.template).get("Parameters") or {}
    current = account.find_stack(wanted.stack)
    is_new = current is None or current["StackStatus"] in ("DELETE_COMPLETE", REVIEW)
    assignments.check(wanted.parameters, declared, is_new=is_new)
    if is_new:
        _require_free_names(account, wanted, declared)
    elif current:
        _require_updatable(current)
    package(wanted)
    stack, change_set = _create_change_set(account, wanted, declared, is_new=is_new)
    before = latest_request_id(account, stack)
    if wanted.protect and not stack.get("EnableTerminationProtection"):
        _protect(account, stack)
    if change_set is None:
        console.print(f"No changes: stack {wanted.stack} is up to date.")
        return True
    account.client("cloudformation").execute_change_set(
        ChangeSetName=change_set, StackName=stack["StackId"]
    )
    succeeded = watch.follow(console, account, stack, after=before)
    if is_new and not succeeded and wanted.protect:
        protection.lift(account, stack)
        console.print(f"Nothing to keep: make destroy STACK={wanted.stack}, then deploy again.")
    return succeeded


def _protect(account: Account, stack: Json) -> None:
    try:
        protection.enable(account, stack)
    except ClientError as error:
        raise OperatorError(
            f"Termination protection was not enabled, so nothing was deployed: {error} Deploy"
            " without it: PROTECT=no"
        ) from error


def _require_updatable(stack: Json) -> None:
    status, name = stack["StackStatus"], stack["StackName"]
    if status.endswith("IN_PROGRESS"):
        raise OperatorError(
            f"Stack {name} is {status}, so it was not changed. Wait: make watch STACK={name}"
        )
    if advice := _STUCK.get(status):
        raise OperatorError(f"Stack {name} is {status}. {advice.format(name)}")


def _require_free_names(account: Account, wanted: Deployment, declared: Json) -> None:
    """Refuse a second stack of the same names, which CloudFormation would roll back."""
    names = [
        wanted.parameters.get(name, declared.get(name, {}).get("Default"))
        for name in ("pSystem", "pEnvPurpose")
    ]
    if not all(names):
        return
    functions = account.client("lambda")
    name = f"{names[0]}-{names[1]}-request"
    try:
        found = functions.get_function_configuration(FunctionName=name)
    except functions.exceptions.ResourceNotFoundException:
        return
    owner = stack_of(found)
    who = f"stack {owner}" if owner else "another stack"
    raise OperatorError(
        f"pEnvPurpose: the function {name} exists already and belongs to {who}, so nothing was"
        f" created. Set pEnvPurpose to a value other than {names[1]}, or pSystem."
    )


def package(wanted: Deployment) -> None:
    """Upload what the template refers to, and write the template that refers to the uploads.

    Written to a temporary file and moved, because rehearsals may package concurrently.
    """
    wanted.packaged.parent.mkdir(parents=True, exist_ok=True)
    written = wanted.packaged.with_name(f"{wanted.packaged.name}.{os.getpid()}")
    command = [wanted.aws, "cloudformation", "package", "--template-file", str(wanted.template)]
    command += ["--s3-bucket", wanted.bucket, "--output-template-file", str(written)]
    done = subprocess.run(  # nosec B603 # without a shell
        command, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
    )
    if done.returncode:
        written.unlink(missing_ok=True)
        raise OperatorError(f"{' '.join(command[:3])} failed: {done.stderr.strip()}")
    written.replace(wanted.packaged)


def _create_change_set(
    account: Account, wanted: Deployment, declared: Json, *, is_new: bool
) -> tuple[Json, str | None]:
    """The stack and the ID of a change set for it; None if nothing changes.

    As `aws cloudformation deploy` does it: parameters that are not given keep their values.
    """
    cloudformation = account.client("cloudformation")
    request: Json = {
        "StackName": wanted.stack,
        "ChangeSetName": f"make-deploy-{int(time.time() * 1000)}",
        "ChangeSetType": "CREATE" if is_new else "UPDATE",
        "TemplateURL": _upload(account, wanted),
        "Parameters": _parameters(account, wanted, declared, is_new=is_new),
        "Capabilities": ["CAPABILITY_IAM"],
    }
    if wanted.tags:
        request["Tags"] = [{"Key": key, "Value": value} for key, value in wanted.tags.items()]
    created = cloudformation.create_change_set(**request)
    change_set = str(created["Id"])
    # With the stack, on which these actions are authorized.
    named = {"ChangeSetName": change_set, "StackName": created["StackId"]}
    while True:
        found = cloudformation.describe_change_set(**named)
        if found["Status"] in ("CREATE_COMPLETE", "FAILED"):
            break
        time.sleep(_SECONDS)
    stack = cloudformation.describe_stacks(StackName=created["StackId"])["Stacks"][0]
    if found["Status"] == "CREATE_COMPLETE":
        return stack, change_set
    reason = found.get("StatusReason", "no reason given")
    cloudformation.delete_change_set(**named)
    if any(text in reason for text in _NO_CHANGES):
        return stack, None
    raise OperatorError(f"CloudFormation refuses the change: {reason}")


def _parameters(
    account: Account, wanted: Deployment, declared: Json, *, is_new: bool
) -> list[Json]:
    given = [
        {"ParameterKey": name, "ParameterValue": value} for name, value in wanted.parameters.items()
    ]
    if is_new:
        return given
    current = account.stack(wanted.stack).get("Parameters", [])
    known = {each["ParameterKey"] for each in current} & set(declared) - set(wanted.parameters)
    return given + [{"ParameterKey": name, "UsePreviousValue": True} for name in sorted(known)]


def _upload(account: Account, wanted: Deployment) -> str:
    """The template's URL in S3, from which CloudFormation takes more than 51,200 bytes."""
    body = wanted.packaged.read_bytes()
    key = f"{hashlib.sha256(body).hexdigest()[:32]}.template"
    s3 = account.client("s3")
    try:
        s3.put_object(Bucket=wanted.bucket, Key=key, Body=body)
    except ClientError as error:
        raise OperatorError(f"BUCKET={wanted.bucket}: {error}") from error
    return str(
        s3.generate_presigned_url("get_object", {"Bucket": wanted.bucket, "Key": key})
    ).partition("?")[0]
