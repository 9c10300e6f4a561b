"""The secrets of a cluster in Secrets Manager. Values never leave the step that needs them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from hsm_lifecycle import aws
from hsm_lifecycle.errors import SecretNotFoundError, TransientError

# Reads usually show a write at once, sometimes seconds later (F6.72). A step may write two secrets
# within its 50 seconds.
_READ_ATTEMPTS, _READ_INTERVAL = 10, 2
# What a secret is that can be restored for 7 to 30 days, and what to do:
# https://docs.aws.amazon.com/secretsmanager/latest/userguide/manage_restore-secret.html
SCHEDULED = "is scheduled for deletion. Restore it with aws secretsmanager restore-secret"


@dataclass(frozen=True)
class Names:
    """The names of a cluster's secrets."""

    csr: str
    certificate: str
    ca_certificate: str
    password: str


def names(system: str, cluster_id: str) -> Names:
    """The secrets' names in a stack with pSystem=`system`, the same as aws-samples' template."""
    path = f"/{system}/{cluster_id}"
    return Names(
        csr=f"{path}/cluster-csr",
        certificate=f"{path}/cluster-cert",
        ca_certificate=f"{path}/customer-ca-cert",
        password=f"{path}/initial-crypto-officer-password",
    )


def exists(name: str) -> bool:
    """Whether the secret exists, with or without a value, and is not scheduled for deletion.

    Call this first: IAM allows reading and deleting a secret by its tags and ARN suffix, so for a
    missing secret access is denied instead of "not found".
    """
    return state(name) == "EXISTS"


def state(name: str) -> str:
    """EXISTS, SCHEDULED for deletion, or NOT_FOUND."""
    try:
        secret = aws.client("secretsmanager").describe_secret(SecretId=name)
    except ClientError as error:
        if aws.error_code(error) != "ResourceNotFoundException":
            raise
        return "NOT_FOUND"
    return "SCHEDULED" if "DeletedDate" in secret else "EXISTS"


def read(name: str) -> str:
    """The value of a secret. SecretNotFoundError: it does not exist or has no text value."""
    text, found = None, state(name)
    if found == "SCHEDULED":
        raise SecretNotFoundError(f"The secret {name} {SCHEDULED}.")
    if found == "EXISTS":
        try:
            text = aws.client("secretsmanager").get_secret_value(SecretId=name).get("SecretString")
        except ClientError as error:
            if aws.error_code(error) != "ResourceNotFoundException":
                raise
    if not text:
        raise SecretNotFoundError(f"The secret {name} does not exist or has no text value.")
    return str(text)


def read_at(name: str, moment: datetime) -> str:
    """The value that the secret had then, or its current one if it is younger or lost that value.

    A current version that existed then was current then, although younger ones may exist: a wrong
    one whose label was moved back, or one that a rotation left AWSPENDING, which no HSM knows.
    Secrets Manager may delete a version without a staging label at any time:
    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecretVersionIds.html
    """
    current = read(name)
    older = [
        (
            "AWSCURRENT" in (version.get("VersionStages") or []),
            version["CreatedDate"],
            version["VersionId"],
        )
        for version in _versions(name)
        if version["CreatedDate"] <= moment and version.get("VersionStages") != ["AWSPENDING"]
    ]
    if not older:
        return current
    try:
        found = aws.client("secretsmanager").get_secret_value(
            SecretId=name, VersionId=max(older)[-1]
        )
    except ClientError as error:
        if aws.error_code(error) != "ResourceNotFoundException":
            raise
        return current
    return str(found.get("SecretString") or current)


def _versions(name: str) -> Iterator[dict[str, Any]]:
    """The secret's versions, with those that have no staging label."""
    request: dict[str, Any] = {"SecretId": name, "IncludeDeprecated": True}
    while True:  # boto3 has no paginator for it
        page = aws.client("secretsmanager").list_secret_version_ids(**request)
        yield from page["Versions"]
        if not page.get("NextToken"):
            return
        request["NextToken"] = page["NextToken"]


def write(name: str, value: str) -> None:
    """Set the value of a secret, unless it already has it."""
    try:
        if read(name) == value:
            return
    except SecretNotFoundError:
        pass
    put(name, value)


def put(name: str, value: str) -> None:
    """Set the value of a secret, and wait until the next step can read it."""
    response = aws.client("secretsmanager").put_secret_value(SecretId=name, SecretString=value)
    _wait_for_version(name, response["VersionId"])


def create(name: str, value: str | None, tags: dict[str, str]) -> bool:
    """Create a secret that the next step can read.

    False: a secret of this name exists already, and is left unchanged.
    """
    content = {} if value is None else {"SecretString": value}
    tag_list = [{"Key": key, "Value": tag} for key, tag in tags.items()]
    try:
        response = aws.client("secretsmanager").create_secret(Name=name, Tags=tag_list, **content)
    except ClientError as error:
        if aws.error_code(error) == "InvalidRequestException":
            raise still_being_deleted(name) from error
        if aws.error_code(error) != "ResourceExistsException":
            raise
        return False
    if value is not None:
        _wait_for_version(name, response["VersionId"])
    return True


def _wait_for_version(name: str, version: str) -> None:
    """Wait until reads show a version that has just been written.

    TransientError: it takes longer than a step can wait.
    """
    for attempt in range(_READ_ATTEMPTS):
        time.sleep(_READ_INTERVAL if attempt else 0)
        try:
            secret = aws.client("secretsmanager").describe_secret(SecretId=name)
        except ClientError as error:
            if aws.error_code(error) != "ResourceNotFoundException":
                raise
            continue
        if version in secret.get("VersionIdsToStages", {}):
            return
    raise TransientError(
        f"The secret {name} was written, but Secrets Manager does not show it yet."
    )


def still_being_deleted(name: str) -> TransientError:
    """The error of a secret whose name is taken by a deleted one, for a while (F6.44)."""
    return TransientError(
        f"The secret {name} is still being deleted. If it remains: aws secretsmanager"
        f" delete-secret --force-delete-without-recovery --secret-id {name}"
    )


def delete(name: str) -> None:
    """Delete a secret without recovery, so that its name can be used again at once."""
    try:
        aws.client("secretsmanager").delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    except ClientError as error:
        if aws.error_code(error) != "ResourceNotFoundException":
            raise
