from __future__ import annotations

import pytest

from localaws.core.api_error import ApiError
from tests.localaws.services.cloudhsm import ZONES, CloudHsm

DAY = 24 * 3600.0
KMS_PASSWORD = "Kmsuser123"


@pytest.fixture(name="cluster_id")
def _cluster_id(cloudhsm: CloudHsm) -> str:
    cluster_id = cloudhsm.active(ZONES[1])
    cloudhsm.add_user(cluster_id, "kmsuser", KMS_PASSWORD)
    return cluster_id


@pytest.fixture(name="store_id")
def _store_id(cloudhsm: CloudHsm, cluster_id: str) -> str:
    """A CONNECTED key store."""
    answer = cloudhsm.call(
        "CreateCustomKeyStore",
        CustomKeyStoreName="store",
        CloudHsmClusterId=cluster_id,
        TrustAnchorCertificate=cloudhsm.ca.pem,
        KeyStorePassword=KMS_PASSWORD,
    )
    store_id = str(answer["CustomKeyStoreId"])
    cloudhsm.call("ConnectCustomKeyStore", CustomKeyStoreId=store_id)
    cloudhsm.wait(cloudhsm.timings.connect)
    return store_id


def disconnect(cloudhsm: CloudHsm, store_id: str) -> None:
    cloudhsm.call("DisconnectCustomKeyStore", CustomKeyStoreId=store_id)
    cloudhsm.wait(cloudhsm.timings.disconnect)


def test_a_key_is_made_in_a_connected_store_and_works(cloudhsm: CloudHsm, store_id: str) -> None:
    cloudhsm.provider.create_key(store_id, "key-1")
    assert cloudhsm.provider.key_state("key-1") == "Enabled"
    cloudhsm.provider.use_key("key-1")
    assert cloudhsm.provider.key_state("key-of-kms-itself") is None


def test_a_key_is_refused_by_a_store_that_is_not_connected(
    cloudhsm: CloudHsm, store_id: str
) -> None:
    disconnect(cloudhsm, store_id)
    with pytest.raises(ApiError) as refusal:
        cloudhsm.provider.create_key(store_id, "key-1")
    assert refusal.value.code == "CustomKeyStoreInvalidStateException"
    with pytest.raises(ApiError) as refusal:
        cloudhsm.provider.create_key("cks-1", "key-1")
    assert refusal.value.code == "CustomKeyStoreNotFoundException"


def test_a_key_needs_active_hsms_in_two_zones(
    cloudhsm: CloudHsm, cluster_id: str, store_id: str
) -> None:
    cloudhsm.remove_hsm(cluster_id, cloudhsm.hsms(cluster_id)[0]["HsmId"])
    with pytest.raises(ApiError) as refusal:
        cloudhsm.provider.create_key(store_id, "key-1")
    assert refusal.value.code == "CloudHsmClusterInvalidConfigurationException"


def test_keys_are_unavailable_while_their_store_is_not_connected(
    cloudhsm: CloudHsm, store_id: str
) -> None:
    cloudhsm.provider.create_key(store_id, "key-1")
    disconnect(cloudhsm, store_id)
    assert cloudhsm.provider.key_state("key-1") == "Unavailable"
    with pytest.raises(ApiError) as refusal:
        cloudhsm.provider.use_key("key-1")
    assert refusal.value.code == "KMSInvalidStateException"
    cloudhsm.call("ConnectCustomKeyStore", CustomKeyStoreId=store_id)
    cloudhsm.wait(cloudhsm.timings.connect)
    cloudhsm.provider.use_key("key-1")


def test_keys_do_not_work_without_hsms(cloudhsm: CloudHsm, cluster_id: str, store_id: str) -> None:
    cloudhsm.provider.create_key(store_id, "key-1")
    for hsm in cloudhsm.hsms(cluster_id):
        cloudhsm.remove_hsm(cluster_id, hsm["HsmId"])
    with pytest.raises(ApiError) as refusal:
        cloudhsm.provider.use_key("key-1")
    assert refusal.value.code == "KMSInvalidStateException"


def test_a_store_with_keys_cannot_be_deleted_until_they_are_gone(
    cloudhsm: CloudHsm, store_id: str
) -> None:
    cloudhsm.provider.create_key(store_id, "key-1")
    disconnect(cloudhsm, store_id)
    cloudhsm.provider.schedule_key_deletion("key-1", 7)
    assert cloudhsm.provider.key_state("key-1") == "PendingDeletion"
    with pytest.raises(ApiError) as refusal:
        cloudhsm.call("DeleteCustomKeyStore", CustomKeyStoreId=store_id)
    assert refusal.value.code == "CustomKeyStoreHasCMKsException"
    cloudhsm.wait(7 * DAY)
    assert cloudhsm.provider.key_state("key-1") is None
    cloudhsm.call("DeleteCustomKeyStore", CustomKeyStoreId=store_id)


def test_a_deletion_can_be_cancelled(cloudhsm: CloudHsm, store_id: str) -> None:
    cloudhsm.provider.create_key(store_id, "key-1")
    cloudhsm.provider.schedule_key_deletion("key-1")
    cloudhsm.provider.cancel_key_deletion("key-1")
    cloudhsm.wait(31 * DAY)
    assert cloudhsm.provider.key_state("key-1") == "Disabled"
    with pytest.raises(ApiError):
        cloudhsm.provider.use_key("key-1")


@pytest.mark.parametrize("days", [6, 31])
def test_a_key_waits_7_to_30_days(cloudhsm: CloudHsm, store_id: str, days: int) -> None:
    cloudhsm.provider.create_key(store_id, "key-1")
    with pytest.raises(ApiError) as refusal:
        cloudhsm.provider.schedule_key_deletion("key-1", days)
    assert refusal.value.code == "ValidationException"


def test_a_key_that_is_not_there_is_not_found(cloudhsm: CloudHsm) -> None:
    with pytest.raises(ApiError) as refusal:
        cloudhsm.provider.schedule_key_deletion("key-1")
    assert refusal.value.code == "NotFoundException"
