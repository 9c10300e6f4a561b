"""Key stores: connected, used, repaired, renamed, moved, retained, and those of others."""

from __future__ import annotations

from rehearsal.drivers.key_store import (
    RETAINED_BY_KMS,
    KeyStoreDriver,
    on_existing_cluster,
    on_stack_cluster,
)
from rehearsal.drivers.stack import RETAINED_WITH_BACKUPS, StackDriver
from rehearsal.fixtures import (
    OPERATION_SECONDS,
    SDK3_PACKAGE,
    ExistingCluster,
    existing_cluster,
)

OTHER_PASSWORD = "Kmsuser0Password0Of0Others"  # nosec B105 # of the local AWS
# More keys than a page of ListKeys with Limit=40 leaves room for.
OTHER_KEYS = 40

# For `key_store_renamed`, which also has it refused.
RENAMED_WHILE_CONNECTED = ("--assume", "rename-connected-key-store=accepted")


def key_store(driver: StackDriver) -> None:
    """A key store on an existing cluster connects at once, and is deleted after its last key."""
    store, cluster = on_existing_cluster(driver, pDeleteKeyStoreUponStackDeletion="true")
    with store.step("Create"):
        store.request()
        store.expect_stack("CREATE_COMPLETE")
        store.expect_store("CONNECTED")
        store.expect("connection attempts", store.connection_attempts(), 1)
        store.expect("kmsuser", cluster.user("kmsuser")["cluster-coverage"], "full")

    with store.step("Create, use and delete a key"):
        key = store.create_key()
        store.use_key(key)
        store.delete_key(key)

    store.delete_step(RETAINED_BY_KMS)


def key_store_reconnected(driver: StackDriver) -> None:
    """A DISCONNECTED or FAILED key store is reconnected, and kmsuser repaired if necessary."""
    store, cluster = on_existing_cluster(driver, pDeleteKeyStoreUponStackDeletion="true")
    with store.step("Create"):
        store.request()
        store.expect_store("CONNECTED")

    with store.step("Reconcile: DISCONNECTED"):
        store.disconnect_manually()
        store.request(pReconcile="disconnected")
        store.expect_stack("UPDATE_COMPLETE")
        store.expect_store("CONNECTED")

    with store.step("Reconcile: FAILED with NETWORK_ERRORS"):
        store.fault(connect="NETWORK_ERRORS")
        store.disconnect_manually()
        store.connect_manually()
        store.expect_store("FAILED")
        store.request(pReconcile="failed")
        store.expect_stack("UPDATE_COMPLETE")
        store.expect_store("CONNECTED")

    with store.step("Reconcile: FAILED without kmsuser"):
        store.disconnect_manually()
        cluster.cloudhsm_cli("user-delete", new_username="kmsuser", role="crypto-user")
        store.connect_manually()
        store.expect_store("FAILED")
        store.request(pReconcile="repaired")
        store.expect_stack("UPDATE_COMPLETE")
        store.expect_store("CONNECTED")

    store.delete_step(RETAINED_BY_KMS)


def key_store_renamed(driver: StackDriver) -> None:
    """A key store is renamed while CONNECTED; if KMS requires a disconnect, the update fails."""
    store, _ = on_existing_cluster(driver, pDeleteKeyStoreUponStackDeletion="true")
    with store.step("Create"):
        store.request()
        store_id = store.expect_store("CONNECTED")["CustomKeyStoreId"]
        key = store.create_key()

    with store.step("Rename"):
        with store.expect_stays_connected(store_id):
            store.request(pKeyStoreName="other keys")
            store.expect_stack("UPDATE_COMPLETE")
            store.expect("store", store.expect_store("CONNECTED")["CustomKeyStoreId"], store_id)
        store.use_key(key)

    with store.step("Rename: KMS requires a disconnect"):
        with store.expect_no_changes():
            store.fault(
                operation="UpdateCustomKeyStore", code="CustomKeyStoreInvalidStateException"
            )
            store.request(pKeyStoreName="third keys")
            store.expect_stack("UPDATE_ROLLBACK_COMPLETE")
            store.expect_reason("pKeyStoreName", "Disconnect it yourself")
        store.use_key(key)

    with store.step("Disconnect it, then rename again"):
        store.stack.parameters["pKeyStoreName"] = "other keys"
        store.disconnect_manually()
        store.request(pKeyStoreName="third keys")
        store.expect_stack("UPDATE_COMPLETE")
        store.expect("name", store.expect_store("CONNECTED")["CustomKeyStoreName"], "third keys")
        store.use_key(key)

    with store.step("Delete"):
        store.delete_key(key)
        store.delete()
        store.expect_retained(RETAINED_BY_KMS)


