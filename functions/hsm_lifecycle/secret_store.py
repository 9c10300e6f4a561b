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

from hsm_lifecycle import aws, clusters
from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.errors import SecretNotFoundError

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


def delete_secrets(event: Event) -> dict[str, Any]:
    """Delete the secrets of a cluster that is gone; those that its backups need are kept."""
    of = names(event["System"], event["ClusterId"])
    kept = (of.ca_certificate, of.password) if event["HasBackups"] else ()
    for name in astuple(of):
        if name not in kept:
            _delete(name)
    return {}


def read(name: str) -> str:
    """The value of a secret; raises SecretNotFoundError if there is no secret or no value."""
    try:
        return str(aws.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"])
    except ClientError as problem:
        if aws.code_of(problem) != "ResourceNotFoundException":
            raise
        raise SecretNotFoundError(f"The secret {name} does not exist or has no value.") from problem


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


def _delete(name: str) -> None:
    """Delete at once: a name that waits for its deletion could not be used again."""
    try:
        aws.client("secretsmanager").delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    except ClientError as problem:
        if aws.code_of(problem) != "ResourceNotFoundException":
            raise
