"""The custom resource's properties. CloudFormation sends every value as a string (F6.12)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hsm_lifecycle import property_rules
from hsm_lifecycle.errors import ParameterError

# Parameters that AWS cannot change on a cluster; updates of these are refused.
FIXED = ("pSubnets", "pMode", "pNetworkType", "pBackupId")
# Parameters that ModifyCluster changes in place.
MODIFIABLE = ("pBackupRetentionDays", "pHsmType")
# Properties whose change concerns neither the HSMs nor the client.
WITHOUT_CLIENT = frozenset(
    {
        "ServiceToken",
        "ServiceTimeout",
        "TemplateVersion",
        "BackupRetentionDays",
        "HsmIdentity",
        "ManufacturerRootSpki",
    }
)
# What the client instance is launched with; a change replaces or restarts it.
LAUNCHED_WITH = ("ImageId", "InstanceType", "SubnetId")
HSMS_PER_CLUSTER = 28  # https://docs.aws.amazon.com/cloudhsm/latest/userguide/limits.html
# Stands for an empty attribute: CloudFormation rejects empty outputs.
NONE = "none"


@dataclass(frozen=True)
class ClusterProperties:
    """The properties of `rCloudHsmCluster` that the steps read."""

    system: str
    subnets: tuple[str, ...]
    hsms_per_subnet: int
    hsm_type: str
    mode: str
    network_type: str
    backup_retention_days: int
    backup: str
    backup_ca_cert_secret_name: str
    backup_admin_password_secret_name: str
    externally_provided_certs_ready: bool
    hsm_identity: str
    manufacturer_root_spki: str
    # What the instance is launched with; of version 1.0.0, its ID.
    client: Mapping[str, str]

    @property
    def backup_id(self) -> str:
        """The ID of the backup to restore, even if pBackupId is its ARN; empty for none."""
        return self.backup.rpartition("/")[2]

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> ClusterProperties:
        """Parse ResourceProperties; ParameterError names the stack parameter at fault."""
        property_rules.check(property_rules.CLUSTER, {**given}, or_earlier=True)
        parsed = cls(
            system=given["System"],
            subnets=tuple(given["Subnets"]),
            hsms_per_subnet=int(given["HsmsPerSubnet"]),
            hsm_type=given["HsmType"],
            mode=given["Mode"],
            network_type=given["NetworkType"],
            backup_retention_days=int(given["BackupRetentionDays"]),
            backup=given["BackupId"],
            backup_ca_cert_secret_name=given["BackupCaCertSecretName"],
            backup_admin_password_secret_name=given["BackupAdminPasswordSecretName"],
            externally_provided_certs_ready=given["ExternallyProvidedCertsReady"] == "true",
            # Version 1.0.0 has neither.
            hsm_identity=given.get("HsmIdentity", "VERIFY"),
            manufacturer_root_spki=given.get("ManufacturerRootSpki", ""),
            client=given.get("Client") or {"InstanceId": given["ClientInstanceId"]},
        )
        if len(parsed.subnets) * parsed.hsms_per_subnet > HSMS_PER_CLUSTER:
            raise ParameterError(
                f"pHsmsPerSubnet: {parsed.hsms_per_subnet} in each of {len(parsed.subnets)}"
                f" subnets exceeds the limit of {HSMS_PER_CLUSTER} HSMs per cluster. Lower it."
            )
        return parsed
