from __future__ import annotations

from typing import Any

import pytest

from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2 import Quotas
from rehearsal import test_ca
from tests.localaws.services.region import START, ZONES, Life

KMS_PASSWORD = "Kmsuser123"


def request(life: Life, cluster_id: str, **overrides: Any) -> dict[str, Any]:
    return {
        "CustomKeyStoreName": "store",
        "CloudHsmClusterId": cluster_id,
        "TrustAnchorCertificate": life.ca.pem,
        "KeyStorePassword": KMS_PASSWORD,
        **overrides,
    }


def create(life: Life, cluster_id: str, **overrides: Any) -> str:
    answer = life.call("CreateCustomKeyStore", **request(life, cluster_id, **overrides))
    return str(answer["CustomKeyStoreId"])


def refused(life: Life, code: str, action: str, **params: Any) -> ApiError:
    with pytest.raises(ApiError) as refusal:
        life.call(action, **params)
    assert refusal.value.code == code
    return refusal.value


def connect(life: Life, store_id: str) -> dict[str, Any]:
    """Connect and wait for the outcome."""
    assert life.call("ConnectCustomKeyStore", CustomKeyStoreId=store_id) == {}
    life.wait(life.timings.connect)
    return life.store(store_id)


def disconnect(life: Life, store_id: str) -> None:
    """Disconnect and wait for it."""
    assert life.call("DisconnectCustomKeyStore", CustomKeyStoreId=store_id) == {}
    life.wait(life.timings.disconnect)
    assert life.store(store_id)["ConnectionState"] == "DISCONNECTED"


def change_kmsuser(life: Life, cluster_id: str, password: str) -> None:
    life.as_admin(
        cluster_id,
        "user-change-password",
        new_username="kmsuser",
        role="crypto-user",
        new_password=password,
    )


@pytest.fixture(name="cluster_id")
def _cluster_id(life: Life) -> str:
    """An ACTIVE cluster with HSMs in two zones and kmsuser on both."""
    cluster_id = life.active(ZONES[1])
    life.add_user(cluster_id, "kmsuser", KMS_PASSWORD)
    return cluster_id


@pytest.fixture(name="store_id")
def _store_id(life: Life, cluster_id: str) -> str:
    return create(life, cluster_id)


# --- CreateCustomKeyStore


def test_a_store_starts_disconnected(life: Life, cluster_id: str, store_id: str) -> None:
    assert life.store(store_id) == {
        "CustomKeyStoreId": store_id,
        "CustomKeyStoreName": "store",
        "CloudHsmClusterId": cluster_id,
        "TrustAnchorCertificate": life.ca.pem,
        "ConnectionState": "DISCONNECTED",
        "CreationDate": life.clock.now(),
        "CustomKeyStoreType": "AWS_CLOUDHSM",
    }
    assert store_id.startswith("cks-")


@pytest.mark.parametrize(
    "overrides",
    [
        {"CustomKeyStoreName": None},
        {"CustomKeyStoreName": "x" * 257},
        {"CloudHsmClusterId": None},
        {"CloudHsmClusterId": "cluster-1"},
        {"KeyStorePassword": None},
        {"KeyStorePassword": "short1"},
        {"KeyStorePassword": "x" * 33},
        {"KeyStorePassword": "not-alphanumeric"},
        {"TrustAnchorCertificate": None},
        {"TrustAnchorCertificate": "x" * 5001},
    ],
)
def test_parameters_must_be_what_kms_allows(
    life: Life, cluster_id: str, overrides: dict[str, Any]
) -> None:
    params = request(life, cluster_id, **overrides)
    refused(life, "ValidationException", "CreateCustomKeyStore", **params)


def test_external_key_stores_are_not_modelled(life: Life, cluster_id: str) -> None:
    params = request(life, cluster_id, CustomKeyStoreType="EXTERNAL_KEY_STORE")
    refused(life, "UnsupportedOperationException", "CreateCustomKeyStore", **params)


def test_the_cluster_must_be_there(life: Life) -> None:
    params = request(life, "cluster-22222222222")
    refused(life, "CloudHsmClusterNotFoundException", "CreateCustomKeyStore", **params)


def test_the_cluster_must_be_active(life: Life) -> None:
    params = request(life, life.initialized())
    refused(life, "CloudHsmClusterNotActiveException", "CreateCustomKeyStore", **params)


