"""Key stores that are retained, fail to connect, or are rolled back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from localaws.client import LocalAws, LocalAwsError
from rehearsal.drivers.key_store import KeyStoreDriver
from rehearsal.drivers.stack import StackDriver
from rehearsal.fixtures import ADMIN_PASSWORD, ExistingCluster, existing_cluster

Cause = Callable[[KeyStoreDriver, ExistingCluster], None]

# Short: durations do not matter here.
TIMINGS = {"connect": 31, "disconnect": 7}
DELETE_WITH_STACK = {"pDeleteKeyStoreUponStackDeletion": "true"}
PASSWORD_SECRET = "/cloudhsm-ks/1/kmsuser-password"
OTHER_PASSWORD = "Kmsuser0Password0Of0Others"
STALE_PASSWORD = "Stale0Admin0Password"
STORE_PASSWORD = "Store the correct password"

REFUSED = {"code": "InvalidRequestException", "message": "injected"}

# F4.20: each ConnectionErrorCode, and the remedy in the failure reason.
REMEDIES = {
    "CLUSTER_NOT_FOUND": "Restore it from a backup, then update pCloudHsmClusterId",
    "INSUFFICIENT_CLOUDHSM_HSMS": "Add HSMs",
    "INSUFFICIENT_FREE_ADDRESSES_IN_SUBNET": "Free an IP address in each subnet",
    "INTERNAL_ERROR": "Set pReconcile to a new value to retry",
    "INVALID_CREDENTIALS": "Find out what else changes it",
    "NETWORK_ERRORS": "Wait a few minutes, then set pReconcile",
    "SUBNET_NOT_FOUND": "Restore the cluster from a backup in new subnets",
    "USER_LOCKED_OUT": "Find out what else uses it",
    "USER_LOGGED_IN": "Log it out, then set pReconcile",
    "USER_NOT_FOUND": "Check its coverage in cloudhsm-cli user list",
}
REPAIRABLE = ("INVALID_CREDENTIALS", "USER_LOCKED_OUT", "USER_NOT_FOUND")


@pytest.fixture(scope="module", name="cluster")
def _cluster() -> Iterator[ExistingCluster]:
    """A cluster in an account in which a key store existed before."""
    with LocalAws(timings=TIMINGS) as aws:
        cluster = existing_cluster(aws)
        first = aws.client("kms").create_custom_key_store(
            CustomKeyStoreName="first",
            CloudHsmClusterId=cluster.cluster_id,
            TrustAnchorCertificate=cluster.ca_certificate,
            KeyStorePassword=OTHER_PASSWORD,
        )
        aws.client("kms").delete_custom_key_store(CustomKeyStoreId=first["CustomKeyStoreId"])
        yield cluster


@pytest.fixture(scope="module", name="restored")
def _restored(cluster: ExistingCluster) -> ExistingCluster:
    """A cluster restored from the first one's backup: the key store can move to it."""
    return cluster.restore()


@pytest.fixture(scope="module", name="connected")
def _connected(cluster: ExistingCluster, restored: ExistingCluster) -> Iterator[KeyStoreDriver]:
    """A key store that is CONNECTED before and after each test that uses it.

    Depends on `restored`, whose cluster would otherwise count as a leak of the key store's.
    """
    store = KeyStoreDriver(StackDriver(cluster.aws), {**cluster.parameters, **DELETE_WITH_STACK})
    store.request()
    store.expect_store("CONNECTED")
    yield store
    store.expect_store("CONNECTED")
    store.delete()
    store.expect_retained()


def reconcile_disconnected(store: KeyStoreDriver) -> None:
    """Disconnect the key store manually, and reconcile."""
    store.disconnect_manually()
    store.request(pReconcile=str(store.admin.clock()["elapsed"]))


# ---- retention and deletion
# Before the tests with a CONNECTED key store: a cluster can have only one.


@pytest.fixture(name="store")
def _store(cluster: ExistingCluster) -> Iterator[KeyStoreDriver]:
    """A driver for a new key store; the test must leave nothing behind."""
    store = KeyStoreDriver(StackDriver(cluster.aws), cluster.parameters, "new")
    yield store
    store.expect_retained()


def delete_manually(store: KeyStoreDriver) -> None:
    kms = store.aws.client("kms")
    kms.delete_custom_key_store(CustomKeyStoreId=store.store()["CustomKeyStoreId"])


