from __future__ import annotations

import re

import pytest

from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2 import Quotas
from tests.localaws.services.region import PASSWORD, ZONES, Life


def test_an_hsm_becomes_active_in_its_zone(life: Life) -> None:
    cluster_id = life.uninitialized()
    made = life.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[1])["Hsm"]
    assert re.fullmatch(r"hsm-[2-7a-zA-Z]{11,16}", made["HsmId"])
    assert made["State"] == "CREATE_IN_PROGRESS"
    life.wait(life.timings.create_hsm - 1)
    assert life.states(cluster_id) == ["CREATE_IN_PROGRESS"]
    life.wait(1)
    (hsm,) = life.hsms(cluster_id)
    assert hsm["State"] == "ACTIVE"
    assert hsm["AvailabilityZone"] == ZONES[1]
    assert hsm["SubnetId"] == "subnet-0000000b"
    assert hsm["ClusterId"] == cluster_id
    assert life.network.enis[hsm["EniId"]][2] == hsm["EniIp"]


def test_an_hsm_needs_a_zone_in_which_the_cluster_has_a_subnet(life: Life) -> None:
    cluster_id = life.uninitialized(SubnetIds=["subnet-0000000a"])
    with pytest.raises(ApiError, match="no subnet in us-east-1b"):
        life.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[1])
    with pytest.raises(ApiError, match="AvailabilityZone"):
        life.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone="somewhere")


def test_a_second_hsm_before_activation_is_refused(life: Life) -> None:
    words = "already contains an HSM but has not yet been fully activated"
    cluster_id = life.uninitialized()
    life.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[0])
    for step in (life.timings.create_hsm, 0):
        with pytest.raises(ApiError, match=f"Cluster '{cluster_id}' {words}") as refusal:
            life.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[1])
        assert refusal.value.code == "CloudHsmInvalidRequestException"
        life.wait(step)
    life.initialize(cluster_id)
    with pytest.raises(ApiError, match="INITIALIZE_IN_PROGRESS"):
        life.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[1])
    life.wait(life.timings.initialize)
    with pytest.raises(ApiError, match=words):
        life.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[1])
    life.client(cluster_id, "activate", password=PASSWORD)
    with pytest.raises(ApiError, match=words):
        life.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[1])
    life.wait(life.timings.activate)
    life.add_hsm(cluster_id, ZONES[1])
    assert life.states(cluster_id) == ["ACTIVE", "ACTIVE"]


def test_a_cluster_that_is_not_there_yet_takes_no_hsm(life: Life) -> None:
    with pytest.raises(ApiError, match="CREATE_IN_PROGRESS"):
        life.call("CreateHsm", ClusterId=life.create(), AvailabilityZone=ZONES[0])


def test_the_csr_is_there_once_the_first_hsm_is_active(life: Life) -> None:
    cluster_id = life.uninitialized()
    life.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[0])
    assert life.cluster(cluster_id)["Certificates"] == {}
    life.wait(life.timings.create_hsm)
    assert "ClusterCsr" in life.cluster(cluster_id)["Certificates"]


def test_a_first_hsm_that_is_made_again_has_another_csr(life: Life) -> None:
    cluster_id = life.with_csr()
    first = life.cluster(cluster_id)["Certificates"]["ClusterCsr"]
    life.remove_hsm(cluster_id, life.hsms(cluster_id)[0]["HsmId"])
    assert life.cluster(cluster_id)["Certificates"] == {}
    life.add_hsm(cluster_id)
    assert life.cluster(cluster_id)["Certificates"]["ClusterCsr"] != first


def test_a_first_hsm_that_aws_replaces_has_another_csr(life: Life) -> None:
    cluster_id = life.with_csr()
    first = life.cluster(cluster_id)["Certificates"]["ClusterCsr"]
    life.region.replace_hsm(life.hsms(cluster_id)[0]["HsmId"])
    assert life.cluster(cluster_id)["Certificates"]["ClusterCsr"] != first


def test_a_replaced_hsm_keeps_interface_and_address_but_not_its_id(life: Life) -> None:
    cluster_id = life.active()
    (before,) = life.hsms(cluster_id)
    new_id = life.region.replace_hsm(before["HsmId"])
    (after,) = life.hsms(cluster_id)
    assert after == {**before, "HsmId": new_id}
    assert new_id != before["HsmId"]
    assert life.users(cluster_id)["admin"]["role"] == "admin"


def test_a_replaced_hsm_has_the_users_of_the_latest_backup(life: Life) -> None:
    cluster_id = life.active()
    life.add_user(cluster_id, "late", "Password1")
    life.region.replace_hsm(life.hsms(cluster_id)[0]["HsmId"])
    assert "late" not in life.users(cluster_id)


