"""The life that every cluster of the template should be able to have."""

from __future__ import annotations

from rehearsal.by_hand import create_crypto_user
from rehearsal.key_store_life import LEFT_BY_KMS, KeyStoreLife, on_cluster
from rehearsal.life import LEFT_WITH_BACKUPS, Life


def standard(life: Life) -> None:
    """A cluster is created, grows, shrinks to nothing, comes back, gets a key store, and goes."""
    with life.step("Create: 1 HSM per subnet"):
        life.deploy()
        life.expect_stack("CREATE_COMPLETE")
        created = life.expect_cluster(state="ACTIVE", hsms=2, zones=2)

    with life.step("Grow to 2 per subnet"):
        life.deploy(pHsmsPerSubnet=2)
        life.expect_stack("UPDATE_COMPLETE")
        life.expect_cluster(state="ACTIVE", hsms=4, zones=2)

    with life.step("On the client: create a crypto user"):
        users = create_crypto_user(life, "orders")

    with life.step("Shrink to 0"):
        life.deploy(pHsmsPerSubnet=0)
        life.expect_stack("UPDATE_COMPLETE")
        life.expect_cluster(state="ACTIVE", hsms=0)

    with life.step("Back to 1 per subnet"):
        life.deploy(pHsmsPerSubnet=1)
        life.expect_stack("UPDATE_COMPLETE")
        back = life.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        life.expect("cluster id", back["ClusterId"], created["ClusterId"])
        life.expect("users", back["Users"], users)

    _key_store(life, on_cluster(life, pDeleteKeyStoreUponStackDeletion="true"))

    with life.step("Delete"):
        life.destroy()
        life.expect_stack("DELETE_COMPLETE")
        life.expect_remaining(*LEFT_WITH_BACKUPS, LEFT_BY_KMS)


def _key_store(life: Life, store: KeyStoreLife) -> None:
    with life.step("Key store: create"):
        store.deploy()
        store.expect_stack("CREATE_COMPLETE")
        store_id = store.expect_store("CONNECTED")["CustomKeyStoreId"]
        store.expect("connections", store.attempts(), 1)

    with life.step("Key store: make and use a key"):
        key = store.make_key()
        store.use_key(key)

    with life.step("Key store: rename"), store.staying_connected(store_id):
        store.deploy(pKeyStoreName="other-keys")
        store.expect_stack("UPDATE_COMPLETE")
        store.expect("key store", store.store()["CustomKeyStoreId"], store_id)

    for hsms in (2, 1):
        with life.step(f"Under it: {hsms} per subnet"), store.staying_connected(store_id):
            life.deploy(pHsmsPerSubnet=hsms)
            life.expect_stack("UPDATE_COMPLETE")
            life.expect_cluster(state="ACTIVE", hsms=2 * hsms, zones=2)
            store.use_key(key)

    with life.step("Key store: delete the key, then it"):
        store.delete_key(key)
        store.destroy()
        store.expect_stack("DELETE_COMPLETE")
