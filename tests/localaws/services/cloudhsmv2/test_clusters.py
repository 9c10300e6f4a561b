from __future__ import annotations

import re
from typing import Any

import pytest

from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2.settings import Assumptions, Quotas
from tests.localaws.services.cloudhsm import START, ZONES, CloudHsm


def test_a_cluster_comes_up_uninitialized_and_empty(cloudhsm: CloudHsm) -> None:
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


def test_the_service_makes_a_security_group_named_after_the_cluster(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.create()
    group = cloudhsm.cluster(cluster_id)["SecurityGroup"]
    assert cloudhsm.network.groups == {group: f"cloudhsm-{cluster_id}-sg"}


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"Mode": None}, "Mode is required"),
        ({"Mode": "SOME"}, "Mode"),
        ({"HsmType": None}, "HsmType is required"),
        ({"HsmType": "hsm9.large"}, "HsmType"),
        ({"HsmType": "hsm1.medium"}, "can no longer be created"),
        ({"NetworkType": "IPV6"}, "NetworkType"),
        ({"SubnetIds": []}, "1 to 10 subnets"),
        ({"SubnetIds": [f"subnet-000000{n:02}" for n in range(11)]}, "1 to 10 subnets"),
        ({"SubnetIds": ["subnet-0000dead"]}, "does not exist"),
        ({"SubnetIds": ["subnet-0000000a", "subnet-000000a2"]}, "More than one subnet"),
        ({"SubnetIds": ["subnet-0000000a", "subnet-0000001b"]}, "same VPC"),
        ({"BackupRetentionPolicy": {"Type": "DAYS", "Value": "6"}}, "7 to 379"),
        ({"BackupRetentionPolicy": {"Type": "DAYS", "Value": "380"}}, "7 to 379"),
        ({"BackupRetentionPolicy": {"Type": "DAYS", "Value": 90}}, "string"),
        ({"BackupRetentionPolicy": {"Type": "WEEKS", "Value": "90"}}, "DAYS"),
        ({"TagList": []}, "1 to 50 tags"),
        ({"SourceBackupId": "backup-1"}, "SourceBackupId"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_and_makes_nothing(
    cloudhsm: CloudHsm, overrides: dict[str, Any], words: str
) -> None:
    with pytest.raises(ApiError, match=words) as refusal:
        cloudhsm.create(**overrides)
    assert refusal.value.code == "CloudHsmInvalidRequestException"
    assert cloudhsm.call("DescribeClusters")["Clusters"] == []
    assert cloudhsm.network.groups == {}


def test_hsm1_clusters_were_made_until_2024_and_need_no_mode() -> None:
    cloudhsm = CloudHsm(assumptions=Assumptions(year=2024))
    cluster = cloudhsm.cluster(cloudhsm.create(HsmType="hsm1.medium", Mode=None))
    assert (cluster["HsmType"], cluster["Mode"]) == ("hsm1.medium", "FIPS")
    with pytest.raises(ApiError, match="FIPS mode only"):
        cloudhsm.create(HsmType="hsm1.medium", Mode="NON_FIPS")


@pytest.mark.parametrize("days", ["7", "379"])
def test_backups_may_be_retained_for_7_to_379_days(cloudhsm: CloudHsm, days: str) -> None:
    policy = {"Type": "DAYS", "Value": days}
    cluster_id = cloudhsm.create(BackupRetentionPolicy=policy)
    assert cloudhsm.cluster(cluster_id)["BackupRetentionPolicy"] == policy


def test_tags_are_there_from_the_creation_on(cloudhsm: CloudHsm) -> None:
    tags = [{"Key": "one", "Value": "1"}, {"Key": "two", "Value": ""}]
    assert cloudhsm.cluster(cloudhsm.create(TagList=tags))["TagList"] == tags


@pytest.mark.parametrize(
    "code", ["CloudHsmInvalidRequestException", "CloudHsmResourceLimitExceededException"]
)
def test_a_fifth_cluster_is_refused(code: str) -> None:
    cloudhsm = CloudHsm(assumptions=Assumptions(quota_code=code))
    for _ in range(4):
        cloudhsm.create()
    with pytest.raises(ApiError, match="limit of 4 clusters") as refusal:
        cloudhsm.create()
    assert refusal.value.code == code


def test_a_deleted_cluster_does_not_count_against_the_quota() -> None:
    cloudhsm = CloudHsm(quotas=Quotas(clusters=1))
    cluster_id = cloudhsm.uninitialized()
    cloudhsm.call("DeleteCluster", ClusterId=cluster_id)
    with pytest.raises(ApiError, match="limit"):
        cloudhsm.create()
    cloudhsm.wait(cloudhsm.timings.delete_cluster)
    cloudhsm.create()


def test_a_deleted_cluster_is_seen_for_a_while_and_then_no_more(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.uninitialized()
    assert cloudhsm.call("DeleteCluster", ClusterId=cluster_id)["Cluster"]["State"] == (
        "DELETE_IN_PROGRESS"
    )
    cloudhsm.wait(cloudhsm.timings.delete_cluster)
    assert cloudhsm.cluster(cluster_id)["State"] == "DELETED"
    assert cloudhsm.network.groups == {}
    cloudhsm.wait(cloudhsm.timings.deleted_visible)
    answer = cloudhsm.call("DescribeClusters", Filters={"clusterIds": [cluster_id]})
    assert answer == {"Clusters": []}


@pytest.mark.parametrize("action", ["DeleteCluster", "InitializeCluster", "ModifyCluster"])
def test_nothing_can_be_done_to_a_cluster_that_is_deleted_or_was_never_there(
    cloudhsm: CloudHsm, action: str
) -> None:
    cluster_id = cloudhsm.uninitialized()
    cloudhsm.call("DeleteCluster", ClusterId=cluster_id)
    cloudhsm.wait(cloudhsm.timings.delete_cluster)
    for gone in (cluster_id, "cluster-22222222222"):
        with pytest.raises(ApiError, match="does not exist") as refusal:
            cloudhsm.call(action, ClusterId=gone, HsmType="hsm2m.medium")
        assert refusal.value.code == "CloudHsmResourceNotFoundException"


def test_a_cluster_with_hsms_cannot_be_deleted(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.with_csr()
    with pytest.raises(ApiError, match="contains HSMs"):
        cloudhsm.call("DeleteCluster", ClusterId=cluster_id)


def test_an_hsm_lingers_after_it_has_gone_from_the_list(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.with_csr()
    cloudhsm.call("DeleteHsm", ClusterId=cluster_id, HsmId=cloudhsm.hsms(cluster_id)[0]["HsmId"])
    cloudhsm.wait(cloudhsm.timings.delete_hsm)
    assert cloudhsm.states(cluster_id) == ["DELETED"]
    cloudhsm.wait(cloudhsm.timings.deleted_hsm_visible)
    assert cloudhsm.states(cluster_id) == []
    with pytest.raises(ApiError, match="contains HSMs") as refusal:
        cloudhsm.call("DeleteCluster", ClusterId=cluster_id)
    assert refusal.value.code == "CloudHsmInvalidRequestException"
    cloudhsm.wait(cloudhsm.timings.deleted_hsm_lingers)
    cloudhsm.call("DeleteCluster", ClusterId=cluster_id)


def test_a_cluster_that_is_being_created_or_deleted_cannot_be_deleted(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.create()
    with pytest.raises(ApiError, match="CREATE_IN_PROGRESS"):
        cloudhsm.call("DeleteCluster", ClusterId=cluster_id)
    cloudhsm.wait(cloudhsm.timings.create_cluster)
    cloudhsm.call("DeleteCluster", ClusterId=cluster_id)
    with pytest.raises(ApiError, match="DELETE_IN_PROGRESS"):
        cloudhsm.call("DeleteCluster", ClusterId=cluster_id)


def test_a_cluster_whose_group_is_in_use_stays_and_says_why(cloudhsm: CloudHsm) -> None:
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
    made = [cloudhsm.create() for _ in range(60)]
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
    assert seen == made
    assert sizes == [25, 25, 10]


@pytest.mark.parametrize("params", [{"MaxResults": 0}, {"MaxResults": 26}, {"NextToken": "x"}])
def test_a_page_that_cannot_be_is_refused(cloudhsm: CloudHsm, params: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as refusal:
        cloudhsm.call("DescribeClusters", **params)
    assert refusal.value.code == "CloudHsmInvalidRequestException"
