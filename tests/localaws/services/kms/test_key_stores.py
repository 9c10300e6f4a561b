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
    response = cloudhsm.call("CreateCustomKeyStore", **request(cloudhsm, cluster_id, **overrides))
    return str(response["CustomKeyStoreId"])


def rejected(cloudhsm: CloudHsm, code: str, action: str, **params: Any) -> ApiError:
    with pytest.raises(ApiError) as error:
        cloudhsm.call(action, **params)
    assert error.value.code == code
    return error.value


def connect(cloudhsm: CloudHsm, key_store_id: str) -> dict[str, Any]:
    """Connect and wait for the outcome."""
    assert cloudhsm.call("ConnectCustomKeyStore", CustomKeyStoreId=key_store_id) == {}
    cloudhsm.wait(cloudhsm.timings.connect)
    return cloudhsm.key_store(key_store_id)


def disconnect(cloudhsm: CloudHsm, key_store_id: str) -> None:
    """Disconnect and wait until it is done."""
    assert cloudhsm.call("DisconnectCustomKeyStore", CustomKeyStoreId=key_store_id) == {}
    cloudhsm.wait(cloudhsm.timings.disconnect)
    assert cloudhsm.key_store(key_store_id)["ConnectionState"] == "DISCONNECTED"


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
    """An ACTIVE cluster with HSMs in two zones and kmsuser."""
    cluster_id = cloudhsm.active(ZONES[1])
    cloudhsm.add_user(cluster_id, "kmsuser", KMS_PASSWORD)
    return cluster_id


@pytest.fixture(name="key_store_id")
def _key_store_id(cloudhsm: CloudHsm, cluster_id: str) -> str:
    return create(cloudhsm, cluster_id)


# --- CreateCustomKeyStore


def test_a_new_key_store_is_disconnected(
    cloudhsm: CloudHsm, cluster_id: str, key_store_id: str
) -> None:
    assert cloudhsm.key_store(key_store_id) == {
        "CustomKeyStoreId": key_store_id,
        "CustomKeyStoreName": "store",
        "CloudHsmClusterId": cluster_id,
        "TrustAnchorCertificate": cloudhsm.ca.pem,
        "ConnectionState": "DISCONNECTED",
        "CreationDate": cloudhsm.clock.now(),
        "CustomKeyStoreType": "AWS_CLOUDHSM",
    }
    assert key_store_id.startswith("cks-")


INVALID: list[dict[str, Any]] = [
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
]


def test_invalid_parameters_are_rejected(cloudhsm: CloudHsm, cluster_id: str) -> None:
    for overrides in INVALID:
        params = request(cloudhsm, cluster_id, **overrides)
        error = rejected(cloudhsm, "ValidationException", "CreateCustomKeyStore", **params)
        assert next(iter(overrides)) in error.message


def test_external_key_stores_are_not_modelled(cloudhsm: CloudHsm, cluster_id: str) -> None:
    params = request(cloudhsm, cluster_id, CustomKeyStoreType="EXTERNAL_KEY_STORE")
    rejected(cloudhsm, "UnsupportedOperationException", "CreateCustomKeyStore", **params)


def test_an_unknown_cluster_is_not_found(cloudhsm: CloudHsm) -> None:
    params = request(cloudhsm, "cluster-22222222222")
    rejected(cloudhsm, "CloudHsmClusterNotFoundException", "CreateCustomKeyStore", **params)


def test_the_cluster_must_be_active(cloudhsm: CloudHsm) -> None:
    params = request(cloudhsm, cloudhsm.initialized())
    rejected(cloudhsm, "CloudHsmClusterNotActiveException", "CreateCustomKeyStore", **params)


def test_the_cluster_must_have_active_hsms_in_two_zones(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active(ZONES[0])
    params = request(cloudhsm, cluster_id)
    code = "CloudHsmClusterInvalidConfigurationException"
    rejected(cloudhsm, code, "CreateCustomKeyStore", **params)
    cloudhsm.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[1])
    rejected(cloudhsm, code, "CreateCustomKeyStore", **params)
    cloudhsm.wait(cloudhsm.timings.create_hsm)
    cloudhsm.call("CreateCustomKeyStore", **params)