def key_store_moved(driver: StackDriver) -> None:
    """A key store moves with its keys to a cluster restored from a backup, and to no other."""
    store, cluster = on_existing_cluster(driver, pDeleteKeyStoreUponStackDeletion="true")
    restored, unrelated = cluster.restore(), existing_cluster(driver.aws, name="unrelated")
    store = KeyStoreDriver(driver, store.stack.parameters)
    with store.step("Create"):
        store.request()
        store_id = store.expect_store("CONNECTED")["CustomKeyStoreId"]
        key = store.create_key()
        # Not managed by any stack, and never connected.
        other = driver.aws.client("kms").create_custom_key_store(
            CustomKeyStoreName="other keys",
            CloudHsmClusterId=unrelated.cluster_id,
            TrustAnchorCertificate=unrelated.ca_certificate,
            KeyStorePassword=OTHER_PASSWORD,
        )["CustomKeyStoreId"]

    for title, changes, reason in (
        (
            "Move to an unrelated cluster",
            unrelated.parameters,
            ("pCloudHsmClusterId", unrelated.cluster_id, "backup"),
        ),
        (
            "Move to a nonexistent cluster",
            {"pCloudHsmClusterId": "cluster-2222222222a", "pKeyStoreName": "moved keys"},
            ("pCloudHsmClusterId", "does not exist"),
        ),
        (
            "Move, with the name of another key store",
            {**restored.parameters, "pKeyStoreName": "other keys"},
            ("pKeyStoreName", "other keys", "exists"),
        ),
    ):
        with store.step(title):
            parameters = dict(store.stack.parameters)
            with store.expect_no_changes():
                store.request(**changes)
                store.expect_stack("UPDATE_ROLLBACK_COMPLETE")
                store.expect_reason(*reason)
            store.stack.parameters = parameters
            store.use_key(key)

    with store.step("Move to the restored cluster, and rename"):
        store.request(**restored.parameters, pKeyStoreName="moved keys")
        store.expect_stack("UPDATE_COMPLETE")
        moved = store.expect_store("CONNECTED")
        store.expect("name", moved["CustomKeyStoreName"], "moved keys")
        store.expect("store", moved["CustomKeyStoreId"], store_id)
        store.expect("cluster", moved["CloudHsmClusterId"], restored.cluster_id)
        store.use_key(key)

    with store.step("Delete"):
        store.delete_key(key)
        store.delete()
        store.expect_retained("key store other keys", RETAINED_BY_KMS)
        driver.aws.client("kms").delete_custom_key_store(CustomKeyStoreId=other)


def key_store_retained(driver: StackDriver) -> None:
    """The last of 41 KMS keys is in the key store: stack deletion retains the store and says so."""
    store, _ = on_existing_cluster(driver, pDeleteKeyStoreUponStackDeletion="true")
    kms = driver.aws.client("kms")
    for _ in range(OTHER_KEYS):
        kms.create_key()
    with store.step("Create"):
        store.request()
        store_id = store.expect_store("CONNECTED")["CustomKeyStoreId"]
        key = store.create_key()

    with store.step("Delete: the key store is retained"):
        # The stack deletes the function's log group; read it before.
        store.fault(operation="DeleteParameter", pause=True)
        store.stack.start_delete()
        with store.while_paused():
            _expect_warning(driver, "/aws/lambda/cloudhsm-ks-1-key-store", store_id)
        store.wait()
        store.expect_stack("DELETE_COMPLETE")
        store.expect_store("DISCONNECTED")
        store.expect_unusable(key)
        _expect_retention_reported(store, store_id)
        store.expect_retained("key store keys", f"key {key}", RETAINED_BY_KMS)

    with store.step("Connect manually, and use the key again"):
        store.connect_manually()
        store.use_key(key)


def _expect_retention_reported(store: KeyStoreDriver, store_id: str) -> None:
    """One execution entered RetainKeyStore, and its output says that the store is retained."""
    entered = [each for each in store.admin.event_log() if each.get("state") == "RetainKeyStore"]
    store.expect("executions that retain the key store", len(entered), 1)
    store.expect_in("output", store.output("delete-key-store"), _retention_message(store_id))


def _expect_warning(driver: StackDriver, group: str, store_id: str) -> None:
    """The function has logged one warning that the key store is retained."""
    events = driver.aws.client("logs").filter_log_events(logGroupName=group)["events"]
    logged = [e["message"] for e in events if _retention_message(store_id) in e["message"]]
    driver.expect("warnings", ["WARNING" in message for message in logged], [True])


def _retention_message(store_id: str) -> str:
    return f"Key store {store_id} was retained and is disconnected."


def key_store_not_owned(driver: StackDriver) -> None:
    """A key store that another party created, with a key in use, is never changed."""
    store, cluster = on_existing_cluster(driver, pDeleteKeyStoreUponStackDeletion="true")
    restored = cluster.restore()
    with store.step("Create a key store and a key outside any stack"):
        store_id = _create_outside_stack(store, cluster)
        key = store.create_key()
    store = KeyStoreDriver(driver, store.stack.parameters)

    for title, parameters, reason in (
        ("the name is taken", restored.parameters, ("pKeyStoreName", "was not changed")),
        ("the cluster is taken", {}, ("pCloudHsmClusterId", "already")),
        (
            "a related cluster is taken",
            {**restored.parameters, "pKeyStoreName": "more keys"},
            ("CreateKeyStore", "pCloudHsmClusterId", "CloudHsmClusterInUseException"),
        ),
    ):
        with store.step(f"Create: {title}"), store.expect_stays_connected(store_id):
            store.request(**{**cluster.parameters, "pKeyStoreName": "keys", **parameters})
            store.expect_stack("ROLLBACK_COMPLETE")
            store.expect_reason(*reason)
            store.delete()
            store.expect_retained()
        store.stack.parameters["pKeyStoreName"] = "keys"
        store.use_key(key)

    with store.step("Reconnect manually: kmsuser is unchanged"):
        store.disconnect_manually()
        store.connect_manually()
        store.expect_store("CONNECTED")
        store.use_key(key)


