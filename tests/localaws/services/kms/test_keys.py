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


@pytest.fixture(name="key_store_id")
def _key_store_id(cloudhsm: CloudHsm, cluster_id: str) -> str:
    """A CONNECTED key store."""
    response = cloudhsm.call(
        "CreateCustomKeyStore",
        CustomKeyStoreName="store",
        CloudHsmClusterId=cluster_id,
        TrustAnchorCertificate=cloudhsm.ca.pem,
        KeyStorePassword=KMS_PASSWORD,
    )
    key_store_id = str(response["CustomKeyStoreId"])
    cloudhsm.call("ConnectCustomKeyStore", CustomKeyStoreId=key_store_id)
    cloudhsm.wait(cloudhsm.timings.connect)
    return key_store_id


def disconnect(cloudhsm: CloudHsm, key_store_id: str) -> None:
    cloudhsm.call("DisconnectCustomKeyStore", CustomKeyStoreId=key_store_id)
    cloudhsm.wait(cloudhsm.timings.disconnect)


def test_a_key_in_a_connected_key_store_is_enabled(cloudhsm: CloudHsm, key_store_id: str) -> None:
    cloudhsm.provider.create_key(key_store_id, "key-1")
    assert cloudhsm.provider.key_state("key-1") == "Enabled"
    cloudhsm.provider.use_key("key-1")
    assert cloudhsm.provider.key_state("key-of-kms-itself") is None


def test_create_key_requires_a_connected_key_store(cloudhsm: CloudHsm, key_store_id: str) -> None:
    disconnect(cloudhsm, key_store_id)
    with pytest.raises(ApiError) as error:
        cloudhsm.provider.create_key(key_store_id, "key-1")
    assert error.value.code == "CustomKeyStoreInvalidStateException"
    with pytest.raises(ApiError) as error:
        cloudhsm.provider.create_key("cks-1", "key-1")
    assert error.value.code == "CustomKeyStoreNotFoundException"


def test_create_key_requires_active_hsms_in_two_zones(
    cloudhsm: CloudHsm, cluster_id: str, key_store_id: str
) -> None:
    cloudhsm.remove_hsm(cluster_id, cloudhsm.hsms(cluster_id)[0]["HsmId"])
    with pytest.raises(ApiError) as error:
        cloudhsm.provider.create_key(key_store_id, "key-1")
    assert error.value.code == "CloudHsmClusterInvalidConfigurationException"


def test_keys_are_unavailable_while_their_key_store_is_not_connected(
    cloudhsm: CloudHsm, key_store_id: str
) -> None:
    cloudhsm.provider.create_key(key_store_id, "key-1")
    disconnect(cloudhsm, key_store_id)
    assert cloudhsm.provider.key_state("key-1") == "Unavailable"
    with pytest.raises(ApiError) as error:
        cloudhsm.provider.use_key("key-1")
    assert error.value.code == "KMSInvalidStateException"
    cloudhsm.call("ConnectCustomKeyStore", CustomKeyStoreId=key_store_id)
    cloudhsm.wait(cloudhsm.timings.connect)
    cloudhsm.provider.use_key("key-1")


def test_a_key_cannot_be_used_without_hsms(
    cloudhsm: CloudHsm, cluster_id: str, key_store_id: str
) -> None:
    cloudhsm.provider.create_key(key_store_id, "key-1")
    for hsm in cloudhsm.hsms(cluster_id):
        cloudhsm.remove_hsm(cluster_id, hsm["HsmId"])
    with pytest.raises(ApiError) as error:
        cloudhsm.provider.use_key("key-1")
    assert error.value.code == "KMSInvalidStateException"


def test_a_key_store_cannot_be_deleted_until_its_keys_are_deleted(
    cloudhsm: CloudHsm, key_store_id: str
) -> None:
    cloudhsm.provider.create_key(key_store_id, "key-1")
    disconnect(cloudhsm, key_store_id)
    cloudhsm.provider.schedule_key_deletion("key-1", 7)
    assert cloudhsm.provider.key_state("key-1") == "PendingDeletion"
    with pytest.raises(ApiError) as error:
        cloudhsm.call("DeleteCustomKeyStore", CustomKeyStoreId=key_store_id)
    assert error.value.code == "CustomKeyStoreHasCMKsException"
    cloudhsm.wait(7 * DAY)
    assert cloudhsm.provider.key_state("key-1") is None
    cloudhsm.call("DeleteCustomKeyStore", CustomKeyStoreId=key_store_id)


def test_a_key_whose_deletion_is_cancelled_is_disabled(
    cloudhsm: CloudHsm, key_store_id: str
) -> None:
    cloudhsm.provider.create_key(key_store_id, "key-1")
    cloudhsm.provider.schedule_key_deletion("key-1")
    cloudhsm.provider.cancel_key_deletion("key-1")
    cloudhsm.wait(31 * DAY)
    assert cloudhsm.provider.key_state("key-1") == "Disabled"
    with pytest.raises(ApiError):
        cloudhsm.provider.use_key("key-1")


def test_the_waiting_period_is_7_to_30_days(cloudhsm: CloudHsm, key_store_id: str) -> None:
    cloudhsm.provider.create_key(key_store_id, "key-1")
    for days in (6, 31):
        with pytest.raises(ApiError) as error:
            cloudhsm.provider.schedule_key_deletion("key-1", days)
        assert error.value.code == "ValidationException"


def test_an_unknown_key_is_not_found(cloudhsm: CloudHsm) -> None:
    with pytest.raises(ApiError) as error:
        cloudhsm.provider.schedule_key_deletion("key-1")
    assert error.value.code == "NotFoundException"
