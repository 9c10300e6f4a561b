from __future__ import annotations

import re

import pytest

from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2.settings import Assumptions, Quotas
from tests.localaws.services.cloudhsm import PASSWORD, ZONES, CloudHsm


def test_create_hsm_does_not_return_the_network_interface_of_an_hsm2m(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.uninitialized()
    created = cloudhsm.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[0])["Hsm"]
    (listed,) = cloudhsm.hsms(cluster_id)
    assert listed.keys() - created.keys() == {"EniId", "EniIp", "SubnetId"}
    assert created["HsmId"] == listed["HsmId"]


def test_an_hsm_becomes_active_in_its_zone(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.uninitialized()
    created = cloudhsm.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[1])["Hsm"]
    assert re.fullmatch(r"hsm-[2-7a-zA-Z]{11,16}", created["HsmId"])
    assert created["State"] == "CREATE_IN_PROGRESS"
    cloudhsm.wait(cloudhsm.timings.create_hsm - 1)
    assert cloudhsm.states(cluster_id) == ["CREATE_IN_PROGRESS"]
    cloudhsm.wait(1)
    (hsm,) = cloudhsm.hsms(cluster_id)
    assert hsm["State"] == "ACTIVE"
    assert hsm["AvailabilityZone"] == ZONES[1]
    assert hsm["SubnetId"] == "subnet-0000000b"
    assert hsm["ClusterId"] == cluster_id
    assert cloudhsm.network.enis[hsm["EniId"]][2] == hsm["EniIp"]


def test_create_hsm_requires_a_zone_with_a_subnet_of_the_cluster(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.uninitialized(SubnetIds=["subnet-0000000a"])
    with pytest.raises(ApiError, match="no subnet in us-east-1b"):
        cloudhsm.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[1])
    with pytest.raises(ApiError, match="AvailabilityZone"):
        cloudhsm.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone="somewhere")


def test_create_hsm_rejects_a_second_hsm_before_activation(cloudhsm: CloudHsm) -> None:
    words = "already contains an HSM but has not yet been fully activated"
    cluster_id = cloudhsm.uninitialized()
    cloudhsm.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[0])
    for step in (cloudhsm.timings.create_hsm, 0):
        with pytest.raises(ApiError, match=f"Cluster '{cluster_id}' {words}") as error:
            cloudhsm.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[1])
        assert error.value.code == "CloudHsmInvalidRequestException"
        cloudhsm.wait(step)
    cloudhsm.initialize(cluster_id)
    with pytest.raises(ApiError, match="INITIALIZE_IN_PROGRESS"):
        cloudhsm.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[1])
    cloudhsm.wait(cloudhsm.timings.initialize)
    with pytest.raises(ApiError, match=words):
        cloudhsm.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[1])
    cloudhsm.client(cluster_id, "activate", password=PASSWORD)
    with pytest.raises(ApiError, match=words):
        cloudhsm.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[1])
    cloudhsm.wait(cloudhsm.timings.activate)
    cloudhsm.add_hsm(cluster_id, ZONES[1])
    assert cloudhsm.states(cluster_id) == ["ACTIVE", "ACTIVE"]


def test_create_hsm_rejects_a_cluster_that_is_being_created(cloudhsm: CloudHsm) -> None:
    with pytest.raises(ApiError, match="CREATE_IN_PROGRESS"):
        cloudhsm.call("CreateHsm", ClusterId=cloudhsm.create(), AvailabilityZone=ZONES[0])


def test_the_csr_exists_once_the_first_hsm_is_active(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.uninitialized()
    cloudhsm.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[0])
    assert cloudhsm.cluster(cluster_id)["Certificates"] == {}
    cloudhsm.wait(cloudhsm.timings.create_hsm)
    assert "ClusterCsr" in cloudhsm.cluster(cluster_id)["Certificates"]


