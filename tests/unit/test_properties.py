from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from hsm_lifecycle.errors import ParameterError
from hsm_lifecycle.properties import ClusterProperties
from tests.support.resource_properties import CLUSTER, resource_properties

ARN = "arn:aws-us-gov:cloudhsm:us-gov-west-1:123456789012:backup/backup-abcdefg2345"


def given(**overrides: Any) -> dict[str, Any]:
    return resource_properties(CLUSTER, Subnets=["subnet-1", "subnet-2"], **overrides)


def test_the_strings_of_cloudformation_become_what_they_mean() -> None:
    sent = given(
        HsmsPerSubnet="2", Mode="NON_FIPS", NetworkType="DUALSTACK", BackupRetentionDays="379"
    )
    assert ClusterProperties.parse(sent) == ClusterProperties(
        system="cloudhsm",
        subnets=("subnet-1", "subnet-2"),
        hsms_per_subnet=2,
        hsm_type="hsm2m.medium",
        mode="NON_FIPS",
        network_type="DUALSTACK",
        backup_retention_days=379,
        backup="",
        backup_ca_cert_secret_name="",
        backup_admin_password_secret_name="",
        externally_provided_certs_ready=False,
    )


def test_what_was_asked_for_cannot_be_changed_on_the_way() -> None:
    wanted: Any = ClusterProperties.parse(given())
    with pytest.raises(FrozenInstanceError):
        wanted.hsms_per_subnet = 0


def test_properties_that_other_steps_read_do_not_disturb() -> None:
    more = given(ServiceToken="arn:...", ClientInstanceId="i-1", Reconcile="2026-01-31")
    assert ClusterProperties.parse(more) == ClusterProperties.parse(given())


@pytest.mark.parametrize(("text", "meaning"), [("true", True), ("false", False)])
def test_certificates_are_ready_when_the_operator_says_so(text: str, meaning: bool) -> None:
    parsed = ClusterProperties.parse(given(ExternallyProvidedCertsReady=text))
    assert parsed.externally_provided_certs_ready is meaning


@pytest.mark.parametrize(
    ("backup", "backup_id"),
    [("", ""), ("backup-abcdefg2345", "backup-abcdefg2345"), (ARN, "backup-abcdefg2345")],
)
def test_a_backup_is_known_by_its_id_also_where_its_arn_is_given(
    backup: str, backup_id: str
) -> None:
    parsed = ClusterProperties.parse(given(BackupId=backup))
    assert (parsed.backup, parsed.backup_id) == (backup, backup_id)


@pytest.mark.parametrize("property_name", ["HsmsPerSubnet", "BackupRetentionDays"])
@pytest.mark.parametrize("text", ["", "one", "-1", "1.5", " 1", "1e1"])
def test_what_is_no_whole_number_is_refused_by_the_parameters_name(
    property_name: str, text: str
) -> None:
    with pytest.raises(ParameterError, match=f"^p{property_name}: '{text}' is not a whole number"):
        ClusterProperties.parse(given(**{property_name: text}))


def test_a_cluster_can_be_full() -> None:
    assert ClusterProperties.parse(given(HsmsPerSubnet="14")).hsms_per_subnet == 14


def test_more_hsms_than_a_cluster_can_hold_are_refused() -> None:
    with pytest.raises(ParameterError, match=r"^pHsmsPerSubnet: 15 in each of 2 .* 28 HSMs"):
        ClusterProperties.parse(given(HsmsPerSubnet="15"))


def test_no_hsms_at_all_can_be_asked_for() -> None:
    assert ClusterProperties.parse(given(HsmsPerSubnet="0")).hsms_per_subnet == 0
