"""Steps: create, check, adopt and delete the four secrets of a cluster."""

from __future__ import annotations

import json
import secrets
import string
from dataclasses import astuple
from typing import Any

from hsm_lifecycle import ownership, secret_store
from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.errors import ParameterError, SecretNotFoundError

ADMIN = "admin"
# The longest that an HSM accepts. Letters and digits only: ':' separates user name and password.
_PASSWORD_LENGTH = 32


def create_secrets(event: Event) -> dict[str, Any]:
    """Create the secrets for the admin password, the CSR and the certificates, if missing."""
    ownership.require_owned(event)
    names = secret_store.names(event["System"], event["ClusterId"])
    password = "".join(
        secrets.choice(string.ascii_letters + string.digits) for _ in range(_PASSWORD_LENGTH)
    )
    _create(event, names.password, json.dumps({"username": ADMIN, "password": password}))
    for name in (names.csr, names.certificate, names.ca_certificate):
        _create(event, name, None)
    return {}


def check_backup_secrets(event: Event) -> dict[str, Any]:
    """Refuse to restore a backup whose CA certificate or admin password is not in a secret."""
    for parameter, name in _backup_secrets(event):
        try:
            secret_store.read(name)
        except SecretNotFoundError as error:
            raise ParameterError(
                f"{parameter}: a restored cluster keeps its CA certificate and passwords, but the"
                f" secret {name} does not exist or has no text value. Name a secret that does."
            ) from error
    return {}


def adopt_secrets(event: Event) -> dict[str, Any]:
    """Copy the CA certificate and admin password of the backup's cluster to the restored one's."""
    ownership.require_owned(event)
    names = secret_store.names(event["System"], event["ClusterId"])
    (_, ca_certificate), (_, password) = _backup_secrets(event)
    _create(event, names.ca_certificate, secret_store.read(ca_certificate))
    _create(event, names.password, secret_store.read(password))
    return {}


def check_secrets(event: Event) -> dict[str, Any]:
    """Raise if an active cluster lost its CA certificate or admin password: AWS has no copy."""
    names = secret_store.names(event["System"], event["ClusterId"])
    for name, content in (
        (names.ca_certificate, "customerCA.crt of a client"),
        (names.password, "the admin's password"),
    ):
        if not secret_store.exists(name):
            raise SecretNotFoundError(
                # Longer messages would be cut, see failure_reason.
                f"The secret {name} is gone. Store {content} with the tag"
                f" {ownership.STACK_TAG}, then set a new pReconcile."
            )
    return {}


def delete_secrets(event: Event) -> dict[str, Any]:
    """Delete the secrets of a deleted cluster, except those that its backups need.

    A restored cluster has two secrets, one that failed early may have none.
    """
    names = secret_store.names(event["System"], event["ClusterId"])
    retained = (names.ca_certificate, names.password) if event["HasBackups"] else ()
    for name in astuple(names):
        if name not in retained and secret_store.exists(name):
            secret_store.delete(name)
    return {}


def _backup_secrets(event: Event) -> tuple[tuple[str, str], tuple[str, str]]:
    """The secrets of the backup's cluster, each with the parameter that overrides its name."""
    names = event["BackupSecrets"]
    return (
        ("pBackupCaCertSecretName", names["CaCertificate"]),
        ("pBackupAdminPasswordSecretName", names["Password"]),
    )


def _create(event: Event, name: str, value: str | None) -> None:
    tags = {
        ownership.STACK_TAG: event["StackId"],
        "hsm-lifecycle:cluster-id": event["ClusterId"],
    }
    secret_store.create(name, value, tags)
