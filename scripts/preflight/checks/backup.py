"""The backup to restore, and its two secrets."""

from __future__ import annotations

from collections.abc import Iterator

from hsm_lifecycle import creation_rules, secret_store
from scripts.preflight.account import Json
from scripts.preflight.checks import secrets
from scripts.preflight.findings import Check, Finding
from scripts.preflight.subject import Subject

CHECK = Check("backup")


def backup(subject: Subject) -> Iterator[Finding]:
    """A READY backup in the cluster's mode, and the secrets with its CA and password."""
    wanted = subject.cluster_properties
    if not wanted.backup:
        return
    found = _find(subject)
    yield from CHECK.errors_or_ok(
        creation_rules.backup(wanted, found), f"{wanted.backup_id} can be restored"
    )
    if found is None:
        return
    names = secret_store.names(wanted.system, found["ClusterId"])
    for parameter, given, generated, check in (
        (
            "pBackupCaCertSecretName",
            wanted.backup_ca_cert_secret_name,
            names.ca_certificate,
            secrets.ca_certificate,
        ),
        (
            "pBackupAdminPasswordSecretName",
            wanted.backup_admin_password_secret_name,
            names.password,
            secrets.credentials,
        ),
    ):
        yield from check(subject, CHECK, parameter, given or generated)


def _find(subject: Subject) -> Json | None:
    wanted = subject.cluster_properties
    for request in creation_rules.backup_requests(wanted):
        for each in subject.account.pages("cloudhsmv2", "describe_backups", "Backups", **request):
            if creation_rules.is_wanted_backup(wanted, each):
                return each
    return None
