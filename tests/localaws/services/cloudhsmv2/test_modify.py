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


def test_the_retention_of_backups_can_be_changed(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.uninitialized()
    policy = {"Type": "DAYS", "Value": "30"}
    answer = cloudhsm.call("ModifyCluster", ClusterId=cluster_id, BackupRetentionPolicy=policy)
    assert answer["Cluster"]["BackupRetentionPolicy"] == policy
    assert cloudhsm.cluster(cluster_id)["BackupRetentionPolicy"] == policy


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "Give HsmType or BackupRetentionPolicy"),
        ({"BackupRetentionPolicy": {"Type": "DAYS", "Value": "3"}}, "7 to 379"),
        ({"HsmType": "hsm3.huge"}, "HsmType"),
        ({"HsmType": "hsm2m.medium"}, "of HSM type hsm2m.medium already"),
        ({"HsmType": "hsm1.medium"}, "cannot be rolled back"),
    ],
)
def test_what_cannot_be_changed_is_refused(
    cloudhsm: CloudHsm, params: dict[str, Any], words: str
) -> None:
    with pytest.raises(ApiError, match=words) as refusal:
        cloudhsm.call("ModifyCluster", ClusterId=cloudhsm.active(), **params)
    assert refusal.value.code == "CloudHsmInvalidRequestException"


def test_a_cluster_in_progress_cannot_be_changed(cloudhsm: CloudHsm) -> None:
    policy = {"Type": "DAYS", "Value": "30"}
    with pytest.raises(ApiError, match="CREATE_IN_PROGRESS"):
        cloudhsm.call("ModifyCluster", ClusterId=cloudhsm.create(), BackupRetentionPolicy=policy)


def test_the_hsm_type_changes_in_place_half_an_hour_per_hsm(old: tuple[CloudHsm, str]) -> None:
    cloudhsm, cluster_id = old
    before = cloudhsm.hsms(cluster_id)
    answer = cloudhsm.call("ModifyCluster", ClusterId=cluster_id, HsmType="hsm2m.medium")
    assert answer["Cluster"]["State"] == "MODIFY_IN_PROGRESS"
    assert answer["Cluster"]["HsmTypeRollbackExpiration"] == cloudhsm.clock.now() + DAY
    cloudhsm.wait(2 * cloudhsm.timings.change_hsm_type - 1)
    assert cloudhsm.cluster(cluster_id)["State"] == "MODIFY_IN_PROGRESS"
    cloudhsm.wait(1)
    cluster = cloudhsm.cluster(cluster_id)
    assert (cluster["State"], cluster["HsmType"]) == ("ACTIVE", "hsm2m.medium")
    assert [hsm["HsmType"] for hsm in cluster["Hsms"]] == ["hsm2m.medium"] * 2
    assert [hsm["EniIp"] for hsm in cluster["Hsms"]] == [hsm["EniIp"] for hsm in before]
    assert {hsm["HsmId"] for hsm in cluster["Hsms"]}.isdisjoint(hsm["HsmId"] for hsm in before)
    assert cloudhsm.users(cluster_id)["admin"]["cluster-coverage"] == "full"


def test_meanwhile_neither_hsms_nor_users_nor_the_cluster_change(old: tuple[CloudHsm, str]) -> None:
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


def test_an_hsm_on_its_way_keeps_the_type_from_being_changed(old: tuple[CloudHsm, str]) -> None:
    cloudhsm, cluster_id = old
    cloudhsm.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[2])
    with pytest.raises(ApiError, match="in progress"):
        cloudhsm.call("ModifyCluster", ClusterId=cluster_id, HsmType="hsm2m.medium")


def test_only_an_active_cluster_changes_its_type() -> None:
    cloudhsm = CloudHsm(assumptions=Assumptions(year=2024))
    cluster_id = cloudhsm.uninitialized(HsmType="hsm1.medium")
    with pytest.raises(ApiError, match="UNINITIALIZED, not ACTIVE"):
        cloudhsm.call("ModifyCluster", ClusterId=cluster_id, HsmType="hsm2m.medium")


def test_aws_rolls_back_what_fails(old: tuple[CloudHsm, str]) -> None:
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


def test_one_can_go_back_within_a_day_and_loses_what_came_after(old: tuple[CloudHsm, str]) -> None:
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


def test_after_a_day_there_is_no_way_back(old: tuple[CloudHsm, str]) -> None:
    cloudhsm, cluster_id = old
    cloudhsm.call("ModifyCluster", ClusterId=cluster_id, HsmType="hsm2m.medium")
    cloudhsm.wait(DAY)
    with pytest.raises(ApiError, match="cannot be rolled back any more"):
        cloudhsm.call("ModifyCluster", ClusterId=cluster_id, HsmType="hsm1.medium")


def test_a_cluster_without_hsms_changes_as_if_it_had_one(old: tuple[CloudHsm, str]) -> None:
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


def test_more_than_27_hsms_are_too_many_to_change() -> None:
    cloudhsm = CloudHsm(assumptions=Assumptions(year=2024), quotas=Quotas(hsms=28))
    cluster_id = cloudhsm.active(*[ZONES[1]] * 27, HsmType="hsm1.medium")
    with pytest.raises(ApiError, match="more than 27 HSMs"):
        cloudhsm.call("ModifyCluster", ClusterId=cluster_id, HsmType="hsm2m.medium")
