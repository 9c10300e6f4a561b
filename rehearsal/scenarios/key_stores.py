"""What a key store goes through: connected, used, repaired, renamed, moved, kept, left alone."""

from __future__ import annotations

from rehearsal import fixtures
from rehearsal.drivers.key_store import LEFT_BY_KMS, KeyStoreDriver, on_cluster, on_ground
from rehearsal.drivers.stack import LEFT_WITH_BACKUPS, StackDriver
from rehearsal.fixtures import Ground

FOREIGN_PASSWORD = "Kmsuser0Of0Somebody0Else"
STALE_PASSWORD = "Stale0Password"
# As many keys as the first page of ListKeys may have, by default 100 and in many a script 40.
KEYS_OF_OTHERS = 40


def key_store(driver: StackDriver) -> None:
    """A key store on a cluster not of ours: connected at once, used, deleted after its last key."""
    store, laid = on_ground(driver, pDeleteKeyStoreUponStackDeletion="true")
    with store.step("Create"):
        store.request()
        store.expect_stack("CREATE_COMPLETE")
        store.expect_store("CONNECTED")
        store.expect("connections", store.attempts(), 1)
        store.expect("kmsuser", laid.user("kmsuser")["cluster-coverage"], "full")

    with store.step("A key is made and used"):
        key = store.make_key()
        store.use_key(key)
        store.delete_key(key)

    with store.step("Delete"):
        store.delete()
        store.expect_stack("DELETE_COMPLETE")
        store.expect_remaining(LEFT_BY_KMS)


def key_store_reconnected(driver: StackDriver) -> None:
    """A key store found DISCONNECTED or FAILED is connected again, repaired if kmsuser is why."""
    store, laid = on_ground(driver, pDeleteKeyStoreUponStackDeletion="true")
    with store.step("Create"):
        store.request()
        store.expect_store("CONNECTED")

    with store.step("Reconcile: DISCONNECTED"):
        store.disconnect_by_hand()
        store.request(pReconcile="disconnected")
        store.expect_stack("UPDATE_COMPLETE")
        store.expect_store("CONNECTED")

    with store.step("Reconcile: FAILED by the network"):
        store.fault(connect="NETWORK_ERRORS")
        store.disconnect_by_hand()
        store.connect_by_hand()
        store.expect_store("FAILED")
        store.request(pReconcile="failed")
        store.expect_stack("UPDATE_COMPLETE")
        store.expect_store("CONNECTED")

    with store.step("Reconcile: FAILED without kmsuser"):
        store.disconnect_by_hand()
        laid.command("user-delete", new_username="kmsuser", role="crypto-user")
        store.connect_by_hand()
        store.expect_store("FAILED")
        store.request(pReconcile="repaired")
        store.expect_stack("UPDATE_COMPLETE")
        store.expect_store("CONNECTED")

    with store.step("Delete"):
        store.delete()
        store.expect_remaining(LEFT_BY_KMS)


def key_store_renamed(driver: StackDriver) -> None:
    """A key store gets another name without leaving CONNECTED; not if KMS wants it disconnected."""
    store, _ = on_ground(driver, pDeleteKeyStoreUponStackDeletion="true")
    with store.step("Create"):
        store.request()
        store_id = store.expect_store("CONNECTED")["CustomKeyStoreId"]
        key = store.make_key()

    with store.step("Rename"):
        with store.staying_connected(store_id):
            store.request(pKeyStoreName="other keys")
            store.expect_stack("UPDATE_COMPLETE")
            store.expect("store", store.expect_store("CONNECTED")["CustomKeyStoreId"], store_id)
        store.use_key(key)

    with store.step("Rename, but KMS wants it disconnected"):
        with store.untouched():
            store.fault(
                operation="UpdateCustomKeyStore", code="CustomKeyStoreInvalidStateException"
            )
            store.request(pKeyStoreName="third keys")
            store.expect_stack("UPDATE_ROLLBACK_COMPLETE")
            store.expect_reason("pKeyStoreName", "Disconnect it yourself")
        store.use_key(key)

    with store.step("Delete"):
        store.delete_key(key)
        store.stack.parameters["pKeyStoreName"] = "other keys"
        store.delete()
        store.expect_remaining(LEFT_BY_KMS)