def test_an_empty_key_store_is_retained_by_default(store: KeyStoreDriver) -> None:
    store.request()
    store.delete()
    store.expect_stack("DELETE_COMPLETE")
    store.expect_store("DISCONNECTED")
    store.expect_retained("key store new")
    delete_manually(store)


def test_a_key_pending_deletion_retains_its_key_store(store: KeyStoreDriver) -> None:
    store.request(pDeleteKeyStoreUponStackDeletion="true")
    key = store.create_key()
    store.aws.client("kms").schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    store.delete()
    store.expect_stack("DELETE_COMPLETE")
    store.expect_store("DISCONNECTED")
    store.expect_retained("key store new", f"key {key}")
    store.admin.advance(8 * 86400)
    delete_manually(store)


def test_the_deletion_setting_can_be_updated_while_connected(store: KeyStoreDriver) -> None:
    store.request()
    store_id = store.store()["CustomKeyStoreId"]
    with store.expect_stays_connected(store_id):
        store.request(pDeleteKeyStoreUponStackDeletion="true")
        store.expect_stack("UPDATE_COMPLETE")
    store.delete()
    store.expect_stack("DELETE_COMPLETE")


def test_the_deletion_setting_can_be_updated_while_it_cannot_connect(
    store: KeyStoreDriver,
) -> None:
    store.request()
    store.disconnect_manually()
    attempts = store.connection_attempts()
    store.fault(operation="ConnectCustomKeyStore", code="CloudHsmClusterNotActiveException")
    store.request(pDeleteKeyStoreUponStackDeletion="true")
    store.expect_stack("UPDATE_COMPLETE")
    assert store.stack.outputs()["oKeyStoreState"] == "DISCONNECTED"
    assert store.connection_attempts() == attempts
    store.admin.clear_faults()
    store.delete()
    store.expect_stack("DELETE_COMPLETE")


def test_a_deletion_during_creation_deletes_the_new_key_store(
    store: KeyStoreDriver,
) -> None:
    store.fault(operation="CreateCustomKeyStore", pause=True)
    store.start()
    with store.while_paused():
        store.stack.start_delete()
    store.wait()
    store.expect_stack("DELETE_COMPLETE")


@pytest.mark.parametrize(
    "fault",
    [
        {"operation": "PutParameter", "skip": 2, "when": "after", **REFUSED},
        {"lambda": "response", "times": 7},
        {"operation": "CreateCustomKeyStore", "when": "after", **REFUSED},
    ],
    ids=["last step failed", "no response", "response of CreateCustomKeyStore lost"],
)
def test_a_stack_can_be_recreated_after_a_failed_creation(
    store: KeyStoreDriver, fault: dict[str, Any]
) -> None:
    store.fault(fault)
    store.request()
    store.expect_stack("ROLLBACK_COMPLETE")
    store.delete()
    store.expect_retained()
    store.request(pDeleteKeyStoreUponStackDeletion="true")
    store.expect_stack("CREATE_COMPLETE")
    store.delete()
    store.expect_stack("DELETE_COMPLETE")


def test_an_externally_deleted_key_store_is_reported_and_its_stack_deletable(
    store: KeyStoreDriver,
) -> None:
    store.request()
    store_id = store.store()["CustomKeyStoreId"]
    store.disconnect_manually()
    delete_manually(store)
    store.request(pReconcile="gone")
    store.expect_stack("UPDATE_ROLLBACK_COMPLETE")
    store.expect_reason("KeyStoreNotFoundError", store_id, "no longer exists")
    store.delete()
    store.expect_stack("DELETE_COMPLETE")


# ---- failed connections


def test_a_creation_that_cannot_connect_leaves_nothing_behind(store: KeyStoreDriver) -> None:
    store.fault(connect="NETWORK_ERRORS")
    store.request()
    store.expect_stack("ROLLBACK_COMPLETE")
    store.expect_reason("NETWORK_ERRORS", REMEDIES["NETWORK_ERRORS"])
    store.delete()


@pytest.mark.parametrize("code", REMEDIES)
def test_a_failed_connection_is_reported_with_code_and_remedy(
    connected: KeyStoreDriver, code: str
) -> None:
    attempts = connected.connection_attempts()
    connected.fault(connect=code, times=2 if code in REPAIRABLE else 1)
    reconcile_disconnected(connected)
    connected.expect_stack("UPDATE_ROLLBACK_COMPLETE")
    connected.expect_reason(f"KMS could not connect the key store: {code}. ", REMEDIES[code])
    # The rollback reconnects it.
    connected.expect_store("CONNECTED")
    assert connected.connection_attempts() - attempts == (3 if code in REPAIRABLE else 2)


