from __future__ import annotations

import pytest

from localaws.core.api_error import ApiError
from tests.localaws.services.region import ZONES, Life

DAY = 24 * 3600.0
KMS_PASSWORD = "Kmsuser123"


@pytest.fixture(name="cluster_id")
def _cluster_id(life: Life) -> str:
    cluster_id = life.active(ZONES[1])
    life.add_user(cluster_id, "kmsuser", KMS_PASSWORD)
    return cluster_id


@pytest.fixture(name="store_id")
def _store_id(life: Life, cluster_id: str) -> str:
    """A CONNECTED key store."""
    answer = life.call(
        "CreateCustomKeyStore",
        CustomKeyStoreName="store",
        CloudHsmClusterId=cluster_id,
        TrustAnchorCertificate=life.ca.pem,
        KeyStorePassword=KMS_PASSWORD,
    )
    store_id = str(answer["CustomKeyStoreId"])
    life.call("ConnectCustomKeyStore", CustomKeyStoreId=store_id)
    life.wait(life.timings.connect)
    return store_id


def disconnect(life: Life, store_id: str) -> None:
    life.call("DisconnectCustomKeyStore", CustomKeyStoreId=store_id)
    life.wait(life.timings.disconnect)


def test_a_key_is_made_in_a_connected_store_and_works(life: Life, store_id: str) -> None:
    life.region.create_key(store_id, "key-1")
    assert life.region.key_state("key-1") == "Enabled"
    life.region.use_key("key-1")
    assert life.region.key_state("key-of-kms-itself") is None


def test_a_key_is_refused_by_a_store_that_is_not_connected(life: Life, store_id: str) -> None:
    disconnect(life, store_id)
    with pytest.raises(ApiError) as refusal:
        life.region.create_key(store_id, "key-1")
    assert refusal.value.code == "CustomKeyStoreInvalidStateException"
    with pytest.raises(ApiError) as refusal:
        life.region.create_key("cks-1", "key-1")
    assert refusal.value.code == "CustomKeyStoreNotFoundException"


def test_a_key_needs_active_hsms_in_two_zones(life: Life, cluster_id: str, store_id: str) -> None:
    life.remove_hsm(cluster_id, life.hsms(cluster_id)[0]["HsmId"])
    with pytest.raises(ApiError) as refusal:
        life.region.create_key(store_id, "key-1")
    assert refusal.value.code == "CloudHsmClusterInvalidConfigurationException"


def test_keys_are_unavailable_while_their_store_is_not_connected(life: Life, store_id: str) -> None:
    life.region.create_key(store_id, "key-1")
    disconnect(life, store_id)
    assert life.region.key_state("key-1") == "Unavailable"
    with pytest.raises(ApiError) as refusal:
        life.region.use_key("key-1")
    assert refusal.value.code == "KMSInvalidStateException"
    life.call("ConnectCustomKeyStore", CustomKeyStoreId=store_id)
    life.wait(life.timings.connect)
    life.region.use_key("key-1")


def test_keys_do_not_work_without_hsms(life: Life, cluster_id: str, store_id: str) -> None:
    life.region.create_key(store_id, "key-1")
    for hsm in life.hsms(cluster_id):
        life.remove_hsm(cluster_id, hsm["HsmId"])
    with pytest.raises(ApiError) as refusal:
        life.region.use_key("key-1")
    assert refusal.value.code == "KMSInvalidStateException"


def test_a_store_with_keys_cannot_be_deleted_until_they_are_gone(life: Life, store_id: str) -> None:
    life.region.create_key(store_id, "key-1")
    disconnect(life, store_id)
    life.region.schedule_key_deletion("key-1", 7)
    assert life.region.key_state("key-1") == "PendingDeletion"
    with pytest.raises(ApiError) as refusal:
        life.call("DeleteCustomKeyStore", CustomKeyStoreId=store_id)
    assert refusal.value.code == "CustomKeyStoreHasCMKsException"
    life.wait(7 * DAY)
    assert life.region.key_state("key-1") is None
    life.call("DeleteCustomKeyStore", CustomKeyStoreId=store_id)


def test_a_deletion_can_be_cancelled(life: Life, store_id: str) -> None:
    life.region.create_key(store_id, "key-1")
    life.region.schedule_key_deletion("key-1")
    life.region.cancel_key_deletion("key-1")
    life.wait(31 * DAY)
    assert life.region.key_state("key-1") == "Disabled"
    with pytest.raises(ApiError):
        life.region.use_key("key-1")


@pytest.mark.parametrize("days", [6, 31])
def test_a_key_waits_7_to_30_days(life: Life, store_id: str, days: int) -> None:
    life.region.create_key(store_id, "key-1")
    with pytest.raises(ApiError) as refusal:
        life.region.schedule_key_deletion("key-1", days)
    assert refusal.value.code == "ValidationException"


def test_a_key_that_is_not_there_is_not_found(life: Life) -> None:
    with pytest.raises(ApiError) as refusal:
        life.region.schedule_key_deletion("key-1")
    assert refusal.value.code == "NotFoundException"
