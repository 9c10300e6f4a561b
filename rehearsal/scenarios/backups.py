"""Clusters restored from a backup, with the original's certificate, users and keys."""

from __future__ import annotations

import json

from rehearsal.drivers.key_store import RETAINED_BY_KMS, on_stack_cluster
from rehearsal.drivers.operator import (
    CLI,
    create_crypto_user,
    expect_cli_works,
    logged_in,
    read_on_client,
    read_secret,
    run_on_client,
    secret_name,
    store_secret,
)
from rehearsal.drivers.stack import RETAINED_WITH_BACKUPS, StackDriver
from rehearsal.test_ca import make_ca

DAY = 86400  # virtual seconds
LATER_PASSWORD = "Later0Admin0Password"  # nosec B105 # of the local AWS
SHARED_PASSWORD = "Admin0Of0Another0Account"  # nosec B105 # of the local AWS
RETAINED_SECRETS = ("customer-ca-cert", "initial-crypto-officer-password")


def restored_from_backup(driver: StackDriver) -> None:
    """A second stack restores the first one's backup, and the key store moves to it."""
    with driver.step("Create the cluster and a key store"):
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")
        original = driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        secrets = [read_secret(driver, kind) for kind in RETAINED_SECRETS]
        store = on_stack_cluster(driver, pDeleteKeyStoreUponStackDeletion="true")
        store.request()
        store.expect_store("CONNECTED")
        key = store.create_key()

    with driver.step("Create a crypto user, and wait a day for the next backup"):
        create_crypto_user(driver, "orders")
        driver.admin.advance(DAY)
        users = [user["username"] for user in driver.cluster()["Users"]]

    with driver.step("Change the admin's password, after that backup"):
        _change_admin_password(driver, json.loads(secrets[1]))

    with driver.step("Restore the latest backup"):
        backups = driver.aws.client("cloudhsmv2").describe_backups(
            Filters={"clusterIds": [original["ClusterId"]], "states": ["READY"]},
            SortAscending=False,
        )["Backups"]
        restored = driver.second_stack("restored", pBackupId=backups[0]["BackupId"])
        restored.request()
        restored.expect_stack("CREATE_COMPLETE")
        copy = restored.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        coverage = {user["username"]: user["cluster-coverage"] for user in copy["Users"]}
        driver.expect("users", coverage, dict.fromkeys(users, "full"))
        copied = [read_secret(restored, kind) for kind in RETAINED_SECRETS]
        driver.expect("secrets", copied, secrets)
        evidence = f"/cloudhsm/{original['ClusterId']}/hsm-identity (AWS_CHAIN_ONLY)"
        identity = restored.stack.outputs()["oHsmIdentity"]
        driver.expect_in("oHsmIdentity", identity, "RESTORED: ", evidence)
        driver.expect("initializations", len(driver.events("InitializeCluster")), 1)
        driver.expect("refused logins", driver.events("LoginRefused"), [])
        expect_cli_works(restored)

    with driver.step("Move the key store, and delete the original"):
        store.request(**on_stack_cluster(restored).stack.parameters)
        store.expect_stack("UPDATE_COMPLETE")
        store.expect_store("CONNECTED")
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        store.use_key(key)

    with driver.step("Delete the key store and the restored cluster"):
        store.delete_key(key)
        store.delete()
        store.expect_stack("DELETE_COMPLETE")
        restored.delete()
        restored.expect_stack("DELETE_COMPLETE")
        retained = [
            name.format(cluster=cluster["ClusterId"])
            for cluster in (original, copy)
            for name in RETAINED_WITH_BACKUPS
        ]
        driver.expect_retained(*retained, RETAINED_BY_KMS)


def _change_admin_password(driver: StackDriver, admin: dict[str, str]) -> None:
    """The client reads both passwords: commands, which others may read, contain none."""
    kind, secrets = "initial-crypto-officer-password", driver.aws.client("secretsmanager")
    version = secrets.get_secret_value(SecretId=secret_name(driver, kind))["VersionId"]
    store_secret(driver, kind, json.dumps({**admin, "password": LATER_PASSWORD}))
    run_on_client(
        driver,
        f"{logged_in(driver, '--version-id', version)}"
        f"later=$({read_on_client(driver, kind)} | jq -r .password)\n"
        f"{CLI} user change-password --username {admin['username']} --role admin"
        ' --password "$later"',
    )


