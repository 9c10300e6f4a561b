from __future__ import annotations

import pytest

from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2.settings import Assumptions
from tests.localaws.services.cloudhsm import PASSWORD, START, ZONES, CloudHsm

DAY = 24 * 3600.0


def test_a_cluster_that_was_never_activated_has_no_backups(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.initialized()
    cloudhsm.remove_hsm(cluster_id, cloudhsm.hsms(cluster_id)[0]["HsmId"])
    cloudhsm.call("DeleteCluster", ClusterId=cluster_id)
    assert cloudhsm.backups() == []


def test_activation_create_hsm_and_delete_hsm_take_a_backup_each(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active()
    assert len(cloudhsm.backups(clusterIds=[cluster_id])) == 1
    cloudhsm.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[1])
    assert len(cloudhsm.backups(clusterIds=[cluster_id])) == 2
    cloudhsm.wait(cloudhsm.timings.create_hsm)
    cloudhsm.call("DeleteHsm", ClusterId=cluster_id, HsmId=cloudhsm.hsms(cluster_id)[0]["HsmId"])
    backups = cloudhsm.backups(clusterIds=[cluster_id])
    assert [backup["BackupState"] for backup in backups] == ["READY", "READY", "CREATE_IN_PROGRESS"]
    cloudhsm.wait(cloudhsm.timings.create_backup)
    assert cloudhsm.backups()[-1]["BackupState"] == "READY"


def test_a_backup_describes_its_cluster(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active(Mode="NON_FIPS")
    (backup,) = cloudhsm.backups()
    assert backup["ClusterId"] == cluster_id
    assert backup["BackupArn"] == (
        f"arn:aws:cloudhsm:us-east-1:123456789012:backup/{backup['BackupId']}"
    )
    assert (backup["HsmType"], backup["Mode"]) == ("hsm2m.medium", "NON_FIPS")
    assert backup["NeverExpires"] is False
    assert backup["CreateTimestamp"] == START + sum(
        (
            cloudhsm.timings.create_cluster,
            cloudhsm.timings.create_hsm,
            cloudhsm.timings.initialize,
            cloudhsm.timings.activate,
        )
    )


def test_arns_in_govcloud_have_its_partition() -> None:
    cloudhsm = CloudHsm(region="us-gov-west-1")
    for subnet, zone in zip(cloudhsm.network.subnets.values(), "abc", strict=False):
        subnet["AvailabilityZone"] = f"us-gov-west-1{zone}"
    cluster_id = cloudhsm.uninitialized()
    cloudhsm.add_hsm(cluster_id, "us-gov-west-1a")
    cloudhsm.initialize(cluster_id)
    cloudhsm.wait(cloudhsm.timings.initialize)
    cloudhsm.client(cluster_id, "activate", password=PASSWORD)
    cloudhsm.wait(cloudhsm.timings.activate)
    assert cloudhsm.backups()[0]["BackupArn"].startswith("arn:aws-us-gov:cloudhsm:us-gov-west-1:")


def test_a_new_hsm_of_an_empty_cluster_has_the_users_of_the_backup(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active(ZONES[1])
    cloudhsm.add_user(cluster_id, "worker", "Password1")
    for hsm in cloudhsm.hsms(cluster_id):
        cloudhsm.remove_hsm(cluster_id, hsm["HsmId"])
    assert cloudhsm.cluster(cluster_id)["State"] == "ACTIVE"
    cloudhsm.add_hsm(cluster_id)
    assert cloudhsm.users(cluster_id)["worker"]["cluster-coverage"] == "full"
    cloudhsm.as_admin(cluster_id, "user-delete", new_username="worker", role="crypto-user")


def test_a_backup_in_progress_can_restore_an_hsm(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active()
    cloudhsm.timings.create_backup = 100_000
    cloudhsm.add_user(cluster_id, "worker", "Password1")
    cloudhsm.remove_hsm(cluster_id, cloudhsm.hsms(cluster_id)[0]["HsmId"])
    assert cloudhsm.backups()[-1]["BackupState"] == "CREATE_IN_PROGRESS"
    cloudhsm.add_hsm(cluster_id)
    assert "worker" in cloudhsm.users(cluster_id)


def test_a_degraded_hsm_is_not_backed_up(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active()
    cloudhsm.add_user(cluster_id, "worker", "Password1")
    (hsm,) = cloudhsm.hsms(cluster_id)
    cloudhsm.provider.degrade_hsm(hsm["HsmId"])
    before = len(cloudhsm.backups())
    cloudhsm.remove_hsm(cluster_id, hsm["HsmId"])
    assert len(cloudhsm.backups()) == before
    cloudhsm.add_hsm(cluster_id)
    assert "worker" not in cloudhsm.users(cluster_id)


def test_create_hsm_requires_a_backup_in_an_active_empty_cluster(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active()
    cloudhsm.remove_hsm(cluster_id, cloudhsm.hsms(cluster_id)[0]["HsmId"])
    for backup in cloudhsm.backups():
        cloudhsm.call("DeleteBackup", BackupId=backup["BackupId"])
    with pytest.raises(ApiError, match="no backup to restore"):
        cloudhsm.add_hsm(cluster_id)


def test_a_cluster_from_a_backup_is_active_and_empty_with_the_same_certificate(
    cloudhsm: CloudHsm,
) -> None:
    first = cloudhsm.active()
    cloudhsm.add_user(first, "worker", "Password1")
    original = cloudhsm.cluster(first)["Certificates"]["ClusterCertificate"]
    cloudhsm.remove_hsm(first, cloudhsm.hsms(first)[0]["HsmId"])
    backup = cloudhsm.backups()[-1]["BackupId"]
    second = cloudhsm.create(SourceBackupId=backup)
    assert cloudhsm.cluster(second)["State"] == "CREATE_IN_PROGRESS"
    cloudhsm.wait(cloudhsm.timings.create_cluster)
    cluster = cloudhsm.cluster(second)
    assert cluster["State"] == "ACTIVE"
    assert cluster["Hsms"] == []
    assert cluster["SourceBackupId"] == backup
    assert cluster["Certificates"]["ClusterCertificate"] == original
    assert "ClusterCsr" not in cluster["Certificates"]
    with pytest.raises(ApiError, match="ACTIVE, not UNINITIALIZED"):
        cloudhsm.call("InitializeCluster", ClusterId=second, SignedCert="x", TrustAnchor="x")
    cloudhsm.add_hsm(second)
    cloudhsm.add_hsm(second, ZONES[1])
    assert cloudhsm.users(second)["worker"]["cluster-coverage"] == "full"
    with pytest.raises(ApiError, match="already activated"):
        cloudhsm.client(second, "activate", password=PASSWORD)


def test_backups_outlive_their_cluster(cloudhsm: CloudHsm) -> None:
    first = cloudhsm.active()
    cloudhsm.remove_hsm(first, cloudhsm.hsms(first)[0]["HsmId"])
    cloudhsm.call("DeleteCluster", ClusterId=first)
    cloudhsm.wait(cloudhsm.timings.delete_cluster + cloudhsm.timings.deleted_visible)
    backup = cloudhsm.backups(clusterIds=[first])[-1]
    second = cloudhsm.uninitialized(SourceBackupId=backup["BackupArn"])
    assert cloudhsm.cluster(second)["State"] == "ACTIVE"


def test_create_cluster_requires_a_ready_backup_of_the_same_mode(cloudhsm: CloudHsm) -> None:
    cloudhsm.active()
    backup = cloudhsm.backups()[0]["BackupId"]
    with pytest.raises(ApiError, match="FIPS mode, not NON_FIPS") as error:
        cloudhsm.create(SourceBackupId=backup, Mode="NON_FIPS")
    assert error.value.code == "CloudHsmInvalidRequestException"
    with pytest.raises(ApiError, match="Mode is required"):
        cloudhsm.create(SourceBackupId=backup, Mode=None)
    cloudhsm.call("DeleteBackup", BackupId=backup)
    with pytest.raises(ApiError, match="PENDING_DELETION, not READY") as error:
        cloudhsm.create(SourceBackupId=backup)
    assert error.value.code == "CloudHsmInvalidRequestException"


def test_create_cluster_rejects_a_backup_in_progress(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active()
    cloudhsm.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[1])
    with pytest.raises(ApiError, match="CREATE_IN_PROGRESS, not READY"):
        cloudhsm.create(SourceBackupId=cloudhsm.backups()[-1]["BackupId"])


def test_an_hsm1_backup_can_become_hsm2m_but_not_vice_versa() -> None:
    cloudhsm = CloudHsm(assumptions=Assumptions(year=2024))
    cloudhsm.active(HsmType="hsm1.medium")
    assert cloudhsm.create(SourceBackupId=cloudhsm.backups()[0]["BackupId"])
    cloudhsm = CloudHsm(assumptions=Assumptions(year=2024))
    cloudhsm.active()
    with pytest.raises(ApiError, match=r"is of hsm2m\.medium HSMs"):
        cloudhsm.create(SourceBackupId=cloudhsm.backups()[0]["BackupId"], HsmType="hsm1.medium")


def test_an_unknown_backup_is_not_found(cloudhsm: CloudHsm) -> None:
    with pytest.raises(ApiError) as error:
        cloudhsm.create(SourceBackupId="backup-22222222222")
    assert error.value.code == "CloudHsmResourceNotFoundException"


def test_a_shared_backup_is_listed_as_shared_and_referenced_by_arn(
    cloudhsm: CloudHsm,
) -> None:
    shared = cloudhsm.provider.share_backup("Theirs12345")
    assert cloudhsm.backups() == []
    (backup,) = cloudhsm.call("DescribeBackups", Shared=True)["Backups"]
    assert backup["BackupArn"] == shared["BackupArn"]
    assert ":999999999999:" in backup["BackupArn"]
    for action in ("DeleteBackup", "RestoreBackup"):
        with pytest.raises(ApiError, match="does not exist"):
            cloudhsm.call(action, BackupId=backup["BackupId"])
    with pytest.raises(ApiError, match="does not exist"):
        cloudhsm.call("ListTags", ResourceId=backup["BackupId"])
    with pytest.raises(ApiError, match="does not exist"):
        cloudhsm.create(SourceBackupId=backup["BackupId"])
    cluster_id = cloudhsm.uninitialized(SourceBackupId=shared["BackupArn"])
    assert cloudhsm.cluster(cluster_id)["State"] == "ACTIVE"
    cloudhsm.add_hsm(cluster_id)
    listed = cloudhsm.client(cluster_id, "user-list", ca=shared["TrustAnchor"])["users"]
    assert [user["role"] for user in listed] == ["admin", "internal(APPLIANCE_USER)"]


def test_a_deleted_backup_can_be_restored_for_7_days(cloudhsm: CloudHsm) -> None:
    cloudhsm.active()
    backup = cloudhsm.backups()[0]["BackupId"]
    with pytest.raises(ApiError, match="READY, not PENDING_DELETION"):
        cloudhsm.call("RestoreBackup", BackupId=backup)
    shown = cloudhsm.call("DeleteBackup", BackupId=backup)["Backup"]
    assert shown["BackupState"] == "PENDING_DELETION"
    assert shown["DeleteTimestamp"] == cloudhsm.clock.now() + 7 * DAY
    with pytest.raises(ApiError, match="PENDING_DELETION, not READY"):
        cloudhsm.call("DeleteBackup", BackupId=backup)
    cloudhsm.wait(7 * DAY - 1)
    shown = cloudhsm.call("RestoreBackup", BackupId=backup)["Backup"]
    assert shown["BackupState"] == "READY"
    assert "DeleteTimestamp" not in shown
    cloudhsm.wait(2)
    cloudhsm.call("DeleteBackup", BackupId=backup)
    cloudhsm.wait(7 * DAY)
    assert cloudhsm.backups(backupIds=[backup]) == []


def test_an_active_cluster_with_an_hsm_is_backed_up_every_day(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active()
    cloudhsm.wait(3 * DAY)
    times = [backup["CreateTimestamp"] for backup in cloudhsm.backups()]
    assert [later - times[0] for later in times] == [0, DAY, 2 * DAY, 3 * DAY]
    cloudhsm.remove_hsm(cluster_id, cloudhsm.hsms(cluster_id)[0]["HsmId"])
    count = len(cloudhsm.backups())
    cloudhsm.wait(3 * DAY)
    assert len(cloudhsm.backups()) == count


def test_backups_expire_except_the_latest(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active(BackupRetentionPolicy={"Type": "DAYS", "Value": "7"})
    cloudhsm.remove_hsm(cluster_id, cloudhsm.hsms(cluster_id)[0]["HsmId"])
    assert len(cloudhsm.backups()) == 2
    latest = cloudhsm.backups()[-1]["BackupId"]
    cloudhsm.wait(7 * DAY)
    assert [backup["BackupId"] for backup in cloudhsm.backups()] == [latest]
    cloudhsm.wait(400 * DAY)
    assert [backup["BackupId"] for backup in cloudhsm.backups()] == [latest]


def test_a_shorter_retention_applies_to_existing_backups(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active()
    cloudhsm.remove_hsm(cluster_id, cloudhsm.hsms(cluster_id)[0]["HsmId"])
    cloudhsm.wait(10 * DAY)
    assert len(cloudhsm.backups()) == 2
    policy = {"Type": "DAYS", "Value": "7"}
    cloudhsm.call("ModifyCluster", ClusterId=cluster_id, BackupRetentionPolicy=policy)
    assert len(cloudhsm.backups()) == 1


def test_backups_are_filtered_sorted_and_paged(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active(ZONES[1])
    old, new = (backup["BackupId"] for backup in cloudhsm.backups())

    def found(**params: object) -> list[str]:
        return [one["BackupId"] for one in cloudhsm.call("DescribeBackups", **params)["Backups"]]

    assert found() == [new, old]
    assert found(SortAscending=True) == [old, new]
    assert found(Filters={"backupIds": [old]}) == [old]
    assert found(Filters={"clusterIds": [cluster_id]}) == [new, old]
    assert found(Filters={"clusterIds": ["cluster-22222222222"]}) == []
    assert found(Filters={"states": ["PENDING_DELETION"]}) == []
    assert found(Filters={"sourceBackupIds": [old]}) == []
    assert found(Filters={"neverExpires": ["true"]}) == []
    assert found(Filters={"neverExpires": ["false"]}) == [new, old]
    page = cloudhsm.call("DescribeBackups", MaxResults=1)
    assert found(MaxResults=1, NextToken=page["NextToken"]) == [old]


def test_a_longer_retention_applies_to_existing_backups(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active(BackupRetentionPolicy={"Type": "DAYS", "Value": "7"})
    cloudhsm.remove_hsm(cluster_id, cloudhsm.hsms(cluster_id)[0]["HsmId"])
    policy = {"Type": "DAYS", "Value": "20"}
    cloudhsm.call("ModifyCluster", ClusterId=cluster_id, BackupRetentionPolicy=policy)
    cloudhsm.wait(19 * DAY)
    assert len(cloudhsm.backups()) == 2
    cloudhsm.wait(DAY)
    assert len(cloudhsm.backups()) == 1


def test_a_deleted_cluster_is_no_longer_backed_up(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active()
    cloudhsm.remove_hsm(cluster_id, cloudhsm.hsms(cluster_id)[0]["HsmId"])
    cloudhsm.call("DeleteCluster", ClusterId=cluster_id)
    cloudhsm.timings.deleted_visible = 10 * DAY
    cloudhsm.wait(3 * DAY)
    assert cloudhsm.cluster(cluster_id)["State"] == "DELETED"
    assert len(cloudhsm.backups()) == 2
