"""The admin's login for key stores: a stale password, unknown failures, and busy HSMs."""

from __future__ import annotations

from rehearsal.drivers.key_store import RETAINED_BY_KMS, on_existing_cluster
from rehearsal.drivers.stack import StackDriver
from rehearsal.fixtures import ADMIN_PASSWORD, ExistingCluster

STALE_PASSWORD = "Stale0Password"  # nosec B105 # of the local AWS
# Of the first login, and of all later ones.
_REASONS = (
    ("CreateKmsUser", "Login failed"),
    ("CheckLogin", "pCloudHsmAdminPasswordSecretName", "refused"),
)


def stale_admin_password(driver: StackDriver) -> None:
    """The admin's secret holds a stale password: one login attempt, and the reason names it."""
    store, cluster = on_existing_cluster(driver, pDeleteKeyStoreUponStackDeletion="true")
    with store.step("Create with a stale password, twice"):
        cluster.store_admin_password(STALE_PASSWORD)
        for reason in _REASONS:
            store.request()
            store.expect_stack("ROLLBACK_COMPLETE")
            store.expect_reason(*reason, cluster.admin_secret)
            store.expect("refused logins", store.refused_logins("admin"), 1)
            store.expect("locked", cluster.user("admin")["locked"], "false")
            store.delete()
            store.expect_retained()

    with store.step("Create with the current password"):
        cluster.store_admin_password(ADMIN_PASSWORD)
        store.request()
        store.expect_stack("CREATE_COMPLETE")
        store.expect_store("CONNECTED")
        store.expect("refused logins", store.refused_logins("admin"), 1)

    store.delete_step(RETAINED_BY_KMS)


def stale_admin_password_on_new_clients(driver: StackDriver) -> None:
    """Five stacks on five clients try a stale admin password: the HSMs refuse it only once."""
    store, cluster = on_existing_cluster(driver)
    cluster.store_admin_password(STALE_PASSWORD)
    for number in range(1, 6):
        with store.step(f"Create on client {number}"):
            client = cluster.with_new_client(f"client-{number}").client
            store.request(pSystem=f"store-{number}", pClientInstanceId=client)
            store.expect_stack("ROLLBACK_COMPLETE")
            store.expect_reason(*_REASONS[number > 1], cluster.admin_secret)
            store.expect("refused logins", store.refused_logins("admin"), 1)
            store.delete()

    with store.step("Create with the current password"):
        cluster.store_admin_password(ADMIN_PASSWORD)
        store.request()
        store.expect_stack("CREATE_COMPLETE")
        store.expect("tags of the secret", _tags(cluster), {})
        store.delete()


def admin_login_fails_for_unknown_reasons(driver: StackDriver) -> None:
    """The CLI fails in unknown words: four logins at most, then the operator removes a tag."""
    store, cluster = on_existing_cluster(driver, pDeleteKeyStoreUponStackDeletion="true")
    tag = f"hsm-lifecycle:admin-logins:{cluster.cluster_id}"
    store.fault(cli="user create", data="HSM returned 0xa3.", times=4)
    for attempt in range(1, 4):
        with store.step(f"Create: attempt {attempt}"):
            store.request()
            store.expect_stack("ROLLBACK_COMPLETE")
            remedy = f"remove the secret's tag {tag}"
            store.expect_reason(remedy if attempt == 3 else "HSM returned 0xa3.")
            store.expect("logins", _cli_runs(store, "user create"), min(2 * attempt, 4))
            store.delete()
            store.expect_retained()

    with store.step("Remove the tag, and create"):
        driver.aws.client("secretsmanager").untag_resource(
            SecretId=cluster.admin_secret, TagKeys=[tag]
        )
        store.request()
        store.expect_stack("CREATE_COMPLETE")
        store.expect("tags of the secret", _tags(cluster), {})

    store.delete_step(RETAINED_BY_KMS)


def hsms_busy(driver: StackDriver) -> None:
    """HSMs refuse commands for a while, as during a backup: the client's scripts try again."""
    store, cluster = on_existing_cluster(driver, pDeleteKeyStoreUponStackDeletion="true")
    with store.step("Create: the list and the login fail twice"):
        store.fault(cli="user list", data="HSM returned 0xa3.", error_code=0, times=2)
        store.fault(cli="user create", data="A backup is in progress.", exit=0, times=2)
        store.request()
        store.expect_stack("CREATE_COMPLETE")
        store.expect("kmsuser", cluster.user("kmsuser")["cluster-coverage"], "full")
        store.expect("refused logins", store.refused_logins("admin"), 0)

    with store.step("Reconcile: too busy for a login, which does not count"):
        store.disconnect_manually()
        store.fault(connect="INVALID_CREDENTIALS")
        store.fault(cli="user change-password", data="The HSM is busy.", times=3)
        store.request(pReconcile="busy")
        store.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        store.expect_reason("The HSM is busy.")
        store.expect("tags of the secret", _tags(cluster), {})

    store.delete_step(RETAINED_BY_KMS)


def _tags(cluster: ExistingCluster) -> dict[str, str]:
    """The tags of the secret with the admin's password."""
    secret = cluster.aws.client("secretsmanager").describe_secret(SecretId=cluster.admin_secret)
    return {tag["Key"]: tag["Value"] for tag in secret.get("Tags", [])}


def _cli_runs(driver: StackDriver, command: str) -> int:
    """How often a client has run this command of cloudhsm-cli."""
    return sum(
        arguments[1:3] == command.split()
        for processes in driver.admin.processes().values()
        for arguments in processes
    )
