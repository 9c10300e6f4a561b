"""Key stores, claims and secrets for the tests of the key store's steps."""

from __future__ import annotations

import datetime
import json
from typing import Any

import boto3

from hsm_lifecycle.steps import key_store, key_store_ownership
from tests.support.account import (
    KMSUSER_PASSWORD,
    STACK_ID,
    TIMINGS,
    Account,
    Json,
)

NAME = "store"
CLAIM = "/hsm-lifecycle/cloudhsm-ks-1/key-store"
CA_SECRET = "/cloudhsm/ca"
PASSWORD_SECRET = "/cloudhsm-ks/kmsuser-password"
UNKNOWN_CLUSTER = "cluster-aaaaaaaaaaa"
UNKNOWN = "cks-0123456789abcdef0"
NO_IDS = ("", "cks-", "rCloudHsmKeyStore", "cluster-aaaaaaaaaaa", "cks-0123456789abcdefg")
NOT_CONNECTED: Json = {"Number": 0, "IsRepaired": False}


def moment(seconds: float) -> str:
    """A time in the format of state machines, some seconds after the start."""
    begin = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)
    return f"{begin + datetime.timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.000Z"


def of(key_store_id: str, **more: Any) -> Json:
    """The event of a step on a key store."""
    return {"KeyStoreId": key_store_id, "StackId": STACK_ID, **more}


def request_for(cluster_id: str, name: str = NAME, **more: Any) -> Json:
    """The event of the steps of create-key-store."""
    return {
        "ClusterId": cluster_id,
        "Name": name,
        "StackId": STACK_ID,
        "CloudHsmCustCaCertSecretName": CA_SECRET,
        "PasswordSecretName": PASSWORD_SECRET,
        "EnteredTime": moment(0),
        **more,
    }


def store_secrets(account: Account, cluster_id: str) -> None:
    """Create the secrets of the CA certificate and of kmsuser's password."""
    account.put(CA_SECRET, account.anchors[cluster_id])
    account.put(PASSWORD_SECRET, KMSUSER_PASSWORD)


def read_claim() -> Json | None:
    """The claim in Parameter Store."""
    parameters = boto3.client("ssm")
    try:
        value = parameters.get_parameter(Name=CLAIM)["Parameter"]["Value"]
    except parameters.exceptions.ParameterNotFound:
        return None
    return dict(json.loads(value))


def save_claim(key_store_id: str = "", stack_id: str = STACK_ID, *, complete: bool = False) -> None:
    """Put a claim into Parameter Store."""
    value = {
        "StackId": stack_id,
        "Name": NAME,
        "KeyStoreId": key_store_id,
        "IsComplete": complete,
    }
    boto3.client("ssm").put_parameter(
        Name=CLAIM, Type="String", Value=json.dumps(value), Overwrite=True
    )


def key_store_ids(account: Account) -> list[str]:
    """The IDs of all key stores."""
    found = account.kms.describe_custom_key_stores()["CustomKeyStores"]
    return [store["CustomKeyStoreId"] for store in found]


def connection_state(account: Account, key_store_id: str) -> str:
    """The connection state of a key store."""
    return str(account.store(key_store_id)["ConnectionState"])


def failed_store(account: Account, cluster_id: str, code: str = "NETWORK_ERRORS") -> str:
    """A key store whose connection has FAILED."""
    account.faults.inject({"connect": code})
    key_store_id = account.add_store(cluster_id)
    account.kms.connect_custom_key_store(CustomKeyStoreId=key_store_id)
    account.wait(TIMINGS.connect)
    assert connection_state(account, key_store_id) == "FAILED"
    return key_store_id


def key_store_in(account: Account, cluster_id: str, state: str) -> str:
    """A key store in a connection state."""
    if state == "FAILED":
        return failed_store(account, cluster_id)
    if state in ("CONNECTED", "DISCONNECTING"):
        key_store_id = account.add_connected_store(cluster_id)
    else:
        key_store_id = account.add_store(cluster_id)
    if state == "CONNECTING":
        account.kms.connect_custom_key_store(CustomKeyStoreId=key_store_id)
    if state == "DISCONNECTING":
        account.kms.disconnect_custom_key_store(CustomKeyStoreId=key_store_id)
    assert connection_state(account, key_store_id) == state
    return key_store_id


def find_key_store(account: Account, physical_id: str = "", seconds: float = 0) -> Json:
    """Run find_key_store."""
    return account.run(
        key_store_ownership.find_key_store,
        StackId=STACK_ID,
        CloudHsmCustCaCertSecretName=CA_SECRET,
        PasswordSecretName=PASSWORD_SECRET,
        PhysicalResourceId=physical_id,
        StartTime=moment(0),
        EnteredTime=moment(seconds),
    )


def claim_key_store(account: Account, cluster_id: str, name: str = NAME) -> Json:
    """Run claim_key_store."""
    return account.run(
        key_store_ownership.claim_key_store,
        Name=name,
        ClusterId=cluster_id,
        StackId=STACK_ID,
    )


def create_key_store(account: Account, cluster_id: str, name: str = NAME, retries: int = 0) -> str:
    """Run create_key_store; the ID of the key store."""
    event = request_for(cluster_id, name, RetryCount=retries)
    result = account.run(key_store.create_key_store, **event)
    assert result.keys() == {"Id"}
    return str(result["Id"])


def connect_key_store(account: Account, key_store_id: str, connection: Json | None = None) -> Json:
    """Run connect_key_store."""
    return account.run(
        key_store.connect_key_store, **of(key_store_id, Connection=connection or NOT_CONNECTED)
    )