def test_an_hsm_that_comes_or_goes_cannot_be_replaced(life: Life) -> None:
    cluster_id = life.uninitialized()
    made = life.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[0])["Hsm"]
    with pytest.raises(ApiError, match="CREATE_IN_PROGRESS"):
        life.region.replace_hsm(made["HsmId"])
    with pytest.raises(ApiError, match="does not exist"):
        life.region.replace_hsm("hsm-22222222222")


def test_an_hsm_that_comes_up_degraded_brings_no_csr_and_can_be_deleted(life: Life) -> None:
    life.faults.plant({"hsm": "DEGRADED"})
    cluster_id = life.with_csr()
    (hsm,) = life.hsms(cluster_id)
    assert hsm["State"] == "DEGRADED"
    assert life.cluster(cluster_id)["Certificates"] == {}
    with pytest.raises(ApiError, match="already contains an HSM"):
        life.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[1])
    life.remove_hsm(cluster_id, hsm["HsmId"])
    assert life.add_hsm(cluster_id, ZONES[1])["State"] == "ACTIVE"
    assert "ClusterCsr" in life.cluster(cluster_id)["Certificates"]


def test_an_hsm_can_become_degraded_later(life: Life) -> None:
    cluster_id = life.active(ZONES[1])
    life.region.degrade_hsm(life.hsms(cluster_id)[0]["HsmId"])
    assert life.states(cluster_id) == ["DEGRADED", "ACTIVE"]


@pytest.mark.parametrize(
    "code", ["CloudHsmInvalidRequestException", "CloudHsmResourceLimitExceededException"]
)
def test_the_account_has_so_many_hsms_in_a_region_and_no_more(code: str) -> None:
    life = Life(quotas=Quotas(hsms=2), quota_code=code)
    first = life.active(ZONES[1])
    second = life.uninitialized()
    with pytest.raises(ApiError, match="limit of 2 HSMs in us-east-1") as refusal:
        life.call("CreateHsm", ClusterId=second, AvailabilityZone=ZONES[0])
    assert refusal.value.code == code
    life.call("DeleteHsm", ClusterId=first, HsmId=life.hsms(first)[0]["HsmId"])
    with pytest.raises(ApiError, match="limit"):
        life.call("CreateHsm", ClusterId=second, AvailabilityZone=ZONES[0])
    life.wait(life.timings.delete_hsm)
    life.call("CreateHsm", ClusterId=second, AvailabilityZone=ZONES[0])


def test_six_hsms_are_the_quota_and_28_the_most_in_one_cluster(life: Life) -> None:
    assert (Quotas().hsms, Quotas().hsms_per_cluster) == (6, 28)
    life = Life(quotas=Quotas(hsms=9, hsms_per_cluster=2))
    cluster_id = life.active(ZONES[1])
    with pytest.raises(ApiError, match=f"limit of 2 HSMs in '{cluster_id}'"):
        life.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[0])


def test_several_hsms_may_be_created_at_once(life: Life) -> None:
    cluster_id = life.active()
    for zone in (ZONES[0], ZONES[1], ZONES[2]):
        life.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=zone)
    life.wait(life.timings.create_hsm)
    assert life.states(cluster_id) == ["ACTIVE"] * 4


def test_or_one_after_the_other_if_aws_reads_it_so() -> None:
    life = Life(concurrent_create=False)
    cluster_id = life.active()
    life.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[1])
    with pytest.raises(ApiError, match="in progress") as refusal:
        life.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[2])
    assert refusal.value.code == "CloudHsmInvalidRequestException"
    life.wait(life.timings.create_hsm)
    life.call("DeleteHsm", ClusterId=cluster_id, HsmId=life.hsms(cluster_id)[1]["HsmId"])
    with pytest.raises(ApiError, match="in progress"):
        life.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[2])
    life.wait(life.timings.delete_hsm)
    life.add_hsm(cluster_id, ZONES[2])


def test_an_address_can_be_asked_for_and_is_otherwise_a_new_one(life: Life) -> None:
    cluster_id = life.active()
    (first,) = life.hsms(cluster_id)
    life.remove_hsm(cluster_id, first["HsmId"])
    assert life.add_hsm(cluster_id)["EniIp"] != first["EniIp"]
    assert life.add_hsm(cluster_id, IpAddress=first["EniIp"])["EniIp"] == first["EniIp"]
    with pytest.raises(ApiError, match="in use") as refusal:
        life.add_hsm(cluster_id, IpAddress=first["EniIp"])
    assert refusal.value.code == "CloudHsmInvalidRequestException"