def test_it_must_have_active_hsms_in_two_zones(life: Life) -> None:
    cluster_id = life.active(ZONES[0])
    params = request(life, cluster_id)
    code = "CloudHsmClusterInvalidConfigurationException"
    refused(life, code, "CreateCustomKeyStore", **params)
    life.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[1])
    refused(life, code, "CreateCustomKeyStore", **params)
    life.wait(life.timings.create_hsm)
    life.call("CreateCustomKeyStore", **params)


def test_it_must_have_its_security_groups_rules(life: Life, cluster_id: str) -> None:
    life.network.broken_groups.add(life.cluster(cluster_id)["SecurityGroup"])
    params = request(life, cluster_id)
    refusal = refused(
        life, "CloudHsmClusterInvalidConfigurationException", "CreateCustomKeyStore", **params
    )
    assert "2223-2225" in refusal.message


def test_it_must_have_subnets_in_two_zones(life: Life) -> None:
    cluster_id = life.active(SubnetIds=["subnet-0000000a"])
    refusal = refused(
        life,
        "CloudHsmClusterInvalidConfigurationException",
        "CreateCustomKeyStore",
        **request(life, cluster_id),
    )
    assert "subnets" in refusal.message


@pytest.mark.parametrize("anchor", ["another", "the cluster's own certificate", "text"])
def test_the_trust_anchor_must_be_the_clusters(life: Life, cluster_id: str, anchor: str) -> None:
    anchors = {
        "another": test_ca.make_ca(START).pem,
        "the cluster's own certificate": life.cluster(cluster_id)["Certificates"][
            "ClusterCertificate"
        ],
        "text": "no certificate",
    }
    params = request(life, cluster_id, TrustAnchorCertificate=anchors[anchor])
    refused(life, "IncorrectTrustAnchorException", "CreateCustomKeyStore", **params)


def test_white_space_around_the_trust_anchor_does_not_matter(life: Life, cluster_id: str) -> None:
    assert create(life, cluster_id, TrustAnchorCertificate=f"\n{life.ca.pem.strip()}\n\n")


def test_the_password_is_not_tried_yet(life: Life, cluster_id: str) -> None:
    assert create(life, cluster_id, KeyStorePassword="Something7")


def test_the_same_request_again_gives_the_same_store(
    life: Life, cluster_id: str, store_id: str
) -> None:
    assert create(life, cluster_id) == store_id
    assert len(life.call("DescribeCustomKeyStores")["CustomKeyStores"]) == 1


def test_but_not_once_it_is_connected(life: Life, cluster_id: str, store_id: str) -> None:
    connect(life, store_id)
    params = request(life, cluster_id)
    refused(life, "CustomKeyStoreNameInUseException", "CreateCustomKeyStore", **params)


def test_and_not_if_anything_differs(life: Life, cluster_id: str, store_id: str) -> None:
    refused(
        life,
        "CustomKeyStoreNameInUseException",
        "CreateCustomKeyStore",
        **request(life, cluster_id, KeyStorePassword="Different1"),
    )
    refused(
        life,
        "CloudHsmClusterInUseException",
        "CreateCustomKeyStore",
        **request(life, cluster_id, CustomKeyStoreName="other"),
    )


def test_a_cluster_that_shares_its_backups_is_in_use_as_well(
    life: Life, cluster_id: str, store_id: str
) -> None:
    backup = life.backups()[-1]["BackupId"]
    related = life.uninitialized(SourceBackupId=backup)
    life.add_hsm(related)
    life.add_hsm(related, ZONES[1])
    params = request(life, related, CustomKeyStoreName="other")
    refused(life, "CloudHsmClusterInUseException", "CreateCustomKeyStore", **params)


def test_there_may_be_ten_stores() -> None:
    assert Quotas().key_stores == 10
    life = Life(quotas=Quotas(key_stores=1))
    create(life, life.active(ZONES[1]))
    params = request(life, life.active(ZONES[1]), CustomKeyStoreName="other")
    refused(life, "LimitExceededException", "CreateCustomKeyStore", **params)


# --- DescribeCustomKeyStores


def test_stores_are_found_by_id_and_by_name(life: Life, store_id: str) -> None:
    for params in ({}, {"CustomKeyStoreId": store_id}, {"CustomKeyStoreName": "store"}):
        answer = life.call("DescribeCustomKeyStores", **params)
        assert [one["CustomKeyStoreId"] for one in answer["CustomKeyStores"]] == [store_id]
        assert answer["Truncated"] is False


