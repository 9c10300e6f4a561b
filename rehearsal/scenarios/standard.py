"""The standard scenario: what every cluster and key store must be able to do."""

from __future__ import annotations

import json

from rehearsal.drivers.key_store import RETAINED_BY_KMS, KeyStoreDriver, on_stack_cluster
from rehearsal.drivers.operator import create_crypto_user, expect_cli_works
from rehearsal.drivers.stack import RETAINED_WITH_BACKUPS, StackDriver

# Virtual seconds that are reported for AWS (F6.62).
SLOW = {
    "create_role": 17,
    "create_policy": 16,
    "create_instance_profile": 121,
    "create_function": 6,
    "download": 61,
}
SLOW_ACCOUNT = ("--timings", json.dumps(SLOW))


# make creates both stacks, updates one and deletes one. The other requests go through the API: that
# saves two starts of the AWS CLI each.
def standard(driver: StackDriver) -> None:
    """A cluster is created, scaled up, to zero and back, gets a key store, and is deleted."""
    with driver.step("Create: 1 HSM per subnet"):
        driver.deploy()
        driver.expect_stack("CREATE_COMPLETE")
        created = driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)

    with driver.step("Scale up to 2 HSMs per subnet"):
        driver.deploy(pHsmsPerSubnet=2)
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)

    with driver.step("Create a crypto user on the client"):
        users = create_crypto_user(driver, "orders")

    with driver.step("Scale down to 0"):
        driver.request(pHsmsPerSubnet=0)
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=0)

    with driver.step("Scale back up to 1 HSM per subnet"):
        driver.request(pHsmsPerSubnet=1)
        driver.expect_stack("UPDATE_COMPLETE")
        back = driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        driver.expect("cluster ID", back["ClusterId"], created["ClusterId"])
        driver.expect("users", back["Users"], users)

    _key_store(driver, on_stack_cluster(driver, pDeleteKeyStoreUponStackDeletion="true"))

    with driver.step("Delete"):
        driver.destroy()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_retained(*RETAINED_WITH_BACKUPS, RETAINED_BY_KMS)


def govcloud(driver: StackDriver) -> None:
    """In AWS GovCloud (US): a cluster and a key store are created, used and deleted."""
    with driver.step("Create: 1 HSM per subnet"):
        driver.deploy()
        driver.expect_stack("CREATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        user = driver.aws.client("sts").get_caller_identity()["Arn"]
        driver.expect("partition", user.split(":")[1], "aws-us-gov")

    store = on_stack_cluster(driver, pDeleteKeyStoreUponStackDeletion="true")
    with driver.step("Key store: create, use and delete"):
        store.deploy()
        store.expect_stack("CREATE_COMPLETE")
        store.expect_store("CONNECTED")
        key = store.create_key()
        store.use_key(key)
        store.delete_key(key)
        store.destroy()
        store.expect_stack("DELETE_COMPLETE")

    with driver.step("Delete"):
        driver.destroy()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_retained(*RETAINED_WITH_BACKUPS, RETAINED_BY_KMS)


def slow_account(driver: StackDriver) -> None:
    """IAM, functions and downloads take as long as is reported; the client is replaced too."""
    driver.create_step("Create: 1 HSM per subnet", hsms=2, zones=2)
    with driver.step("Replace the client"), driver.expect_no_cluster_changes():
        driver.request(pClientSubnet=driver.aws.subnets[1])
        driver.expect_stack("UPDATE_COMPLETE")
        expect_cli_works(driver)
    driver.delete_step(*RETAINED_WITH_BACKUPS)


def _key_store(driver: StackDriver, store: KeyStoreDriver) -> None:
    with driver.step("Key store: create"):
        store.deploy()
        store.expect_stack("CREATE_COMPLETE")
        store_id = store.expect_store("CONNECTED")["CustomKeyStoreId"]
        store.expect("connection attempts", store.connection_attempts(), 1)

    with driver.step("Key store: create and use a key"):
        key = store.create_key()
        store.use_key(key)

    # KMS may refuse to rename it while it is CONNECTED (F4.7); see `key_store_renamed`.
    with driver.step("Key store: disconnect and rename"):
        store.disconnect_manually()
        store.request(pKeyStoreName="other-keys")
        store.expect_stack("UPDATE_COMPLETE")
        store.expect("key store", store.expect_store("CONNECTED")["CustomKeyStoreId"], store_id)
        store.use_key(key)

    for hsms in (2, 1):
        with (
            driver.step(f"Scale the cluster to {hsms} per subnet"),
            store.expect_stays_connected(store_id),
        ):
            driver.request(pHsmsPerSubnet=hsms)
            driver.expect_stack("UPDATE_COMPLETE")
            driver.expect_cluster(state="ACTIVE", hsms=2 * hsms, zones=2)
            store.use_key(key)

    with driver.step("Key store: delete the key, then the store"):
        store.delete_key(key)
        store.delete()
        store.expect_stack("DELETE_COMPLETE")
