"""The rollback of an update passes whatever fails in it, and does what can be done all the same."""

from __future__ import annotations

import pytest

from rehearsal.by_hand import last_warnings
from rehearsal.ground import lay
from rehearsal.key_store_life import KeyStoreLife
from rehearsal.life import Life

# A step is tried seven times, which takes two minutes.
FOR_MINUTES = {"code": "ThrottlingException", "times": 7}


@pytest.fixture(name="created")
def _created(life: Life) -> Life:
    life.request(pSubnets=life.aws.subnets[0])
    life.expect_stack("CREATE_COMPLETE")
    return life


def grows_in_vain(life: Life, fault: dict[str, object]) -> None:
    """An update has its HSM made and goes wrong then, and so does its rollback."""
    life.fault(script="ConfigureClient", exit=1, stderr="no space left on device")
    life.fault(operation="SendCommand", pause=True)
    life.start(pHsmsPerSubnet=2)
    with life.standing_still():
        life.fault(fault)
    life.wait()
    life.expect_stack("UPDATE_ROLLBACK_COMPLETE")
    life.expect_reason("no space left on device")


def test_a_rollback_passes_though_aws_does_not_say_what_there_is(created: Life) -> None:
    grows_in_vain(created, {"operation": "DescribeClusters", **FOR_MINUTES})
    created.expect_cluster(state="ACTIVE", hsms=2, zones=1)

    created.request(pHsmsPerSubnet=1, pReconcile="now")
    created.expect_stack("UPDATE_COMPLETE")
    created.expect_cluster(state="ACTIVE", hsms=1, zones=1)
    assert created.stack.outputs()["oClusterId"] == created.cluster()["ClusterId"]


def test_a_step_that_fails_in_a_rollback_is_said_and_the_others_are_done(created: Life) -> None:
    # FindCluster, CheckUpdate, and then AdmitClient.
    refusal = {"code": "CloudHsmInvalidRequestException", "skip": 2}
    grows_in_vain(created, {"operation": "DescribeClusters", **refusal})
    created.expect_cluster(state="ACTIVE", hsms=1, zones=1)
    assert "could not restore the cluster" in last_warnings(created)


def test_a_rollback_of_a_key_store_passes_though_nobody_can_look_for_it(life: Life) -> None:
    store = KeyStoreLife(life, lay(life.aws).parameters)
    store.request()
    store.expect_stack("CREATE_COMPLETE")
    store.disconnect_by_hand()
    store.fault(connect="NETWORK_ERRORS")
    store.fault(operation="ConnectCustomKeyStore", pause=True)
    store.start(pReconcile="connect")
    with store.standing_still():
        store.fault({"operation": "GetParameter", **FOR_MINUTES})
    store.wait()
    store.expect_stack("UPDATE_ROLLBACK_COMPLETE")
    store.expect_reason("NETWORK_ERRORS")

    store.request(pReconcile="connect now")
    store.expect_stack("UPDATE_COMPLETE")
    store.expect_store("CONNECTED")
