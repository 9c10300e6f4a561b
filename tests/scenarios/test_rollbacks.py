"""The rollback of an update passes whatever fails in it, and does what can be done all the same."""

from __future__ import annotations

import pytest

from rehearsal.drivers.key_store import KeyStoreDriver
from rehearsal.drivers.operator import last_warnings
from rehearsal.drivers.stack import StackDriver
from rehearsal.fixtures import existing_cluster

# A step is tried seven times, which takes two minutes.
FOR_MINUTES = {"code": "ThrottlingException", "times": 7}


@pytest.fixture(name="created")
def _created(driver: StackDriver) -> StackDriver:
    driver.request(pSubnets=driver.aws.subnets[0])
    driver.expect_stack("CREATE_COMPLETE")
    return driver


def grows_in_vain(driver: StackDriver, fault: dict[str, object]) -> None:
    """An update has its HSM made and goes wrong then, and so does its rollback."""
    driver.fault(script="ConfigureClient", exit=1, stderr="no space left on device")
    driver.fault(operation="SendCommand", pause=True)
    driver.start(pHsmsPerSubnet=2)
    with driver.while_paused():
        driver.fault(fault)
    driver.wait()
    driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
    driver.expect_reason("no space left on device")


def test_a_rollback_passes_though_aws_does_not_say_what_there_is(created: StackDriver) -> None:
    grows_in_vain(created, {"operation": "DescribeClusters", **FOR_MINUTES})
    created.expect_cluster(state="ACTIVE", hsms=2, zones=1)

    created.request(pHsmsPerSubnet=1, pReconcile="now")
    created.expect_stack("UPDATE_COMPLETE")
    created.expect_cluster(state="ACTIVE", hsms=1, zones=1)
    assert created.stack.outputs()["oClusterId"] == created.cluster()["ClusterId"]


def test_a_step_that_fails_in_a_rollback_is_said_and_the_others_are_done(
    created: StackDriver,
) -> None:
    # FindCluster, CheckUpdate, and then AdmitClient.
    refusal = {"code": "CloudHsmInvalidRequestException", "skip": 2}
    grows_in_vain(created, {"operation": "DescribeClusters", **refusal})
    created.expect_cluster(state="ACTIVE", hsms=1, zones=1)
    assert "could not restore the cluster" in last_warnings(created)


def test_a_rollback_of_a_key_store_passes_though_nobody_can_look_for_it(
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
        store.fault({"operation": "GetParameter", **FOR_MINUTES})
    store.wait()
    store.expect_stack("UPDATE_ROLLBACK_COMPLETE")
    store.expect_reason("NETWORK_ERRORS")

    store.request(pReconcile="connect now")
    store.expect_stack("UPDATE_COMPLETE")
    store.expect_store("CONNECTED")
