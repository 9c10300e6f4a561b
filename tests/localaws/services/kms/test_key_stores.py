from __future__ import annotations

from typing import Any

import pytest

from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2.settings import Assumptions, Quotas
from rehearsal import test_ca
from tests.localaws.services.cloudhsm import START, ZONES, CloudHsm

KMS_PASSWORD = "Kmsuser123"


def request(cloudhsm: CloudHsm, cluster_id: str, **overrides: Any) -> dict[str, Any]:
    return {
        "CustomKeyStoreName": "store",
        "CloudHsmClusterId": cluster_id,
        "TrustAnchorCertificate": cloudhsm.ca.pem,
        "KeyStorePassword": KMS_PASSWORD,
        **overrides,
    }


def create(cloudhsm: CloudHsm, cluster_id: str, **overrides: Any) -> str:
    answer = cloudhsm.call("CreateCustomKeyStore", **request(cloudhsm, cluster_id, **overrides))
    return str(answer["CustomKeyStoreId"])


def refused(cloudhsm: CloudHsm, code: str, action: str, **params: Any) -> ApiError:
    with pytest.raises(ApiError) as refusal:
        cloudhsm.call(action, **params)
    assert refusal.value.code == code
    return refusal.value


def connect(cloudhsm: CloudHsm, store_id: str) -> dict[str, Any]:
    """Connect and wait for the outcome."""
    assert cloudhsm.call("ConnectCustomKeyStore", CustomKeyStoreId=store_id) == {}
    cloudhsm.wait(cloudhsm.timings.connect)
    return cloudhsm.store(store_id)


def disconnect(cloudhsm: CloudHsm, store_id: str) -> None:
    """Disconnect and wait for it."""
    assert cloudhsm.call("DisconnectCustomKeyStore", CustomKeyStoreId=store_id) == {}
    cloudhsm.wait(cloudhsm.timings.disconnect)
    assert cloudhsm.store(store_id)["ConnectionState"] == "DISCONNECTED"


def change_kmsuser(cloudhsm: CloudHsm, cluster_id: str, password: str) -> None:
    cloudhsm.as_admin(
        cluster_id,
        "user-change-password",
        new_username="kmsuser",
        role="crypto-user",
        new_password=password,
    )


@pytest.fixture(name="cluster_id")
def _cluster_id(cloudhsm: CloudHsm) -> str:
    """An ACTIVE cluster with HSMs in two zones and kmsuser on both."""
    cluster_id = cloudhsm.active(ZONES[1])
    cloudhsm.add_user(cluster_id, "kmsuser", KMS_PASSWORD)
    return cluster_id


@pytest.fixture(name="store_id")
def _store_id(cloudhsm: CloudHsm, cluster_id: str) -> str:
    return create(cloudhsm, cluster_id)


# --- CreateCustomKeyStore


def test_a_store_starts_disconnected(cloudhsm: CloudHsm, cluster_id: str, store_id: str) -> None:
    assert cloudhsm.store(store_id) == {
        "CustomKeyStoreId": store_id,
        "CustomKeyStoreName": "store",
        "CloudHsmClusterId": cluster_id,
        "TrustAnchorCertificate": cloudhsm.ca.pem,
        "ConnectionState": "DISCONNECTED",
        "CreationDate": cloudhsm.clock.now(),
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
    cloudhsm: CloudHsm, cluster_id: str, overrides: dict[str, Any]
) -> None:
    params = request(cloudhsm, cluster_id, **overrides)
    refused(cloudhsm, "ValidationException", "CreateCustomKeyStore", **params)


def test_external_key_stores_are_not_modelled(cloudhsm: CloudHsm, cluster_id: str) -> None:
    params = request(cloudhsm, cluster_id, CustomKeyStoreType="EXTERNAL_KEY_STORE")
    refused(cloudhsm, "UnsupportedOperationException", "CreateCustomKeyStore", **params)


def test_the_cluster_must_be_there(cloudhsm: CloudHsm) -> None:
    params = request(cloudhsm, "cluster-22222222222")
    refused(cloudhsm, "CloudHsmClusterNotFoundException", "CreateCustomKeyStore", **params)


def test_the_cluster_must_be_active(cloudhsm: CloudHsm) -> None:
    params = request(cloudhsm, cloudhsm.initialized())
    refused(cloudhsm, "CloudHsmClusterNotActiveException", "CreateCustomKeyStore", **params)