def test_a_store_that_is_not_there_is_an_error(life: Life, store_id: str) -> None:
    for params in ({"CustomKeyStoreId": "cks-1"}, {"CustomKeyStoreName": "other"}):
        refused(life, "CustomKeyStoreNotFoundException", "DescribeCustomKeyStores", **params)
    both = {"CustomKeyStoreId": store_id, "CustomKeyStoreName": "store"}
    refused(life, "ValidationException", "DescribeCustomKeyStores", **both)


@pytest.mark.parametrize(
    "action",
    [
        "ConnectCustomKeyStore",
        "DisconnectCustomKeyStore",
        "UpdateCustomKeyStore",
        "DeleteCustomKeyStore",
    ],
)
def test_nothing_can_be_done_to_a_store_that_is_not_there(life: Life, action: str) -> None:
    refused(life, "CustomKeyStoreNotFoundException", action, CustomKeyStoreId="cks-1")


def test_stores_come_in_pages() -> None:
    life = Life(quotas=Quotas(hsms=9))
    made = [
        create(life, life.active(ZONES[1]), CustomKeyStoreName=name) for name in ("a", "b", "c")
    ]
    first = life.call("DescribeCustomKeyStores", Limit=2)
    assert [one["CustomKeyStoreId"] for one in first["CustomKeyStores"]] == made[:2]
    assert first["Truncated"] is True
    second = life.call("DescribeCustomKeyStores", Limit=2, Marker=first["NextMarker"])
    assert [one["CustomKeyStoreId"] for one in second["CustomKeyStores"]] == made[2:]
    assert second["Truncated"] is False
    refused(life, "InvalidMarkerException", "DescribeCustomKeyStores", Marker="x")
    refused(life, "ValidationException", "DescribeCustomKeyStores", Limit=0)


# --- ConnectCustomKeyStore


def test_connecting_takes_its_time(life: Life, store_id: str) -> None:
    life.call("ConnectCustomKeyStore", CustomKeyStoreId=store_id)
    assert life.store(store_id)["ConnectionState"] == "CONNECTING"
    life.wait(life.timings.connect - 1)
    assert life.store(store_id)["ConnectionState"] == "CONNECTING"
    life.wait(1)
    assert life.store(store_id)["ConnectionState"] == "CONNECTED"
    assert "ConnectionErrorCode" not in life.store(store_id)


def test_connecting_again_does_nothing(life: Life, store_id: str) -> None:
    for _ in range(2):
        connect(life, store_id)
        assert life.call("ConnectCustomKeyStore", CustomKeyStoreId=store_id) == {}
        assert life.store(store_id)["ConnectionState"] == "CONNECTED"
    assert life.events(store_id).count("ConnectCustomKeyStore") == 1


def test_kms_makes_a_group_and_an_interface_per_zone_and_takes_them_away(
    life: Life, store_id: str
) -> None:
    groups, enis = dict(life.network.groups), dict(life.network.enis)
    connect(life, store_id)
    assert f"kms-{store_id}" in life.network.groups.values()
    made = [subnet for eni, (subnet, _, _) in life.network.enis.items() if eni not in enis]
    assert made == ["subnet-0000000a", "subnet-0000000b", "subnet-0000000c"]
    disconnect(life, store_id)
    assert (life.network.groups, life.network.enis) == (groups, enis)


def test_kms_changes_the_password_of_kmsuser_and_stays_logged_in(
    life: Life, cluster_id: str, store_id: str
) -> None:
    connect(life, store_id)
    with pytest.raises(ApiError, match="is logged in"):
        change_kmsuser(life, cluster_id, "Mine12345")
    disconnect(life, store_id)
    change_kmsuser(life, cluster_id, KMS_PASSWORD)
    assert connect(life, store_id)["ConnectionErrorCode"] == "INVALID_CREDENTIALS"


def test_kms_connects_again_with_the_password_it_chose(life: Life, store_id: str) -> None:
    connect(life, store_id)
    disconnect(life, store_id)
    assert connect(life, store_id)["ConnectionState"] == "CONNECTED"


def test_a_failed_connection_must_be_disconnected_first(life: Life, store_id: str) -> None:
    life.faults.plant({"connect": "INTERNAL_ERROR"})
    store = connect(life, store_id)
    assert (store["ConnectionState"], store["ConnectionErrorCode"]) == ("FAILED", "INTERNAL_ERROR")
    refused(
        life,
        "CustomKeyStoreInvalidStateException",
        "ConnectCustomKeyStore",
        CustomKeyStoreId=store_id,
    )
    life.call("DisconnectCustomKeyStore", CustomKeyStoreId=store_id)
    assert life.store(store_id)["ConnectionState"] == "DISCONNECTING"
    for action in ("ConnectCustomKeyStore", "DisconnectCustomKeyStore"):
        refused(life, "CustomKeyStoreInvalidStateException", action, CustomKeyStoreId=store_id)
    life.wait(life.timings.disconnect)
    assert "ConnectionErrorCode" not in life.store(store_id)
    assert connect(life, store_id)["ConnectionState"] == "CONNECTED"


