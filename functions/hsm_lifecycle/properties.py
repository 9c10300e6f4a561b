"""The properties of the custom resource. CloudFormation sends every one as a string (F6.12)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hsm_lifecycle.errors import ParameterError

# The parameters that AWS can change in no cluster: an update of them is refused.
FIXED = ("pSubnets", "pMode", "pNetworkType", "pBackupId")
# Those that ModifyCluster changes in place.
MODIFIABLE = ("pBackupRetentionDays", "pHsmType")
HSMS_PER_CLUSTER = 28  # https://docs.aws.amazon.com/cloudhsm/latest/userguide/limits.html


@dataclass(frozen=True)
class ClusterProperties:
    """What `rCloudHsmCluster` is asked to be."""

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

    @property
    def backup_id(self) -> str:
        """The id of the backup to restore from, also where its ARN is given; empty for none."""
        return self.backup.rpartition("/")[2]

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> ClusterProperties:
        """Read ResourceProperties; raises ParameterError naming the stack parameter."""
        parsed = cls(
            system=given["System"],
            subnets=tuple(given["Subnets"]),
            hsms_per_subnet=_whole_number(given, "HsmsPerSubnet"),
            hsm_type=given["HsmType"],
            mode=given["Mode"],
            network_type=given["NetworkType"],
            backup_retention_days=_whole_number(given, "BackupRetentionDays"),
            backup=given["BackupId"],
            backup_ca_cert_secret_name=given["BackupCaCertSecretName"],
            backup_admin_password_secret_name=given["BackupAdminPasswordSecretName"],
            externally_provided_certs_ready=given["ExternallyProvidedCertsReady"] == "true",
        )
        if len(parsed.subnets) * parsed.hsms_per_subnet > HSMS_PER_CLUSTER:
            raise ParameterError(
                f"pHsmsPerSubnet: {parsed.hsms_per_subnet} in each of {len(parsed.subnets)}"
                f" subnets is more than the {HSMS_PER_CLUSTER} HSMs that a cluster can hold."
            )
        return parsed


def _whole_number(given: Mapping[str, Any], name: str) -> int:
    text = str(given[name])
    if not text.isdecimal():
        raise ParameterError(f"p{name}: {text!r} is not a whole number.")
    return int(text)
