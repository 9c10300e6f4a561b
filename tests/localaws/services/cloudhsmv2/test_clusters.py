from __future__ import annotations

import re
from typing import Any

import pytest

from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2.settings import Assumptions, Quotas
from tests.localaws.services.cloudhsm import START, ZONES, CloudHsm


def test_a_new_cluster_is_uninitialized_and_empty(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.create()
    assert re.fullmatch(r"cluster-[2-7a-zA-Z]{11,16}", cluster_id)
    cluster = cloudhsm.cluster(cluster_id)
    assert cluster["State"] == "CREATE_IN_PROGRESS"
    cloudhsm.wait(cloudhsm.timings.create_cluster - 1)
    assert cloudhsm.cluster(cluster_id)["State"] == "CREATE_IN_PROGRESS"
    cloudhsm.wait(1)
    cluster = cloudhsm.cluster(cluster_id)
    assert cluster["State"] == "UNINITIALIZED"
    assert cluster["Hsms"] == []
    assert cluster["Certificates"] == {}
    assert cluster["CreateTimestamp"] == START
    assert cluster["Mode"] == "FIPS"
    assert cluster["HsmType"] == "hsm2m.medium"
    assert cluster["NetworkType"] == "IPV4"
    assert cluster["VpcId"] == "vpc-0"
    assert cluster["BackupPolicy"] == "DEFAULT"
    assert cluster["BackupRetentionPolicy"] == {"Type": "DAYS", "Value": "90"}
    assert list(cluster["SubnetMapping"]) == list(ZONES)


def test_create_cluster_creates_a_security_group_named_after_the_cluster(
    cloudhsm: CloudHsm,
) -> None:
    cluster_id = cloudhsm.create()
    group = cloudhsm.cluster(cluster_id)["SecurityGroup"]
    assert cloudhsm.network.groups == {group: f"cloudhsm-{cluster_id}-sg"}


INVALID: dict[str, list[dict[str, Any]]] = {
    "Mode is required": [{"Mode": None}],
    "Mode 'SOME' does not match": [{"Mode": "SOME"}],
    "HsmType is required": [{"HsmType": None}],
    "HsmType 'hsm9.large' does not match": [{"HsmType": "hsm9.large"}],
    "can no longer be created": [{"HsmType": "hsm1.medium"}],
    "NetworkType 'IPV6' does not match": [{"NetworkType": "IPV6"}],
    "1 to 10 subnets": [
        {"SubnetIds": []},
        {"SubnetIds": [f"subnet-000000{n:02}" for n in range(11)]},
    ],
    "'subnet-0000dead' does not exist": [{"SubnetIds": ["subnet-0000dead"]}],
    "More than one subnet": [{"SubnetIds": ["subnet-0000000a", "subnet-000000a2"]}],
    "same VPC": [{"SubnetIds": ["subnet-0000000a", "subnet-0000001b"]}],
    "7 to 379": [
        {"BackupRetentionPolicy": {"Type": "DAYS", "Value": "6"}},
        {"BackupRetentionPolicy": {"Type": "DAYS", "Value": "380"}},
    ],
    "Type DAYS and a Value that is a string": [
        {"BackupRetentionPolicy": {"Type": "DAYS", "Value": 90}},
        {"BackupRetentionPolicy": {"Type": "WEEKS", "Value": "90"}},
    ],
    "1 to 50 tags": [{"TagList": []}],
    "SourceBackupId 'backup-1' does not match": [{"SourceBackupId": "backup-1"}],
}


def test_an_invalid_request_creates_nothing(cloudhsm: CloudHsm) -> None:
    for message, invalid in INVALID.items():
        for overrides in invalid:
            with pytest.raises(ApiError, match=message) as error:
                cloudhsm.create(**overrides)
            assert error.value.code == "CloudHsmInvalidRequestException"
    assert cloudhsm.call("DescribeClusters")["Clusters"] == []
    assert cloudhsm.network.groups == {}


def test_hsm1_clusters_can_be_created_until_2024_without_a_mode() -> None:
    cloudhsm = CloudHsm(assumptions=Assumptions(year=2024))
    cluster = cloudhsm.cluster(cloudhsm.create(HsmType="hsm1.medium", Mode=None))
    assert (cluster["HsmType"], cluster["Mode"]) == ("hsm1.medium", "FIPS")
    with pytest.raises(ApiError, match="FIPS mode only"):
        cloudhsm.create(HsmType="hsm1.medium", Mode="NON_FIPS")


def test_backups_can_be_retained_for_7_to_379_days(cloudhsm: CloudHsm) -> None:
    for days in ("7", "379"):
        policy = {"Type": "DAYS", "Value": days}
        cluster_id = cloudhsm.create(BackupRetentionPolicy=policy)
        assert cloudhsm.cluster(cluster_id)["BackupRetentionPolicy"] == policy


def test_a_cluster_is_tagged_at_creation(cloudhsm: CloudHsm) -> None:
    tags = [{"Key": "one", "Value": "1"}, {"Key": "two", "Value": ""}]
    assert cloudhsm.cluster(cloudhsm.create(TagList=tags))["TagList"] == tags


def test_a_fifth_cluster_is_rejected_with_the_assumed_code() -> None:
    for code in ("CloudHsmInvalidRequestException", "CloudHsmResourceLimitExceededException"):
        cloudhsm = CloudHsm(assumptions=Assumptions(quota_code=code))
        for _ in range(4):
            cloudhsm.create()
        with pytest.raises(ApiError, match="limit of 4 clusters") as error:
            cloudhsm.create()
        assert error.value.code == code


def test_a_deleted_cluster_does_not_count_against_the_quota() -> None:
    cloudhsm = CloudHsm(quotas=Quotas(clusters=1))
    cluster_id = cloudhsm.uninitialized()
    cloudhsm.call("DeleteCluster", ClusterId=cluster_id)
    with pytest.raises(ApiError, match="limit"):
        cloudhsm.create()
    cloudhsm.wait(cloudhsm.timings.delete_cluster)
    cloudhsm.create()


def test_a_deleted_cluster_is_described_for_a_while(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.uninitialized()
    assert cloudhsm.call("DeleteCluster", ClusterId=cluster_id)["Cluster"]["State"] == (
        "DELETE_IN_PROGRESS"
    )
    cloudhsm.wait(cloudhsm.timings.delete_cluster)
    assert cloudhsm.cluster(cluster_id)["State"] == "DELETED"
    assert cloudhsm.network.groups == {}
    cloudhsm.wait(cloudhsm.timings.deleted_visible)
    response = cloudhsm.call("DescribeClusters", Filters={"clusterIds": [cluster_id]})
    assert response == {"Clusters": []}


def test_operations_do_not_find_a_deleted_or_unknown_cluster(cloudhsm: CloudHsm) -> None:
    deleted = cloudhsm.uninitialized()
    cloudhsm.call("DeleteCluster", ClusterId=deleted)
    cloudhsm.wait(cloudhsm.timings.delete_cluster)
    for action in ("DeleteCluster", "InitializeCluster", "ModifyCluster"):
        for cluster_id in (deleted, "cluster-22222222222"):
            with pytest.raises(ApiError, match="does not exist") as error:
                cloudhsm.call(action, ClusterId=cluster_id, HsmType="hsm2m.medium")
            assert error.value.code == "CloudHsmResourceNotFoundException"


def test_a_cluster_with_hsms_cannot_be_deleted(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.with_csr()
    with pytest.raises(ApiError, match="contains HSMs"):
        cloudhsm.call("DeleteCluster", ClusterId=cluster_id)


def test_a_deleted_hsm_blocks_delete_cluster_after_it_is_no_longer_listed(
    cloudhsm: CloudHsm,
) -> None:
    cluster_id = cloudhsm.with_csr()
    cloudhsm.call("DeleteHsm", ClusterId=cluster_id, HsmId=cloudhsm.hsms(cluster_id)[0]["HsmId"])
    cloudhsm.wait(cloudhsm.timings.delete_hsm)
    assert cloudhsm.states(cluster_id) == ["DELETED"]
    cloudhsm.wait(cloudhsm.timings.deleted_hsm_visible)
    assert cloudhsm.states(cluster_id) == []
    with pytest.raises(ApiError, match="contains HSMs") as error:
        cloudhsm.call("DeleteCluster", ClusterId=cluster_id)
    assert error.value.code == "CloudHsmInvalidRequestException"
    cloudhsm.wait(cloudhsm.timings.deleted_hsm_lingers)
    cloudhsm.call("DeleteCluster", ClusterId=cluster_id)


def test_a_deleted_hsm_may_block_nothing() -> None:
    cloudhsm = CloudHsm(assumptions=Assumptions(deleted_hsms_linger=False))
    cluster_id = cloudhsm.with_csr()
    cloudhsm.call("DeleteHsm", ClusterId=cluster_id, HsmId=cloudhsm.hsms(cluster_id)[0]["HsmId"])
    cloudhsm.wait(cloudhsm.timings.delete_hsm)
    assert cloudhsm.call("DeleteCluster", ClusterId=cluster_id)["Cluster"]["State"] == (
        "DELETE_IN_PROGRESS"
    )


def test_a_degraded_cluster_takes_hsms_until_it_recovers(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active()
    cloudhsm.provider.degrade_cluster(cluster_id)
    cluster = cloudhsm.cluster(cluster_id)
    assert (cluster["State"], cluster["StateMessage"]) == (
        "DEGRADED",
        "The cluster is not responding.",
    )
    with pytest.raises(ApiError, match="DEGRADED"):
        cloudhsm.call("ModifyCluster", ClusterId=cluster_id, HsmType="hsm1.medium")
    cloudhsm.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone="us-east-1b")
    cloudhsm.wait(cloudhsm.timings.create_hsm)
    assert cloudhsm.cluster(cluster_id)["State"] == "ACTIVE"


def test_a_cluster_in_progress_cannot_be_deleted(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.create()
    with pytest.raises(ApiError, match="CREATE_IN_PROGRESS"):
        cloudhsm.call("DeleteCluster", ClusterId=cluster_id)
    cloudhsm.wait(cloudhsm.timings.create_cluster)
    cloudhsm.call("DeleteCluster", ClusterId=cluster_id)
    with pytest.raises(ApiError, match="DELETE_IN_PROGRESS"):
        cloudhsm.call("DeleteCluster", ClusterId=cluster_id)


def test_a_cluster_whose_security_group_is_in_use_is_not_deleted_and_gives_the_reason(
    cloudhsm: CloudHsm,
) -> None:
    cluster_id = cloudhsm.uninitialized()
    group = cloudhsm.cluster(cluster_id)["SecurityGroup"]
    cloudhsm.network.groups_in_use.add(group)
    cloudhsm.call("DeleteCluster", ClusterId=cluster_id)
    cloudhsm.wait(cloudhsm.timings.delete_cluster)
    cluster = cloudhsm.cluster(cluster_id)
    assert cluster["State"] == "UNINITIALIZED"
    assert group in cluster["StateMessage"]
    cloudhsm.network.groups_in_use.clear()
    cloudhsm.call("DeleteCluster", ClusterId=cluster_id)
    cloudhsm.wait(cloudhsm.timings.delete_cluster)
    assert cloudhsm.cluster(cluster_id)["State"] == "DELETED"


def test_clusters_are_filtered_by_id_vpc_and_state(cloudhsm: CloudHsm) -> None:
    first = cloudhsm.uninitialized()
    second = cloudhsm.create(SubnetIds=["subnet-0000001b"])

    def found(**filters: list[str]) -> list[str]:
        clusters = cloudhsm.call("DescribeClusters", Filters=filters)["Clusters"]
        return [cluster["ClusterId"] for cluster in clusters]

    assert found() == [first, second]
    assert found(clusterIds=[second, "cluster-22222222222"]) == [second]
    assert found(vpcIds=["vpc-0"]) == [first]
    assert found(states=["CREATE_IN_PROGRESS"]) == [second]
    assert found(clusterIds=[first], states=["ACTIVE"]) == []
    with pytest.raises(ApiError, match="Unknown filters: names"):
        found(names=["any"])


def test_clusters_come_in_pages_of_25() -> None:
    cloudhsm = CloudHsm(quotas=Quotas(clusters=60))
    created = [cloudhsm.create() for _ in range(60)]
    seen: list[str] = []
    sizes: list[int] = []
    token: str | None = None
    while True:
        page = cloudhsm.call("DescribeClusters", **({"NextToken": token} if token else {}))
        sizes.append(len(page["Clusters"]))
        seen += [cluster["ClusterId"] for cluster in page["Clusters"]]
        token = page.get("NextToken")
        if token is None:
            break
    assert seen == created
    assert sizes == [25, 25, 10]


def test_an_invalid_page_is_rejected(cloudhsm: CloudHsm) -> None:
    for params in ({"MaxResults": 0}, {"MaxResults": 26}, {"NextToken": "x"}):
        with pytest.raises(ApiError) as error:
            cloudhsm.call("DescribeClusters", **params)
        assert error.value.code == "CloudHsmInvalidRequestException"