def test_a_connection_on_its_way_can_be_given_up(life: Life, store_id: str) -> None:
    enis = dict(life.network.enis)
    life.call("ConnectCustomKeyStore", CustomKeyStoreId=store_id)
    disconnect(life, store_id)
    life.wait(life.timings.connect)
    assert life.store(store_id)["ConnectionState"] == "DISCONNECTED"
    assert life.network.enis == enis
    refused(
        life,
        "CustomKeyStoreInvalidStateException",
        "DisconnectCustomKeyStore",
        CustomKeyStoreId=store_id,
    )


def test_no_active_hsm_is_refused_at_once_and_one_is_enough(
    life: Life, cluster_id: str, store_id: str
) -> None:
    first, second = (hsm["HsmId"] for hsm in life.hsms(cluster_id))
    life.remove_hsm(cluster_id, first)
    connect(life, store_id)
    disconnect(life, store_id)
    life.remove_hsm(cluster_id, second)
    refused(
        life,
        "CloudHsmClusterInvalidConfigurationException",
        "ConnectCustomKeyStore",
        CustomKeyStoreId=store_id,
    )
    assert life.store(store_id)["ConnectionState"] == "DISCONNECTED"


def test_a_broken_group_is_refused_at_once(life: Life, cluster_id: str, store_id: str) -> None:
    life.network.broken_groups.add(life.cluster(cluster_id)["SecurityGroup"])
    refused(
        life,
        "CloudHsmClusterInvalidConfigurationException",
        "ConnectCustomKeyStore",
        CustomKeyStoreId=store_id,
    )


def test_a_wrong_password_is_found_out_and_counts_as_a_refused_login(
    life: Life, cluster_id: str
) -> None:
    store_id = create(life, cluster_id, KeyStorePassword="Wrong1234")
    assert connect(life, store_id)["ConnectionErrorCode"] == "INVALID_CREDENTIALS"
    assert life.events(cluster_id)[-1] == "LoginRefused"
    disconnect(life, store_id)
    life.call("UpdateCustomKeyStore", CustomKeyStoreId=store_id, KeyStorePassword=KMS_PASSWORD)
    assert connect(life, store_id)["ConnectionState"] == "CONNECTED"


def test_wrong_passwords_lock_kmsuser(life: Life, cluster_id: str) -> None:
    store_id = create(life, cluster_id, KeyStorePassword="Wrong1234")
    codes = []
    for _ in range(6):
        codes.append(connect(life, store_id)["ConnectionErrorCode"])
        disconnect(life, store_id)
    assert codes == ["INVALID_CREDENTIALS"] * 5 + ["USER_LOCKED_OUT"]
    change_kmsuser(life, cluster_id, "Wrong1234")
    assert connect(life, store_id)["ConnectionState"] == "CONNECTED"


def test_kmsuser_must_be_a_crypto_user_on_every_hsm(life: Life) -> None:
    cluster_id = life.active(ZONES[1])
    store_id = create(life, cluster_id)
    assert connect(life, store_id)["ConnectionErrorCode"] == "USER_NOT_FOUND"
    disconnect(life, store_id)
    life.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[2])
    life.add_user(cluster_id, "kmsuser", KMS_PASSWORD)
    assert connect(life, store_id)["ConnectionErrorCode"] == "USER_NOT_FOUND"
    disconnect(life, store_id)
    life.add_user(cluster_id, "kmsuser", KMS_PASSWORD)
    assert connect(life, store_id)["ConnectionState"] == "CONNECTED"


def test_an_admin_named_kmsuser_will_not_do(life: Life) -> None:
    cluster_id = life.active(ZONES[1])
    life.as_admin(
        cluster_id,
        "user-create",
        new_username="kmsuser",
        new_password=KMS_PASSWORD,
        role="admin",
    )
    store_id = create(life, cluster_id)
    assert connect(life, store_id)["ConnectionErrorCode"] == "USER_NOT_FOUND"


