"""What becomes of a key store that does not connect, is kept, or is overtaken."""

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

# Short, because how long the workflow waits is not the subject.
TIMINGS = {"connect": 31, "disconnect": 7}
TO_BE_DELETED = {"pDeleteKeyStoreUponStackDeletion": "true"}
PASSWORD_SECRET = "/cloudhsm-ks/1/kmsuser-password"
SOMEBODYS_PASSWORD = "Kmsuser0Of0Somebody0Else"
STALE_PASSWORD = "Stale0Admin0Password"
TELLS_TO_STORE = "Store the correct password of admin as a new version of secret"

REFUSED = {"code": "InvalidRequestException", "message": "it was planted"}

# F4.20: each ConnectionErrorCode, and what the stack event has to say about it.
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
def _laid() -> Iterator[ExistingCluster]:
    """A cluster for all tests of this file, in an account where a key store was made before."""
    with LocalAws(timings=TIMINGS) as aws:
        cluster = existing_cluster(aws)
        made = aws.client("kms").create_custom_key_store(
            CustomKeyStoreName="first",
            CloudHsmClusterId=cluster.cluster_id,
            TrustAnchorCertificate=cluster.ca_certificate,
            KeyStorePassword=SOMEBODYS_PASSWORD,
        )
        aws.client("kms").delete_custom_key_store(CustomKeyStoreId=made["CustomKeyStoreId"])
        yield cluster


@pytest.fixture(scope="module", name="restored")
def _restored(cluster: ExistingCluster) -> ExistingCluster:
    """Another cluster, to which a key store on the first one can move."""
    return cluster.restore()


@pytest.fixture(scope="module", name="connected")
def _connected(cluster: ExistingCluster, restored: ExistingCluster) -> Iterator[KeyStoreDriver]:
    """A key store that is CONNECTED before and after each test that asks for it.

    The restored cluster comes first, so that it is not taken for something that the store has left.
    """
    store = KeyStoreDriver(StackDriver(cluster.aws), {**cluster.parameters, **TO_BE_DELETED})
    store.request()
    store.expect_store("CONNECTED")
    yield store
    store.expect_store("CONNECTED")
    store.delete()
    store.expect_retained()


def found_disconnected(store: KeyStoreDriver, **changes: object) -> None:
    """Disconnect the key store by hand and have the stack look after it."""
    store.disconnect_manually()
    store.request(pReconcile=str(store.admin.clock()["elapsed"]), **changes)


# ---- key stores that stay and go
# Before the others, because a cluster can have one key store.


@pytest.fixture(name="store")
def _store(cluster: ExistingCluster) -> Iterator[KeyStoreDriver]:
    """A key store to be; nothing of it is left but what the test has taken away itself."""
    store = KeyStoreDriver(StackDriver(cluster.aws), cluster.parameters, "new")
    yield store
    store.expect_retained()


def is_removed_by_hand(store: KeyStoreDriver) -> None:
    kms = store.aws.client("kms")
    kms.delete_custom_key_store(CustomKeyStoreId=store.store()["CustomKeyStoreId"])


def test_a_key_store_without_keys_is_kept_as_well_unless_its_deletion_is_asked_for(
    store: KeyStoreDriver,
) -> None:
    store.request()
    store.delete()
    store.expect_stack("DELETE_COMPLETE")
    store.expect_store("DISCONNECTED")
    store.expect_retained("key store new")
    is_removed_by_hand(store)


def test_a_key_that_awaits_its_deletion_keeps_its_key_store(store: KeyStoreDriver) -> None:
    store.request(pDeleteKeyStoreUponStackDeletion="true")
    key = store.create_key()
    store.aws.client("kms").schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    store.delete()
    store.expect_stack("DELETE_COMPLETE")
    store.expect_store("DISCONNECTED")
    store.expect_retained("key store new", f"key {key}")
    store.admin.advance(8 * 86400)
    is_removed_by_hand(store)


def test_what_shall_become_of_it_can_be_said_later(store: KeyStoreDriver) -> None:
    store.request()
    store_id = store.store()["CustomKeyStoreId"]
    with store.expect_stays_connected(store_id):
        store.request(pDeleteKeyStoreUponStackDeletion="true")
        store.expect_stack("UPDATE_COMPLETE")
    store.delete()
    store.expect_stack("DELETE_COMPLETE")


