"""A retained key store under another stack: pExistingKeyStoreId."""

from __future__ import annotations

from rehearsal.drivers.key_store import RETAINED_BY_KMS, KeyStoreDriver, on_existing_cluster
from rehearsal.drivers.stack import StackDriver


def key_store_adopted(driver: StackDriver) -> None:
    """Another stack takes a retained key store with its keys; one that fails changes nothing."""
    store, cluster = on_existing_cluster(driver)
    restored = cluster.restore()
    store = KeyStoreDriver(driver, store.stack.parameters)
    with store.step("Create"):
        store.request()
        store_id = store.expect_store("CONNECTED")["CustomKeyStoreId"]
        key = store.create_key()

    # What would delete it if it were this stack's own.
    taken = {"pExistingKeyStoreId": store_id, "pDeleteKeyStoreUponStackDeletion": "true"}
    other = KeyStoreDriver(
        driver, {**store.stack.parameters, "pEnvPurpose": "other", **taken}, "other"
    )
    with other.step("Take it from its stack"), other.expect_stays_connected(store_id):
        other.request()
        other.expect_stack("ROLLBACK_COMPLETE")
        claim = "/hsm-lifecycle/cloudhsm-ks-1/key-store"
        other.expect_reason("pExistingKeyStoreId", claim, "Delete that stack")
        other.delete()
        other.use_key(key)

    with store.step("Delete its stack: it is retained"):
        store.delete()
        store.expect_store("DISCONNECTED")

    with other.step("Take it to a restored cluster: the creation fails at its end"):
        other.fault(operation="PutParameter", step="CompleteClaim", code="ParameterLimitExceeded")
        other.request(**restored.parameters)
        other.expect_stack("ROLLBACK_COMPLETE")
        other.delete()
        _expect_released(other, store_id, cluster.cluster_id)
        name = other.store()["CustomKeyStoreName"]
        store.expect_retained(f"key store {name}", f"key {key}", RETAINED_BY_KMS)

    with other.step("Take it: its password is repaired"):
        other.request(**cluster.parameters)
        other.expect_stack("CREATE_COMPLETE")
        other.expect("store", other.expect_store("CONNECTED")["CustomKeyStoreId"], store_id)
        other.use_key(key)

    with other.step("Update: name another key store"), other.expect_stays_connected(store_id):
        other.request(pExistingKeyStoreId="cks-0123456789abcdef0")
        other.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        other.expect_reason("pExistingKeyStoreId", f"Set it back to {store_id}")
        other.stack.parameters["pExistingKeyStoreId"] = store_id

    with other.step("Update: rename it, and no longer name it"):
        other.request(pKeyStoreName="renamed", pExistingKeyStoreId="")
        other.expect_stack("UPDATE_COMPLETE")
        other.use_key(key)

    with other.step("Delete: it is retained with its key"):
        other.delete()
        _expect_released(other, store_id, cluster.cluster_id)
        name = other.store()["CustomKeyStoreName"]
        store.expect_retained(f"key store {name}", f"key {key}", RETAINED_BY_KMS)


def _expect_released(other: KeyStoreDriver, store_id: str, cluster_id: str) -> None:
    """The key store is DISCONNECTED on its former cluster."""
    store = other.expect_store("DISCONNECTED")
    other.expect("store", store["CustomKeyStoreId"], store_id)
    other.expect("cluster", store["CloudHsmClusterId"], cluster_id)