def test_nobody_else_may_be_logged_in_as_kmsuser(
    life: Life, cluster_id: str, store_id: str
) -> None:
    life.region.log_in(cluster_id, "kmsuser")
    assert connect(life, store_id)["ConnectionErrorCode"] == "USER_LOGGED_IN"
    disconnect(life, store_id)
    life.region.log_out(cluster_id, "kmsuser")
    assert connect(life, store_id)["ConnectionState"] == "CONNECTED"


def test_hsms_that_go_meanwhile_are_missed(life: Life, cluster_id: str, store_id: str) -> None:
    life.call("ConnectCustomKeyStore", CustomKeyStoreId=store_id)
    for hsm in life.hsms(cluster_id):
        life.call("DeleteHsm", ClusterId=cluster_id, HsmId=hsm["HsmId"])
    life.wait(life.timings.connect)
    assert life.store(store_id)["ConnectionErrorCode"] == "INSUFFICIENT_CLOUDHSM_HSMS"


def test_a_group_that_breaks_meanwhile_is_a_network_error(
    life: Life, cluster_id: str, store_id: str
) -> None:
    life.call("ConnectCustomKeyStore", CustomKeyStoreId=store_id)
    life.network.broken_groups.add(life.cluster(cluster_id)["SecurityGroup"])
    life.wait(life.timings.connect)
    assert life.store(store_id)["ConnectionErrorCode"] == "NETWORK_ERRORS"


def test_a_subnet_that_is_gone_is_missed(life: Life, store_id: str) -> None:
    del life.network.subnets["subnet-0000000c"]
    assert connect(life, store_id)["ConnectionErrorCode"] == "SUBNET_NOT_FOUND"


def test_a_subnet_that_is_full_takes_no_interface_of_kms(life: Life, store_id: str) -> None:
    life.network.full_subnets.add("subnet-0000000c")
    store = connect(life, store_id)
    assert store["ConnectionErrorCode"] == "INSUFFICIENT_FREE_ADDRESSES_IN_SUBNET"


def test_a_cluster_that_is_gone_is_not_found(life: Life, cluster_id: str, store_id: str) -> None:
    for hsm in life.hsms(cluster_id):
        life.remove_hsm(cluster_id, hsm["HsmId"])
    life.call("DeleteCluster", ClusterId=cluster_id)
    life.wait(life.timings.delete_cluster)
    assert connect(life, store_id)["ConnectionErrorCode"] == "CLUSTER_NOT_FOUND"
    disconnect(life, store_id)
    refused(
        life,
        "CloudHsmClusterNotFoundException",
        "UpdateCustomKeyStore",
        CustomKeyStoreId=store_id,
        KeyStorePassword="Another123",
    )


def test_a_cluster_that_goes_meanwhile_is_not_found(
    life: Life, cluster_id: str, store_id: str
) -> None:
    life.call("ConnectCustomKeyStore", CustomKeyStoreId=store_id)
    for hsm in life.hsms(cluster_id):
        life.call("DeleteHsm", ClusterId=cluster_id, HsmId=hsm["HsmId"])
    life.wait(
        life.timings.delete_hsm
        + life.timings.deleted_hsm_visible
        + life.timings.deleted_hsm_lingers
    )
    life.call("DeleteCluster", ClusterId=cluster_id)
    life.wait(life.timings.connect)
    assert life.store(store_id)["ConnectionErrorCode"] == "CLUSTER_NOT_FOUND"


# --- UpdateCustomKeyStore


def test_a_store_is_renamed_connected_or_disconnected(life: Life, store_id: str) -> None:
    for name in ("second", "third"):
        life.call("UpdateCustomKeyStore", CustomKeyStoreId=store_id, NewCustomKeyStoreName=name)
        assert life.store(store_id)["CustomKeyStoreName"] == name
        connect(life, store_id)


def test_or_only_disconnected_if_kms_reads_it_so() -> None:
    life = Life(rename_while_connected=False)
    cluster_id = life.active(ZONES[1])
    life.add_user(cluster_id, "kmsuser", KMS_PASSWORD)
    store_id = create(life, cluster_id)
    params = {"CustomKeyStoreId": store_id, "NewCustomKeyStoreName": "second"}
    connect(life, store_id)
    refused(life, "CustomKeyStoreInvalidStateException", "UpdateCustomKeyStore", **params)
    disconnect(life, store_id)
    life.call("UpdateCustomKeyStore", **params)