def test_a_deletion_that_overtakes_the_creation_finds_what_is_just_being_made(
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
        {"lambda": "answer", "times": 7},
        {"operation": "CreateCustomKeyStore", "when": "after", **REFUSED},
    ],
    ids=["its last step failed", "nobody answered", "a lost store was made"],
)
def test_a_new_stack_begins_anew_after_a_creation_that_failed(
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


def test_a_key_store_that_is_gone_is_told_and_its_stack_can_be_deleted(
    store: KeyStoreDriver,
) -> None:
    store.request()
    store_id = store.store()["CustomKeyStoreId"]
    store.disconnect_manually()
    is_removed_by_hand(store)
    store.request(pReconcile="gone")
    store.expect_stack("UPDATE_ROLLBACK_COMPLETE")
    store.expect_reason("KeyStoreNotFoundError", store_id, "no longer exists")
    store.delete()
    store.expect_stack("DELETE_COMPLETE")


# ---- connections that fail


def test_a_creation_that_cannot_connect_leaves_nothing(store: KeyStoreDriver) -> None:
    store.fault(connect="NETWORK_ERRORS")
    store.request()
    store.expect_stack("ROLLBACK_COMPLETE")
    store.expect_reason("NETWORK_ERRORS", REMEDIES["NETWORK_ERRORS"])
    store.delete()


@pytest.mark.parametrize("code", REMEDIES)
def test_a_connection_that_fails_is_told_with_its_code_and_the_remedy(
    connected: KeyStoreDriver, code: str
) -> None:
    attempts = connected.connection_attempts()
    connected.fault(connect=code, times=2 if code in REPAIRABLE else 1)
    found_disconnected(connected)
    connected.expect_stack("UPDATE_ROLLBACK_COMPLETE")
    connected.expect_reason(f"KMS could not connect the key store: {code}. ", REMEDIES[code])
    # The rollback, too, found it DISCONNECTED.
    connected.expect_store("CONNECTED")
    assert connected.connection_attempts() - attempts == (3 if code in REPAIRABLE else 2)


@pytest.mark.parametrize("code", REPAIRABLE)
def test_a_connection_that_fails_for_kmsusers_sake_is_repaired(
    connected: KeyStoreDriver, code: str
) -> None:
    attempts = connected.connection_attempts()
    connected.fault(connect=code)
    found_disconnected(connected)
    connected.expect_stack("UPDATE_COMPLETE")
    connected.expect_store("CONNECTED")
    assert connected.connection_attempts() - attempts == 2


def password_is_changed(store: KeyStoreDriver, cluster: ExistingCluster) -> None:
    cluster.cloudhsm_cli(
        "user-change-password",
        new_username="kmsuser",
        new_password=SOMEBODYS_PASSWORD,
        role="crypto-user",
    )


def user_is_deleted(store: KeyStoreDriver, cluster: ExistingCluster) -> None:
    cluster.cloudhsm_cli("user-delete", new_username="kmsuser", role="crypto-user")


def user_is_locked_out(store: KeyStoreDriver, cluster: ExistingCluster) -> None:
    for _ in range(5):
        with suppress(LocalAwsError):
            cluster.cloudhsm_cli(
                "user-change-password",
                login_role="crypto-user",
                username="kmsuser",
                password="Guessed0Password",
                new_username="kmsuser",
                new_password=SOMEBODYS_PASSWORD,
                role="crypto-user",
            )


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("INVALID_CREDENTIALS", password_is_changed),
        ("USER_LOCKED_OUT", user_is_locked_out),
        ("USER_NOT_FOUND", user_is_deleted),
    ],
)
def test_what_somebody_does_to_kmsuser_is_repaired(
    connected: KeyStoreDriver, cluster: ExistingCluster, code: str, cause: Cause
) -> None:
    connected.disconnect_manually()
    cause(connected, cluster)
    found_disconnected(connected)
    connected.expect_stack("UPDATE_COMPLETE")
    connected.expect_store("CONNECTED")
    assert connected.connection_error_codes()[-1] == code


def test_a_stale_password_of_the_admin_is_refused_once_however_often_one_deploys(
    connected: KeyStoreDriver, cluster: ExistingCluster
) -> None:
    refused = connected.refused_logins("admin")
    connected.disconnect_manually()
    user_is_deleted(connected, cluster)
    cluster.store_admin_password(STALE_PASSWORD)
    for attempt in range(3):
        # Its rollback, too, would set kmsuser up anew.
        connected.request(pReconcile=f"stale {attempt}")
        connected.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        connected.expect_reason(
            "CreateKmsUser", f"Login failed. {TELLS_TO_STORE}", cluster.admin_secret
        )
        connected.expect_store("DISCONNECTED")
        assert connected.refused_logins("admin") - refused == 1
        assert cluster.user("admin")["locked"] == "false"

    cluster.store_admin_password(ADMIN_PASSWORD)
    connected.request(pReconcile="right")
    connected.expect_stack("UPDATE_COMPLETE")
    connected.expect_store("CONNECTED")
    assert connected.refused_logins("admin") - refused == 1


