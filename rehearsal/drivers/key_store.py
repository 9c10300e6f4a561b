"""The vocabulary of key store scenarios: connect, use and delete a key store and its keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError

from rehearsal.drivers.deployment import Stack
from rehearsal.drivers.stack import ExpectationError, StackDriver
from rehearsal.fixtures import ExistingCluster, existing_cluster

Json = dict[str, Any]

KEY_STORE_TEMPLATE = "build/rehearsal/templates/cloudhsm-key-store.yml"
# Created by KMS with the first key store and never deleted by it.
RETAINED_BY_KMS = "role AWSServiceRoleForKeyManagementServiceCustomKeyStores"
# Virtual seconds; KMS connects and disconnects faster than this with the default timings.
CONNECT_SECONDS = 900
PLAINTEXT = b"to be or not to be"


class KeyStoreDriver(StackDriver):
    """Drives a key store stack; shares AWS and steps with another driver."""

    def __init__(
        self, driver: StackDriver, parameters: Mapping[str, object], name: str = "keys"
    ) -> None:
        super().__init__(driver.aws, driver._on_step)
        self.steps = driver.steps
        self.stack = Stack(
            driver.aws, name, KEY_STORE_TEMPLATE, **{"pKeyStoreName": name, **parameters}
        )
        self._kms = driver.aws.client("kms")

    # Actions

    def create_key(self) -> str:
        """Create a KMS key in the key store; returns its ID."""
        created = self._kms.create_key(
            CustomKeyStoreId=self.store()["CustomKeyStoreId"], Origin="AWS_CLOUDHSM"
        )
        return str(created["KeyMetadata"]["KeyId"])

    def use_key(self, key: str) -> None:
        """Encrypt and decrypt with a key."""
        ciphertext = self._kms.encrypt(KeyId=key, Plaintext=PLAINTEXT)["CiphertextBlob"]
        plaintext = self._kms.decrypt(KeyId=key, CiphertextBlob=ciphertext)["Plaintext"]
        self.expect("decrypted text", plaintext, PLAINTEXT)

    def delete_key(self, key: str) -> None:
        """Schedule a key's deletion and let the shortest waiting period (7 days) pass."""
        self._kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
        self.admin.advance(8 * 86400)

    def connect_manually(self) -> None:
        """Connect the DISCONNECTED key store as an operator, and wait until KMS is done."""
        self._kms.connect_custom_key_store(CustomKeyStoreId=self.store()["CustomKeyStoreId"])
        self.admin.advance(CONNECT_SECONDS)

    def disconnect_manually(self) -> None:
        """Disconnect the key store as an operator, unless it already is DISCONNECTED."""
        store = self.store()
        if store["ConnectionState"] != "DISCONNECTED":
            self._kms.disconnect_custom_key_store(CustomKeyStoreId=store["CustomKeyStoreId"])
            self.admin.advance(CONNECT_SECONDS)

    # Observations

    def store(self) -> Json:
        """The key store named pKeyStoreName, from the inventory; fails unless there is one."""
        name = self.stack.parameters["pKeyStoreName"]
        stores = [
            each
            for each in self.admin.inventory()["kms"]["key_stores"]
            if each["CustomKeyStoreName"] == name
        ]
        self.expect(f"key stores named {name}", len(stores), 1)
        return dict(stores[0])

    def connection_attempts(self) -> int:
        """The number of ConnectCustomKeyStore calls so far."""
        return len(self.events("ConnectCustomKeyStore"))

    def connection_error_codes(self) -> list[str]:
        """The ConnectionErrorCode of each failed connection so far."""
        return [str(event["code"]) for event in self.events("FAILED")]

    def logins(self, user: str) -> int:
        """The number of this user's successful logins to the HSMs so far."""
        return sum(event["user"] == user for event in self.events("Login"))

    def refused_logins(self, user: str) -> int:
        """The number of this user's failed logins to the HSMs so far."""
        return sum(event["user"] == user for event in self.events("LoginRefused"))

    def output(self, machine: str) -> str:
        """The output, as JSON, of a state machine's last successful execution."""
        ended = [
            event
            for event in self.events("ExecutionSucceeded")
            if event["subject"].endswith(machine)
        ]
        states = self.aws.client("stepfunctions")
        account = self.aws.client("sts").get_caller_identity()["Account"]
        arn = f"arn:{states.meta.partition}:states:{self.aws.region}:{account}:execution"
        execution = states.describe_execution(
            executionArn=f"{arn}:{ended[-1]['subject']}:{ended[-1]['execution']}"
        )
        return str(execution["output"])

    # Expectations

    def expect_store(self, state: str) -> Json:
        """The key store is in this connection state."""
        store = self.store()
        self.expect("key store", store["ConnectionState"], state)
        return store

    def expect_unusable(self, key: str) -> None:
        """KMS rejects the use of a key because of its key store's state."""
        try:
            self._kms.encrypt(KeyId=key, Plaintext=PLAINTEXT)
        except ClientError as error:
            self.expect("error", error.response["Error"]["Code"], "KMSInvalidStateException")
        else:
            raise ExpectationError(f"key {key}: expected an error, but it encrypts")

    @contextmanager
    def expect_stays_connected(self, store_id: str) -> Iterator[None]:
        """The key store is CONNECTED throughout the block."""
        before = self._states_of(store_id)
        yield
        self.expect("key store", before[-1], "CONNECTED")
        self.expect("states of the key store", self._states_of(store_id)[len(before) :], [])

    def _states_of(self, store_id: str) -> list[str]:
        events = (e["event"] for e in self.admin.event_log() if e["subject"] == store_id)
        return [str(event) for event in events if event.isupper()]

    @contextmanager
    def expect_no_changes(self) -> Iterator[None]:
        """Requests inside the block change no cluster, key store, key, secret or parameter."""
        before, events = self._surroundings(), self._changes()
        yield
        self.expect("changes", self._changes()[len(events) :], [])
        self.expect("resources", self._surroundings(), before)

    def _surroundings(self) -> Json:
        found, ssm = self.admin.inventory(), self.aws.client("ssm")
        secrets = self.aws.client("secretsmanager")
        return {
            "kms": found["kms"],
            "clusters": found["cloudhsm"]["clusters"],
            "secrets": {
                name: secrets.describe_secret(SecretId=name)["VersionIdsToStages"]
                for name in found["secretsmanager"]
            },
            "parameters": {
                name: ssm.get_parameter(Name=name)["Parameter"]["Value"]
                for name in found["ssm"]["parameters"]
            },
        }

    def _changes(self) -> list[str]:
        return [
            f"{event['event']} of {event['subject']}"
            for event in self.admin.event_log()
            if event["service"] in ("cloudhsm", "kms") and not event["event"].endswith(" refused")
        ]


def on_existing_cluster(
    driver: StackDriver, **parameters: object
) -> tuple[KeyStoreDriver, ExistingCluster]:
    """A key store driver for a new cluster that no stack manages."""
    cluster = existing_cluster(driver.aws)
    return KeyStoreDriver(driver, {**cluster.parameters, **parameters}), cluster


def on_stack_cluster(driver: StackDriver, **parameters: object) -> KeyStoreDriver:
    """A key store driver for the cluster of the driver's stack, taken from its outputs."""
    outputs = driver.stack.outputs()
    return KeyStoreDriver(
        driver,
        {
            "pCloudHsmClusterId": outputs["oClusterId"],
            "pCloudHsmAdminPasswordSecretName": outputs["oAdminPasswordSecretName"],
            "pCloudHsmCustCaCertSecretName": outputs["oCustomerCaCertSecretName"],
            "pClientInstanceId": outputs["oClientInstanceId"],
            **parameters,
        },
    )