def test_a_name_that_is_taken_is_refused(life: Life, store_id: str) -> None:
    other = create(life, life.active(ZONES[1]), CustomKeyStoreName="other")
    params = {"CustomKeyStoreId": other, "NewCustomKeyStoreName": "store"}
    refused(life, "CustomKeyStoreNameInUseException", "UpdateCustomKeyStore", **params)
    params = {"CustomKeyStoreId": other, "NewCustomKeyStoreName": "other"}
    life.call("UpdateCustomKeyStore", **params)


@pytest.mark.parametrize("state", ["CONNECTING", "FAILED", "DISCONNECTING"])
def test_a_store_on_its_way_or_failed_is_not_even_renamed(
    life: Life, store_id: str, state: str
) -> None:
    life.faults.plant({"connect": "NETWORK_ERRORS"})
    life.call("ConnectCustomKeyStore", CustomKeyStoreId=store_id)
    if state != "CONNECTING":
        life.wait(life.timings.connect)
    if state == "DISCONNECTING":
        life.call("DisconnectCustomKeyStore", CustomKeyStoreId=store_id)
    assert life.store(store_id)["ConnectionState"] == state
    params = {"CustomKeyStoreId": store_id, "NewCustomKeyStoreName": "second"}
    refused(life, "CustomKeyStoreInvalidStateException", "UpdateCustomKeyStore", **params)


@pytest.mark.parametrize("what", ["KeyStorePassword", "CloudHsmClusterId"])
def test_password_and_cluster_are_changed_only_disconnected(
    life: Life, cluster_id: str, store_id: str, what: str
) -> None:
    value = {"KeyStorePassword": "Another123", "CloudHsmClusterId": cluster_id}[what]
    connect(life, store_id)
    params = {"CustomKeyStoreId": store_id, what: value}
    refused(life, "CustomKeyStoreInvalidStateException", "UpdateCustomKeyStore", **params)
    disconnect(life, store_id)
    life.call("UpdateCustomKeyStore", **params)


def test_a_store_moves_to_a_cluster_that_shares_its_backups(
    life: Life, cluster_id: str, store_id: str
) -> None:
    connect(life, store_id)
    for hsm in life.hsms(cluster_id):
        life.remove_hsm(cluster_id, hsm["HsmId"])
    disconnect(life, store_id)
    related = life.uninitialized(SourceBackupId=life.backups()[-1]["BackupId"])
    params = {"CustomKeyStoreId": store_id, "CloudHsmClusterId": related}
    life.add_hsm(related)
    refused(life, "CloudHsmClusterInvalidConfigurationException", "UpdateCustomKeyStore", **params)
    life.add_hsm(related, ZONES[1])
    life.call("UpdateCustomKeyStore", **params)
    assert life.store(store_id)["CloudHsmClusterId"] == related
    assert connect(life, store_id)["ConnectionState"] == "CONNECTED"


def test_but_to_no_other_cluster(life: Life, store_id: str) -> None:
    other = life.active(ZONES[1])
    params = {"CustomKeyStoreId": store_id, "CloudHsmClusterId": other}
    refused(life, "CloudHsmClusterNotRelatedException", "UpdateCustomKeyStore", **params)
    params["CloudHsmClusterId"] = "cluster-22222222222"
    refused(life, "CloudHsmClusterNotFoundException", "UpdateCustomKeyStore", **params)


# --- DeleteCustomKeyStore


def test_a_store_is_deleted_only_when_it_is_disconnected(
    life: Life, cluster_id: str, store_id: str
) -> None:
    code = "CustomKeyStoreInvalidStateException"
    connect(life, store_id)
    refused(life, code, "DeleteCustomKeyStore", CustomKeyStoreId=store_id)
    disconnect(life, store_id)
    life.faults.plant({"connect": "NETWORK_ERRORS"})
    connect(life, store_id)
    refused(life, code, "DeleteCustomKeyStore", CustomKeyStoreId=store_id)
    disconnect(life, store_id)
    life.call("DeleteCustomKeyStore", CustomKeyStoreId=store_id)
    assert life.call("DescribeCustomKeyStores")["CustomKeyStores"] == []
    assert "kmsuser" in life.users(cluster_id)


def test_after_the_deletion_kmsuser_has_the_password_of_kms(
    life: Life, cluster_id: str, store_id: str
) -> None:
    connect(life, store_id)
    disconnect(life, store_id)
    life.call("DeleteCustomKeyStore", CustomKeyStoreId=store_id)
    again = create(life, cluster_id)
    assert connect(life, again)["ConnectionErrorCode"] == "INVALID_CREDENTIALS"