def test_a_full_subnet_takes_no_hsm(life: Life) -> None:
    cluster_id = life.uninitialized()
    life.network.full_subnets.add("subnet-0000000a")
    with pytest.raises(ApiError, match="full") as refusal:
        life.add_hsm(cluster_id)
    assert refusal.value.code == "CloudHsmInvalidRequestException"
    assert life.hsms(cluster_id) == []


@pytest.mark.parametrize("name", ["HsmId", "EniId", "EniIp"])
def test_an_hsm_is_deleted_by_its_id_its_interface_or_its_address(life: Life, name: str) -> None:
    cluster_id = life.active(ZONES[1])
    _, second = life.hsms(cluster_id)
    answer = life.call("DeleteHsm", ClusterId=cluster_id, **{name: second[name]})
    assert answer == {"HsmId": second["HsmId"]}
    assert life.states(cluster_id) == ["ACTIVE", "DELETE_IN_PROGRESS"]
    assert second["EniId"] in life.network.enis
    life.wait(life.timings.delete_hsm)
    assert life.states(cluster_id) == ["ACTIVE", "DELETED"]
    assert second["EniId"] not in life.network.enis
    life.wait(life.timings.deleted_hsm_visible)
    assert life.states(cluster_id) == ["ACTIVE"]


def test_exactly_one_name_of_an_hsm_must_be_given(life: Life) -> None:
    cluster_id = life.with_csr()
    (hsm,) = life.hsms(cluster_id)
    with pytest.raises(ApiError, match="Exactly one"):
        life.call("DeleteHsm", ClusterId=cluster_id)
    with pytest.raises(ApiError, match="Exactly one"):
        life.call("DeleteHsm", ClusterId=cluster_id, HsmId=hsm["HsmId"], EniId=hsm["EniId"])
    with pytest.raises(ApiError, match="has no HSM") as refusal:
        life.call("DeleteHsm", ClusterId=cluster_id, HsmId="hsm-22222222222")
    assert refusal.value.code == "CloudHsmResourceNotFoundException"


def test_an_hsm_that_comes_or_goes_cannot_be_deleted(life: Life) -> None:
    cluster_id = life.uninitialized()
    made = life.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[0])["Hsm"]
    with pytest.raises(ApiError, match="CREATE_IN_PROGRESS"):
        life.call("DeleteHsm", ClusterId=cluster_id, HsmId=made["HsmId"])
    life.wait(life.timings.create_hsm)
    life.call("DeleteHsm", ClusterId=cluster_id, HsmId=made["HsmId"])
    with pytest.raises(ApiError, match="DELETE_IN_PROGRESS"):
        life.call("DeleteHsm", ClusterId=cluster_id, HsmId=made["HsmId"])
    life.wait(life.timings.delete_hsm)
    with pytest.raises(ApiError, match="has no HSM"):
        life.call("DeleteHsm", ClusterId=cluster_id, HsmId=made["HsmId"])


def test_an_hsm_cannot_be_deleted_while_its_cluster_is_initialized(life: Life) -> None:
    cluster_id = life.with_csr()
    life.initialize(cluster_id)
    with pytest.raises(ApiError, match="INITIALIZE_IN_PROGRESS"):
        life.call("DeleteHsm", ClusterId=cluster_id, HsmId=life.hsms(cluster_id)[0]["HsmId"])


def test_an_initialized_cluster_gets_its_only_hsm_back_and_needs_no_new_certificate(
    life: Life,
) -> None:
    cluster_id = life.initialized()
    certificates = life.cluster(cluster_id)["Certificates"]
    life.remove_hsm(cluster_id, life.hsms(cluster_id)[0]["HsmId"])
    life.add_hsm(cluster_id)
    assert life.cluster(cluster_id)["State"] == "INITIALIZED"
    assert life.cluster(cluster_id)["Certificates"] == certificates
    life.client(cluster_id, "activate", password=PASSWORD)
    life.wait(life.timings.activate)
    assert life.cluster(cluster_id)["State"] == "ACTIVE"


def test_the_first_hsm_brings_the_clusters_log_group(life: Life) -> None:
    cluster_id = life.uninitialized()
    assert life.log_groups == []
    life.add_hsm(cluster_id)
    assert life.log_groups == [f"/aws/cloudhsm/{cluster_id}"]


def test_a_subnet_that_is_gone_takes_no_hsm(life: Life) -> None:
    cluster_id = life.uninitialized()
    del life.network.subnets["subnet-0000000a"]
    with pytest.raises(ApiError, match="does not exist any more"):
        life.add_hsm(cluster_id)
