"""Calls whose response is lost and whose effect comes late, also after the request has ended."""

from __future__ import annotations

import pytest

from rehearsal.drivers.key_store import KeyStoreDriver
from rehearsal.drivers.stack import StackDriver
from rehearsal.fixtures import existing_cluster

pytestmark = pytest.mark.long

TEN_MINUTES = 600
LATE = (20, 60, 176, 300)  # virtual seconds


@pytest.fixture(name="created")
def _created(driver: StackDriver) -> StackDriver:
    driver.request(pSubnets=driver.aws.subnets[0])
    driver.expect_stack("CREATE_COMPLETE")
    return driver


def test_an_hsm_that_is_created_late_is_not_one_too_many(created: StackDriver) -> None:
    for seconds in LATE:
        created.fault(late="CreateHsm", seconds=seconds)
        created.request(pHsmsPerSubnet=2)
        created.expect_stack("UPDATE_COMPLETE")
        created.admin.advance(TEN_MINUTES)
        assert created.admin.unused_faults() == []
        created.expect_cluster(state="ACTIVE", hsms=2, zones=1)
        created.request(pHsmsPerSubnet=1)
        created.expect_cluster(state="ACTIVE", hsms=1, zones=1)


def test_an_hsm_that_is_created_after_its_update_was_cancelled_is_deleted(
    created: StackDriver,
) -> None:
    for seconds in LATE:
        created.fault(late="CreateHsm", seconds=seconds)
        created.fault(operation="CreateHsm", pause=True)
        created.start(pHsmsPerSubnet=2)
        with created.while_paused():
            created.cancel()
        created.wait()
        created.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        created.admin.advance(TEN_MINUTES)
        created.expect_cluster(state="ACTIVE", hsms=1, zones=1)


def test_an_hsm_that_is_created_while_its_stack_is_deleted_is_deleted(
    driver: StackDriver,
) -> None:
    for seconds in LATE:
        driver.fault(late="CreateHsm", seconds=seconds)
        driver.fault(operation="CreateHsm", pause=True)
        driver.start(pSubnets=driver.aws.subnets[0])
        with driver.while_paused():
            driver.stack.start_delete()
        driver.wait()
        driver.expect_stack("DELETE_COMPLETE")
        driver.admin.advance(TEN_MINUTES)
        clusters = driver.admin.inventory()["cloudhsm"]["clusters"]
        assert [each for each in clusters if each["State"] != "DELETED"] == []


def test_a_command_that_is_sent_late_changes_nothing(created: StackDriver) -> None:
    for seconds in LATE:
        created.fault(late="SendCommand", seconds=seconds)
        created.request(pReconcile=f"{seconds} seconds")
        created.expect_stack("UPDATE_COMPLETE")
        created.admin.advance(TEN_MINUTES)
        assert created.admin.unused_faults() == []
    created.delete()
    created.expect_stack("DELETE_COMPLETE")


def test_a_command_that_is_sent_after_its_update_was_cancelled_does_not_have_the_last_word(
    created: StackDriver,
) -> None:
    ssm = created.aws.client("ssm")
    for seconds in LATE:
        # The command before it installs the package.
        created.fault(late="SendCommand", seconds=seconds, skip=1)
        created.fault(operation="SendCommand", pause=True, skip=1)
        created.start(pHsmsPerSubnet=2)
        with created.while_paused():
            created.cancel()
        created.wait()
        created.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        created.admin.advance(TEN_MINUTES)
        commands = [
            command["Parameters"]["IpAddresses"][0].split()
            for command in ssm.list_commands()["Commands"]
            if "ConfigureClient" in command["DocumentName"]
        ]
        # Newest first: that of the rollback, and the late one.
        assert list(map(len, commands[:2])) == [1, 2]


def test_executions_that_start_late_run_once(created: StackDriver) -> None:
    for number, seconds in enumerate(LATE):
        created.fault(late="StartExecution", seconds=seconds)
        for task in ("RunLifecycle", "AlignHsms", "ConfigureClient"):
            created.fault(late="StartExecution", task=task, seconds=seconds)
        created.request(pHsmsPerSubnet=1 + number % 2, pReconcile=f"{seconds} seconds")
        created.expect_stack("UPDATE_COMPLETE")
        created.admin.advance(TEN_MINUTES)
        assert created.admin.unused_faults() == []
        created.expect_cluster(state="ACTIVE", hsms=1 + number % 2, zones=1)


@pytest.fixture(name="keys")
def _keys(driver: StackDriver) -> KeyStoreDriver:
    store = KeyStoreDriver(
        driver,
        {**existing_cluster(driver.aws).parameters, "pDeleteKeyStoreUponStackDeletion": "true"},
    )
    # The account's first key store makes KMS create its role, which remains.
    store.request()
    store.delete()
    return KeyStoreDriver(store, store.stack.parameters)


def test_a_key_store_that_is_created_late_exists_once_and_until_it_is_deleted(
    keys: KeyStoreDriver,
) -> None:
    for seconds in LATE:
        keys.fault(late="CreateCustomKeyStore", seconds=seconds)
        keys.request()
        keys.expect_stack("CREATE_COMPLETE")
        keys.expect_store("CONNECTED")
        assert keys.admin.unused_faults() == []
        keys.delete()
        keys.expect_stack("DELETE_COMPLETE")
        keys.admin.advance(TEN_MINUTES)
        keys.expect_retained()


def test_a_key_store_that_is_created_while_its_stack_is_deleted_is_deleted(
    keys: KeyStoreDriver,
) -> None:
    for seconds in LATE:
        keys.fault(late="CreateCustomKeyStore", seconds=seconds)
        keys.fault(operation="CreateCustomKeyStore", pause=True)
        keys.start()
        with keys.while_paused():
            keys.stack.start_delete()
        keys.wait()
        keys.expect_stack("DELETE_COMPLETE")
        keys.admin.advance(TEN_MINUTES)
        keys.expect_retained()


@pytest.mark.parametrize(
    ("times", "where"),
    [
        # Each attempt of the request function, or of Step Functions.
        (5, {}),
        (7, {"task": "RunLifecycle"}),
        (7, {"task": "AlignHsms"}),
        (7, {"task": "ConfigureClient"}),
    ],
    ids=["handle-request", "update-cluster", "align-hsms", "run-on-client"],
)
def test_an_execution_that_starts_after_its_update_was_rolled_back_changes_nothing(
    created: StackDriver, times: int, where: dict[str, str]
) -> None:
    created.fault(late="StartExecution", seconds=TEN_MINUTES, times=times, **where)
    created.request(pHsmsPerSubnet=2)
    created.expect_stack("UPDATE_ROLLBACK_COMPLETE")
    commands = len(created.events("SendCommand"))
    with created.expect_no_cluster_changes():
        created.admin.advance(2 * TEN_MINUTES)
    assert created.admin.unused_faults() == []
    assert len(created.events("SendCommand")) == commands
