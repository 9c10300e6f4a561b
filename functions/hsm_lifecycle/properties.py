"""The properties of the custom resources. CloudFormation sends every one as a string (F6.12)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hsm_lifecycle.errors import ParameterError

HSMS_PER_CLUSTER = 28  # https://docs.aws.amazon.com/cloudhsm/latest/userguide/limits.html


@dataclass(frozen=True)
class ClusterProperties:
    """What `rCloudHsmCluster` is asked to be."""

    subnet_ids: tuple[str, ...]
    hsms_per_subnet: int
    hsm_type: str
    mode: str
    network_type: str
    backup_retention_days: int

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> ClusterProperties:
        """Read ResourceProperties; raises ParameterError naming the stack parameter."""
        parsed = cls(
            subnet_ids=tuple(given["SubnetIds"]),
            hsms_per_subnet=_whole_number(given, "HsmsPerSubnet"),
            hsm_type=given["HsmType"],
            mode=given["Mode"],
            network_type=given["NetworkType"],
            backup_retention_days=_whole_number(given, "BackupRetentionDays"),
        )
        if len(parsed.subnet_ids) * parsed.hsms_per_subnet > HSMS_PER_CLUSTER:
            raise ParameterError(
                f"pHsmsPerSubnet: {parsed.hsms_per_subnet} in each of {len(parsed.subnet_ids)}"
                f" subnets is more than the {HSMS_PER_CLUSTER} HSMs that a cluster can hold."
            )
        return parsed


def _whole_number(given: Mapping[str, Any], name: str) -> int:
    text = str(given[name])
    if not text.isdecimal():
        raise ParameterError(f"p{name}: {text!r} is not a whole number.")
    return int(text)
