"""Steps: validate a creation before anything is created."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from hsm_lifecycle import aws, ownership, secret_store
from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.errors import ParameterError
from hsm_lifecycle.properties import ClusterProperties


def check_creation(event: Event) -> dict[str, Any]:
    """Refuse parameters with which the creation cannot succeed."""
    wanted = ClusterProperties.parse(event["ResourceProperties"])
    if wanted.hsms_per_subnet == 0:
        raise ParameterError(
            "pHsmsPerSubnet: a new cluster needs at least one HSM per subnet, because the first HSM"
            " issues its certificate signing request. Create it with 1, then update to 0."
        )
    if wanted.externally_provided_certs_ready:
        raise ParameterError(
            "pExternallyProvidedCertsReady: a new cluster has no certificates yet. Create it with"
            " false, sign the request in its secret cluster-csr, then update to true."
        )
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
    """Require one VPC, and one subnet in each Availability Zone (F1.12)."""
    for index, subnet_id in enumerate(subnet_ids):
        if subnet_id in subnet_ids[:index]:
            raise ParameterError(f"pSubnets: {subnet_id} is listed twice.")
    try:
        subnets = aws.client("ec2").describe_subnets(SubnetIds=list(subnet_ids))["Subnets"]
    except ClientError as error:
        raise aws.parameter_error("pSubnets", error) from error
    if len({subnet["VpcId"] for subnet in subnets}) > 1:
        raise ParameterError("pSubnets: the subnets belong to several VPCs. Choose one VPC.")
    zones: dict[str, str] = {}
    for subnet in subnets:
        zone, subnet_id = subnet["AvailabilityZone"], subnet["SubnetId"]
        if zone in zones:
            raise ParameterError(
                f"pSubnets: {zones[zone]} and {subnet_id} are both in {zone}. Choose one subnet per"
                " Availability Zone."
            )
        zones[zone] = subnet_id


def _check_backup(wanted: ClusterProperties) -> dict[str, str]:
    """The secrets' names of the backup's cluster. ParameterError: it cannot be restored.

    BackupTime tells which version of the password to use; empty for the current one of a secret
    that pBackupAdminPasswordSecretName names.
    """
    backup = _find_backup(wanted)
    if backup is None:
        raise ParameterError(
            f"pBackupId: backup {wanted.backup} does not exist in this Region and account. For a"
            " backup shared by another account, give its ARN."
        )
    if backup["BackupState"] != "READY":
        raise ParameterError(
            f"pBackupId: {wanted.backup_id} is {backup['BackupState']}; only READY backups can be"
            " restored."
        )
    if backup.get("Mode", wanted.mode) != wanted.mode:
        raise ParameterError(
            f"pMode: the backup's cluster is in {backup['Mode']} mode. Set pMode to it instead of"
            f" {wanted.mode}."
        )
    names = secret_store.names(wanted.system, backup["ClusterId"])
    return {
        "CaCertificate": wanted.backup_ca_cert_secret_name or names.ca_certificate,
        "Password": wanted.backup_admin_password_secret_name or names.password,
        "BackupTime": ""
        if wanted.backup_admin_password_secret_name
        else backup["CreateTimestamp"].isoformat(),
    }


def _find_backup(wanted: ClusterProperties) -> dict[str, Any] | None:
    """This account's backup, or one shared with it, which is given by its ARN."""
    cloudhsm = aws.client("cloudhsmv2")
    requests: list[dict[str, Any]] = [{"Filters": {"backupIds": [wanted.backup_id]}}]
    if wanted.backup != wanted.backup_id:
        requests.append({"Shared": True})
    for request in requests:
        for page in cloudhsm.get_paginator("describe_backups").paginate(**request):
            for backup in page["Backups"]:
                if wanted.backup in (backup["BackupId"], backup.get("BackupArn")):
                    found: dict[str, Any] = backup
                    return found
    return None
