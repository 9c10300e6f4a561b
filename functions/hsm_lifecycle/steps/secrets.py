"""Steps: create, check, adopt and delete the four secrets of a cluster."""

from __future__ import annotations

import contextlib
import json
import secrets
import string
from collections.abc import Iterator
from dataclasses import astuple
from datetime import datetime
from typing import Any

from hsm_lifecycle import credentials, identity_evidence, ownership, pki, secret_store
from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.errors import CertificateError, ParameterError, SecretNotFoundError

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
    _read_backup_secrets(event)
    return {}


def adopt_secrets(event: Event) -> dict[str, Any]:
    """Copy the CA certificate and admin password of the backup's cluster to the restored one's.

    The evidence of its HSM's identity is only named.

    ParameterError: the CA certificate is of another cluster.
    """
    cluster = ownership.require_owned(event)
    names = secret_store.names(event["System"], event["ClusterId"])
    ca_certificates, password = _read_backup_secrets(event)
    if certificate := ownership.certificate_of(cluster):
        parameter, name = "pBackupCaCertSecretName", event["BackupSecrets"]["CaCertificate"]
        with _naming(parameter):
            pki.check_trust(ca_certificates, certificate, f"the secret {name}")
    identity_evidence.adopt(event, event["BackupSecrets"]["ClusterId"])
    _create(event, names.ca_certificate, ca_certificates)
    _create(event, names.password, password)
    return {}


def check_secrets(event: Event) -> dict[str, Any]:
    """Raise if an active cluster lost its CA certificate or admin password: AWS has no copy.

    CertificateError: the CA certificate is of another cluster, so no client could connect.
    """
    names = secret_store.names(event["System"], event["ClusterId"])
    for name, content in (
        (names.ca_certificate, "customerCA.crt of a client"),
        (names.password, "the admin's password"),
    ):
        # Longer messages would be cut, see failure_reason.
        state = secret_store.state(name)
        if state == "SCHEDULED":
            raise SecretNotFoundError(
                f"The secret {name} {secret_store.SCHEDULED}, then set a new pReconcile."
            )
        if state == "NOT_FOUND":
            raise SecretNotFoundError(
                f"The secret {name} is gone. Store {content} with the tag"
                f" {ownership.STACK_TAG}, then set a new pReconcile."
            )
    cluster = ownership.find(event["ClusterId"])
    if cluster and (certificate := ownership.certificate_of(cluster)):
        ca_certificates = secret_store.read(names.ca_certificate)
        pki.check_trust(ca_certificates, certificate, f"The secret {names.ca_certificate}")
    return {}


def delete_secrets(event: Event) -> dict[str, Any]:
    """Delete the secrets of a deleted cluster, except those that its backups need.

    The evidence of its HSM's identity is retained with them.

    A restored cluster has two secrets, one that failed early may have none.
    """
    names = secret_store.names(event["System"], event["ClusterId"])
    retained = (names.ca_certificate, names.password) if event["HasBackups"] else ()
    for name in astuple(names):
        if name not in retained and secret_store.exists(name):
            secret_store.delete(name)
    if not event["HasBackups"]:
        identity_evidence.delete(event["System"], event["ClusterId"])
    return {}


def _read_backup_secrets(event: Event) -> tuple[str, str]:
    """The CA certificates and the admin's login of the backup's cluster.

    The login is the one that the secret had at BackupTime: a later password is unknown to the
    restored HSMs. ParameterError: a secret does not have what its parameter says.
    """
    names = event["BackupSecrets"]
    with _naming("pBackupCaCertSecretName"):
        name = names["CaCertificate"]
        ca_certificates = pki.ca_certificates(secret_store.read(name), f"the secret {name}")
    with _naming("pBackupAdminPasswordSecretName"):
        name = names["Password"]
        moment = names["BackupTime"]
        login = (
            secret_store.read_at(name, datetime.fromisoformat(moment))
            if moment
            else secret_store.read(name)
        )
        if problem := credentials.problem(login):
            raise ParameterError(f"the secret {name} {problem}. Store {credentials.EXPECTED}.")
    return ca_certificates, login


@contextlib.contextmanager
def _naming(parameter: str) -> Iterator[None]:
    """Make errors about a secret's content name the parameter with the secret's name."""
    try:
        yield
    except SecretNotFoundError as error:
        raise ParameterError(
            f"{parameter}: a restored cluster keeps its CA certificate and passwords. {error} Name"
            " a secret that has it."
        ) from error
    except (CertificateError, ParameterError) as error:
        raise ParameterError(f"{parameter}: {error}") from error


def _create(event: Event, name: str, value: str | None) -> None:
    tags = {
        ownership.STACK_TAG: event["StackId"],
        "hsm-lifecycle:cluster-id": event["ClusterId"],
    }
    secret_store.create(name, value, tags)