def test_a_second_first_hsm_has_another_csr(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.with_csr()
    first = cloudhsm.cluster(cluster_id)["Certificates"]["ClusterCsr"]
    cloudhsm.remove_hsm(cluster_id, cloudhsm.hsms(cluster_id)[0]["HsmId"])
    assert cloudhsm.cluster(cluster_id)["Certificates"] == {}
    cloudhsm.add_hsm(cluster_id)
    assert cloudhsm.cluster(cluster_id)["Certificates"]["ClusterCsr"] != first


def test_a_replacement_of_the_first_hsm_has_another_csr(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.with_csr()
    first = cloudhsm.cluster(cluster_id)["Certificates"]["ClusterCsr"]
    cloudhsm.provider.replace_hsm(cloudhsm.hsms(cluster_id)[0]["HsmId"])
    assert cloudhsm.cluster(cluster_id)["Certificates"]["ClusterCsr"] != first


def test_a_replacement_has_another_id_but_the_same_interface_and_address(
    cloudhsm: CloudHsm,
) -> None:
    cluster_id = cloudhsm.active()
    (before,) = cloudhsm.hsms(cluster_id)
    new_id = cloudhsm.provider.replace_hsm(before["HsmId"])
    (after,) = cloudhsm.hsms(cluster_id)
    assert after == {**before, "HsmId": new_id}
    assert new_id != before["HsmId"]
    assert cloudhsm.users(cluster_id)["admin"]["role"] == "admin"


def test_a_replacement_of_the_only_hsm_has_the_users_of_the_latest_backup(
    cloudhsm: CloudHsm,
) -> None:
    cluster_id = cloudhsm.active()
    cloudhsm.add_user(cluster_id, "late", "Password1")
    cloudhsm.provider.replace_hsm(cloudhsm.hsms(cluster_id)[0]["HsmId"])
    assert "late" not in cloudhsm.users(cluster_id)


def test_an_hsm_in_progress_or_unknown_cannot_be_replaced(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.uninitialized()
    created = cloudhsm.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[0])["Hsm"]
    with pytest.raises(ApiError, match="CREATE_IN_PROGRESS"):
        cloudhsm.provider.replace_hsm(created["HsmId"])
    with pytest.raises(ApiError, match="does not exist"):
        cloudhsm.provider.replace_hsm("hsm-22222222222")


def test_a_degraded_first_hsm_has_no_csr_and_can_be_deleted(cloudhsm: CloudHsm) -> None:
    cloudhsm.faults.inject({"hsm": "DEGRADED"})
    cluster_id = cloudhsm.with_csr()
    (hsm,) = cloudhsm.hsms(cluster_id)
    assert hsm["State"] == "DEGRADED"
    assert cloudhsm.cluster(cluster_id)["Certificates"] == {}
    with pytest.raises(ApiError, match="already contains an HSM"):
        cloudhsm.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[1])
    cloudhsm.remove_hsm(cluster_id, hsm["HsmId"])
    assert cloudhsm.add_hsm(cluster_id, ZONES[1])["State"] == "ACTIVE"
    assert "ClusterCsr" in cloudhsm.cluster(cluster_id)["Certificates"]


def test_an_hsm_can_become_degraded_later(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active(ZONES[1])
    cloudhsm.provider.degrade_hsm(cloudhsm.hsms(cluster_id)[0]["HsmId"])
    assert cloudhsm.states(cluster_id) == ["DEGRADED", "ACTIVE"]


def test_hsms_in_a_region_have_a_quota_with_the_assumed_code() -> None:
    for code in ("CloudHsmInvalidRequestException", "CloudHsmResourceLimitExceededException"):
        cloudhsm = CloudHsm(quotas=Quotas(hsms=2), assumptions=Assumptions(quota_code=code))
        first = cloudhsm.active(ZONES[1])
        second = cloudhsm.uninitialized()
        with pytest.raises(ApiError, match="limit of 2 HSMs in us-east-1") as error:
            cloudhsm.call("CreateHsm", ClusterId=second, AvailabilityZone=ZONES[0])
        assert error.value.code == code
        cloudhsm.call("DeleteHsm", ClusterId=first, HsmId=cloudhsm.hsms(first)[0]["HsmId"])
        with pytest.raises(ApiError, match="limit"):
            cloudhsm.call("CreateHsm", ClusterId=second, AvailabilityZone=ZONES[0])
        cloudhsm.wait(cloudhsm.timings.delete_hsm)
        cloudhsm.call("CreateHsm", ClusterId=second, AvailabilityZone=ZONES[0])


def test_the_default_quotas_are_6_hsms_and_28_in_one_cluster() -> None:
    assert (Quotas().hsms, Quotas().hsms_per_cluster) == (6, 28)
    cloudhsm = CloudHsm(quotas=Quotas(hsms=9, hsms_per_cluster=2))
    cluster_id = cloudhsm.active(ZONES[1])
    with pytest.raises(ApiError, match=f"limit of 2 HSMs in '{cluster_id}'"):
        cloudhsm.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[0])


def test_several_hsms_can_be_created_at_once(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active()
    for zone in (ZONES[0], ZONES[1], ZONES[2]):
        cloudhsm.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=zone)
    cloudhsm.wait(cloudhsm.timings.create_hsm)
    assert cloudhsm.states(cluster_id) == ["ACTIVE"] * 4


def test_hsms_are_created_one_at_a_time_under_that_assumption() -> None:
    cloudhsm = CloudHsm(assumptions=Assumptions(concurrent_create=False))
    cluster_id = cloudhsm.active()
    cloudhsm.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[1])
    with pytest.raises(ApiError, match="in progress") as error:
        cloudhsm.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[2])
    assert error.value.code == "CloudHsmInvalidRequestException"
    cloudhsm.wait(cloudhsm.timings.create_hsm)
    cloudhsm.call("DeleteHsm", ClusterId=cluster_id, HsmId=cloudhsm.hsms(cluster_id)[1]["HsmId"])
    with pytest.raises(ApiError, match="in progress"):
        cloudhsm.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[2])
    cloudhsm.wait(cloudhsm.timings.delete_hsm)
    cloudhsm.add_hsm(cluster_id, ZONES[2])


