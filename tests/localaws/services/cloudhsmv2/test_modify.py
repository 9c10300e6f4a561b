from __future__ import annotations

from typing import Any

import pytest

from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2 import Quotas
from tests.localaws.services.region import PASSWORD, ZONES, Life

DAY = 24 * 3600.0


@pytest.fixture(name="old")
def _old() -> tuple[Life, str]:
    """A cluster of hsm1.medium with two HSMs."""
    life = Life(year=2024)
    return life, life.active(ZONES[1], HsmType="hsm1.medium")


def test_the_retention_of_backups_can_be_changed(life: Life) -> None:
    cluster_id = life.uninitialized()
    policy = {"Type": "DAYS", "Value": "30"}
    answer = life.call("ModifyCluster", ClusterId=cluster_id, BackupRetentionPolicy=policy)
    assert answer["Cluster"]["BackupRetentionPolicy"] == policy
    assert life.cluster(cluster_id)["BackupRetentionPolicy"] == policy


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
def test_what_cannot_be_changed_is_refused(life: Life, params: dict[str, Any], words: str) -> None:
    with pytest.raises(ApiError, match=words) as refusal:
        life.call("ModifyCluster", ClusterId=life.active(), **params)
    assert refusal.value.code == "CloudHsmInvalidRequestException"


def test_a_cluster_in_progress_cannot_be_changed(life: Life) -> None:
    policy = {"Type": "DAYS", "Value": "30"}
    with pytest.raises(ApiError, match="CREATE_IN_PROGRESS"):
        life.call("ModifyCluster", ClusterId=life.create(), BackupRetentionPolicy=policy)


def test_the_hsm_type_changes_in_place_half_an_hour_per_hsm(old: tuple[Life, str]) -> None:
    life, cluster_id = old
    before = life.hsms(cluster_id)
    answer = life.call("ModifyCluster", ClusterId=cluster_id, HsmType="hsm2m.medium")
    assert answer["Cluster"]["State"] == "MODIFY_IN_PROGRESS"
    assert answer["Cluster"]["HsmTypeRollbackExpiration"] == life.clock.now() + DAY
    life.wait(2 * life.timings.change_hsm_type - 1)
    assert life.cluster(cluster_id)["State"] == "MODIFY_IN_PROGRESS"
    life.wait(1)
    cluster = life.cluster(cluster_id)
    assert (cluster["State"], cluster["HsmType"]) == ("ACTIVE", "hsm2m.medium")
    assert [hsm["HsmType"] for hsm in cluster["Hsms"]] == ["hsm2m.medium"] * 2
    assert [hsm["EniIp"] for hsm in cluster["Hsms"]] == [hsm["EniIp"] for hsm in before]
    assert {hsm["HsmId"] for hsm in cluster["Hsms"]}.isdisjoint(hsm["HsmId"] for hsm in before)
    assert life.users(cluster_id)["admin"]["cluster-coverage"] == "full"


def test_meanwhile_neither_hsms_nor_users_nor_the_cluster_change(old: tuple[Life, str]) -> None:
    life, cluster_id = old
    hsm_id = life.hsms(cluster_id)[0]["HsmId"]
    life.call("ModifyCluster", ClusterId=cluster_id, HsmType="hsm2m.medium")
    for action, params in (
        ("CreateHsm", {"AvailabilityZone": ZONES[2]}),
        ("DeleteHsm", {"HsmId": hsm_id}),
        ("DeleteCluster", {}),
        ("ModifyCluster", {"HsmType": "hsm1.medium"}),
    ):
        with pytest.raises(ApiError, match="MODIFY_IN_PROGRESS"):
            life.call(action, ClusterId=cluster_id, **params)
    with pytest.raises(ApiError, match="being modified"):
        life.add_user(cluster_id, "worker", "Password1")
    assert life.users(cluster_id)["admin"]["cluster-coverage"] == "full"


