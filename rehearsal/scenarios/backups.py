"""Clusters restored from a backup: their certificate, users and keys are the old ones."""

from __future__ import annotations

import json

from rehearsal.by_hand import create_crypto_user, read_secret, run_on_client
from rehearsal.key_store_life import LEFT_BY_KMS, on_cluster
from rehearsal.life import LEFT_WITH_BACKUPS, Life

A_DAY = 86400  # virtual seconds
SHARED_PASSWORD = "Admin0Of0Another0Account"
KEPT = ("customer-ca-cert", "initial-crypto-officer-password")


def restored_from_a_backup(life: Life) -> None:
    """A second stack restores the first one's backup, and the key store moves over to it."""
    with life.step("Create, and put a key store on it"):
        life.request()
        life.expect_stack("CREATE_COMPLETE")
        original = life.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        secrets = [read_secret(life, kind) for kind in KEPT]
        store = on_cluster(life, pDeleteKeyStoreUponStackDeletion="true")
        store.request()
        store.expect_store("CONNECTED")
        key = store.make_key()

    with life.step("Create a crypto user; a day later it is in the backup"):
        create_crypto_user(life, "orders")
        life.control.advance(A_DAY)
        users = [user["username"] for user in life.cluster()["Users"]]

    with life.step("Restore its latest backup"):
        backups = life.aws.client("cloudhsmv2").describe_backups(
            Filters={"clusterIds": [original["ClusterId"]], "states": ["READY"]},
            SortAscending=False,
        )["Backups"]
        restored = life.beside("restored", pBackupId=backups[0]["BackupId"])
        restored.request()
        restored.expect_stack("CREATE_COMPLETE")
        copy = restored.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        covered = {user["username"]: user["cluster-coverage"] for user in copy["Users"]}
        life.expect("users", covered, dict.fromkeys(users, "full"))
        life.expect("secrets", [read_secret(restored, kind) for kind in KEPT], secrets)
        life.expect("initializations", _initializations(life), 1)
        answer = run_on_client(restored, "/opt/cloudhsm/bin/cloudhsm-cli user list")
        life.expect("error code of user list", '"error_code": 0' in answer, True)

    with life.step("Move the key store, and delete the original"):
        store.request(**on_cluster(restored).stack.parameters)
        store.expect_stack("UPDATE_COMPLETE")
        store.expect_store("CONNECTED")
        life.delete()
        life.expect_stack("DELETE_COMPLETE")
        store.use_key(key)

    with life.step("Delete key store and copy"):
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
        life.expect_remaining(*left, LEFT_BY_KMS)


def restored_from_another_account(life: Life) -> None:
    """A backup that another account shares, by its ARN: its two secrets have to be named."""
    # The model of CloudHSM is there once it was asked for something.
    life.aws.client("cloudhsmv2").describe_backups()
    shared = life.control.act("plant_shared_backup", admin_password=SHARED_PASSWORD)
    with life.step("Create, but its secrets are not here"):
        life.expect_refusal(
            "keeps its certificate", pBackupId=shared["BackupArn"], pUseExternalPkiProcess="true"
        )
        life.request(pBackupId=shared["BackupArn"])
        life.expect_stack("ROLLBACK_COMPLETE")
        life.expect_reason("pBackupCaCertSecretName", "customer-ca-cert does not exist")
        life.delete()
        life.expect_stack("DELETE_COMPLETE")
        life.expect_remaining(*_backup(life, shared["BackupArn"]))

    with life.step("Create, with their names"):
        secrets = life.aws.client("secretsmanager")
        password = json.dumps({"username": "admin", "password": SHARED_PASSWORD})
        secrets.create_secret(Name="theirs/ca", SecretString=shared["TrustAnchor"])
        secrets.create_secret(Name="theirs/admin", SecretString=password)
        life.request(
            pBackupCaCertSecretName="theirs/ca", pBackupAdminPasswordSecretName="theirs/admin"
        )
        life.expect_stack("CREATE_COMPLETE")
        life.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        life.expect("initializations", _initializations(life), 0)
        life.expect("password", read_secret(life, "initial-crypto-officer-password"), password)
        answer = run_on_client(life, "/opt/cloudhsm/bin/cloudhsm-cli user list")
        life.expect("error code of user list", '"error_code": 0' in answer, True)

    with life.step("Update: nothing, then 2 HSMs per subnet"):
        with life.untouched():
            life.request(pReconcile="again")
            life.expect_stack("UPDATE_COMPLETE")
        life.request(pHsmsPerSubnet=2)
        life.expect_stack("UPDATE_COMPLETE")
        life.expect_cluster(state="ACTIVE", hsms=4, zones=2)

    with life.step("Delete"):
        life.delete()
        life.expect_stack("DELETE_COMPLETE")
        own = (*_backup(life, shared["BackupArn"]), "secret theirs/ca", "secret theirs/admin")
        life.expect_remaining(*LEFT_WITH_BACKUPS, *own)


def _initializations(life: Life) -> int:
    return sum(event["event"] == "InitializeCluster" for event in life.control.timeline())


def _backup(life: Life, arn: str) -> list[str]:
    """How the inventory's comparison names a backup."""
    return [
        f"backup of {backup['ClusterId']}"
        for backup in life.control.inventory()["cloudhsm"]["backups"]
        if backup["BackupArn"] == arn
    ]