def test_it_must_have_active_hsms_in_two_zones(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active(ZONES[0])
    params = request(cloudhsm, cluster_id)
    code = "CloudHsmClusterInvalidConfigurationException"
    refused(cloudhsm, code, "CreateCustomKeyStore", **params)
    cloudhsm.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[1])
    refused(cloudhsm, code, "CreateCustomKeyStore", **params)
    cloudhsm.wait(cloudhsm.timings.create_hsm)
    cloudhsm.call("CreateCustomKeyStore", **params)


def test_it_must_have_its_security_groups_rules(cloudhsm: CloudHsm, cluster_id: str) -> None:
    cloudhsm.network.broken_groups.add(cloudhsm.cluster(cluster_id)["SecurityGroup"])
    params = request(cloudhsm, cluster_id)
    refusal = refused(
        cloudhsm, "CloudHsmClusterInvalidConfigurationException", "CreateCustomKeyStore", **params
    )
    assert "2223-2225" in refusal.message


def test_it_must_have_subnets_in_two_zones(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active(SubnetIds=["subnet-0000000a"])
    refusal = refused(
        cloudhsm,
        "CloudHsmClusterInvalidConfigurationException",
        "CreateCustomKeyStore",
        **request(cloudhsm, cluster_id),
    )
    assert "subnets" in refusal.message


@pytest.mark.parametrize("anchor", ["another", "the cluster's own certificate", "text"])
def test_the_trust_anchor_must_be_the_clusters(
    cloudhsm: CloudHsm, cluster_id: str, anchor: str
) -> None:
    anchors = {
        "another": test_ca.make_ca(START).pem,
        "the cluster's own certificate": cloudhsm.cluster(cluster_id)["Certificates"][
            "ClusterCertificate"
        ],
        "text": "no certificate",
    }
    params = request(cloudhsm, cluster_id, TrustAnchorCertificate=anchors[anchor])
    refused(cloudhsm, "IncorrectTrustAnchorException", "CreateCustomKeyStore", **params)


def test_white_space_around_the_trust_anchor_does_not_matter(
    cloudhsm: CloudHsm, cluster_id: str
) -> None:
    assert create(cloudhsm, cluster_id, TrustAnchorCertificate=f"\n{cloudhsm.ca.pem.strip()}\n\n")


def test_the_password_is_not_tried_yet(cloudhsm: CloudHsm, cluster_id: str) -> None:
    assert create(cloudhsm, cluster_id, KeyStorePassword="Something7")


def test_the_same_request_again_gives_the_same_store(
    cloudhsm: CloudHsm, cluster_id: str, store_id: str
) -> None:
    assert create(cloudhsm, cluster_id) == store_id
    assert len(cloudhsm.call("DescribeCustomKeyStores")["CustomKeyStores"]) == 1


def test_but_not_once_it_is_connected(cloudhsm: CloudHsm, cluster_id: str, store_id: str) -> None:
    connect(cloudhsm, store_id)
    params = request(cloudhsm, cluster_id)
    refused(cloudhsm, "CustomKeyStoreNameInUseException", "CreateCustomKeyStore", **params)


def test_and_not_if_anything_differs(cloudhsm: CloudHsm, cluster_id: str, store_id: str) -> None:
    refused(
        cloudhsm,
        "CustomKeyStoreNameInUseException",
        "CreateCustomKeyStore",
        **request(cloudhsm, cluster_id, KeyStorePassword="Different1"),
    )
    refused(
        cloudhsm,
        "CloudHsmClusterInUseException",
        "CreateCustomKeyStore",
        **request(cloudhsm, cluster_id, CustomKeyStoreName="other"),
    )


def test_a_cluster_that_shares_its_backups_is_in_use_as_well(
    cloudhsm: CloudHsm, cluster_id: str, store_id: str
) -> None:
    backup = cloudhsm.backups()[-1]["BackupId"]
    related = cloudhsm.uninitialized(SourceBackupId=backup)
    cloudhsm.add_hsm(related)
    cloudhsm.add_hsm(related, ZONES[1])
    params = request(cloudhsm, related, CustomKeyStoreName="other")
    refused(cloudhsm, "CloudHsmClusterInUseException", "CreateCustomKeyStore", **params)


def test_there_may_be_ten_stores() -> None:
    assert Quotas().key_stores == 10
    cloudhsm = CloudHsm(quotas=Quotas(key_stores=1))
    create(cloudhsm, cloudhsm.active(ZONES[1]))
    params = request(cloudhsm, cloudhsm.active(ZONES[1]), CustomKeyStoreName="other")
    refused(cloudhsm, "LimitExceededException", "CreateCustomKeyStore", **params)


# --- DescribeCustomKeyStores


def test_stores_are_found_by_id_and_by_name(cloudhsm: CloudHsm, store_id: str) -> None:
    for params in ({}, {"CustomKeyStoreId": store_id}, {"CustomKeyStoreName": "store"}):
        answer = cloudhsm.call("DescribeCustomKeyStores", **params)
        assert [one["CustomKeyStoreId"] for one in answer["CustomKeyStores"]] == [store_id]
        assert answer["Truncated"] is False


def test_a_store_that_is_not_there_is_an_error(cloudhsm: CloudHsm, store_id: str) -> None:
    for params in ({"CustomKeyStoreId": "cks-1"}, {"CustomKeyStoreName": "other"}):
        refused(cloudhsm, "CustomKeyStoreNotFoundException", "DescribeCustomKeyStores", **params)
    both = {"CustomKeyStoreId": store_id, "CustomKeyStoreName": "store"}
    refused(cloudhsm, "ValidationException", "DescribeCustomKeyStores", **both)


@pytest.mark.parametrize(
    "action",
    [
        "ConnectCustomKeyStore",
        "DisconnectCustomKeyStore",
        "UpdateCustomKeyStore",
        "DeleteCustomKeyStore",
    ],
)
def test_nothing_can_be_done_to_a_store_that_is_not_there(cloudhsm: CloudHsm, action: str) -> None:
    refused(cloudhsm, "CustomKeyStoreNotFoundException", action, CustomKeyStoreId="cks-1")


def test_stores_come_in_pages() -> None:
    cloudhsm = CloudHsm(quotas=Quotas(hsms=9))
    made = [
        create(cloudhsm, cloudhsm.active(ZONES[1]), CustomKeyStoreName=name)
        for name in ("a", "b", "c")
    ]
    first = cloudhsm.call("DescribeCustomKeyStores", Limit=2)
    assert [one["CustomKeyStoreId"] for one in first["CustomKeyStores"]] == made[:2]
    assert first["Truncated"] is True
    second = cloudhsm.call("DescribeCustomKeyStores", Limit=2, Marker=first["NextMarker"])
    assert [one["CustomKeyStoreId"] for one in second["CustomKeyStores"]] == made[2:]
    assert second["Truncated"] is False
    refused(cloudhsm, "InvalidMarkerException", "DescribeCustomKeyStores", Marker="x")
    refused(cloudhsm, "ValidationException", "DescribeCustomKeyStores", Limit=0)


# --- ConnectCustomKeyStore


def test_connecting_takes_its_time(cloudhsm: CloudHsm, store_id: str) -> None:
    cloudhsm.call("ConnectCustomKeyStore", CustomKeyStoreId=store_id)
    assert cloudhsm.store(store_id)["ConnectionState"] == "CONNECTING"
    cloudhsm.wait(cloudhsm.timings.connect - 1)
    assert cloudhsm.store(store_id)["ConnectionState"] == "CONNECTING"
    cloudhsm.wait(1)
    assert cloudhsm.store(store_id)["ConnectionState"] == "CONNECTED"
    assert "ConnectionErrorCode" not in cloudhsm.store(store_id)


def test_connecting_again_does_nothing(cloudhsm: CloudHsm, store_id: str) -> None:
    for _ in range(2):
        connect(cloudhsm, store_id)
        assert cloudhsm.call("ConnectCustomKeyStore", CustomKeyStoreId=store_id) == {}
        assert cloudhsm.store(store_id)["ConnectionState"] == "CONNECTED"
    assert cloudhsm.events(store_id).count("ConnectCustomKeyStore") == 1


def test_kms_makes_a_group_and_an_interface_per_zone_and_takes_them_away(
    cloudhsm: CloudHsm, store_id: str
) -> None:
    groups, enis = dict(cloudhsm.network.groups), dict(cloudhsm.network.enis)
    connect(cloudhsm, store_id)
    assert f"kms-{store_id}" in cloudhsm.network.groups.values()
    made = [subnet for eni, (subnet, _, _) in cloudhsm.network.enis.items() if eni not in enis]
    assert made == ["subnet-0000000a", "subnet-0000000b", "subnet-0000000c"]
    disconnect(cloudhsm, store_id)
    assert (cloudhsm.network.groups, cloudhsm.network.enis) == (groups, enis)


def test_kms_changes_the_password_of_kmsuser_and_stays_logged_in(
    cloudhsm: CloudHsm, cluster_id: str, store_id: str
) -> None:
    connect(cloudhsm, store_id)
    with pytest.raises(ApiError, match="is logged in"):
        change_kmsuser(cloudhsm, cluster_id, "Mine12345")
    disconnect(cloudhsm, store_id)
    change_kmsuser(cloudhsm, cluster_id, KMS_PASSWORD)
    assert connect(cloudhsm, store_id)["ConnectionErrorCode"] == "INVALID_CREDENTIALS"


def test_kms_connects_again_with_the_password_it_chose(cloudhsm: CloudHsm, store_id: str) -> None:
    connect(cloudhsm, store_id)
    disconnect(cloudhsm, store_id)
    assert connect(cloudhsm, store_id)["ConnectionState"] == "CONNECTED"


def test_a_failed_connection_must_be_disconnected_first(cloudhsm: CloudHsm, store_id: str) -> None:
    cloudhsm.faults.inject({"connect": "INTERNAL_ERROR"})
    store = connect(cloudhsm, store_id)
    assert (store["ConnectionState"], store["ConnectionErrorCode"]) == ("FAILED", "INTERNAL_ERROR")
    refused(
        cloudhsm,
        "CustomKeyStoreInvalidStateException",
        "ConnectCustomKeyStore",
        CustomKeyStoreId=store_id,
    )
    cloudhsm.call("DisconnectCustomKeyStore", CustomKeyStoreId=store_id)
    assert cloudhsm.store(store_id)["ConnectionState"] == "DISCONNECTING"
    for action in ("ConnectCustomKeyStore", "DisconnectCustomKeyStore"):
        refused(cloudhsm, "CustomKeyStoreInvalidStateException", action, CustomKeyStoreId=store_id)
    cloudhsm.wait(cloudhsm.timings.disconnect)
    assert "ConnectionErrorCode" not in cloudhsm.store(store_id)
    assert connect(cloudhsm, store_id)["ConnectionState"] == "CONNECTED"


def test_a_connection_on_its_way_can_be_given_up(cloudhsm: CloudHsm, store_id: str) -> None:
    enis = dict(cloudhsm.network.enis)
    cloudhsm.call("ConnectCustomKeyStore", CustomKeyStoreId=store_id)
    disconnect(cloudhsm, store_id)
    cloudhsm.wait(cloudhsm.timings.connect)
    assert cloudhsm.store(store_id)["ConnectionState"] == "DISCONNECTED"
    assert cloudhsm.network.enis == enis
    refused(
        cloudhsm,
        "CustomKeyStoreInvalidStateException",
        "DisconnectCustomKeyStore",
        CustomKeyStoreId=store_id,
    )


def test_no_active_hsm_is_refused_at_once_and_one_is_enough(
    cloudhsm: CloudHsm, cluster_id: str, store_id: str
) -> None:
    first, second = (hsm["HsmId"] for hsm in cloudhsm.hsms(cluster_id))
    cloudhsm.remove_hsm(cluster_id, first)
    connect(cloudhsm, store_id)
    disconnect(cloudhsm, store_id)
    cloudhsm.remove_hsm(cluster_id, second)
    refused(
        cloudhsm,
        "CloudHsmClusterInvalidConfigurationException",
        "ConnectCustomKeyStore",
        CustomKeyStoreId=store_id,
    )
    assert cloudhsm.store(store_id)["ConnectionState"] == "DISCONNECTED"


def test_a_broken_group_is_refused_at_once(
    cloudhsm: CloudHsm, cluster_id: str, store_id: str
) -> None:
    cloudhsm.network.broken_groups.add(cloudhsm.cluster(cluster_id)["SecurityGroup"])
    refused(
        cloudhsm,
        "CloudHsmClusterInvalidConfigurationException",
        "ConnectCustomKeyStore",
        CustomKeyStoreId=store_id,
    )


def test_a_wrong_password_is_found_out_and_counts_as_a_refused_login(
    cloudhsm: CloudHsm, cluster_id: str
) -> None:
    store_id = create(cloudhsm, cluster_id, KeyStorePassword="Wrong1234")
    assert connect(cloudhsm, store_id)["ConnectionErrorCode"] == "INVALID_CREDENTIALS"
    assert cloudhsm.events(cluster_id)[-1] == "LoginRefused"
    disconnect(cloudhsm, store_id)
    cloudhsm.call("UpdateCustomKeyStore", CustomKeyStoreId=store_id, KeyStorePassword=KMS_PASSWORD)
    assert connect(cloudhsm, store_id)["ConnectionState"] == "CONNECTED"


def test_wrong_passwords_lock_kmsuser(cloudhsm: CloudHsm, cluster_id: str) -> None:
    store_id = create(cloudhsm, cluster_id, KeyStorePassword="Wrong1234")
    codes = []
    for _ in range(6):
        codes.append(connect(cloudhsm, store_id)["ConnectionErrorCode"])
        disconnect(cloudhsm, store_id)
    assert codes == ["INVALID_CREDENTIALS"] * 5 + ["USER_LOCKED_OUT"]
    change_kmsuser(cloudhsm, cluster_id, "Wrong1234")
    assert connect(cloudhsm, store_id)["ConnectionState"] == "CONNECTED"


def test_kmsuser_must_be_a_crypto_user_on_every_hsm(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active(ZONES[1])
    store_id = create(cloudhsm, cluster_id)
    assert connect(cloudhsm, store_id)["ConnectionErrorCode"] == "USER_NOT_FOUND"
    disconnect(cloudhsm, store_id)
    cloudhsm.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[2])
    cloudhsm.add_user(cluster_id, "kmsuser", KMS_PASSWORD)
    assert connect(cloudhsm, store_id)["ConnectionErrorCode"] == "USER_NOT_FOUND"
    disconnect(cloudhsm, store_id)
    cloudhsm.add_user(cluster_id, "kmsuser", KMS_PASSWORD)
    assert connect(cloudhsm, store_id)["ConnectionState"] == "CONNECTED"


def test_an_admin_named_kmsuser_will_not_do(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active(ZONES[1])
    cloudhsm.as_admin(
        cluster_id,
        "user-create",
        new_username="kmsuser",
        new_password=KMS_PASSWORD,
        role="admin",
    )
    store_id = create(cloudhsm, cluster_id)
    assert connect(cloudhsm, store_id)["ConnectionErrorCode"] == "USER_NOT_FOUND"


def test_nobody_else_may_be_logged_in_as_kmsuser(
    cloudhsm: CloudHsm, cluster_id: str, store_id: str
) -> None:
    cloudhsm.provider.log_in(cluster_id, "kmsuser")
    assert connect(cloudhsm, store_id)["ConnectionErrorCode"] == "USER_LOGGED_IN"
    disconnect(cloudhsm, store_id)
    cloudhsm.provider.log_out(cluster_id, "kmsuser")
    assert connect(cloudhsm, store_id)["ConnectionState"] == "CONNECTED"


def test_hsms_that_go_meanwhile_are_missed(
    cloudhsm: CloudHsm, cluster_id: str, store_id: str
) -> None:
    cloudhsm.call("ConnectCustomKeyStore", CustomKeyStoreId=store_id)
    for hsm in cloudhsm.hsms(cluster_id):
        cloudhsm.call("DeleteHsm", ClusterId=cluster_id, HsmId=hsm["HsmId"])
    cloudhsm.wait(cloudhsm.timings.connect)
    assert cloudhsm.store(store_id)["ConnectionErrorCode"] == "INSUFFICIENT_CLOUDHSM_HSMS"


def test_a_group_that_breaks_meanwhile_is_a_network_error(
    cloudhsm: CloudHsm, cluster_id: str, store_id: str
) -> None:
    cloudhsm.call("ConnectCustomKeyStore", CustomKeyStoreId=store_id)
    cloudhsm.network.broken_groups.add(cloudhsm.cluster(cluster_id)["SecurityGroup"])
    cloudhsm.wait(cloudhsm.timings.connect)
    assert cloudhsm.store(store_id)["ConnectionErrorCode"] == "NETWORK_ERRORS"


def test_a_subnet_that_is_gone_is_missed(cloudhsm: CloudHsm, store_id: str) -> None:
    del cloudhsm.network.subnets["subnet-0000000c"]
    assert connect(cloudhsm, store_id)["ConnectionErrorCode"] == "SUBNET_NOT_FOUND"


def test_a_subnet_that_is_full_takes_no_interface_of_kms(cloudhsm: CloudHsm, store_id: str) -> None:
    cloudhsm.network.full_subnets.add("subnet-0000000c")
    store = connect(cloudhsm, store_id)
    assert store["ConnectionErrorCode"] == "INSUFFICIENT_FREE_ADDRESSES_IN_SUBNET"


def test_a_cluster_that_is_gone_is_not_found(
    cloudhsm: CloudHsm, cluster_id: str, store_id: str
) -> None:
    for hsm in cloudhsm.hsms(cluster_id):
        cloudhsm.remove_hsm(cluster_id, hsm["HsmId"])
    cloudhsm.call("DeleteCluster", ClusterId=cluster_id)
    cloudhsm.wait(cloudhsm.timings.delete_cluster)
    assert connect(cloudhsm, store_id)["ConnectionErrorCode"] == "CLUSTER_NOT_FOUND"
    disconnect(cloudhsm, store_id)
    refused(
        cloudhsm,
        "CloudHsmClusterNotFoundException",
        "UpdateCustomKeyStore",
        CustomKeyStoreId=store_id,
        KeyStorePassword="Another123",
    )


def test_a_cluster_that_goes_meanwhile_is_not_found(
    cloudhsm: CloudHsm, cluster_id: str, store_id: str
) -> None:
    cloudhsm.call("ConnectCustomKeyStore", CustomKeyStoreId=store_id)
    for hsm in cloudhsm.hsms(cluster_id):
        cloudhsm.call("DeleteHsm", ClusterId=cluster_id, HsmId=hsm["HsmId"])
    cloudhsm.wait(
        cloudhsm.timings.delete_hsm
        + cloudhsm.timings.deleted_hsm_visible
        + cloudhsm.timings.deleted_hsm_lingers
    )
    cloudhsm.call("DeleteCluster", ClusterId=cluster_id)
    cloudhsm.wait(cloudhsm.timings.connect)
    assert cloudhsm.store(store_id)["ConnectionErrorCode"] == "CLUSTER_NOT_FOUND"


# --- UpdateCustomKeyStore


def test_a_store_is_renamed_connected_or_disconnected(cloudhsm: CloudHsm, store_id: str) -> None:
    for name in ("second", "third"):
        cloudhsm.call("UpdateCustomKeyStore", CustomKeyStoreId=store_id, NewCustomKeyStoreName=name)
        assert cloudhsm.store(store_id)["CustomKeyStoreName"] == name
        connect(cloudhsm, store_id)


def test_or_only_disconnected_if_kms_reads_it_so() -> None:
    cloudhsm = CloudHsm(assumptions=Assumptions(rename_while_connected=False))
    cluster_id = cloudhsm.active(ZONES[1])
    cloudhsm.add_user(cluster_id, "kmsuser", KMS_PASSWORD)
    store_id = create(cloudhsm, cluster_id)
    params = {"CustomKeyStoreId": store_id, "NewCustomKeyStoreName": "second"}
    connect(cloudhsm, store_id)
    refused(cloudhsm, "CustomKeyStoreInvalidStateException", "UpdateCustomKeyStore", **params)
    disconnect(cloudhsm, store_id)
    cloudhsm.call("UpdateCustomKeyStore", **params)


def test_a_name_that_is_taken_is_refused(cloudhsm: CloudHsm, store_id: str) -> None:
    other = create(cloudhsm, cloudhsm.active(ZONES[1]), CustomKeyStoreName="other")
    params = {"CustomKeyStoreId": other, "NewCustomKeyStoreName": "store"}
    refused(cloudhsm, "CustomKeyStoreNameInUseException", "UpdateCustomKeyStore", **params)
    params = {"CustomKeyStoreId": other, "NewCustomKeyStoreName": "other"}
    cloudhsm.call("UpdateCustomKeyStore", **params)


@pytest.mark.parametrize("state", ["CONNECTING", "FAILED", "DISCONNECTING"])
def test_a_store_on_its_way_or_failed_is_not_even_renamed(
    cloudhsm: CloudHsm, store_id: str, state: str
) -> None:
    cloudhsm.faults.inject({"connect": "NETWORK_ERRORS"})
    cloudhsm.call("ConnectCustomKeyStore", CustomKeyStoreId=store_id)
    if state != "CONNECTING":
        cloudhsm.wait(cloudhsm.timings.connect)
    if state == "DISCONNECTING":
        cloudhsm.call("DisconnectCustomKeyStore", CustomKeyStoreId=store_id)
    assert cloudhsm.store(store_id)["ConnectionState"] == state
    params = {"CustomKeyStoreId": store_id, "NewCustomKeyStoreName": "second"}
    refused(cloudhsm, "CustomKeyStoreInvalidStateException", "UpdateCustomKeyStore", **params)


@pytest.mark.parametrize("what", ["KeyStorePassword", "CloudHsmClusterId"])
def test_password_and_cluster_are_changed_only_disconnected(
    cloudhsm: CloudHsm, cluster_id: str, store_id: str, what: str
) -> None:
    value = {"KeyStorePassword": "Another123", "CloudHsmClusterId": cluster_id}[what]
    connect(cloudhsm, store_id)
    params = {"CustomKeyStoreId": store_id, what: value}
    refused(cloudhsm, "CustomKeyStoreInvalidStateException", "UpdateCustomKeyStore", **params)
    disconnect(cloudhsm, store_id)
    cloudhsm.call("UpdateCustomKeyStore", **params)


def test_a_store_moves_to_a_cluster_that_shares_its_backups(
    cloudhsm: CloudHsm, cluster_id: str, store_id: str
) -> None:
    connect(cloudhsm, store_id)
    for hsm in cloudhsm.hsms(cluster_id):
        cloudhsm.remove_hsm(cluster_id, hsm["HsmId"])
    disconnect(cloudhsm, store_id)
    related = cloudhsm.uninitialized(SourceBackupId=cloudhsm.backups()[-1]["BackupId"])
    params = {"CustomKeyStoreId": store_id, "CloudHsmClusterId": related}
    cloudhsm.add_hsm(related)
    refused(
        cloudhsm, "CloudHsmClusterInvalidConfigurationException", "UpdateCustomKeyStore", **params
    )
    cloudhsm.add_hsm(related, ZONES[1])
    cloudhsm.call("UpdateCustomKeyStore", **params)
    assert cloudhsm.store(store_id)["CloudHsmClusterId"] == related
    assert connect(cloudhsm, store_id)["ConnectionState"] == "CONNECTED"


def test_but_to_no_other_cluster(cloudhsm: CloudHsm, store_id: str) -> None:
    other = cloudhsm.active(ZONES[1])
    params = {"CustomKeyStoreId": store_id, "CloudHsmClusterId": other}
    refused(cloudhsm, "CloudHsmClusterNotRelatedException", "UpdateCustomKeyStore", **params)
    params["CloudHsmClusterId"] = "cluster-22222222222"
    refused(cloudhsm, "CloudHsmClusterNotFoundException", "UpdateCustomKeyStore", **params)


# --- DeleteCustomKeyStore


def test_a_store_is_deleted_only_when_it_is_disconnected(
    cloudhsm: CloudHsm, cluster_id: str, store_id: str
) -> None:
    code = "CustomKeyStoreInvalidStateException"
    connect(cloudhsm, store_id)
    refused(cloudhsm, code, "DeleteCustomKeyStore", CustomKeyStoreId=store_id)
    disconnect(cloudhsm, store_id)
    cloudhsm.faults.inject({"connect": "NETWORK_ERRORS"})
    connect(cloudhsm, store_id)
    refused(cloudhsm, code, "DeleteCustomKeyStore", CustomKeyStoreId=store_id)
    disconnect(cloudhsm, store_id)
    cloudhsm.call("DeleteCustomKeyStore", CustomKeyStoreId=store_id)
    assert cloudhsm.call("DescribeCustomKeyStores")["CustomKeyStores"] == []
    assert "kmsuser" in cloudhsm.users(cluster_id)


def test_after_the_deletion_kmsuser_has_the_password_of_kms(
    cloudhsm: CloudHsm, cluster_id: str, store_id: str
) -> None:
    connect(cloudhsm, store_id)
    disconnect(cloudhsm, store_id)
    cloudhsm.call("DeleteCustomKeyStore", CustomKeyStoreId=store_id)
    again = create(cloudhsm, cluster_id)
    assert connect(cloudhsm, again)["ConnectionErrorCode"] == "INVALID_CREDENTIALS"
