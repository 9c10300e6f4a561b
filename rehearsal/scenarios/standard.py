"""The driver that every cluster of the template should be able to have."""

from __future__ import annotations

from rehearsal.drivers.key_store import LEFT_BY_KMS, KeyStoreDriver, on_cluster
from rehearsal.drivers.operator import create_crypto_user
from rehearsal.drivers.stack import LEFT_WITH_BACKUPS, StackDriver


def standard(driver: StackDriver) -> None:
    """A cluster is created, grows, shrinks to nothing, comes back, gets a key store, and goes."""
    with driver.step("Create: 1 HSM per subnet"):
        driver.deploy()
        driver.expect_stack("CREATE_COMPLETE")
        created = driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)

    with driver.step("Grow to 2 per subnet"):
        driver.deploy(pHsmsPerSubnet=2)
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)

    with driver.step("On the client: create a crypto user"):
        users = create_crypto_user(driver, "orders")

    with driver.step("Shrink to 0"):
        driver.deploy(pHsmsPerSubnet=0)
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=0)

    with driver.step("Back to 1 per subnet"):
        driver.deploy(pHsmsPerSubnet=1)
        driver.expect_stack("UPDATE_COMPLETE")
        back = driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        driver.expect("cluster id", back["ClusterId"], created["ClusterId"])
        driver.expect("users", back["Users"], users)

    _key_store(driver, on_cluster(driver, pDeleteKeyStoreUponStackDeletion="true"))

    with driver.step("Delete"):
        driver.destroy()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_remaining(*LEFT_WITH_BACKUPS, LEFT_BY_KMS)


def _key_store(driver: StackDriver, store: KeyStoreDriver) -> None:
    with driver.step("Key store: create"):
        store.deploy()
        store.expect_stack("CREATE_COMPLETE")
        store_id = store.expect_store("CONNECTED")["CustomKeyStoreId"]
        store.expect("connections", store.attempts(), 1)

    with driver.step("Key store: make and use a key"):
        key = store.make_key()
        store.use_key(key)

    with driver.step("Key store: rename"), store.staying_connected(store_id):
        store.deploy(pKeyStoreName="other-keys")
        store.expect_stack("UPDATE_COMPLETE")
        store.expect("key store", store.store()["CustomKeyStoreId"], store_id)

    for hsms in (2, 1):
        with driver.step(f"Under it: {hsms} per subnet"), store.staying_connected(store_id):
            driver.deploy(pHsmsPerSubnet=hsms)
            driver.expect_stack("UPDATE_COMPLETE")
            driver.expect_cluster(state="ACTIVE", hsms=2 * hsms, zones=2)
            store.use_key(key)

    with driver.step("Key store: delete the key, then it"):
        store.delete_key(key)
        store.destroy()
        store.expect_stack("DELETE_COMPLETE")