def test_an_hsm_gets_the_requested_address_or_a_new_one(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active()
    (first,) = cloudhsm.hsms(cluster_id)
    cloudhsm.remove_hsm(cluster_id, first["HsmId"])
    assert cloudhsm.add_hsm(cluster_id)["EniIp"] != first["EniIp"]
    assert cloudhsm.add_hsm(cluster_id, IpAddress=first["EniIp"])["EniIp"] == first["EniIp"]
    with pytest.raises(ApiError, match="in use") as error:
        cloudhsm.add_hsm(cluster_id, IpAddress=first["EniIp"])
    assert error.value.code == "CloudHsmInvalidRequestException"


def test_create_hsm_rejects_a_full_subnet(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.uninitialized()
    cloudhsm.network.full_subnets.add("subnet-0000000a")
    with pytest.raises(ApiError, match="full") as error:
        cloudhsm.add_hsm(cluster_id)
    assert error.value.code == "CloudHsmInvalidRequestException"
    assert cloudhsm.hsms(cluster_id) == []


def test_an_hsm_is_deleted_by_its_id_its_interface_or_its_address(cloudhsm: CloudHsm) -> None:
    for key in ("HsmId", "EniId", "EniIp"):
        cluster_id = cloudhsm.active(ZONES[1])
        _, second = cloudhsm.hsms(cluster_id)
        response = cloudhsm.call("DeleteHsm", ClusterId=cluster_id, **{key: second[key]})
        assert response == {"HsmId": second["HsmId"]}
        assert cloudhsm.states(cluster_id) == ["ACTIVE", "DELETE_IN_PROGRESS"]
        assert second["EniId"] in cloudhsm.network.enis
        cloudhsm.wait(cloudhsm.timings.delete_hsm)
        assert cloudhsm.states(cluster_id) == ["ACTIVE", "DELETED"]
        assert second["EniId"] not in cloudhsm.network.enis
        cloudhsm.wait(cloudhsm.timings.deleted_hsm_visible)
        assert cloudhsm.states(cluster_id) == ["ACTIVE"]


def test_delete_hsm_requires_exactly_one_identifier(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.with_csr()
    (hsm,) = cloudhsm.hsms(cluster_id)
    with pytest.raises(ApiError, match="exactly one"):
        cloudhsm.call("DeleteHsm", ClusterId=cluster_id)
    with pytest.raises(ApiError, match="exactly one"):
        cloudhsm.call("DeleteHsm", ClusterId=cluster_id, HsmId=hsm["HsmId"], EniId=hsm["EniId"])
    with pytest.raises(ApiError, match="has no HSM") as error:
        cloudhsm.call("DeleteHsm", ClusterId=cluster_id, HsmId="hsm-22222222222")
    assert error.value.code == "CloudHsmResourceNotFoundException"


def test_an_hsm_in_progress_cannot_be_deleted(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.uninitialized()
    created = cloudhsm.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[0])["Hsm"]
    with pytest.raises(ApiError, match="CREATE_IN_PROGRESS"):
        cloudhsm.call("DeleteHsm", ClusterId=cluster_id, HsmId=created["HsmId"])
    cloudhsm.wait(cloudhsm.timings.create_hsm)
    cloudhsm.call("DeleteHsm", ClusterId=cluster_id, HsmId=created["HsmId"])
    with pytest.raises(ApiError, match="DELETE_IN_PROGRESS"):
        cloudhsm.call("DeleteHsm", ClusterId=cluster_id, HsmId=created["HsmId"])
    cloudhsm.wait(cloudhsm.timings.delete_hsm)
    with pytest.raises(ApiError, match="has no HSM"):
        cloudhsm.call("DeleteHsm", ClusterId=cluster_id, HsmId=created["HsmId"])


def test_an_hsm_cannot_be_deleted_during_initialization(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.with_csr()
    cloudhsm.initialize(cluster_id)
    with pytest.raises(ApiError, match="INITIALIZE_IN_PROGRESS"):
        cloudhsm.call(
            "DeleteHsm", ClusterId=cluster_id, HsmId=cloudhsm.hsms(cluster_id)[0]["HsmId"]
        )


def test_a_new_hsm_of_an_initialized_cluster_needs_no_new_certificate(
    cloudhsm: CloudHsm,
) -> None:
    cluster_id = cloudhsm.initialized()
    certificates = cloudhsm.cluster(cluster_id)["Certificates"]
    cloudhsm.remove_hsm(cluster_id, cloudhsm.hsms(cluster_id)[0]["HsmId"])
    cloudhsm.add_hsm(cluster_id)
    assert cloudhsm.cluster(cluster_id)["State"] == "INITIALIZED"
    assert cloudhsm.cluster(cluster_id)["Certificates"] == certificates
    cloudhsm.client(cluster_id, "activate", password=PASSWORD)
    cloudhsm.wait(cloudhsm.timings.activate)
    assert cloudhsm.cluster(cluster_id)["State"] == "ACTIVE"


def test_the_first_hsm_creates_the_log_group(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.uninitialized()
    assert cloudhsm.log_groups == []
    cloudhsm.add_hsm(cluster_id)
    assert cloudhsm.log_groups == [f"/aws/cloudhsm/{cluster_id}"]


def test_create_hsm_rejects_a_deleted_subnet(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.uninitialized()
    del cloudhsm.network.subnets["subnet-0000000a"]
    with pytest.raises(ApiError, match="no longer exists"):
        cloudhsm.add_hsm(cluster_id)
