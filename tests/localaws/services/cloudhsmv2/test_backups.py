from __future__ import annotations

import pytest

from localaws.core.api_error import ApiError
from tests.localaws.services.region import PASSWORD, START, ZONES, Life

DAY = 24 * 3600.0


def test_a_cluster_that_was_never_activated_has_no_backup(life: Life) -> None:
    cluster_id = life.initialized()
    life.remove_hsm(cluster_id, life.hsms(cluster_id)[0]["HsmId"])
    life.call("DeleteCluster", ClusterId=cluster_id)
    assert life.backups() == []


def test_activating_adding_and_removing_make_a_backup_each(life: Life) -> None:
    cluster_id = life.active()
    assert len(life.backups(clusterIds=[cluster_id])) == 1
    life.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[1])
    assert len(life.backups(clusterIds=[cluster_id])) == 2
    life.wait(life.timings.create_hsm)
    life.call("DeleteHsm", ClusterId=cluster_id, HsmId=life.hsms(cluster_id)[0]["HsmId"])
    backups = life.backups(clusterIds=[cluster_id])
    assert [backup["BackupState"] for backup in backups] == ["READY", "READY", "CREATE_IN_PROGRESS"]
    life.wait(life.timings.create_backup)
    assert life.backups()[-1]["BackupState"] == "READY"


def test_a_backup_says_what_it_is_of(life: Life) -> None:
    cluster_id = life.active(Mode="NON_FIPS")
    (backup,) = life.backups()
    assert backup["ClusterId"] == cluster_id
    assert backup["BackupArn"] == (
        f"arn:aws:cloudhsm:us-east-1:123456789012:backup/{backup['BackupId']}"
    )
    assert (backup["HsmType"], backup["Mode"]) == ("hsm2m.medium", "NON_FIPS")
    assert backup["NeverExpires"] is False
    assert backup["CreateTimestamp"] == START + sum(
        (
            life.timings.create_cluster,
            life.timings.create_hsm,
            life.timings.initialize,
            life.timings.activate,
        )
    )


def test_govcloud_has_its_own_partition() -> None:
    life = Life(region="us-gov-west-1")
    for subnet, zone in zip(life.network.subnets.values(), "abc", strict=False):
        subnet["AvailabilityZone"] = f"us-gov-west-1{zone}"
    cluster_id = life.uninitialized()
    life.add_hsm(cluster_id, "us-gov-west-1a")
    life.initialize(cluster_id)
    life.wait(life.timings.initialize)
    life.client(cluster_id, "activate", password=PASSWORD)
    life.wait(life.timings.activate)
    assert life.backups()[0]["BackupArn"].startswith("arn:aws-us-gov:cloudhsm:us-gov-west-1:")


def test_users_come_back_with_the_hsms(life: Life) -> None:
    cluster_id = life.active(ZONES[1])
    life.add_user(cluster_id, "worker", "Password1")
    for hsm in life.hsms(cluster_id):
        life.remove_hsm(cluster_id, hsm["HsmId"])
    assert life.cluster(cluster_id)["State"] == "ACTIVE"
    life.add_hsm(cluster_id)
    assert life.users(cluster_id)["worker"]["cluster-coverage"] == "full"
    life.as_admin(cluster_id, "user-delete", new_username="worker", role="crypto-user")


def test_a_backup_that_is_still_being_made_will_do(life: Life) -> None:
    cluster_id = life.active()
    life.timings.create_backup = 100_000
    life.add_user(cluster_id, "worker", "Password1")
    life.remove_hsm(cluster_id, life.hsms(cluster_id)[0]["HsmId"])
    assert life.backups()[-1]["BackupState"] == "CREATE_IN_PROGRESS"
    life.add_hsm(cluster_id)
    assert "worker" in life.users(cluster_id)


def test_an_hsm_that_is_degraded_is_not_backed_up(life: Life) -> None:
    cluster_id = life.active()
    life.add_user(cluster_id, "worker", "Password1")
    (hsm,) = life.hsms(cluster_id)
    life.region.degrade_hsm(hsm["HsmId"])
    before = len(life.backups())
    life.remove_hsm(cluster_id, hsm["HsmId"])
    assert len(life.backups()) == before
    life.add_hsm(cluster_id)
    assert "worker" not in life.users(cluster_id)


def test_an_active_cluster_without_hsms_and_backups_cannot_get_an_hsm(life: Life) -> None:
    cluster_id = life.active()
    life.remove_hsm(cluster_id, life.hsms(cluster_id)[0]["HsmId"])
    for backup in life.backups():
        life.call("DeleteBackup", BackupId=backup["BackupId"])
    with pytest.raises(ApiError, match="no backup to restore"):
        life.add_hsm(cluster_id)