def key_store_moved(driver: StackDriver) -> None:
    """A key store moves to a cluster restored from a backup with its keys, and to no other."""
    store, laid = on_ground(driver, pDeleteKeyStoreUponStackDeletion="true")
    restored, unrelated = laid.restored(), fixtures.lay(driver.aws, name="unrelated")
    store = KeyStoreDriver(driver, store.stack.parameters)
    with store.step("Create"):
        store.request()
        store_id = store.expect_store("CONNECTED")["CustomKeyStoreId"]
        key = store.make_key()
        # Of somebody else, and never connected.
        other = driver.aws.client("kms").create_custom_key_store(
            CustomKeyStoreName="other keys",
            CloudHsmClusterId=unrelated.cluster_id,
            TrustAnchorCertificate=unrelated.ca_certificate,
            KeyStorePassword=FOREIGN_PASSWORD,
        )["CustomKeyStoreId"]

    for what, changes, words in (
        (
            "Move to a cluster that is not related",
            unrelated.parameters,
            ("pCloudHsmClusterId", unrelated.cluster_id, "backup"),
        ),
        (
            "Move to no cluster at all",
            {"pCloudHsmClusterId": "cluster-2222222222a", "pKeyStoreName": "moved keys"},
            ("pCloudHsmClusterId", "there is no cluster"),
        ),
        (
            "Take the name of another key store, and move",
            {**restored.parameters, "pKeyStoreName": "other keys"},
            ("pKeyStoreName", "other keys", "exists"),
        ),
    ):
        with store.step(what):
            kept = dict(store.stack.parameters)
            with store.untouched():
                store.request(**changes)
                store.expect_stack("UPDATE_ROLLBACK_COMPLETE")
                store.expect_reason(*words)
            store.stack.parameters = kept
            store.use_key(key)

    with store.step("Move to a restored cluster, by another name"):
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
        store.expect_remaining("key store other keys", LEFT_BY_KMS)
        driver.aws.client("kms").delete_custom_key_store(CustomKeyStoreId=other)


def key_store_kept(driver: StackDriver) -> None:
    """Of 41 KMS keys the last is in the key store: deleting its stack keeps it, and says so."""
    store, _ = on_ground(driver, pDeleteKeyStoreUponStackDeletion="true")
    kms = driver.aws.client("kms")
    for _ in range(KEYS_OF_OTHERS):
        kms.create_key()
    with store.step("Create"):
        store.request()
        kept = store.expect_store("CONNECTED")["CustomKeyStoreId"]
        key = store.make_key()

    with store.step("Delete: the key store is kept"):
        # The log goes with the stack.
        store.fault(operation="DeleteParameter", pause=True)
        store.stack.start_delete()
        with store.standing_still():
            _expect_logged(driver, "/aws/lambda/cloudhsm-ks-1-key-store", kept)
        store.wait()
        store.expect_stack("DELETE_COMPLETE")
        store.expect_store("DISCONNECTED")
        store.expect_unusable(key)
        _expect_kept(store, kept)
        store.expect_remaining("key store keys", f"key {key}", LEFT_BY_KMS)

    with store.step("By hand: connect, and use the key again"):
        store.connect_by_hand()
        store.use_key(key)


def _expect_kept(store: KeyStoreDriver, store_id: str) -> None:
    """The state RetainKeyStore and the output of its execution say that the key store is kept."""
    kept = [e for e in store.admin.event_log() if e.get("state") == "RetainKeyStore"]
    store.expect("executions that keep", len(kept), 1)
    output = store.output("delete-key-store")
    store.expect("said in the output", _sentence(store_id) in output, True)


def _expect_logged(driver: StackDriver, group: str, store_id: str) -> None:
    """The function's log says, as a warning, that the key store is kept."""
    events = driver.aws.client("logs").filter_log_events(logGroupName=group)["events"]
    said = [e["message"] for e in events if _sentence(store_id) in e["message"]]
    driver.expect("said in the log", ["WARNING" in message for message in said], [True])


def _sentence(store_id: str) -> str:
    return f"The key store {store_id} is kept, disconnected."


def foreign_key_store(driver: StackDriver) -> None:
    """A key store that somebody else has made, with a key in use, is never touched."""
    store, laid = on_ground(driver, pDeleteKeyStoreUponStackDeletion="true")
    restored = laid.restored()
    with store.step("By hand: a key store, and a key"):
        store_id = _by_hand(store, laid)
        key = store.make_key()
    store = KeyStoreDriver(driver, store.stack.parameters)

    for what, parameters, words in (
        ("the name is taken", restored.parameters, ("pKeyStoreName", "left alone")),
        ("the cluster is taken", {}, ("pCloudHsmClusterId", "already")),
        (
            "a related cluster is taken",
            {**restored.parameters, "pKeyStoreName": "more keys"},
            ("CreateKeyStore", "pCloudHsmClusterId", "CloudHsmClusterInUseException"),
        ),
    ):
        with store.step(f"Create: {what}"), store.staying_connected(store_id):
            store.request(**{**laid.parameters, "pKeyStoreName": "keys", **parameters})
            store.expect_stack("ROLLBACK_COMPLETE")
            store.expect_reason(*words)
            store.delete()
            store.expect_remaining()
        store.stack.parameters["pKeyStoreName"] = "keys"
        store.use_key(key)

    with store.step("By hand: disconnect and connect it, because kmsuser is untouched as well"):
        store.disconnect_by_hand()
        store.connect_by_hand()
        store.expect_store("CONNECTED")
        store.use_key(key)


