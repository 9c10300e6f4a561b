"""A rollback succeeds even if some of its steps fail, and completes the others."""

from __future__ import annotations

import pytest

from rehearsal.drivers.key_store import KeyStoreDriver
from rehearsal.drivers.operator import last_warnings
from rehearsal.drivers.stack import StackDriver
from rehearsal.fixtures import existing_cluster

# Outlasts the seven attempts of a step, which take two minutes.
THROTTLED = {"code": "ThrottlingException", "times": 7}


@pytest.fixture(name="created")
def _created(driver: StackDriver) -> StackDriver:
    driver.request(pSubnets=driver.aws.subnets[0])
    driver.expect_stack("CREATE_COMPLETE")
    return driver


def fail_to_scale_up(driver: StackDriver, fault: dict[str, object]) -> None:
    """An update fails after creating its HSM; the fault is injected into its rollback."""
    driver.fault(script="ConfigureClient", exit=1, stderr="no space left on device")
    # The first command installs the package while the HSM is being created.
    driver.fault(operation="SendCommand", skip=1, pause=True)
    driver.start(pHsmsPerSubnet=2)
    with driver.while_paused():
        driver.fault(fault)
    driver.wait()
    driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
    driver.expect_reason("no space left on device")


def test_a_rollback_succeeds_if_the_cluster_cannot_be_described(created: StackDriver) -> None:
    fail_to_scale_up(created, {"operation": "DescribeClusters", **THROTTLED})
    created.expect_cluster(state="ACTIVE", hsms=2, zones=1)

    created.request(pHsmsPerSubnet=1, pReconcile="now")
    created.expect_stack("UPDATE_COMPLETE")
    created.expect_cluster(state="ACTIVE", hsms=1, zones=1)
    assert created.stack.outputs()["oClusterId"] == created.cluster()["ClusterId"]


def test_a_failed_rollback_step_is_a_warning_and_the_others_run(
    created: StackDriver,
) -> None:
    # FindCluster, CheckUpdate, and then AdmitClient.
    refusal = {"code": "CloudHsmInvalidRequestException", "skip": 2}
    fail_to_scale_up(created, {"operation": "DescribeClusters", **refusal})
    created.expect_cluster(state="ACTIVE", hsms=1, zones=1)
    assert "could not restore the cluster" in last_warnings(created)


def test_a_key_store_rollback_succeeds_if_the_claim_cannot_be_read(
    driver: StackDriver,
) -> None:
    store = KeyStoreDriver(driver, existing_cluster(driver.aws).parameters)
    store.request()
    store.expect_stack("CREATE_COMPLETE")
    store.disconnect_manually()
    store.fault(connect="NETWORK_ERRORS")
    store.fault(operation="ConnectCustomKeyStore", pause=True)
    store.start(pReconcile="connect")
    with store.while_paused():
        # DisconnectKeyStore reads the claim once before the rollback.
        store.fault({"operation": "GetParameter", "skip": 1, **THROTTLED})
    store.wait()
    store.expect_stack("UPDATE_ROLLBACK_COMPLETE")
    store.expect_reason("NETWORK_ERRORS")

    store.request(pReconcile="connect now")
    store.expect_stack("UPDATE_COMPLETE")
    store.expect_store("CONNECTED")
