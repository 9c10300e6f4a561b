from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.client import LocalAws
from rehearsal.fixtures import ExistingCluster, existing_cluster

Json = dict[str, Any]

PASSWORD = "Kmsuser0Password"
# Virtual seconds.
A_WHILE, DAY = 100, 86400


@pytest.fixture(scope="module", name="cluster")
def _cluster() -> Iterator[ExistingCluster]:
    with LocalAws(timings={"connect": 31, "disconnect": 7}) as aws:
        yield existing_cluster(aws)


@pytest.fixture(scope="module", name="store")
def _store(cluster: ExistingCluster) -> str:
    """A CONNECTED key store."""
    cluster.cloudhsm_cli(
        "user-create", new_username="kmsuser", new_password=PASSWORD, role="crypto-user"
    )
    store: str = cluster.aws.client("kms").create_custom_key_store(
        CustomKeyStoreName="keys",
        CloudHsmClusterId=cluster.cluster_id,
        TrustAnchorCertificate=cluster.ca_certificate,
        KeyStorePassword=PASSWORD,
    )["CustomKeyStoreId"]
    connect(cluster, store)
    return store


@pytest.fixture(name="kms")
def _kms(cluster: ExistingCluster) -> Any:
    return cluster.aws.client("kms")


@pytest.fixture(name="key")
def _key(kms: Any, store: str) -> str:
    return create_key(kms, store)["KeyId"]  # type: ignore[no-any-return]  # boto3 is untyped


def create_key(kms: Any, store: str, **more: Any) -> Json:
    created = kms.create_key(CustomKeyStoreId=store, Origin="AWS_CLOUDHSM", **more)
    return dict(created["KeyMetadata"])


def described(kms: Any, key: str) -> Json:
    return dict(kms.describe_key(KeyId=key)["KeyMetadata"])


def connect(cluster: ExistingCluster, store: str) -> None:
    cluster.aws.client("kms").connect_custom_key_store(CustomKeyStoreId=store)
    cluster.aws.admin.advance(A_WHILE)


def disconnect(cluster: ExistingCluster, store: str) -> None:
    cluster.aws.client("kms").disconnect_custom_key_store(CustomKeyStoreId=store)
    cluster.aws.admin.advance(A_WHILE)


def error_code(call: Callable[..., Any], **given: Any) -> str:
    with pytest.raises(ClientError) as error:
        call(**given)
    return str(error.value.response["Error"]["Code"])


# --- The existing cluster ---


def test_the_existing_cluster_is_active_and_has_an_online_client(
    cluster: ExistingCluster,
) -> None:
    described = cluster.describe()
    assert described["State"] == "ACTIVE"
    assert [hsm["State"] for hsm in described["Hsms"]] == ["ACTIVE"] * 2
    assert len({hsm["AvailabilityZone"] for hsm in described["Hsms"]}) == 2
    assert cluster.user("admin")["role"] == "admin"
    agents = cluster.aws.client("ssm").describe_instance_information()["InstanceInformationList"]
    assert [(agent["InstanceId"], agent["PingStatus"]) for agent in agents] == [
        (cluster.client, "Online")
    ]


def test_the_arguments_of_every_process_on_an_instance_are_recorded(
    cluster: ExistingCluster,
) -> None:
    arguments = cluster.aws.admin.processes()[cluster.client]
    assert ["dnf", "install", "-y", "/root/client.rpm"] in arguments
    assert [program for program, *_ in arguments] == ["curl", "dnf"]


# --- Keys ---