def somebody_logs_in(store: KeyStoreDriver, cluster: ExistingCluster) -> None:
    store.admin.act("log_in", cluster_id=cluster.cluster_id, username="kmsuser")


def somebody_logs_out(store: KeyStoreDriver, cluster: ExistingCluster) -> None:
    store.admin.act("log_out", cluster_id=cluster.cluster_id, username="kmsuser")


def group_is_closed(store: KeyStoreDriver, cluster: ExistingCluster) -> None:
    _change_group(cluster, "revoke")


def group_is_opened(store: KeyStoreDriver, cluster: ExistingCluster) -> None:
    _change_group(cluster, "authorize")


def _change_group(cluster: ExistingCluster, verb: str) -> None:
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


def hsms_fail(store: KeyStoreDriver, cluster: ExistingCluster) -> None:
    for hsm in cluster.describe()["Hsms"]:
        store.admin.act("degrade_hsm", hsm_id=hsm["HsmId"])


def hsms_are_replaced(store: KeyStoreDriver, cluster: ExistingCluster) -> None:
    for hsm in cluster.describe()["Hsms"]:
        store.admin.act("replace_hsm", hsm_id=hsm["HsmId"])


@pytest.mark.parametrize(
    ("code", "cause", "remedy"),
    [
        ("USER_LOGGED_IN", somebody_logs_in, somebody_logs_out),
        ("NETWORK_ERRORS", group_is_closed, group_is_opened),
        ("INSUFFICIENT_CLOUDHSM_HSMS", hsms_fail, hsms_are_replaced),
    ],
)
def test_what_happens_while_it_connects_is_told_and_the_remedy_is_one(
    connected: KeyStoreDriver, cluster: ExistingCluster, code: str, cause: Cause, remedy: Cause
) -> None:
    connected.disconnect_manually()
    connected.fault(operation="ConnectCustomKeyStore", pause=True)
    connected.start(pReconcile=code)
    with connected.while_paused():
        cause(connected, cluster)
    connected.wait()
    # Nor can the rollback connect it, and that is no reason for it to fail.
    connected.expect_stack("UPDATE_ROLLBACK_COMPLETE")
    connected.expect_reason(code, REMEDIES[code])
    connected.expect_store("DISCONNECTED")
    assert "could not restore the key store" in connected.output("update-key-store")

    remedy(connected, cluster)
    connected.request(pReconcile=f"{code}, and now")
    connected.expect_stack("UPDATE_COMPLETE")
    connected.expect_store("CONNECTED")


# ---- changes that fail or are cancelled when they have begun


@contextmanager
def rolled_back(store: KeyStoreDriver) -> Iterator[None]:
    """What is asked for inside fails, and all is as before: name, cluster, state, and a key."""
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
def test_what_was_changed_and_then_cannot_be_connected_is_changed_back(
    connected: KeyStoreDriver, restored: ExistingCluster, changes: dict[str, str]
) -> None:
    wanted = {**changes}
    if "pCloudHsmClusterId" in wanted:
        wanted["pCloudHsmClusterId"] = restored.cluster_id
    with rolled_back(connected):
        connected.disconnect_manually()
        updates = updates_of(connected)
        connected.fault(connect="INTERNAL_ERROR")
        connected.request(**wanted)
        connected.expect_reason("INTERNAL_ERROR")
        # It was changed, and changed back.
        assert updates_of(connected) - updates == 2 * len(wanted)


def updates_of(store: KeyStoreDriver) -> int:
    """How often KMS was told something else of the key store so far."""
    return sum(event["event"] == "UpdateCustomKeyStore" for event in store.admin.event_log())


@pytest.mark.parametrize("operation", ["SendCommand", "UpdateCustomKeyStore"])
def test_a_move_that_is_cancelled_is_taken_back(
    connected: KeyStoreDriver, restored: ExistingCluster, operation: str
) -> None:
    with rolled_back(connected):
        connected.fault(operation=operation, pause=True)
        connected.start(pCloudHsmClusterId=restored.cluster_id)
        with connected.while_paused():
            connected.cancel()
        connected.wait()


def test_a_rename_that_is_cancelled_is_taken_back(connected: KeyStoreDriver) -> None:
    with rolled_back(connected):
        connected.disconnect_manually()
        connected.fault(operation="UpdateCustomKeyStore", pause=True)
        connected.start(pKeyStoreName="renamed")
        with connected.while_paused():
            connected.cancel()
        connected.wait()
