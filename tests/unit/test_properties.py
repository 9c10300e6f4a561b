from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from hsm_lifecycle.errors import ParameterError
from hsm_lifecycle.properties import ClusterProperties
from tests.support.resource_properties import CLUSTER, resource_properties

SUBNETS = ("subnet-01234567", "subnet-89abcdef")
ARN = "arn:aws-us-gov:cloudhsm:us-gov-west-1:123456789012:backup/backup-abcdefg2345"


def given(**overrides: Any) -> dict[str, Any]:
    return resource_properties(CLUSTER, Subnets=list(SUBNETS), **overrides)


def test_parse_converts_strings() -> None:
    sent = given(
        HsmsPerSubnet="2", Mode="NON_FIPS", NetworkType="DUALSTACK", BackupRetentionDays="379"
    )
    assert ClusterProperties.parse(sent) == ClusterProperties(
        system="cloudhsm",
        subnets=SUBNETS,
        hsms_per_subnet=2,
        hsm_type="hsm2m.medium",
        mode="NON_FIPS",
        network_type="DUALSTACK",
        backup_retention_days=379,
        backup="",
        backup_ca_cert_secret_name="",
        backup_admin_password_secret_name="",
        externally_provided_certs_ready=False,
        hsm_identity="VERIFY",
        manufacturer_root_spki="",
        client={
            "ImageId": "ami-0123456789abcdef0",
            "InstanceType": "t3a.small",
            "SubnetId": "subnet-0123456789abcdef0",
        },
    )


def test_parsed_properties_are_immutable() -> None:
    wanted: Any = ClusterProperties.parse(given())
    with pytest.raises(FrozenInstanceError):
        wanted.hsms_per_subnet = 0


def test_other_properties_are_ignored() -> None:
    more = given(ServiceToken="arn:...", Reconcile="2026-01-31")
    assert ClusterProperties.parse(more) == ClusterProperties.parse(given())


@pytest.mark.parametrize(("text", "meaning"), [("true", True), ("false", False)])
def test_externally_provided_certs_ready_is_a_boolean(text: str, meaning: bool) -> None:
    parsed = ClusterProperties.parse(given(ExternallyProvidedCertsReady=text))
    assert parsed.externally_provided_certs_ready is meaning


@pytest.mark.parametrize(
    ("backup", "backup_id"),
    [("", ""), ("backup-abcdefg2345", "backup-abcdefg2345"), (ARN, "backup-abcdefg2345")],
)
def test_backup_id_accepts_an_id_or_an_arn(backup: str, backup_id: str) -> None:
    parsed = ClusterProperties.parse(given(BackupId=backup))
    assert (parsed.backup, parsed.backup_id) == (backup, backup_id)


def test_the_limit_of_hsms_is_allowed() -> None:
    assert ClusterProperties.parse(given(HsmsPerSubnet="14")).hsms_per_subnet == 14


def test_more_hsms_than_the_limit_are_refused() -> None:
    with pytest.raises(ParameterError, match=r"^pHsmsPerSubnet: 15 in each of 2 .* 28 HSMs"):
        ClusterProperties.parse(given(HsmsPerSubnet="15"))


def test_zero_hsms_are_allowed() -> None:
    assert ClusterProperties.parse(given(HsmsPerSubnet="0")).hsms_per_subnet == 0