def test_the_cluster_must_have_its_security_group_rules(
    cloudhsm: CloudHsm, cluster_id: str
) -> None:
    cloudhsm.network.broken_groups.add(cloudhsm.cluster(cluster_id)["SecurityGroup"])
    params = request(cloudhsm, cluster_id)
    error = rejected(
        cloudhsm, "CloudHsmClusterInvalidConfigurationException", "CreateCustomKeyStore", **params
    )
    assert "2223-2225" in error.message


def test_the_cluster_must_have_ipv4_addresses_only(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active(*ZONES[:2], NetworkType="DUALSTACK")
    error = rejected(
        cloudhsm,
        "CloudHsmClusterInvalidConfigurationException",
        "CreateCustomKeyStore",
        **request(cloudhsm, cluster_id),
    )
    assert "IPV4" in error.message


def test_the_cluster_must_have_subnets_in_two_zones(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active(SubnetIds=["subnet-0000000a"])
    error = rejected(
        cloudhsm,
        "CloudHsmClusterInvalidConfigurationException",
        "CreateCustomKeyStore",
        **request(cloudhsm, cluster_id),
    )
    assert "subnets" in error.message


def test_the_trust_anchor_must_be_that_of_the_cluster(cloudhsm: CloudHsm, cluster_id: str) -> None:
    for anchor in (
        test_ca.make_ca(START).pem,
        cloudhsm.cluster(cluster_id)["Certificates"]["ClusterCertificate"],
        "not a certificate",
    ):
        params = request(cloudhsm, cluster_id, TrustAnchorCertificate=anchor)
        rejected(cloudhsm, "IncorrectTrustAnchorException", "CreateCustomKeyStore", **params)


def test_white_space_around_the_trust_anchor_is_ignored(
    cloudhsm: CloudHsm, cluster_id: str
) -> None:
    assert create(cloudhsm, cluster_id, TrustAnchorCertificate=f"\n{cloudhsm.ca.pem.strip()}\n\n")


def test_create_does_not_check_the_password(cloudhsm: CloudHsm, cluster_id: str) -> None:
    assert create(cloudhsm, cluster_id, KeyStorePassword="Something7")


def test_create_is_idempotent_while_the_key_store_is_disconnected(
    cloudhsm: CloudHsm, cluster_id: str, key_store_id: str
) -> None:
    assert create(cloudhsm, cluster_id) == key_store_id
    assert len(cloudhsm.call("DescribeCustomKeyStores")["CustomKeyStores"]) == 1


def test_create_is_not_idempotent_once_the_key_store_is_connected(
    cloudhsm: CloudHsm, cluster_id: str, key_store_id: str
) -> None:
    connect(cloudhsm, key_store_id)
    params = request(cloudhsm, cluster_id)
    rejected(cloudhsm, "CustomKeyStoreNameInUseException", "CreateCustomKeyStore", **params)


def test_create_with_another_password_or_name_is_rejected(
    cloudhsm: CloudHsm, cluster_id: str, key_store_id: str
) -> None:
    rejected(
        cloudhsm,
        "CustomKeyStoreNameInUseException",
        "CreateCustomKeyStore",
        **request(cloudhsm, cluster_id, KeyStorePassword="Different1"),
    )
    rejected(
        cloudhsm,
        "CloudHsmClusterInUseException",
        "CreateCustomKeyStore",
        **request(cloudhsm, cluster_id, CustomKeyStoreName="other"),
    )


def test_a_related_cluster_counts_as_in_use(
    cloudhsm: CloudHsm, cluster_id: str, key_store_id: str
) -> None:
    backup = cloudhsm.backups()[-1]["BackupId"]
    related = cloudhsm.uninitialized(SourceBackupId=backup)
    cloudhsm.add_hsm(related)
    cloudhsm.add_hsm(related, ZONES[1])
    params = request(cloudhsm, related, CustomKeyStoreName="other")
    rejected(cloudhsm, "CloudHsmClusterInUseException", "CreateCustomKeyStore", **params)


def test_the_default_quota_is_10_key_stores() -> None:
    assert Quotas().key_stores == 10
    cloudhsm = CloudHsm(quotas=Quotas(key_stores=1))
    create(cloudhsm, cloudhsm.active(ZONES[1]))
    params = request(cloudhsm, cloudhsm.active(ZONES[1]), CustomKeyStoreName="other")
    rejected(cloudhsm, "LimitExceededException", "CreateCustomKeyStore", **params)


# --- DescribeCustomKeyStores


def test_key_stores_are_described_by_id_and_by_name(cloudhsm: CloudHsm, key_store_id: str) -> None:
    for params in ({}, {"CustomKeyStoreId": key_store_id}, {"CustomKeyStoreName": "store"}):
        response = cloudhsm.call("DescribeCustomKeyStores", **params)
        assert [one["CustomKeyStoreId"] for one in response["CustomKeyStores"]] == [key_store_id]
        assert response["Truncated"] is False


def test_describing_an_unknown_key_store_is_an_error(cloudhsm: CloudHsm, key_store_id: str) -> None:
    for params in ({"CustomKeyStoreId": "cks-1"}, {"CustomKeyStoreName": "other"}):
        rejected(cloudhsm, "CustomKeyStoreNotFoundException", "DescribeCustomKeyStores", **params)
    both = {"CustomKeyStoreId": key_store_id, "CustomKeyStoreName": "store"}
    rejected(cloudhsm, "ValidationException", "DescribeCustomKeyStores", **both)


def test_operations_do_not_find_an_unknown_key_store(cloudhsm: CloudHsm) -> None:
    for verb in ("Connect", "Disconnect", "Update", "Delete"):
        action = f"{verb}CustomKeyStore"
        rejected(cloudhsm, "CustomKeyStoreNotFoundException", action, CustomKeyStoreId="cks-1")


def test_describe_custom_key_stores_returns_pages() -> None:
    cloudhsm = CloudHsm(quotas=Quotas(hsms=9))
    created = [
        create(cloudhsm, cloudhsm.active(ZONES[1]), CustomKeyStoreName=name)
        for name in ("a", "b", "c")
    ]
    first = cloudhsm.call("DescribeCustomKeyStores", Limit=2)
    assert [one["CustomKeyStoreId"] for one in first["CustomKeyStores"]] == created[:2]
    assert first["Truncated"] is True
    second = cloudhsm.call("DescribeCustomKeyStores", Limit=2, Marker=first["NextMarker"])
    assert [one["CustomKeyStoreId"] for one in second["CustomKeyStores"]] == created[2:]
    assert second["Truncated"] is False
    rejected(cloudhsm, "InvalidMarkerException", "DescribeCustomKeyStores", Marker="x")
    rejected(cloudhsm, "ValidationException", "DescribeCustomKeyStores", Limit=0)


# --- ConnectCustomKeyStore


def test_connecting_takes_time(cloudhsm: CloudHsm, key_store_id: str) -> None:
    cloudhsm.call("ConnectCustomKeyStore", CustomKeyStoreId=key_store_id)
    assert cloudhsm.key_store(key_store_id)["ConnectionState"] == "CONNECTING"
    cloudhsm.wait(cloudhsm.timings.connect - 1)
    assert cloudhsm.key_store(key_store_id)["ConnectionState"] == "CONNECTING"
    cloudhsm.wait(1)
    assert cloudhsm.key_store(key_store_id)["ConnectionState"] == "CONNECTED"
    assert "ConnectionErrorCode" not in cloudhsm.key_store(key_store_id)


def test_connect_is_idempotent(cloudhsm: CloudHsm, key_store_id: str) -> None:
    for _ in range(2):
        connect(cloudhsm, key_store_id)
        assert cloudhsm.call("ConnectCustomKeyStore", CustomKeyStoreId=key_store_id) == {}
        assert cloudhsm.key_store(key_store_id)["ConnectionState"] == "CONNECTED"
    assert cloudhsm.events(key_store_id).count("ConnectCustomKeyStore") == 1


def test_connect_creates_a_group_and_an_interface_per_zone_and_disconnect_deletes_them(
    cloudhsm: CloudHsm, key_store_id: str
) -> None:
    groups, enis = dict(cloudhsm.network.groups), dict(cloudhsm.network.enis)
    connect(cloudhsm, key_store_id)
    assert f"kms-{key_store_id}" in cloudhsm.network.groups.values()
    created = [subnet for eni, (subnet, _, _) in cloudhsm.network.enis.items() if eni not in enis]
    assert created == ["subnet-0000000a", "subnet-0000000b", "subnet-0000000c"]
    disconnect(cloudhsm, key_store_id)
    assert (cloudhsm.network.groups, cloudhsm.network.enis) == (groups, enis)


def test_kms_changes_the_password_of_kmsuser_and_stays_logged_in(
    cloudhsm: CloudHsm, cluster_id: str, key_store_id: str
) -> None:
    connect(cloudhsm, key_store_id)
    with pytest.raises(ApiError, match="is logged in"):
        change_kmsuser(cloudhsm, cluster_id, "Mine12345")
    disconnect(cloudhsm, key_store_id)
    change_kmsuser(cloudhsm, cluster_id, KMS_PASSWORD)
    assert connect(cloudhsm, key_store_id)["ConnectionErrorCode"] == "INVALID_CREDENTIALS"


def test_kms_reconnects_with_the_password_it_chose(cloudhsm: CloudHsm, key_store_id: str) -> None:
    connect(cloudhsm, key_store_id)
    disconnect(cloudhsm, key_store_id)
    assert connect(cloudhsm, key_store_id)["ConnectionState"] == "CONNECTED"


def test_a_failed_connection_must_be_disconnected_first(
    cloudhsm: CloudHsm, key_store_id: str
) -> None:
    cloudhsm.faults.inject({"connect": "INTERNAL_ERROR"})
    key_store = connect(cloudhsm, key_store_id)
    assert (key_store["ConnectionState"], key_store["ConnectionErrorCode"]) == (
        "FAILED",
        "INTERNAL_ERROR",
    )
    rejected(
        cloudhsm,
        "CustomKeyStoreInvalidStateException",
        "ConnectCustomKeyStore",
        CustomKeyStoreId=key_store_id,
    )
    cloudhsm.call("DisconnectCustomKeyStore", CustomKeyStoreId=key_store_id)
    assert cloudhsm.key_store(key_store_id)["ConnectionState"] == "DISCONNECTING"
    for action in ("ConnectCustomKeyStore", "DisconnectCustomKeyStore"):
        rejected(
            cloudhsm, "CustomKeyStoreInvalidStateException", action, CustomKeyStoreId=key_store_id
        )
    cloudhsm.wait(cloudhsm.timings.disconnect)
    assert "ConnectionErrorCode" not in cloudhsm.key_store(key_store_id)
    assert connect(cloudhsm, key_store_id)["ConnectionState"] == "CONNECTED"


def test_a_connection_in_progress_can_be_disconnected(
    cloudhsm: CloudHsm, key_store_id: str
) -> None:
    enis = dict(cloudhsm.network.enis)
    cloudhsm.call("ConnectCustomKeyStore", CustomKeyStoreId=key_store_id)
    disconnect(cloudhsm, key_store_id)
    cloudhsm.wait(cloudhsm.timings.connect)
    assert cloudhsm.key_store(key_store_id)["ConnectionState"] == "DISCONNECTED"
    assert cloudhsm.network.enis == enis
    rejected(
        cloudhsm,
        "CustomKeyStoreInvalidStateException",
        "DisconnectCustomKeyStore",
        CustomKeyStoreId=key_store_id,
    )


def test_connect_requires_one_active_hsm(
    cloudhsm: CloudHsm, cluster_id: str, key_store_id: str
) -> None:
    first, second = (hsm["HsmId"] for hsm in cloudhsm.hsms(cluster_id))
    cloudhsm.remove_hsm(cluster_id, first)
    connect(cloudhsm, key_store_id)
    disconnect(cloudhsm, key_store_id)
    cloudhsm.remove_hsm(cluster_id, second)
    rejected(
        cloudhsm,
        "CloudHsmClusterInvalidConfigurationException",
        "ConnectCustomKeyStore",
        CustomKeyStoreId=key_store_id,
    )
    assert cloudhsm.key_store(key_store_id)["ConnectionState"] == "DISCONNECTED"


def test_connect_requires_the_security_group_rules(
    cloudhsm: CloudHsm, cluster_id: str, key_store_id: str
) -> None:
    cloudhsm.network.broken_groups.add(cloudhsm.cluster(cluster_id)["SecurityGroup"])
    rejected(
        cloudhsm,
        "CloudHsmClusterInvalidConfigurationException",
        "ConnectCustomKeyStore",
        CustomKeyStoreId=key_store_id,
    )


def test_a_wrong_password_fails_the_connection_as_a_failed_login(
    cloudhsm: CloudHsm, cluster_id: str
) -> None:
    key_store_id = create(cloudhsm, cluster_id, KeyStorePassword="Wrong1234")
    assert connect(cloudhsm, key_store_id)["ConnectionErrorCode"] == "INVALID_CREDENTIALS"
    assert cloudhsm.events(cluster_id)[-1] == "LoginRefused"
    disconnect(cloudhsm, key_store_id)
    cloudhsm.call(
        "UpdateCustomKeyStore", CustomKeyStoreId=key_store_id, KeyStorePassword=KMS_PASSWORD
    )
    assert connect(cloudhsm, key_store_id)["ConnectionState"] == "CONNECTED"


def test_wrong_passwords_lock_kmsuser(cloudhsm: CloudHsm, cluster_id: str) -> None:
    key_store_id = create(cloudhsm, cluster_id, KeyStorePassword="Wrong1234")
    codes = []
    for _ in range(6):
        codes.append(connect(cloudhsm, key_store_id)["ConnectionErrorCode"])
        disconnect(cloudhsm, key_store_id)
    assert codes == ["INVALID_CREDENTIALS"] * 5 + ["USER_LOCKED_OUT"]
    change_kmsuser(cloudhsm, cluster_id, "Wrong1234")
    assert connect(cloudhsm, key_store_id)["ConnectionState"] == "CONNECTED"


def test_kmsuser_must_be_a_crypto_user_on_every_hsm(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active(ZONES[1])
    key_store_id = create(cloudhsm, cluster_id)
    assert connect(cloudhsm, key_store_id)["ConnectionErrorCode"] == "USER_NOT_FOUND"
    disconnect(cloudhsm, key_store_id)
    cloudhsm.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[2])
    cloudhsm.add_user(cluster_id, "kmsuser", KMS_PASSWORD)
    assert connect(cloudhsm, key_store_id)["ConnectionErrorCode"] == "USER_NOT_FOUND"
    disconnect(cloudhsm, key_store_id)
    cloudhsm.add_user(cluster_id, "kmsuser", KMS_PASSWORD)
    assert connect(cloudhsm, key_store_id)["ConnectionState"] == "CONNECTED"


def test_an_admin_named_kmsuser_is_not_enough(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active(ZONES[1])
    cloudhsm.as_admin(
        cluster_id,
        "user-create",
        new_username="kmsuser",
        new_password=KMS_PASSWORD,
        role="admin",
    )
    key_store_id = create(cloudhsm, cluster_id)
    assert connect(cloudhsm, key_store_id)["ConnectionErrorCode"] == "USER_NOT_FOUND"


def test_another_login_as_kmsuser_fails_the_connection(
    cloudhsm: CloudHsm, cluster_id: str, key_store_id: str
) -> None:
    cloudhsm.provider.log_in(cluster_id, "kmsuser")
    assert connect(cloudhsm, key_store_id)["ConnectionErrorCode"] == "USER_LOGGED_IN"
    disconnect(cloudhsm, key_store_id)
    cloudhsm.provider.log_out(cluster_id, "kmsuser")
    assert connect(cloudhsm, key_store_id)["ConnectionState"] == "CONNECTED"


def test_hsms_deleted_during_the_connection_fail_it(
    cloudhsm: CloudHsm, cluster_id: str, key_store_id: str
) -> None:
    cloudhsm.call("ConnectCustomKeyStore", CustomKeyStoreId=key_store_id)
    for hsm in cloudhsm.hsms(cluster_id):
        cloudhsm.call("DeleteHsm", ClusterId=cluster_id, HsmId=hsm["HsmId"])
    cloudhsm.wait(cloudhsm.timings.connect)
    assert cloudhsm.key_store(key_store_id)["ConnectionErrorCode"] == "INSUFFICIENT_CLOUDHSM_HSMS"


def test_security_group_rules_removed_during_the_connection_fail_it(
    cloudhsm: CloudHsm, cluster_id: str, key_store_id: str
) -> None:
    cloudhsm.call("ConnectCustomKeyStore", CustomKeyStoreId=key_store_id)
    cloudhsm.network.broken_groups.add(cloudhsm.cluster(cluster_id)["SecurityGroup"])
    cloudhsm.wait(cloudhsm.timings.connect)
    assert cloudhsm.key_store(key_store_id)["ConnectionErrorCode"] == "NETWORK_ERRORS"


def test_a_deleted_subnet_fails_the_connection(cloudhsm: CloudHsm, key_store_id: str) -> None:
    del cloudhsm.network.subnets["subnet-0000000c"]
    assert connect(cloudhsm, key_store_id)["ConnectionErrorCode"] == "SUBNET_NOT_FOUND"


def test_a_full_subnet_fails_the_connection(cloudhsm: CloudHsm, key_store_id: str) -> None:
    cloudhsm.network.full_subnets.add("subnet-0000000c")
    key_store = connect(cloudhsm, key_store_id)
    assert key_store["ConnectionErrorCode"] == "INSUFFICIENT_FREE_ADDRESSES_IN_SUBNET"


def test_a_deleted_cluster_fails_the_connection(
    cloudhsm: CloudHsm, cluster_id: str, key_store_id: str
) -> None:
    for hsm in cloudhsm.hsms(cluster_id):
        cloudhsm.remove_hsm(cluster_id, hsm["HsmId"])
    cloudhsm.call("DeleteCluster", ClusterId=cluster_id)
    cloudhsm.wait(cloudhsm.timings.delete_cluster)
    assert connect(cloudhsm, key_store_id)["ConnectionErrorCode"] == "CLUSTER_NOT_FOUND"
    disconnect(cloudhsm, key_store_id)
    rejected(
        cloudhsm,
        "CloudHsmClusterNotFoundException",
        "UpdateCustomKeyStore",
        CustomKeyStoreId=key_store_id,
        KeyStorePassword="Another123",
    )


def test_a_cluster_deleted_during_the_connection_fails_it(
    cloudhsm: CloudHsm, cluster_id: str, key_store_id: str
) -> None:
    cloudhsm.call("ConnectCustomKeyStore", CustomKeyStoreId=key_store_id)
    for hsm in cloudhsm.hsms(cluster_id):
        cloudhsm.call("DeleteHsm", ClusterId=cluster_id, HsmId=hsm["HsmId"])
    cloudhsm.wait(
        cloudhsm.timings.delete_hsm
        + cloudhsm.timings.deleted_hsm_visible
        + cloudhsm.timings.deleted_hsm_lingers
    )
    cloudhsm.call("DeleteCluster", ClusterId=cluster_id)
    cloudhsm.wait(cloudhsm.timings.connect)
    assert cloudhsm.key_store(key_store_id)["ConnectionErrorCode"] == "CLUSTER_NOT_FOUND"


# --- UpdateCustomKeyStore


def test_a_key_store_can_be_renamed_while_connected_or_disconnected(
    cloudhsm: CloudHsm, key_store_id: str
) -> None:
    for name in ("second", "third"):
        cloudhsm.call(
            "UpdateCustomKeyStore", CustomKeyStoreId=key_store_id, NewCustomKeyStoreName=name
        )
        assert cloudhsm.key_store(key_store_id)["CustomKeyStoreName"] == name
        connect(cloudhsm, key_store_id)


def test_a_key_store_is_renamed_only_while_disconnected_under_that_assumption() -> None:
    cloudhsm = CloudHsm(assumptions=Assumptions(rename_while_connected=False))
    cluster_id = cloudhsm.active(ZONES[1])
    cloudhsm.add_user(cluster_id, "kmsuser", KMS_PASSWORD)
    key_store_id = create(cloudhsm, cluster_id)
    params = {"CustomKeyStoreId": key_store_id, "NewCustomKeyStoreName": "second"}
    connect(cloudhsm, key_store_id)
    rejected(cloudhsm, "CustomKeyStoreInvalidStateException", "UpdateCustomKeyStore", **params)
    disconnect(cloudhsm, key_store_id)
    cloudhsm.call("UpdateCustomKeyStore", **params)


def test_a_name_in_use_is_rejected_except_its_own(cloudhsm: CloudHsm, key_store_id: str) -> None:
    other = create(cloudhsm, cloudhsm.active(ZONES[1]), CustomKeyStoreName="other")
    params = {"CustomKeyStoreId": other, "NewCustomKeyStoreName": "store"}
    rejected(cloudhsm, "CustomKeyStoreNameInUseException", "UpdateCustomKeyStore", **params)
    params = {"CustomKeyStoreId": other, "NewCustomKeyStoreName": "other"}
    cloudhsm.call("UpdateCustomKeyStore", **params)


def test_a_key_store_in_transition_or_failed_cannot_be_renamed(
    cloudhsm: CloudHsm, key_store_id: str
) -> None:
    def reject_in(state: str) -> None:
        assert cloudhsm.key_store(key_store_id)["ConnectionState"] == state
        params = {"CustomKeyStoreId": key_store_id, "NewCustomKeyStoreName": "second"}
        rejected(cloudhsm, "CustomKeyStoreInvalidStateException", "UpdateCustomKeyStore", **params)

    cloudhsm.faults.inject({"connect": "NETWORK_ERRORS"})
    cloudhsm.call("ConnectCustomKeyStore", CustomKeyStoreId=key_store_id)
    reject_in("CONNECTING")
    cloudhsm.wait(cloudhsm.timings.connect)
    reject_in("FAILED")
    cloudhsm.call("DisconnectCustomKeyStore", CustomKeyStoreId=key_store_id)
    reject_in("DISCONNECTING")


def test_password_and_cluster_can_be_changed_only_while_disconnected(
    cloudhsm: CloudHsm, cluster_id: str, key_store_id: str
) -> None:
    changes = ({"KeyStorePassword": "Another123"}, {"CloudHsmClusterId": cluster_id})
    connect(cloudhsm, key_store_id)
    for change in changes:
        params = {"CustomKeyStoreId": key_store_id, **change}
        rejected(cloudhsm, "CustomKeyStoreInvalidStateException", "UpdateCustomKeyStore", **params)
    disconnect(cloudhsm, key_store_id)
    for change in changes:
        cloudhsm.call("UpdateCustomKeyStore", CustomKeyStoreId=key_store_id, **change)


def test_a_key_store_can_move_to_a_related_cluster(
    cloudhsm: CloudHsm, cluster_id: str, key_store_id: str
) -> None:
    connect(cloudhsm, key_store_id)
    for hsm in cloudhsm.hsms(cluster_id):
        cloudhsm.remove_hsm(cluster_id, hsm["HsmId"])
    disconnect(cloudhsm, key_store_id)
    related = cloudhsm.uninitialized(SourceBackupId=cloudhsm.backups()[-1]["BackupId"])
    params = {"CustomKeyStoreId": key_store_id, "CloudHsmClusterId": related}
    cloudhsm.add_hsm(related)
    rejected(
        cloudhsm, "CloudHsmClusterInvalidConfigurationException", "UpdateCustomKeyStore", **params
    )
    cloudhsm.add_hsm(related, ZONES[1])
    cloudhsm.call("UpdateCustomKeyStore", **params)
    assert cloudhsm.key_store(key_store_id)["CloudHsmClusterId"] == related
    assert connect(cloudhsm, key_store_id)["ConnectionState"] == "CONNECTED"


def test_a_key_store_cannot_move_to_an_unrelated_cluster(
    cloudhsm: CloudHsm, key_store_id: str
) -> None:
    other = cloudhsm.active(ZONES[1])
    params = {"CustomKeyStoreId": key_store_id, "CloudHsmClusterId": other}
    rejected(cloudhsm, "CloudHsmClusterNotRelatedException", "UpdateCustomKeyStore", **params)
    params["CloudHsmClusterId"] = "cluster-22222222222"
    rejected(cloudhsm, "CloudHsmClusterNotFoundException", "UpdateCustomKeyStore", **params)


# --- DeleteCustomKeyStore


def test_a_key_store_can_be_deleted_only_while_disconnected(
    cloudhsm: CloudHsm, cluster_id: str, key_store_id: str
) -> None:
    code = "CustomKeyStoreInvalidStateException"
    connect(cloudhsm, key_store_id)
    rejected(cloudhsm, code, "DeleteCustomKeyStore", CustomKeyStoreId=key_store_id)
    disconnect(cloudhsm, key_store_id)
    cloudhsm.faults.inject({"connect": "NETWORK_ERRORS"})
    connect(cloudhsm, key_store_id)
    rejected(cloudhsm, code, "DeleteCustomKeyStore", CustomKeyStoreId=key_store_id)
    disconnect(cloudhsm, key_store_id)
    cloudhsm.call("DeleteCustomKeyStore", CustomKeyStoreId=key_store_id)
    assert cloudhsm.call("DescribeCustomKeyStores")["CustomKeyStores"] == []
    assert "kmsuser" in cloudhsm.users(cluster_id)


def test_after_deletion_kmsuser_still_has_the_password_of_kms(
    cloudhsm: CloudHsm, cluster_id: str, key_store_id: str
) -> None:
    connect(cloudhsm, key_store_id)
    disconnect(cloudhsm, key_store_id)
    cloudhsm.call("DeleteCustomKeyStore", CustomKeyStoreId=key_store_id)
    again = create(cloudhsm, cluster_id)
    assert connect(cloudhsm, again)["ConnectionErrorCode"] == "INVALID_CREDENTIALS"