def _by_hand(store: KeyStoreDriver, laid: Ground) -> str:
    """Create and connect a key store as the KMS Developer Guide tells; its id."""
    laid.command(
        "user-create", new_username="kmsuser", new_password=FOREIGN_PASSWORD, role="crypto-user"
    )
    made = store.aws.client("kms").create_custom_key_store(
        CustomKeyStoreName=store.stack.parameters["pKeyStoreName"],
        CloudHsmClusterId=laid.cluster_id,
        TrustAnchorCertificate=laid.ca_certificate,
        KeyStorePassword=FOREIGN_PASSWORD,
    )
    store.connect_by_hand()
    return str(made["CustomKeyStoreId"])


def stale_admin_password(driver: StackDriver) -> None:
    """The admin's password in the secret is stale: one refused login, and the secret is named."""
    store, laid = on_ground(driver, pDeleteKeyStoreUponStackDeletion="true")
    with store.step("Create with a stale password, twice"):
        laid.say_admin_password(STALE_PASSWORD)
        for _ in range(2):
            store.request()
            store.expect_stack("ROLLBACK_COMPLETE")
            store.expect_reason("CreateKmsUser", "Login failed", laid.admin_secret)
            store.expect("refused logins", store.refused_logins("admin"), 1)
            store.expect("locked", laid.user("admin")["locked"], "false")
            store.delete()
            store.expect_remaining()

    with store.step("Create with the right one"):
        laid.say_admin_password(fixtures.ADMIN_PASSWORD)
        store.request()
        store.expect_stack("CREATE_COMPLETE")
        store.expect_store("CONNECTED")
        store.expect("refused logins", store.refused_logins("admin"), 1)

    with store.step("Delete"):
        store.delete()
        store.expect_remaining(LEFT_BY_KMS)


def kmsuser_on_some_hsms(driver: StackDriver) -> None:
    """kmsuser exists, but not on every HSM, and nobody knows its password: both are set right."""
    store, laid = on_ground(driver, pDeleteKeyStoreUponStackDeletion="true")
    with store.step("By hand: a kmsuser while an HSM joins"):
        laid.add_hsm()
        laid.command(
            "user-create", new_username="kmsuser", new_password=FOREIGN_PASSWORD, role="crypto-user"
        )
    store = KeyStoreDriver(driver, store.stack.parameters)

    with store.step("Create while the HSM joins"):
        store.request()
        store.expect_stack("ROLLBACK_COMPLETE")
        store.expect_reason("pCloudHsmClusterId", "an HSM", "coming or going")
        store.delete()

    with store.step("Create"):
        driver.admin.advance(fixtures.A_WHILE)
        store.expect("kmsuser", laid.user("kmsuser")["cluster-coverage"], "inconsistent")
        store.request()
        store.expect_stack("CREATE_COMPLETE")
        store.expect_store("CONNECTED")
        store.expect("connections", store.attempts(), 1)
        store.expect("kmsuser", laid.user("kmsuser")["cluster-coverage"], "full")

    with store.step("Delete"):
        store.delete()
        store.expect_remaining(LEFT_BY_KMS)


def client_without_cli(driver: StackDriver) -> None:
    """A client with Client SDK 3 cannot make kmsuser: the creation is refused in words."""
    laid = fixtures.lay(driver.aws, package=fixtures.SDK3)
    store = KeyStoreDriver(driver, laid.parameters)
    with store.step("Create"):
        store.request()
        store.expect_stack("ROLLBACK_COMPLETE")
        store.expect_reason("pClientInstanceId", "cloudhsm-cli", "pClientPkg")
        store.delete()
        store.expect_remaining()


def cluster_in_use(driver: StackDriver) -> None:
    """Under a key store its cluster loses no zone, and is not deleted before the store is."""
    with driver.step("Create the cluster"):
        driver.request()
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
    store = on_cluster(driver, pDeleteKeyStoreUponStackDeletion="true")
    with driver.step("Create the key store"):
        store.request()
        store_id = store.expect_store("CONNECTED")["CustomKeyStoreId"]

    with driver.step("Shrink the cluster to 0"), store.staying_connected(store_id):
        driver.request(pHsmsPerSubnet=0)
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("pHsmsPerSubnet", "CONNECTED", _command("disconnect", store_id))
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)

    for state, verb in (("CONNECTED", "disconnect"), ("DISCONNECTED", "delete")):
        with driver.step(f"Delete the cluster: the store is {state}"):
            store.expect_store(state)
            driver.delete()
            driver.expect_stack("DELETE_FAILED")
            driver.expect_reason(f"{store_id} ({state})", _command(verb, store_id))
            driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        store.disconnect_by_hand()

    with driver.step("Delete the key store, then the cluster"):
        store.delete()
        store.expect_stack("DELETE_COMPLETE")
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_remaining(*LEFT_WITH_BACKUPS, LEFT_BY_KMS)


def _command(verb: str, store_id: str) -> str:
    """What a reason has to give whole, as short as it is."""
    return f"aws kms {verb}-custom-key-store --custom-key-store-id {store_id}"