def test_a_cluster_from_a_backup_is_active_and_empty_and_itself_again(life: Life) -> None:
    first = life.active()
    life.add_user(first, "worker", "Password1")
    original = life.cluster(first)["Certificates"]["ClusterCertificate"]
    life.remove_hsm(first, life.hsms(first)[0]["HsmId"])
    backup = life.backups()[-1]["BackupId"]
    second = life.create(SourceBackupId=backup)
    assert life.cluster(second)["State"] == "CREATE_IN_PROGRESS"
    life.wait(life.timings.create_cluster)
    cluster = life.cluster(second)
    assert cluster["State"] == "ACTIVE"
    assert cluster["Hsms"] == []
    assert cluster["SourceBackupId"] == backup
    assert cluster["Certificates"]["ClusterCertificate"] == original
    assert "ClusterCsr" not in cluster["Certificates"]
    with pytest.raises(ApiError, match="ACTIVE, not UNINITIALIZED"):
        life.call("InitializeCluster", ClusterId=second, SignedCert="x", TrustAnchor="x")
    life.add_hsm(second)
    life.add_hsm(second, ZONES[1])
    assert life.users(second)["worker"]["cluster-coverage"] == "full"
    with pytest.raises(ApiError, match="already activated"):
        life.client(second, "activate", password=PASSWORD)


def test_backups_outlive_their_cluster(life: Life) -> None:
    first = life.active()
    life.remove_hsm(first, life.hsms(first)[0]["HsmId"])
    life.call("DeleteCluster", ClusterId=first)
    life.wait(life.timings.delete_cluster + life.timings.deleted_visible)
    backup = life.backups(clusterIds=[first])[-1]
    second = life.uninitialized(SourceBackupId=backup["BackupArn"])
    assert life.cluster(second)["State"] == "ACTIVE"


def test_a_backup_must_be_ready_and_of_the_same_mode(life: Life) -> None:
    life.active()
    backup = life.backups()[0]["BackupId"]
    with pytest.raises(ApiError, match="FIPS mode, not NON_FIPS") as refusal:
        life.create(SourceBackupId=backup, Mode="NON_FIPS")
    assert refusal.value.code == "CloudHsmInvalidRequestException"
    with pytest.raises(ApiError, match="Mode is required"):
        life.create(SourceBackupId=backup, Mode=None)
    life.call("DeleteBackup", BackupId=backup)
    with pytest.raises(ApiError, match="PENDING_DELETION, not READY") as refusal:
        life.create(SourceBackupId=backup)
    assert refusal.value.code == "CloudHsmInvalidRequestException"


def test_a_backup_that_is_still_being_made_is_not_ready(life: Life) -> None:
    cluster_id = life.active()
    life.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[1])
    with pytest.raises(ApiError, match="CREATE_IN_PROGRESS, not READY"):
        life.create(SourceBackupId=life.backups()[-1]["BackupId"])


def test_a_backup_of_hsm1_may_become_hsm2m_but_not_the_other_way_round() -> None:
    life = Life(year=2024)
    life.active(HsmType="hsm1.medium")
    assert life.create(SourceBackupId=life.backups()[0]["BackupId"])
    life = Life(year=2024)
    life.active()
    with pytest.raises(ApiError, match=r"is of hsm2m\.medium HSMs"):
        life.create(SourceBackupId=life.backups()[0]["BackupId"], HsmType="hsm1.medium")


def test_a_backup_that_is_not_there_is_not_found(life: Life) -> None:
    with pytest.raises(ApiError) as refusal:
        life.create(SourceBackupId="backup-22222222222")
    assert refusal.value.code == "CloudHsmResourceNotFoundException"


def test_another_accounts_backup_is_listed_as_shared_and_known_by_its_arn(life: Life) -> None:
    shared = life.region.plant_shared_backup("Theirs12345")
    assert life.backups() == []
    (backup,) = life.call("DescribeBackups", Shared=True)["Backups"]
    assert backup["BackupArn"] == shared["BackupArn"]
    assert ":999999999999:" in backup["BackupArn"]
    for action in ("DeleteBackup", "RestoreBackup"):
        with pytest.raises(ApiError, match="does not exist"):
            life.call(action, BackupId=backup["BackupId"])
    with pytest.raises(ApiError, match="does not exist"):
        life.call("ListTags", ResourceId=backup["BackupId"])
    with pytest.raises(ApiError, match="does not exist"):
        life.create(SourceBackupId=backup["BackupId"])
    cluster_id = life.uninitialized(SourceBackupId=shared["BackupArn"])
    assert life.cluster(cluster_id)["State"] == "ACTIVE"
    life.add_hsm(cluster_id)
    listed = life.client(cluster_id, "user-list", ca=shared["TrustAnchor"])["users"]
    assert [user["role"] for user in listed] == ["admin", "internal(APPLIANCE_USER)"]