def restored_from_shared_backup(driver: StackDriver) -> None:
    """A backup shared by another account is restored by ARN; its two secrets must be named."""
    # The model of CloudHSM exists from the first request on.
    driver.aws.client("cloudhsmv2").describe_backups()
    shared = driver.admin.aws_event("share_backup", admin_password=SHARED_PASSWORD)
    backup = _backup(driver, shared["BackupArn"])
    with driver.step("Create without the secrets' names"):
        driver.expect_rejected(
            "retains its certificate", pBackupId=shared["BackupArn"], pUseExternalPkiProcess="true"
        )
        driver.request(pBackupId=shared["BackupArn"])
        driver.expect_stack("ROLLBACK_COMPLETE")
        driver.expect_reason("pBackupCaCertSecretName", "customer-ca-cert does not exist")
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_retained(backup)

    with driver.step("Create with the secrets' names"):
        secrets = driver.aws.client("secretsmanager")
        password = json.dumps({"username": "admin", "password": SHARED_PASSWORD})
        secrets.create_secret(Name="shared/ca", SecretString=shared["TrustAnchor"])
        secrets.create_secret(Name="shared/admin", SecretString=password)
        driver.request(
            pBackupCaCertSecretName="shared/ca", pBackupAdminPasswordSecretName="shared/admin"
        )
        driver.expect_stack("CREATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        driver.expect("initializations", driver.events("InitializeCluster"), [])
        driver.expect("password", read_secret(driver, "initial-crypto-officer-password"), password)
        expect_cli_works(driver)

    with driver.step("Reconcile without changes, then scale up to 2 HSMs per subnet"):
        with driver.expect_no_changes():
            driver.request(pReconcile="again")
            driver.expect_stack("UPDATE_COMPLETE")
        driver.request(pHsmsPerSubnet=2)
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)

    driver.delete_step(*RETAINED_WITH_BACKUPS, backup, "secret shared/ca", "secret shared/admin")


def restored_with_wrong_secrets(driver: StackDriver) -> None:
    """A restore with another cluster's CA, junk, or a wrong password names parameter and secret."""
    driver.aws.client("cloudhsmv2").describe_backups()
    shared = driver.admin.aws_event("share_backup", admin_password=SHARED_PASSWORD)
    backup, secrets = _backup(driver, shared["BackupArn"]), driver.aws.client("secretsmanager")
    secrets.create_secret(Name="shared/ca", SecretString=shared["TrustAnchor"])
    secrets.create_secret(Name="shared/admin", SecretString="junk")
    names = {
        "pBackupId": shared["BackupArn"],
        "pBackupCaCertSecretName": "shared/ca",
        "pBackupAdminPasswordSecretName": "shared/admin",
    }
    retained = (backup, "secret shared/ca", "secret shared/admin")

    with driver.step("Create with a password secret that is no JSON"):
        _expect_refused(driver, names, "pBackupAdminPasswordSecretName", "shared/admin is not JSON")
        driver.expect_retained(*retained)

    password = json.dumps({"username": "admin", "password": "Wrong0Password"})  # nosec B105 # wrong
    secrets.put_secret_value(SecretId="shared/admin", SecretString=password)
    with driver.step("Create with another cluster's CA"):
        other = make_ca(driver.admin.clock()["now"]).pem
        secrets.put_secret_value(SecretId="shared/ca", SecretString=other)
        _expect_refused(driver, names, "pBackupCaCertSecretName", "shared/ca does not contain the")
        driver.expect("HSMs", driver.events("CreateHsm"), [])

    with driver.step("Create with a wrong password: one login"):
        secrets.put_secret_value(SecretId="shared/ca", SecretString=shared["TrustAnchor"])
        _expect_refused(
            driver, names, "pBackupAdminPasswordSecretName", "shared/admin", "the HSMs refuse"
        )
        driver.expect("refused logins", len(driver.events("LoginRefused")), 1)

    with driver.step("Create with the right secrets, while the HSMs are busy"):
        driver.fault(cli="user list", times=2)
        password = json.dumps({"username": "admin", "password": SHARED_PASSWORD})
        secrets.put_secret_value(SecretId="shared/admin", SecretString=password)
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)

    with driver.step("Delete"):
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")


def _expect_refused(driver: StackDriver, names: dict[str, str], *reason: str) -> None:
    driver.request(**names)
    driver.expect_stack("ROLLBACK_COMPLETE")
    driver.expect_reason(*reason)
    driver.delete()
    driver.expect_stack("DELETE_COMPLETE")


def _backup(driver: StackDriver, arn: str) -> str:
    """The leak check's name for this backup."""
    [cluster_id] = [
        backup["ClusterId"]
        for backup in driver.admin.inventory()["cloudhsm"]["backups"]
        if backup["BackupArn"] == arn
    ]
    return f"backup of {cluster_id}"
