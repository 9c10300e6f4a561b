"""The four secrets of a cluster, under the names that the reference gave them.

Values are read and written here and nowhere leave the step that needs them.
"""

from __future__ import annotations

import json
import secrets
import string
from dataclasses import astuple, dataclass
from typing import Any

from botocore.exceptions import ClientError

from hsm_lifecycle import aws
from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.errors import ParameterError, SecretNotFoundError
from hsm_lifecycle.steps import cluster as clusters

ADMIN = "admin"
_PASSWORD_LENGTH = (
    32  # the most that an HSM takes; letters and digits, because ':' ends a user name
)


@dataclass(frozen=True)
class Names:
    """The names of a cluster's secrets."""

    csr: str
    certificate: str
    ca_certificate: str
    password: str


def names(system: str, cluster_id: str) -> Names:
    """The names under which a stack with pSystem=`system` keeps the secrets of a cluster."""
    path = f"/{system}/{cluster_id}"
    return Names(
        csr=f"{path}/cluster-csr",
        certificate=f"{path}/cluster-cert",
        ca_certificate=f"{path}/customer-ca-cert",
        password=f"{path}/initial-crypto-officer-password",
    )


def create_secrets(event: Event) -> dict[str, Any]:
    """Create the admin's password and room for the certificates; what exists is left as it is."""
    clusters.own(event)
    of = names(event["System"], event["ClusterId"])
    password = "".join(
        secrets.choice(string.ascii_letters + string.digits) for _ in range(_PASSWORD_LENGTH)
    )
    _create(event, of.password, json.dumps({"username": ADMIN, "password": password}))
    for name in (of.csr, of.certificate, of.ca_certificate):
        _create(event, name, None)
    return {}


def check_backup_secrets(event: Event) -> dict[str, Any]:
    """Refuse to restore a backup whose CA certificate or admin password nobody here knows."""
    for parameter, name in _backup_secrets(event):
        try:
            read(name)
        except SecretNotFoundError as problem:
            raise ParameterError(
                f"{parameter}: a restored cluster keeps its old CA certificate and passwords, but"
                f" the secret {name} does not exist or holds no text. Name one that does."
            ) from problem
    return {}


def adopt_secrets(event: Event) -> dict[str, Any]:
    """Give a restored cluster secrets of its own, with what its backup's cluster had."""
    clusters.own(event)
    of, (ca_certificate, password) = (
        names(event["System"], event["ClusterId"]),
        _backup_secrets(event),
    )
    _create(event, of.ca_certificate, read(ca_certificate[1]))
    _create(event, of.password, read(password[1]))
    return {}


def _backup_secrets(event: Event) -> tuple[tuple[str, str], tuple[str, str]]:
    """The secrets to adopt, each with the parameter by which another one can be named."""
    given = event["BackupSecrets"]
    return (
        ("pBackupCaCertSecretName", given["CaCertificate"]),
        ("pBackupAdminPasswordSecretName", given["Password"]),
    )


def check_secrets(event: Event) -> dict[str, Any]:
    """Say which of the two lasting secrets of an active cluster is gone: nobody can restore it."""
    of = names(event["System"], event["ClusterId"])
    for name, content in (
        (of.ca_certificate, "customerCA.crt of a client"),
        (of.password, "the admin's password"),
    ):
        if not exists(name):
            raise SecretNotFoundError(
                f"The secret {name} is gone. Store {content} anew with this stack's tag"
                f" {clusters.STACK_TAG}, then update pReconcile."
            )
    return {}


def exists(name: str) -> bool:
    """Whether there is such a secret, with or without a value, that is not to be deleted.

    Asked before anything else: the permission to read or delete a secret hangs on its tags and on
    the suffix of its ARN, so for one that does not exist access is denied rather than "not found".
    """
    try:
        found = aws.client("secretsmanager").describe_secret(SecretId=name)
    except ClientError as problem:
        if aws.code_of(problem) != "ResourceNotFoundException":
            raise
        return False
    return "DeletedDate" not in found


def delete_secrets(event: Event) -> dict[str, Any]:
    """Delete the secrets of a cluster that is gone; those that its backups need are kept.

    Not every cluster has all four: a restored one has two, one that failed early none.
    """
    of = names(event["System"], event["ClusterId"])
    kept = (of.ca_certificate, of.password) if event["HasBackups"] else ()
    for name in astuple(of):
        if name not in kept and exists(name):
            delete(name)
    return {}


def read(name: str) -> str:
    """The text of a secret; raises SecretNotFoundError if there is no secret or no text in it."""
    text = None
    if exists(name):
        try:
            text = aws.client("secretsmanager").get_secret_value(SecretId=name).get("SecretString")
        except ClientError as problem:
            if aws.code_of(problem) != "ResourceNotFoundException":
                raise
    if not text:
        raise SecretNotFoundError(f"The secret {name} does not exist or holds no text.")
    return str(text)


def write(name: str, value: str) -> None:
    """Give a secret a new value, unless it has that value already."""
    try:
        if read(name) == value:
            return
    except SecretNotFoundError:
        pass
    aws.client("secretsmanager").put_secret_value(SecretId=name, SecretString=value)


def _create(event: Event, name: str, value: str | None) -> None:
    tags = [
        {"Key": clusters.STACK_TAG, "Value": event["StackId"]},
        {"Key": "hsm-lifecycle:cluster-id", "Value": event["ClusterId"]},
    ]
    content = {} if value is None else {"SecretString": value}
    try:
        aws.client("secretsmanager").create_secret(Name=name, Tags=tags, **content)
    except ClientError as problem:
        if aws.code_of(problem) != "ResourceExistsException":
            raise


def delete(name: str) -> None:
    """Delete at once: a name that waits for its deletion could not be used again."""
    try:
        aws.client("secretsmanager").delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    except ClientError as problem:
        if aws.code_of(problem) != "ResourceNotFoundException":
            raise