def _create_outside_stack(store: KeyStoreDriver, cluster: ExistingCluster) -> str:
    """Create and connect a key store as the KMS Developer Guide describes; returns its ID."""
    cluster.cloudhsm_cli(
        "user-create", new_username="kmsuser", new_password=OTHER_PASSWORD, role="crypto-user"
    )
    created = store.aws.client("kms").create_custom_key_store(
        CustomKeyStoreName=store.stack.parameters["pKeyStoreName"],
        CloudHsmClusterId=cluster.cluster_id,
        TrustAnchorCertificate=cluster.ca_certificate,
        KeyStorePassword=OTHER_PASSWORD,
    )
    store.connect_manually()
    return str(created["CustomKeyStoreId"])


def kmsuser_on_some_hsms(driver: StackDriver) -> None:
    """kmsuser exists on some HSMs with an unknown password: coverage and password are repaired."""
    store, cluster = on_existing_cluster(driver, pDeleteKeyStoreUponStackDeletion="true")
    with store.step("Create kmsuser manually while an HSM is being created"):
        cluster.add_hsm()
        cluster.cloudhsm_cli(
            "user-create", new_username="kmsuser", new_password=OTHER_PASSWORD, role="crypto-user"
        )
    store = KeyStoreDriver(driver, store.stack.parameters)

    with store.step("Create while the HSM is being created"):
        store.request()
        store.expect_stack("ROLLBACK_COMPLETE")
        store.expect_reason("pCloudHsmClusterId", "an HSM", "being created or deleted")
        store.delete()

    with store.step("Create"):
        driver.admin.advance(OPERATION_SECONDS)
        store.expect("kmsuser", cluster.user("kmsuser")["cluster-coverage"], "inconsistent")
        store.request()
        store.expect_stack("CREATE_COMPLETE")
        store.expect_store("CONNECTED")
        store.expect("connection attempts", store.connection_attempts(), 1)
        store.expect("kmsuser", cluster.user("kmsuser")["cluster-coverage"], "full")

    store.delete_step(RETAINED_BY_KMS)


def client_without_cli(driver: StackDriver) -> None:
    """A client with Client SDK 3 cannot create kmsuser: the creation fails and says so."""
    cluster = existing_cluster(driver.aws, package=SDK3_PACKAGE)
    store = KeyStoreDriver(driver, cluster.parameters)
    with store.step("Create"):
        store.request()
        store.expect_stack("ROLLBACK_COMPLETE")
        store.expect_reason("pClientInstanceId", "cloudhsm-cli", "pClientPkg")
        store.delete()
        store.expect_retained()


def cluster_in_use(driver: StackDriver) -> None:
    """A cluster with a key store loses no zone, and cannot be deleted before the key store."""
    with driver.step("Create the cluster"):
        driver.request()
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
    store = on_stack_cluster(driver, pDeleteKeyStoreUponStackDeletion="true")
    with driver.step("Create the key store"):
        store.request()
        store_id = store.expect_store("CONNECTED")["CustomKeyStoreId"]

    with driver.step("Scale the cluster down to 0"), store.expect_stays_connected(store_id):
        driver.request(pHsmsPerSubnet=0)
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("pHsmsPerSubnet", "CONNECTED", _command("disconnect", store_id))
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)

    for state, verb in (("CONNECTED", "disconnect"), ("DISCONNECTED", "delete")):
        with driver.step(f"Delete the cluster: the store is {state}"):
            store.expect_store(state)
            driver.delete()
            driver.expect_stack("DELETE_FAILED")
            driver.expect_reason(f"A {state} KMS key store", _command(verb, store_id), "[cluster-")
            driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        store.disconnect_manually()

    with driver.step("Delete the key store's stack: a store with a key is retained"):
        store.connect_manually()
        key = store.create_key()
        store.delete()
        store.expect_stack("DELETE_COMPLETE")
        store.expect_store("DISCONNECTED")

    with driver.step("Delete the cluster: the store has no stack and a key"):
        driver.delete()
        driver.expect_stack("DELETE_FAILED")
        driver.expect_reason("without one, its KMS keys", _command("delete", store_id))

    with driver.step("Do as it says"):
        store.delete_key(key)
        driver.aws.client("kms").delete_custom_key_store(CustomKeyStoreId=store_id)
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_retained(*RETAINED_WITH_BACKUPS, RETAINED_BY_KMS)


def _command(verb: str, store_id: str) -> str:
    """The AWS CLI command that the failure reason must contain in full."""
    return f"aws kms {verb}-custom-key-store --custom-key-store-id {store_id}"
