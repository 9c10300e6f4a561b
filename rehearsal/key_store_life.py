"""The words in which a scenario of a key store is told: connected, used, kept, left alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from rehearsal import ground
from rehearsal.ground import Ground
from rehearsal.life import Life, NotAsExpectedError
from rehearsal.stacks import Stack

Json = dict[str, Any]

KEY_STORE_TEMPLATE = "build/rehearsal/templates/cloudhsm-key-store.yml"
# What KMS makes for itself with the first key store, and does not take away.
LEFT_BY_KMS = "role AWSServiceRoleForKeyManagementServiceCustomKeyStores"
PLAINTEXT = b"to be or not to be"


class KeyStoreLife(Life):
    """The stack of a key store in the AWS of another life, whose steps it shares."""

    def __init__(self, life: Life, parameters: Mapping[str, object], name: str = "keys") -> None:
        super().__init__(life.aws, life._began)
        self.steps = life.steps
        self.stack = Stack(
            life.aws, name, KEY_STORE_TEMPLATE, **{"pKeyStoreName": name, **parameters}
        )
        self._kms = life.aws.client("kms")

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
        self.control.advance(8 * 86400)

    # Expecting

    def store(self) -> Json:
        """The key store that is called as this stack wants it, as the inventory has it."""
        name = self.stack.parameters["pKeyStoreName"]
        stores = [each for each in self.stores() if each["CustomKeyStoreName"] == name]
        self.expect("key stores of this name", len(stores), 1)
        return stores[0]

    def stores(self) -> list[Json]:
        """Every key store there is."""
        return list(self.control.inventory()["kms"]["key_stores"])

    def expect_store(self, state: str) -> Json:
        """The key store is in this state."""
        store = self.store()
        self.expect("key store", store["ConnectionState"], state)
        return store

    def expect_unusable(self, key: str) -> None:
        """KMS refuses to use a key, because of the state of its key store."""
        try:
            self._kms.encrypt(KeyId=key, Plaintext=PLAINTEXT)
        except ClientError as refused:
            self.expect("refusal", refused.response["Error"]["Code"], "KMSInvalidStateException")
        else:
            raise NotAsExpectedError(f"key {key}: expected a refusal, but it encrypts")

    def events_of(self, subject: str) -> list[str]:
        """What happened to a key store or cluster so far."""
        return [
            str(event["event"]) for event in self.control.timeline() if event["subject"] == subject
        ]

    def refused_logins(self, user: str) -> int:
        """How often the HSMs have refused a login of this user."""
        return sum(
            event["event"] == "LoginRefused" and event.get("user") == user
            for event in self.control.timeline()
        )


def on_ground(life: Life, **parameters: object) -> tuple[KeyStoreLife, Ground]:
    """A key store to be on a new cluster of somebody's own making."""
    laid = ground.lay(life.aws)
    return KeyStoreLife(life, {**laid.parameters, **parameters}), laid
