"""Clusters restored from a backup: their certificate, users and keys are the old ones."""

from __future__ import annotations

import json

from rehearsal.drivers.key_store import LEFT_BY_KMS, on_cluster
from rehearsal.drivers.operator import create_crypto_user, read_secret, run_on_client
from rehearsal.drivers.stack import LEFT_WITH_BACKUPS, StackDriver

A_DAY = 86400  # virtual seconds
SHARED_PASSWORD = "Admin0Of0Another0Account"
KEPT = ("customer-ca-cert", "initial-crypto-officer-password")


def restored_from_a_backup(driver: StackDriver) -> None:
    """A second stack restores the first one's backup, and the key store moves over to it."""
    with driver.step("Create, and put a key store on it"):
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")
        original = driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        secrets = [read_secret(driver, kind) for kind in KEPT]
        store = on_cluster(driver, pDeleteKeyStoreUponStackDeletion="true")
        store.request()
        store.expect_store("CONNECTED")
        key = store.make_key()

    with driver.step("Create a crypto user; a day later it is in the backup"):
        create_crypto_user(driver, "orders")
        driver.admin.advance(A_DAY)
        users = [user["username"] for user in driver.cluster()["Users"]]

    with driver.step("Restore its latest backup"):
        backups = driver.aws.client("cloudhsmv2").describe_backups(
            Filters={"clusterIds": [original["ClusterId"]], "states": ["READY"]},
            SortAscending=False,
        )["Backups"]
        restored = driver.beside("restored", pBackupId=backups[0]["BackupId"])
        restored.request()
        restored.expect_stack("CREATE_COMPLETE")
        copy = restored.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        covered = {user["username"]: user["cluster-coverage"] for user in copy["Users"]}
        driver.expect("users", covered, dict.fromkeys(users, "full"))
        driver.expect("secrets", [read_secret(restored, kind) for kind in KEPT], secrets)
        driver.expect("initializations", _initializations(driver), 1)
        answer = run_on_client(restored, "/opt/cloudhsm/bin/cloudhsm-cli user list")
        driver.expect("error code of user list", '"error_code": 0' in answer, True)

    with driver.step("Move the key store, and delete the original"):
        store.request(**on_cluster(restored).stack.parameters)
        store.expect_stack("UPDATE_COMPLETE")
        store.expect_store("CONNECTED")
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        store.use_key(key)

    with driver.step("Delete key store and copy"):
        store.delete_key(key)
        store.delete()
        store.expect_stack("DELETE_COMPLETE")
        restored.delete()
        restored.expect_stack("DELETE_COMPLETE")
        left = [
            line.format(cluster=cluster["ClusterId"])
            for cluster in (original, copy)
            for line in LEFT_WITH_BACKUPS
        ]
        driver.expect_remaining(*left, LEFT_BY_KMS)


def restored_from_another_account(driver: StackDriver) -> None:
    """A backup that another account shares, by its ARN: its two secrets have to be named."""
    # The model of CloudHSM is there once it was asked for something.
    driver.aws.client("cloudhsmv2").describe_backups()
    shared = driver.admin.act("share_backup", admin_password=SHARED_PASSWORD)
    with driver.step("Create, but its secrets are not here"):
        driver.expect_refusal(
            "retains its certificate", pBackupId=shared["BackupArn"], pUseExternalPkiProcess="true"
        )
        driver.request(pBackupId=shared["BackupArn"])
        driver.expect_stack("ROLLBACK_COMPLETE")
        driver.expect_reason("pBackupCaCertSecretName", "customer-ca-cert does not exist")
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_remaining(*_backup(driver, shared["BackupArn"]))

    with driver.step("Create, with their names"):
        secrets = driver.aws.client("secretsmanager")
        password = json.dumps({"username": "admin", "password": SHARED_PASSWORD})
        secrets.create_secret(Name="theirs/ca", SecretString=shared["TrustAnchor"])
        secrets.create_secret(Name="theirs/admin", SecretString=password)
        driver.request(
            pBackupCaCertSecretName="theirs/ca", pBackupAdminPasswordSecretName="theirs/admin"
        )
        driver.expect_stack("CREATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        driver.expect("initializations", _initializations(driver), 0)
        driver.expect("password", read_secret(driver, "initial-crypto-officer-password"), password)
        answer = run_on_client(driver, "/opt/cloudhsm/bin/cloudhsm-cli user list")
        driver.expect("error code of user list", '"error_code": 0' in answer, True)

    with driver.step("Update: nothing, then 2 HSMs per subnet"):
        with driver.untouched():
            driver.request(pReconcile="again")
            driver.expect_stack("UPDATE_COMPLETE")
        driver.request(pHsmsPerSubnet=2)
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)

    with driver.step("Delete"):
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        own = (*_backup(driver, shared["BackupArn"]), "secret theirs/ca", "secret theirs/admin")
        driver.expect_remaining(*LEFT_WITH_BACKUPS, *own)


def _initializations(driver: StackDriver) -> int:
    return sum(event["event"] == "InitializeCluster" for event in driver.admin.event_log())


def _backup(driver: StackDriver, arn: str) -> list[str]:
    """How the inventory's comparison names a backup."""
    return [
        f"backup of {backup['ClusterId']}"
        for backup in driver.admin.inventory()["cloudhsm"]["backups"]
        if backup["BackupArn"] == arn
    ]
