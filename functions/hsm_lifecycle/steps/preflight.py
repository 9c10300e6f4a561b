"""Steps: validate a creation before anything is created."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from hsm_lifecycle import aws, creation_rules, ownership, secret_store
from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.properties import ClusterProperties


def check_creation(event: Event) -> dict[str, Any]:
    """Refuse parameters with which the creation cannot succeed."""
    wanted = ClusterProperties.parse(event["ResourceProperties"])
    creation_rules.refuse_first(creation_rules.new_cluster(wanted))
    _check_subnets(wanted.subnets)
    tag_keys = {
        *ownership.stack_tags(event),
        ownership.STACK_TAG,
        ownership.LOGICAL_ID_TAG,
    }
    if error := ownership.too_many_tags(tag_keys):
        raise error
    return {
        "BackupSecrets": _check_backup(wanted) if wanted.backup else {},
        "Client": {**wanted.client, "IsNew": True},
    }


def _check_subnets(subnet_ids: tuple[str, ...]) -> None:
    """Refuse subnets in which CloudHSM cannot create a cluster."""
    creation_rules.refuse_first(creation_rules.repeated_subnets(subnet_ids))
    try:
        described = aws.client("ec2").describe_subnets(SubnetIds=list(subnet_ids))["Subnets"]
    except ClientError as error:
        raise aws.parameter_error("pSubnets", error) from error
    creation_rules.refuse_first(creation_rules.subnets(described))


def _check_backup(wanted: ClusterProperties) -> dict[str, str]:
    """The secrets' names of the backup's cluster. ParameterError: it cannot be restored.

    BackupTime tells which version of the password to use; empty for the current one of a secret
    that pBackupAdminPasswordSecretName names.
    """
    backup = _find_backup(wanted)
    creation_rules.refuse_first(creation_rules.backup(wanted, backup))
    assert backup is not None  # nosec B101 # for mypy
    names = secret_store.names(wanted.system, backup["ClusterId"])
    return {
        "CaCertificate": wanted.backup_ca_cert_secret_name or names.ca_certificate,
        "Password": wanted.backup_admin_password_secret_name or names.password,
        "ClusterId": backup["ClusterId"],
        "BackupTime": ""
        if wanted.backup_admin_password_secret_name
        else backup["CreateTimestamp"].isoformat(),
    }


def _find_backup(wanted: ClusterProperties) -> dict[str, Any] | None:
    """This account's backup, or one shared with it, which is given by its ARN."""
    cloudhsm = aws.client("cloudhsmv2")
    for request in creation_rules.backup_requests(wanted):
        for page in cloudhsm.get_paginator("describe_backups").paginate(**request):
            for backup in page["Backups"]:
                if creation_rules.is_wanted_backup(wanted, backup):
                    found: dict[str, Any] = backup
                    return found
    return None
