"""The words in which a scenario of a key store is told: connected, used, kept, left alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError

from rehearsal import fixtures
from rehearsal.drivers.deployment import Stack
from rehearsal.drivers.stack import NotAsExpectedError, StackDriver
from rehearsal.fixtures import Ground

Json = dict[str, Any]

KEY_STORE_TEMPLATE = "build/rehearsal/templates/cloudhsm-key-store.yml"
# What KMS makes for itself with the first key store, and does not take away.
LEFT_BY_KMS = "role AWSServiceRoleForKeyManagementServiceCustomKeyStores"
# Virtual seconds within which KMS has connected or disconnected, with the default timings.
A_WHILE = 900
PLAINTEXT = b"to be or not to be"


class KeyStoreDriver(StackDriver):
    """The stack of a key store in the AWS of another driver, whose steps it shares."""

    def __init__(
        self, driver: StackDriver, parameters: Mapping[str, object], name: str = "keys"
    ) -> None:
        super().__init__(driver.aws, driver._began)
        self.steps = driver.steps
        self.stack = Stack(
            driver.aws, name, KEY_STORE_TEMPLATE, **{"pKeyStoreName": name, **parameters}
        )
        self._kms = driver.aws.client("kms")

    # Doing

    def make_key(self) -> str:
        """Make a KMS key in the key store; its id."""
        made = self._kms.create_key(
            CustomKeyStoreId=self.store()["CustomKeyStoreId"], Origin="AWS_CLOUDHSM"
        )
        return str(made["KeyMetadata"]["KeyId"])

    def use_key(self, key: str) -> None:
        """Encrypt and decrypt with a key."""
        sealed = self._kms.encrypt(KeyId=key, Plaintext=PLAINTEXT)["CiphertextBlob"]
        opened = self._kms.decrypt(KeyId=key, CiphertextBlob=sealed)["Plaintext"]
        self.expect("decrypted text", opened, PLAINTEXT)

    def delete_key(self, key: str) -> None:
        """Have KMS delete a key as soon as it can, and let that week pass."""
        self._kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
        self.admin.advance(8 * 86400)

    def connect_by_hand(self) -> None:
        """Connect the DISCONNECTED key store, and wait for what becomes of it."""
        self._kms.connect_custom_key_store(CustomKeyStoreId=self.store()["CustomKeyStoreId"])
        self.admin.advance(A_WHILE)

    def disconnect_by_hand(self) -> None:
        """Disconnect the key store, unless it is, and wait until it is DISCONNECTED."""
        store = self.store()
        if store["ConnectionState"] != "DISCONNECTED":
            self._kms.disconnect_custom_key_store(CustomKeyStoreId=store["CustomKeyStoreId"])
            self.admin.advance(A_WHILE)

    # Expecting

    def store(self) -> Json:
        """The key store that is called as this stack wants it, as the inventory has it."""
        name = self.stack.parameters["pKeyStoreName"]
        stores = [
            each
            for each in self.admin.inventory()["kms"]["key_stores"]
            if each["CustomKeyStoreName"] == name
        ]
        self.expect("key stores of this name", len(stores), 1)
        return dict(stores[0])

    def expect_store(self, state: str) -> Json:
        """The key store is in this state."""
        store = self.store()
        self.expect("key store", store["ConnectionState"], state)
        return store

    @contextmanager
    def staying_connected(self, store_id: str) -> Iterator[None]:
        """Whatever is asked for inside, the key store is CONNECTED and never leaves that state."""
        before = self._states_of(store_id)
        yield
        self.expect("key store", before[-1], "CONNECTED")
        self.expect("states of the key store", self._states_of(store_id)[len(before) :], [])

    def _states_of(self, store_id: str) -> list[str]:
        events = (e["event"] for e in self.admin.event_log() if e["subject"] == store_id)
        return [str(event) for event in events if event.isupper()]

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Whatever is asked for inside, key stores, users, secrets and parameters stay as found."""
        before, done = self._all_of_it(), self._done()
        yield
        self.expect("done", self._done()[len(done) :], [])
        self.expect("key stores and all that belongs to them", self._all_of_it(), before)

    def _all_of_it(self) -> Json:
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

    def _done(self) -> list[str]:
        return [
            f"{event['event']} of {event['subject']}"
            for event in self.admin.event_log()
            if event["service"] in ("cloudhsm", "kms") and not event["event"].endswith(" refused")
        ]

    def attempts(self) -> int:
        """How often KMS was asked to connect a key store so far."""
        return sum(e["event"] == "ConnectCustomKeyStore" for e in self.admin.event_log())

    def failures(self) -> list[str]:
        """The ConnectionErrorCode of every connection that has failed so far."""
        return [str(e["code"]) for e in self.admin.event_log() if e["event"] == "FAILED"]

    def output(self, machine: str) -> str:
        """What the last execution of a machine, such as update-key-store, has given as JSON."""
        ended = [
            event
            for event in self.admin.event_log()
            if event["event"] == "ExecutionSucceeded" and event["subject"].endswith(machine)
        ]
        account = self.aws.client("sts").get_caller_identity()["Account"]
        arn = f"arn:aws:states:{self.aws.region}:{account}:execution"
        execution = self.aws.client("stepfunctions").describe_execution(
            executionArn=f"{arn}:{ended[-1]['subject']}:{ended[-1]['execution']}"
        )
        return str(execution["output"])

    def expect_unusable(self, key: str) -> None:
        """KMS refuses to use a key, because of the state of its key store."""
        try:
            self._kms.encrypt(KeyId=key, Plaintext=PLAINTEXT)
        except ClientError as refused:
            self.expect("refusal", refused.response["Error"]["Code"], "KMSInvalidStateException")
        else:
            raise NotAsExpectedError(f"key {key}: expected a refusal, but it encrypts")

    def logins(self, user: str) -> int:
        """How often this user has logged in to the HSMs so far."""
        return self._count("Login", user)

    def refused_logins(self, user: str) -> int:
        """How often the HSMs have refused a login of this user so far."""
        return self._count("LoginRefused", user)

    def _count(self, what: str, user: str) -> int:
        return sum(
            event["event"] == what and event["user"] == user for event in self.admin.event_log()
        )


def on_ground(driver: StackDriver, **parameters: object) -> tuple[KeyStoreDriver, Ground]:
    """A key store to be on a new cluster of somebody's own making."""
    laid = fixtures.lay(driver.aws)
    return KeyStoreDriver(driver, {**laid.parameters, **parameters}), laid


def on_cluster(driver: StackDriver, **parameters: object) -> KeyStoreDriver:
    """A key store to be on the cluster of a driver's own stack, as the outputs name it."""
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