@pytest.mark.parametrize("code", REPAIRABLE)
def test_a_failed_connection_is_repaired_if_kmsuser_is_the_cause(
    connected: KeyStoreDriver, code: str
) -> None:
    attempts = connected.connection_attempts()
    connected.fault(connect=code)
    reconcile_disconnected(connected)
    connected.expect_stack("UPDATE_COMPLETE")
    connected.expect_store("CONNECTED")
    assert connected.connection_attempts() - attempts == 2


def change_password(store: KeyStoreDriver, cluster: ExistingCluster) -> None:
    cluster.cloudhsm_cli(
        "user-change-password",
        new_username="kmsuser",
        new_password=OTHER_PASSWORD,
        role="crypto-user",
    )


def delete_user(store: KeyStoreDriver, cluster: ExistingCluster) -> None:
    cluster.cloudhsm_cli("user-delete", new_username="kmsuser", role="crypto-user")


def lock_out_user(store: KeyStoreDriver, cluster: ExistingCluster) -> None:
    for _ in range(5):
        with suppress(LocalAwsError):
            cluster.cloudhsm_cli(
                "user-change-password",
                login_role="crypto-user",
                username="kmsuser",
                password="Guessed0Password",
                new_username="kmsuser",
                new_password=OTHER_PASSWORD,
                role="crypto-user",
            )


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("INVALID_CREDENTIALS", change_password),
        ("USER_LOCKED_OUT", lock_out_user),
        ("USER_NOT_FOUND", delete_user),
    ],
)
def test_drift_of_kmsuser_is_repaired(
    connected: KeyStoreDriver, cluster: ExistingCluster, code: str, cause: Cause
) -> None:
    connected.disconnect_manually()
    cause(connected, cluster)
    reconcile_disconnected(connected)
    connected.expect_stack("UPDATE_COMPLETE")
    connected.expect_store("CONNECTED")
    assert connected.connection_error_codes()[-1] == code


def test_a_stale_admin_password_is_tried_once_across_deployments(
    connected: KeyStoreDriver, cluster: ExistingCluster
) -> None:
    refused = connected.refused_logins("admin")
    connected.disconnect_manually()
    delete_user(connected, cluster)
    cluster.store_admin_password(STALE_PASSWORD)
    for attempt, reason in enumerate(["Login failed.", *["refused this version before."] * 2]):
        # The rollback would create kmsuser, too.
        connected.request(pReconcile=f"stale {attempt}")
        connected.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        connected.expect_reason(reason, STORE_PASSWORD, cluster.admin_secret)
        connected.expect_store("DISCONNECTED")
        assert connected.refused_logins("admin") - refused == 1
        assert cluster.user("admin")["locked"] == "false"

    cluster.store_admin_password(ADMIN_PASSWORD)
    connected.request(pReconcile="right")
    connected.expect_stack("UPDATE_COMPLETE")
    connected.expect_store("CONNECTED")
    assert connected.refused_logins("admin") - refused == 1


def log_in(store: KeyStoreDriver, cluster: ExistingCluster) -> None:
    store.admin.aws_event("log_in", cluster_id=cluster.cluster_id, username="kmsuser")


def log_out(store: KeyStoreDriver, cluster: ExistingCluster) -> None:
    store.admin.aws_event("log_out", cluster_id=cluster.cluster_id, username="kmsuser")


def close_ports(store: KeyStoreDriver, cluster: ExistingCluster) -> None:
    _change_ports(cluster, "revoke")


def open_ports(store: KeyStoreDriver, cluster: ExistingCluster) -> None:
    _change_ports(cluster, "authorize")


def _change_ports(cluster: ExistingCluster, verb: str) -> None:
    group = cluster.describe()["SecurityGroup"]
    change: Any = getattr(cluster.aws.client("ec2"), f"{verb}_security_group_ingress")
    change(
        GroupId=group,
        IpPermissions=[
            {
                "IpProtocol": "tcp",
                "FromPort": 2223,
                "ToPort": 2225,
                "UserIdGroupPairs": [{"GroupId": group}],
            }
        ],
    )


