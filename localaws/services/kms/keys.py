"""KMS keys in key stores (F4.8, F4.23); the surrounding KMS calls this for such keys."""

from __future__ import annotations

from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2 import exceptions, permissions
from localaws.services.cloudhsmv2.backups import DAY
from localaws.services.cloudhsmv2.models import KeyStore
from localaws.services.cloudhsmv2.store import Store
from localaws.services.kms import key_stores

PENDING = "PendingDeletion"


class Keys:
    """The keys of all key stores."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self, key_store_id: str, key_id: str) -> None:
        """CreateKey: needs a CONNECTED key store and HSMs in two zones (F4.23)."""
        key_store = key_stores.find(self._store, key_store_id)
        permissions.check_create_key(self._store)
        if key_store.state != "CONNECTED":
            raise ApiError(
                "CustomKeyStoreInvalidStateException",
                f"Custom key store '{key_store.id}' is {key_store.state}, not CONNECTED.",
            )
        key_stores.usable_cluster(self._store, key_store.cluster_id, zones=2)
        key_store.keys[key_id] = "Enabled"
        self._store.record_kms(key_id, "CreateKey", key_store=key_store.id)

    def schedule_deletion(self, key_id: str, days: int = 30) -> None:
        """ScheduleKeyDeletion: until deletion, the key stays in its key store (F4.8)."""
        if not 7 <= days <= 30:
            raise exceptions.validation(f"PendingWindowInDays must be 7 to 30, not {days}.")
        key_store = self._key_store_of(key_id)
        key_store.keys[key_id] = PENDING
        self._store.record_kms(key_id, "ScheduleKeyDeletion", days=days)

        def due() -> None:
            if key_store.keys.get(key_id) == PENDING:
                del key_store.keys[key_id]
                self._store.record_kms(key_id, "deleted")

        self._store.scheduler.schedule(days * DAY, due)

    def cancel_deletion(self, key_id: str) -> None:
        """CancelKeyDeletion."""
        self._key_store_of(key_id).keys[key_id] = "Disabled"
        self._store.record_kms(key_id, "CancelKeyDeletion")

    def state(self, key_id: str) -> str | None:
        """The KeyState: Unavailable unless CONNECTED (F4.6); None if in no key store."""
        for key_store in self._store.key_stores.values():
            if key_id in key_store.keys:
                state = key_store.keys[key_id]
                return (
                    state if state == PENDING or key_store.state == "CONNECTED" else "Unavailable"
                )
        return None

    def use(self, key_id: str) -> None:
        """A cryptographic operation; KMSInvalidStateException if the key's HSMs cannot do it."""
        key_store = self._key_store_of(key_id)
        cluster = self._store.find_cluster(key_store.cluster_id)
        state = self.state(key_id)
        if state != "Enabled" or cluster is None or not cluster.active_hsms():
            raise ApiError("KMSInvalidStateException", f"Key '{key_id}' is {state} or has no HSM.")

    def _key_store_of(self, key_id: str) -> KeyStore:
        for key_store in self._store.key_stores.values():
            if key_id in key_store.keys:
                return key_store
        raise ApiError("NotFoundException", f"Key '{key_id}' does not exist.")
