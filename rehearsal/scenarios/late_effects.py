"""Effects and reads that come late: of CreateCluster, secrets, executions and agents."""

from __future__ import annotations

import json

from rehearsal.drivers.key_store import RETAINED_BY_KMS, on_stack_cluster
from rehearsal.drivers.stack import RETAINED_BY_CLOUDHSM, RETAINED_WITH_BACKUPS, StackDriver

# Seconds until reads show new executions and secrets (F6.37, F6.72); pings of agents are up to five
# minutes old anyway (F6.26).
LATE_READS = (
    "--timings",
    json.dumps({"execution_listed": 7, "secret_readable": 17}),  # nosec B105 # seconds
)


def cluster_created_late(driver: StackDriver) -> None:
    """CreateCluster takes effect 20, 90 and 300 seconds late: the stack has one cluster."""
    retained: set[str] = set()
    for seconds in (20, 90, 300):
        with driver.step(f"Create: CreateCluster takes effect {seconds} seconds late"):
            driver.fault(late="CreateCluster", seconds=seconds)
            driver.request()
            driver.expect_stack("CREATE_COMPLETE")
            cluster = driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)["ClusterId"]

        retained |= {name.format(cluster=cluster) for name in RETAINED_WITH_BACKUPS}
        driver.delete_step(*retained)


def creation_lost(driver: StackDriver) -> None:
    """Calls of CreateCluster take effect after the creation has failed: the rollback finds all."""
    with driver.step("Create: four calls of CreateCluster take effect 300 seconds late"):
        driver.fault(late="CreateCluster", seconds=300, times=4)
        driver.request()
        driver.expect_stack("ROLLBACK_COMPLETE")
        driver.expect_reason("TransientError: CreateCluster: ")
        driver.expect_retained(RETAINED_BY_CLOUDHSM[1], "stack hsm")

    with driver.step("Delete, and create: fails while the effect of a lost call is outstanding"):
        driver.delete()
        driver.fault(late="CreateCluster", seconds=300)
        driver.fault(operation="CreateSecret", code="AccessDeniedException", times=8)
        driver.request()
        driver.expect_stack("ROLLBACK_COMPLETE")
        driver.expect_reason("CreateSecret: AccessDeniedException", "[cluster-")
        driver.expect_retained(RETAINED_BY_CLOUDHSM[1], "stack hsm")

    driver.delete_step(RETAINED_BY_CLOUDHSM[1])


def reads_late(driver: StackDriver) -> None:
    """Reads show secrets, executions and pings late: cluster and key store come, change and go."""
    driver.create_step("Create: 1 HSM per subnet", hsms=2, zones=2)
    store = on_stack_cluster(driver, pDeleteKeyStoreUponStackDeletion="true")
    with driver.step("Create a key store"):
        store.request()
        store.expect_stack("CREATE_COMPLETE")
        store.expect_store("CONNECTED")
        store.expect("connection attempts", store.connection_attempts(), 1)

    with driver.step("Scale up: cancelled at CreateHsm, with a client that was stopped"):
        instance = driver.stack.outputs()["oClientInstanceId"]
        driver.aws.client("ec2").stop_instances(InstanceIds=[instance])
        driver.admin.advance(60)
        driver.admin.pause_after("CreateHsm")
        driver.start(pHsmsPerSubnet=2)
        with driver.while_paused():
            driver.cancel()
        driver.wait()
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)

    with driver.step("Reconcile a FAILED key store: kmsuser gets another password"):
        store.fault(connect="INVALID_CREDENTIALS")
        store.disconnect_manually()
        store.connect_manually()
        store.expect_store("FAILED")
        store.request(pReconcile="failed")
        store.expect_stack("UPDATE_COMPLETE")
        store.expect_store("CONNECTED")

    with driver.step("Delete the key store, then the cluster"):
        store.delete()
        store.expect_stack("DELETE_COMPLETE")
    driver.delete_step(*RETAINED_WITH_BACKUPS, RETAINED_BY_KMS)