def test_a_deleted_backup_can_be_restored_for_seven_days(life: Life) -> None:
    life.active()
    backup = life.backups()[0]["BackupId"]
    with pytest.raises(ApiError, match="READY, not PENDING_DELETION"):
        life.call("RestoreBackup", BackupId=backup)
    shown = life.call("DeleteBackup", BackupId=backup)["Backup"]
    assert shown["BackupState"] == "PENDING_DELETION"
    assert shown["DeleteTimestamp"] == life.clock.now() + 7 * DAY
    with pytest.raises(ApiError, match="PENDING_DELETION, not READY"):
        life.call("DeleteBackup", BackupId=backup)
    life.wait(7 * DAY - 1)
    shown = life.call("RestoreBackup", BackupId=backup)["Backup"]
    assert shown["BackupState"] == "READY"
    assert "DeleteTimestamp" not in shown
    life.wait(2)
    life.call("DeleteBackup", BackupId=backup)
    life.wait(7 * DAY)
    assert life.backups(backupIds=[backup]) == []


def test_an_active_cluster_with_an_hsm_is_backed_up_every_day(life: Life) -> None:
    cluster_id = life.active()
    life.wait(3 * DAY)
    times = [backup["CreateTimestamp"] for backup in life.backups()]
    assert [later - times[0] for later in times] == [0, DAY, 2 * DAY, 3 * DAY]
    life.remove_hsm(cluster_id, life.hsms(cluster_id)[0]["HsmId"])
    count = len(life.backups())
    life.wait(3 * DAY)
    assert len(life.backups()) == count


def test_backups_go_after_the_retention_but_never_the_latest(life: Life) -> None:
    cluster_id = life.active(BackupRetentionPolicy={"Type": "DAYS", "Value": "7"})
    life.remove_hsm(cluster_id, life.hsms(cluster_id)[0]["HsmId"])
    assert len(life.backups()) == 2
    latest = life.backups()[-1]["BackupId"]
    life.wait(7 * DAY)
    assert [backup["BackupId"] for backup in life.backups()] == [latest]
    life.wait(400 * DAY)
    assert [backup["BackupId"] for backup in life.backups()] == [latest]


def test_a_retention_that_is_changed_holds_for_the_backups_there_are(life: Life) -> None:
    cluster_id = life.active()
    life.remove_hsm(cluster_id, life.hsms(cluster_id)[0]["HsmId"])
    life.wait(10 * DAY)
    assert len(life.backups()) == 2
    policy = {"Type": "DAYS", "Value": "7"}
    life.call("ModifyCluster", ClusterId=cluster_id, BackupRetentionPolicy=policy)
    assert len(life.backups()) == 1


def test_backups_are_filtered_sorted_and_paged(life: Life) -> None:
    cluster_id = life.active(ZONES[1])
    old, new = (backup["BackupId"] for backup in life.backups())

    def found(**params: object) -> list[str]:
        return [one["BackupId"] for one in life.call("DescribeBackups", **params)["Backups"]]

    assert found() == [new, old]
    assert found(SortAscending=True) == [old, new]
    assert found(Filters={"backupIds": [old]}) == [old]
    assert found(Filters={"clusterIds": [cluster_id]}) == [new, old]
    assert found(Filters={"clusterIds": ["cluster-22222222222"]}) == []
    assert found(Filters={"states": ["PENDING_DELETION"]}) == []
    assert found(Filters={"sourceBackupIds": [old]}) == []
    assert found(Filters={"neverExpires": ["true"]}) == []
    assert found(Filters={"neverExpires": ["false"]}) == [new, old]
    page = life.call("DescribeBackups", MaxResults=1)
    assert found(MaxResults=1, NextToken=page["NextToken"]) == [old]


def test_a_retention_that_is_prolonged_keeps_the_backups_there_are(life: Life) -> None:
    cluster_id = life.active(BackupRetentionPolicy={"Type": "DAYS", "Value": "7"})
    life.remove_hsm(cluster_id, life.hsms(cluster_id)[0]["HsmId"])
    policy = {"Type": "DAYS", "Value": "20"}
    life.call("ModifyCluster", ClusterId=cluster_id, BackupRetentionPolicy=policy)
    life.wait(19 * DAY)
    assert len(life.backups()) == 2
    life.wait(DAY)
    assert len(life.backups()) == 1


def test_a_deleted_cluster_is_backed_up_no_more(life: Life) -> None:
    cluster_id = life.active()
    life.remove_hsm(cluster_id, life.hsms(cluster_id)[0]["HsmId"])
    life.call("DeleteCluster", ClusterId=cluster_id)
    life.timings.deleted_visible = 10 * DAY
    life.wait(3 * DAY)
    assert life.cluster(cluster_id)["State"] == "DELETED"
    assert len(life.backups()) == 2
