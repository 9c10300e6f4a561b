from __future__ import annotations

from typing import Any

import pytest

from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2.settings import Assumptions, Quotas
from tests.localaws.services.cloudhsm import PASSWORD, ZONES, CloudHsm

DAY = 24 * 3600.0


@pytest.fixture(name="old")
def _old() -> tuple[CloudHsm, str]:
    """A cluster of hsm1.medium with two HSMs."""
    cloudhsm = CloudHsm(assumptions=Assumptions(year=2024))
    return cloudhsm, cloudhsm.active(ZONES[1], HsmType="hsm1.medium")


def test_modify_cluster_changes_the_backup_retention(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.uninitialized()
    policy = {"Type": "DAYS", "Value": "30"}
    response = cloudhsm.call("ModifyCluster", ClusterId=cluster_id, BackupRetentionPolicy=policy)
    assert response["Cluster"]["BackupRetentionPolicy"] == policy
    assert cloudhsm.cluster(cluster_id)["BackupRetentionPolicy"] == policy


INVALID: dict[str, dict[str, Any]] = {
    "Give HsmType, BackupRetentionPolicy": {},
    "7 to 379": {"BackupRetentionPolicy": {"Type": "DAYS", "Value": "3"}},
    "HsmType 'hsm3.huge' does not match": {"HsmType": "hsm3.huge"},
    "already has HSM type hsm2m.medium": {"HsmType": "hsm2m.medium"},
    "can no longer be rolled back": {"HsmType": "hsm1.medium"},
}


def test_an_invalid_change_is_rejected(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active()
    for message, params in INVALID.items():
        with pytest.raises(ApiError, match=message) as error:
            cloudhsm.call("ModifyCluster", ClusterId=cluster_id, **params)
        assert error.value.code == "CloudHsmInvalidRequestException"


def test_a_cluster_in_progress_cannot_be_changed(cloudhsm: CloudHsm) -> None:
    policy = {"Type": "DAYS", "Value": "30"}
    with pytest.raises(ApiError, match="CREATE_IN_PROGRESS"):
        cloudhsm.call("ModifyCluster", ClusterId=cloudhsm.create(), BackupRetentionPolicy=policy)


def test_a_type_change_replaces_the_hsms_in_half_an_hour_each(old: tuple[CloudHsm, str]) -> None:
    cloudhsm, cluster_id = old
    before = cloudhsm.hsms(cluster_id)
    response = cloudhsm.call("ModifyCluster", ClusterId=cluster_id, HsmType="hsm2m.medium")
    assert response["Cluster"]["State"] == "MODIFY_IN_PROGRESS"
    assert response["Cluster"]["HsmTypeRollbackExpiration"] == cloudhsm.clock.now() + DAY
    cloudhsm.wait(2 * cloudhsm.timings.change_hsm_type - 1)
    assert cloudhsm.cluster(cluster_id)["State"] == "MODIFY_IN_PROGRESS"
    cloudhsm.wait(1)
    cluster = cloudhsm.cluster(cluster_id)
    assert (cluster["State"], cluster["HsmType"]) == ("ACTIVE", "hsm2m.medium")
    assert [hsm["HsmType"] for hsm in cluster["Hsms"]] == ["hsm2m.medium"] * 2
    assert [hsm["EniIp"] for hsm in cluster["Hsms"]] == [hsm["EniIp"] for hsm in before]
    assert {hsm["HsmId"] for hsm in cluster["Hsms"]}.isdisjoint(hsm["HsmId"] for hsm in before)
    assert cloudhsm.users(cluster_id)["admin"]["cluster-coverage"] == "full"


def test_hsms_users_and_cluster_cannot_be_changed_during_a_type_change(
    old: tuple[CloudHsm, str],
) -> None:
    cloudhsm, cluster_id = old
    hsm_id = cloudhsm.hsms(cluster_id)[0]["HsmId"]
    cloudhsm.call("ModifyCluster", ClusterId=cluster_id, HsmType="hsm2m.medium")
    for action, params in (
        ("CreateHsm", {"AvailabilityZone": ZONES[2]}),
        ("DeleteHsm", {"HsmId": hsm_id}),
        ("DeleteCluster", {}),
        ("ModifyCluster", {"HsmType": "hsm1.medium"}),
    ):
        with pytest.raises(ApiError, match="MODIFY_IN_PROGRESS"):
            cloudhsm.call(action, ClusterId=cluster_id, **params)
    with pytest.raises(ApiError, match="being modified"):
        cloudhsm.add_user(cluster_id, "worker", "Password1")
    assert cloudhsm.users(cluster_id)["admin"]["cluster-coverage"] == "full"


def test_an_hsm_in_progress_blocks_a_type_change(old: tuple[CloudHsm, str]) -> None:
    cloudhsm, cluster_id = old
    cloudhsm.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[2])
    with pytest.raises(ApiError, match="in progress"):
        cloudhsm.call("ModifyCluster", ClusterId=cluster_id, HsmType="hsm2m.medium")


def test_a_type_change_requires_an_active_cluster() -> None:
    cloudhsm = CloudHsm(assumptions=Assumptions(year=2024))
    cluster_id = cloudhsm.uninitialized(HsmType="hsm1.medium")
    with pytest.raises(ApiError, match="UNINITIALIZED, not ACTIVE"):
        cloudhsm.call("ModifyCluster", ClusterId=cluster_id, HsmType="hsm2m.medium")


def test_aws_rolls_back_a_failed_type_change(old: tuple[CloudHsm, str]) -> None:
    cloudhsm, cluster_id = old
    cloudhsm.faults.inject({"modify": "ROLLBACK"})
    cloudhsm.call("ModifyCluster", ClusterId=cluster_id, HsmType="hsm2m.medium")
    cloudhsm.wait(2 * cloudhsm.timings.change_hsm_type)
    cluster = cloudhsm.cluster(cluster_id)
    assert cluster["State"] == "ROLLBACK_IN_PROGRESS"
    assert "failed" in cluster["StateMessage"]
    cloudhsm.wait(2 * cloudhsm.timings.change_hsm_type)
    cluster = cloudhsm.cluster(cluster_id)
    assert (cluster["State"], cluster["HsmType"]) == ("ACTIVE", "hsm1.medium")
    assert "rolled back" in cluster["StateMessage"]
    assert [hsm["HsmType"] for hsm in cluster["Hsms"]] == ["hsm1.medium"] * 2


def test_a_rollback_within_a_day_loses_later_users(old: tuple[CloudHsm, str]) -> None:
    cloudhsm, cluster_id = old
    cloudhsm.call("ModifyCluster", ClusterId=cluster_id, HsmType="hsm2m.medium")
    cloudhsm.wait(2 * cloudhsm.timings.change_hsm_type)
    cloudhsm.add_user(cluster_id, "late", "Password1")
    cloudhsm.call("ModifyCluster", ClusterId=cluster_id, HsmType="hsm1.medium")
    assert cloudhsm.cluster(cluster_id)["State"] == "ROLLBACK_IN_PROGRESS"
    cloudhsm.wait(2 * cloudhsm.timings.change_hsm_type)
    cluster = cloudhsm.cluster(cluster_id)
    assert (cluster["State"], cluster["HsmType"]) == ("ACTIVE", "hsm1.medium")
    assert "HsmTypeRollbackExpiration" not in cluster
    assert "late" not in cloudhsm.users(cluster_id)


def test_a_rollback_is_rejected_after_a_day(old: tuple[CloudHsm, str]) -> None:
    cloudhsm, cluster_id = old
    cloudhsm.call("ModifyCluster", ClusterId=cluster_id, HsmType="hsm2m.medium")
    cloudhsm.wait(DAY)
    with pytest.raises(ApiError, match="can no longer be rolled back"):
        cloudhsm.call("ModifyCluster", ClusterId=cluster_id, HsmType="hsm1.medium")


def test_a_type_change_of_an_empty_cluster_takes_as_long_as_for_one_hsm(
    old: tuple[CloudHsm, str],
) -> None:
    cloudhsm, cluster_id = old
    for hsm in cloudhsm.hsms(cluster_id):
        cloudhsm.remove_hsm(cluster_id, hsm["HsmId"])
    cloudhsm.call("ModifyCluster", ClusterId=cluster_id, HsmType="hsm2m.medium")
    cloudhsm.wait(cloudhsm.timings.change_hsm_type)
    assert cloudhsm.cluster(cluster_id)["State"] == "ACTIVE"
    assert cloudhsm.add_hsm(cluster_id)["HsmType"] == "hsm2m.medium"
    cloudhsm.as_admin(
        cluster_id,
        "user-change-password",
        new_username="admin",
        role="admin",
        new_password=PASSWORD,
    )


def test_a_type_change_is_rejected_with_more_than_27_hsms() -> None:
    cloudhsm = CloudHsm(assumptions=Assumptions(year=2024), quotas=Quotas(hsms=28))
    cluster_id = cloudhsm.active(*[ZONES[1]] * 27, HsmType="hsm1.medium")
    with pytest.raises(ApiError, match="more than 27 HSMs"):
        cloudhsm.call("ModifyCluster", ClusterId=cluster_id, HsmType="hsm2m.medium")
