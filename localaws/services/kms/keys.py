"""KMS keys in a key store: what the KMS of the host asks of the model (F4.8, F4.23)."""

from __future__ import annotations

from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2 import exceptions, permissions
from localaws.services.cloudhsmv2.backups import DAY
from localaws.services.cloudhsmv2.models import KeyStore
from localaws.services.cloudhsmv2.store import Estate
from localaws.services.kms import key_stores

PENDING = "PendingDeletion"


class Keys:
    """The keys of every key store."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate

    def create(self, key_store_id: str, key_id: str) -> None:
        """Put a new key into a CONNECTED store whose cluster has HSMs in two zones (F4.23)."""
        store = key_stores.find(self._estate, key_store_id)
        permissions.to_create_key(self._estate)
        if store.state != "CONNECTED":
            raise ApiError(
                "CustomKeyStoreInvalidStateException",
                f"Custom key store '{store.id}' is {store.state}, not CONNECTED.",
            )
        key_stores.fit_cluster(self._estate, store.cluster_id, zones=2)
        store.keys[key_id] = "Enabled"
        self._estate.note_kms(key_id, "CreateKey", key_store=store.id)

    def schedule_deletion(self, key_id: str, days: int = 30) -> None:
        """ScheduleKeyDeletion: until then, the key still counts for its store (F4.8)."""
        if not 7 <= days <= 30:
            raise exceptions.validation(f"Keys wait 7 to 30 days for their deletion, not {days}.")
        store = self._store_of(key_id)
        store.keys[key_id] = PENDING
        self._estate.note_kms(key_id, "ScheduleKeyDeletion", days=days)

        def due() -> None:
            if store.keys.get(key_id) == PENDING:
                del store.keys[key_id]
                self._estate.note_kms(key_id, "deleted")

        self._estate.agenda.later(days * DAY, due)

    def cancel_deletion(self, key_id: str) -> None:
        """CancelKeyDeletion."""
        self._store_of(key_id).keys[key_id] = "Disabled"
        self._estate.note_kms(key_id, "CancelKeyDeletion")

    def state(self, key_id: str) -> str | None:
        """The KeyState: Unavailable unless the store is CONNECTED (F4.6); None if none of ours."""
        for store in self._estate.key_stores.values():
            if key_id in store.keys:
                state = store.keys[key_id]
                return state if state == PENDING or store.state == "CONNECTED" else "Unavailable"
        return None

    def use(self, key_id: str) -> None:
        """Refuse a cryptographic operation that the key's HSMs cannot carry out."""
        store = self._store_of(key_id)
        cluster = key_stores.existing_cluster(self._estate, store.cluster_id)
        state = self.state(key_id)
        if state != "Enabled" or cluster is None or not cluster.working():
            raise ApiError("KMSInvalidStateException", f"Key '{key_id}' is {state} or has no HSM.")

    def _store_of(self, key_id: str) -> KeyStore:
        for store in self._estate.key_stores.values():
            if key_id in store.keys:
                return store
        raise ApiError("NotFoundException", f"Key '{key_id}' does not exist.")