def test_a_key_is_described_with_its_key_store(
    cluster: ExistingCluster, kms: Any, store: str
) -> None:
    created = create_key(kms, store)
    assert described(kms, created["KeyId"]) == created
    assert created["CustomKeyStoreId"] == store
    assert created["CloudHsmClusterId"] == cluster.cluster_id
    assert (created["Origin"], created["KeyState"], created["Enabled"]) == (
        "AWS_CLOUDHSM",
        "Enabled",
        True,
    )


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"}, "UnsupportedOperationException"),
        ({"KeySpec": "HMAC_256"}, "UnsupportedOperationException"),
        ({"MultiRegion": True}, "UnsupportedOperationException"),
        ({"Origin": "AWS_KMS"}, "ValidationException"),
        ({"CustomKeyStoreId": "cks-0123456789abcdef0"}, "CustomKeyStoreNotFoundException"),
    ],
)
def test_a_key_with_unsupported_parameters_is_rejected(
    kms: Any, store: str, given: Json, code: str
) -> None:
    keys = len(kms.list_keys()["Keys"])
    wanted = {"CustomKeyStoreId": store, "Origin": "AWS_CLOUDHSM", **given}
    assert error_code(kms.create_key, **wanted) == code
    assert len(kms.list_keys()["Keys"]) == keys


def test_origin_cloudhsm_requires_a_key_store(kms: Any) -> None:
    assert error_code(kms.create_key, Origin="AWS_CLOUDHSM") == "ValidationException"


def test_a_key_in_a_key_store_does_not_support_rotation(kms: Any, key: str) -> None:
    assert error_code(kms.enable_key_rotation, KeyId=key) == "UnsupportedOperationException"


def test_a_key_is_usable_only_while_its_key_store_is_connected(
    cluster: ExistingCluster, kms: Any, store: str, key: str
) -> None:
    alias, other = "alias/in-a-key-store", kms.create_key()["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName=alias, TargetKeyId=key)
    sealed = kms.encrypt(KeyId=alias, Plaintext=b"plain")["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"plain"

    disconnect(cluster, store)
    assert (described(kms, key)["KeyState"], described(kms, key)["Enabled"]) == (
        "Unavailable",
        False,
    )
    for call, given in (
        (kms.encrypt, {"KeyId": alias, "Plaintext": b"plain"}),
        (kms.decrypt, {"CiphertextBlob": sealed}),
        (kms.re_encrypt, {"CiphertextBlob": sealed, "DestinationKeyId": other}),
        (kms.generate_data_key, {"KeyId": key, "KeySpec": "AES_256"}),
    ):
        assert error_code(call, **given) == "KMSInvalidStateException"
    kms.encrypt(KeyId=other, Plaintext=b"outside a key store")

    connect(cluster, store)
    assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"plain"


def test_a_scheduled_key_deletion_can_be_cancelled(kms: Any, key: str) -> None:
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert described(kms, key)["KeyState"] == "PendingDeletion"
    assert error_code(kms.encrypt, KeyId=key, Plaintext=b"plain") == "KMSInvalidStateException"
    kms.cancel_key_deletion(KeyId=key)
    assert described(kms, key)["KeyState"] == "Disabled"


def test_a_key_is_deleted_after_the_waiting_period(
    cluster: ExistingCluster, kms: Any, key: str
) -> None:
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    cluster.aws.admin.advance(8 * DAY)
    assert error_code(kms.describe_key, KeyId=key) == "NotFoundException"


def test_a_login_of_kmsuser_elsewhere_makes_the_connection_fail(
    cluster: ExistingCluster, store: str
) -> None:
    disconnect(cluster, store)
    cluster.aws.admin.aws_event("log_in", cluster_id=cluster.cluster_id, username="kmsuser")
    connect(cluster, store)
    assert state(cluster) == ("FAILED", "USER_LOGGED_IN")
    cluster.aws.admin.aws_event("log_out", cluster_id=cluster.cluster_id, username="kmsuser")
    disconnect(cluster, store)
    connect(cluster, store)
    assert state(cluster) == ("CONNECTED", None)


def state(cluster: ExistingCluster) -> tuple[str, str | None]:
    (store,) = cluster.aws.client("kms").describe_custom_key_stores()["CustomKeyStores"]
    return store["ConnectionState"], store.get("ConnectionErrorCode")