def test_an_hsm_on_its_way_keeps_the_type_from_being_changed(old: tuple[Life, str]) -> None:
    life, cluster_id = old
    life.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[2])
    with pytest.raises(ApiError, match="in progress"):
        life.call("ModifyCluster", ClusterId=cluster_id, HsmType="hsm2m.medium")


def test_only_an_active_cluster_changes_its_type() -> None:
    life = Life(year=2024)
    cluster_id = life.uninitialized(HsmType="hsm1.medium")
    with pytest.raises(ApiError, match="UNINITIALIZED, not ACTIVE"):
        life.call("ModifyCluster", ClusterId=cluster_id, HsmType="hsm2m.medium")


def test_aws_rolls_back_what_fails(old: tuple[Life, str]) -> None:
    life, cluster_id = old
    life.faults.plant({"modify": "ROLLBACK"})
    life.call("ModifyCluster", ClusterId=cluster_id, HsmType="hsm2m.medium")
    life.wait(2 * life.timings.change_hsm_type)
    cluster = life.cluster(cluster_id)
    assert cluster["State"] == "ROLLBACK_IN_PROGRESS"
    assert "failed" in cluster["StateMessage"]
    life.wait(2 * life.timings.change_hsm_type)
    cluster = life.cluster(cluster_id)
    assert (cluster["State"], cluster["HsmType"]) == ("ACTIVE", "hsm1.medium")
    assert "rolled back" in cluster["StateMessage"]
    assert [hsm["HsmType"] for hsm in cluster["Hsms"]] == ["hsm1.medium"] * 2


def test_one_can_go_back_within_a_day_and_loses_what_came_after(old: tuple[Life, str]) -> None:
    life, cluster_id = old
    life.call("ModifyCluster", ClusterId=cluster_id, HsmType="hsm2m.medium")
    life.wait(2 * life.timings.change_hsm_type)
    life.add_user(cluster_id, "late", "Password1")
    life.call("ModifyCluster", ClusterId=cluster_id, HsmType="hsm1.medium")
    assert life.cluster(cluster_id)["State"] == "ROLLBACK_IN_PROGRESS"
    life.wait(2 * life.timings.change_hsm_type)
    cluster = life.cluster(cluster_id)
    assert (cluster["State"], cluster["HsmType"]) == ("ACTIVE", "hsm1.medium")
    assert "HsmTypeRollbackExpiration" not in cluster
    assert "late" not in life.users(cluster_id)


def test_after_a_day_there_is_no_way_back(old: tuple[Life, str]) -> None:
    life, cluster_id = old
    life.call("ModifyCluster", ClusterId=cluster_id, HsmType="hsm2m.medium")
    life.wait(DAY)
    with pytest.raises(ApiError, match="cannot be rolled back any more"):
        life.call("ModifyCluster", ClusterId=cluster_id, HsmType="hsm1.medium")


def test_a_cluster_without_hsms_changes_as_if_it_had_one(old: tuple[Life, str]) -> None:
    life, cluster_id = old
    for hsm in life.hsms(cluster_id):
        life.remove_hsm(cluster_id, hsm["HsmId"])
    life.call("ModifyCluster", ClusterId=cluster_id, HsmType="hsm2m.medium")
    life.wait(life.timings.change_hsm_type)
    assert life.cluster(cluster_id)["State"] == "ACTIVE"
    assert life.add_hsm(cluster_id)["HsmType"] == "hsm2m.medium"
    life.as_admin(
        cluster_id,
        "user-change-password",
        new_username="admin",
        role="admin",
        new_password=PASSWORD,
    )


def test_more_than_27_hsms_are_too_many_to_change() -> None:
    life = Life(year=2024, quotas=Quotas(hsms=28))
    cluster_id = life.active(*[ZONES[1]] * 27, HsmType="hsm1.medium")
    with pytest.raises(ApiError, match="more than 27 HSMs"):
        life.call("ModifyCluster", ClusterId=cluster_id, HsmType="hsm2m.medium")