def degrade_hsms(store: KeyStoreDriver, cluster: ExistingCluster) -> None:
    for hsm in cluster.describe()["Hsms"]:
        store.admin.aws_event("degrade_hsm", hsm_id=hsm["HsmId"])


def replace_hsms(store: KeyStoreDriver, cluster: ExistingCluster) -> None:
    for hsm in cluster.describe()["Hsms"]:
        store.admin.aws_event("replace_hsm", hsm_id=hsm["HsmId"])


@pytest.mark.parametrize(
    ("code", "cause", "remedy"),
    [
        ("USER_LOGGED_IN", log_in, log_out),
        ("NETWORK_ERRORS", close_ports, open_ports),
        ("INSUFFICIENT_CLOUDHSM_HSMS", degrade_hsms, replace_hsms),
    ],
)
def test_the_remedy_for_a_failed_connection_works(
    connected: KeyStoreDriver, cluster: ExistingCluster, code: str, cause: Cause, remedy: Cause
) -> None:
    connected.disconnect_manually()
    connected.fault(operation="ConnectCustomKeyStore", pause=True)
    connected.start(pReconcile=code)
    with connected.while_paused():
        cause(connected, cluster)
    connected.wait()
    # The rollback cannot connect it either, but still succeeds.
    connected.expect_stack("UPDATE_ROLLBACK_COMPLETE")
    connected.expect_reason(code, REMEDIES[code])
    connected.expect_store("DISCONNECTED")
    assert "could not restore the key store" in connected.output("update-key-store")

    remedy(connected, cluster)
    connected.request(pReconcile=f"{code} remedied")
    connected.expect_stack("UPDATE_COMPLETE")
    connected.expect_store("CONNECTED")


# ---- updates that fail or are cancelled halfway


@contextmanager
def expect_rollback(store: KeyStoreDriver) -> Iterator[None]:
    """The request inside the block rolls back: name, cluster, state and keys are unchanged."""
    before, parameters, key = store.store(), dict(store.stack.parameters), store.create_key()
    yield
    store.expect_stack("UPDATE_ROLLBACK_COMPLETE")
    store.stack.parameters = parameters
    after = store.expect_store("CONNECTED")
    for what in ("CustomKeyStoreId", "CustomKeyStoreName", "CloudHsmClusterId"):
        assert after[what] == before[what]
    assert json.loads(store.output("update-key-store"))["Data"]["Warnings"] == "none"
    assert PASSWORD_SECRET not in store.admin.inventory()["secretsmanager"]
    store.use_key(key)
    store.delete_key(key)


@pytest.mark.parametrize(
    "changes",
    [
        {"pCloudHsmClusterId": "the restored one", "pKeyStoreName": "moved"},
        {"pKeyStoreName": "renamed"},
    ],
    ids=["moved and renamed", "renamed"],
)
def test_changes_are_reverted_if_the_key_store_cannot_reconnect(
    connected: KeyStoreDriver, restored: ExistingCluster, changes: dict[str, str]
) -> None:
    if "pCloudHsmClusterId" in changes:
        changes = {**changes, "pCloudHsmClusterId": restored.cluster_id}
    with expect_rollback(connected):
        connected.disconnect_manually()
        updates = len(connected.events("UpdateCustomKeyStore"))
        connected.fault(connect="INTERNAL_ERROR")
        connected.request(**changes)
        connected.expect_reason("INTERNAL_ERROR")
        # Each property was changed and changed back.
        assert len(connected.events("UpdateCustomKeyStore")) - updates == 2 * len(changes)


@pytest.mark.parametrize("operation", ["SendCommand", "UpdateCustomKeyStore"])
def test_a_cancelled_move_is_rolled_back(
    connected: KeyStoreDriver, restored: ExistingCluster, operation: str
) -> None:
    with expect_rollback(connected):
        connected.fault(operation=operation, pause=True)
        connected.start(pCloudHsmClusterId=restored.cluster_id)
        with connected.while_paused():
            connected.cancel()
        connected.wait()


def test_a_cancelled_rename_is_rolled_back(connected: KeyStoreDriver) -> None:
    with expect_rollback(connected):
        connected.disconnect_manually()
        connected.fault(operation="UpdateCustomKeyStore", pause=True)
        connected.start(pKeyStoreName="renamed")
        with connected.while_paused():
            connected.cancel()
        connected.wait()
