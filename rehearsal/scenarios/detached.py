"""Requests that AWS outlasts: they succeed with a warning, and a detached execution carries on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rehearsal.drivers.key_store import RETAINED_BY_KMS, on_stack_cluster
from rehearsal.drivers.operator import expect_cli_works
from rehearsal.drivers.stack import RETAINED_WITH_BACKUPS, StackDriver
from rehearsal.events import Event, starts_execution

Json = dict[str, Any]

# 25 minutes for each HSM, as one public project plans with; five for the cluster, three to
# initialize it.
HSMS_OF_25_MINUTES = (
    "--timings",
    '{"create_cluster": 300, "create_hsm": 1500, "initialize": 180}',
)
ONE_AT_A_TIME = (
    "--assume",
    "concurrent-create-hsm=refused",
    "--quotas",
    '{"hsms": 28}',
    "--timings",
    '{"create_hsm": 467}',
)
# AWS changes the type of six HSMs for three hours.
SLOW_TYPE_CHANGE = ("--year", "2024", "--timings", '{"change_hsm_type": 1787}')
# Two HSMs in succession take longer than the workflow of a request.
SLOW_HSMS = (
    "--timings",
    '{"create_hsm": 1613}',
    "--quotas",
    '{"hsms": 28}',
    "--assume",
    "concurrent-create-hsm=accepted",
)
# As SLOW_HSMS, but the last one ends two minutes after the request.
SLOWER_HSMS = (SLOW_HSMS[0], '{"create_hsm": 1650}', *SLOW_HSMS[2:])
ENDS = ("ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut")


def hsms_outlast_create(driver: StackDriver) -> None:
    """HSMs take 25 minutes each: the creation succeeds with a warning and later has both."""
    with driver.step("Create: 1 HSM per subnet, 25 minutes each"):
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")
        _expect_warning(driver, "1 of 2 HSMs ACTIVE")
    with driver.step("Later"):
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        _expect_detached(driver, "ExecutionSucceeded")
        expect_cli_works(driver)
    driver.delete_step(*RETAINED_WITH_BACKUPS)


def hsms_outlast_update(driver: StackDriver) -> None:
    """AWS makes 18 HSMs one at a time: the update succeeds with a warning and later has them."""
    _create_without_hsms(driver)
    with driver.step("Scale up to 6 HSMs per subnet"):
        driver.request(pHsmsPerSubnet=6)
        driver.expect_stack("UPDATE_COMPLETE")
        _expect_warning(driver, "of 18 HSMs ACTIVE")
    with driver.step("Later"):
        driver.expect_cluster(state="ACTIVE", hsms=18, zones=3)
        _expect_detached(driver, "ExecutionSucceeded")
        _expect_client_configured_meanwhile(driver)
        expect_cli_works(driver)
    driver.delete_step(*RETAINED_WITH_BACKUPS)


def hsm_type_outlasts_update(driver: StackDriver) -> None:
    """In 2024, six HSMs change type for three hours: the update succeeds with a warning."""
    with driver.step("Create: 3 HSMs per subnet"):
        driver.request(pHsmType="hsm1.medium", pHsmsPerSubnet=3)
        driver.expect_stack("CREATE_COMPLETE")
    with driver.step("hsm2m.medium"):
        driver.request(pHsmType="hsm2m.medium")
        driver.expect_stack("UPDATE_COMPLETE")
        _expect_warning(driver, "MODIFY_IN_PROGRESS", "hsm2m.medium")
    with driver.step("Later"):
        cluster = driver.expect_cluster(state="ACTIVE", hsms=6, zones=2)
        driver.expect("HSM type", cluster["HsmType"], "hsm2m.medium")
        _expect_detached(driver, "ExecutionSucceeded")
        expect_cli_works(driver)
    driver.delete_step(*RETAINED_WITH_BACKUPS)


def hsm_type_rolled_back_later(driver: StackDriver) -> None:
    """In 2024, AWS rolls a slow type change back after the update: the execution says so."""
    with driver.step("Create: 2 HSMs per subnet"):
        driver.request(pHsmType="hsm1.medium", pHsmsPerSubnet=2)
        driver.expect_stack("CREATE_COMPLETE")
    with driver.step("hsm2m.medium: AWS rolls back after two hours"):
        driver.fault({"modify": "ROLLBACK"})
        driver.request(pHsmType="hsm2m.medium")
        driver.expect_stack("UPDATE_COMPLETE")
        _expect_warning(driver, "MODIFY_IN_PROGRESS")
    with driver.step("Later"):
        failed = _expect_detached(driver, "ExecutionFailed")
        driver.expect_in("cause", str(failed["cause"]), "pHsmType", "hsm2m.medium", "ROLLBACK")
    with driver.step("hsm2m.medium again: pReconcile starts the change"):
        driver.admin.advance(3 * 3600)
        driver.request(pReconcile="again")
        driver.expect_stack("UPDATE_COMPLETE")
    with driver.step("Later again"):
        cluster = driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)
        driver.expect("HSM type", cluster["HsmType"], "hsm2m.medium")
    driver.delete_step(*RETAINED_WITH_BACKUPS)


def detached_superseded(driver: StackDriver) -> None:
    """A detached execution is stopped by an update, by one that is cancelled, and by a deletion."""
    with driver.step("Create: the second HSM outlasts the creation"), _while_detached(driver):
        driver.expect_stack("CREATE_COMPLETE")
        driver.start(pHsmsPerSubnet=2)
    with driver.step("2 HSMs per subnet, started meanwhile"):
        driver.wait()
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect("oWarnings", driver.stack.outputs()["oWarnings"], "none")
        _expect_detached(driver, "ExecutionAborted")
        driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)

    with driver.step("3 HSMs per subnet: a DEGRADED one outlasts the update"):
        driver.fault(hsm="DEGRADED")
        with _while_detached(driver, pHsmsPerSubnet=3):
            driver.expect_stack("UPDATE_COMPLETE")
            _expect_warning(driver, "5 of 6 HSMs ACTIVE")
            parameters = dict(driver.stack.parameters)
            driver.fault(operation="CreateHsm", pause=True)
            driver.start(pHsmsPerSubnet=4)
        with driver.while_paused():
            driver.cancel()
        driver.wait()
        driver.stack.parameters = parameters
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        _expect_detached(driver, "ExecutionAborted")
    with driver.step("3 HSMs per subnet after all"):
        driver.expect_cluster(state="ACTIVE", hsms=6, zones=2)

    with driver.step("4 HSMs per subnet: a DEGRADED one outlasts the update"):
        driver.fault(hsm="DEGRADED")
        with _while_detached(driver, pHsmsPerSubnet=4):
            driver.expect_stack("UPDATE_COMPLETE")
            _expect_warning(driver, "7 of 8 HSMs ACTIVE")
            driver.stack.start_delete()
        driver.wait()
        driver.expect_stack("DELETE_COMPLETE")
        _expect_detached(driver, "ExecutionAborted")
        driver.expect_retained(*RETAINED_WITH_BACKUPS)


def detached_hsm_degraded(driver: StackDriver) -> None:
    """An HSM of a detached execution is DEGRADED: replaced once; twice, the execution says so."""
    with driver.step("Create: the second HSM is DEGRADED after the creation"):
        driver.fault(hsm="DEGRADED", skip=1)
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")
        _expect_warning(driver, "1 of 2 HSMs ACTIVE")
    with driver.step("Later"):
        _expect_detached(driver, "ExecutionSucceeded")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)

    with driver.step("2 HSMs per subnet: DEGRADED, and their replacements too"):
        driver.fault(hsm="DEGRADED", times=4)
        driver.request(pHsmsPerSubnet=2)
        driver.expect_stack("UPDATE_COMPLETE")
        _expect_warning(driver, "2 of 4 HSMs ACTIVE")
    with driver.step("Later"):
        failed = _expect_detached(driver, "ExecutionFailed")
        driver.expect_in(
            "cause", str(failed["cause"]), "is DEGRADED like the one before", "pReconcile"
        )
    with driver.step("pReconcile"):
        driver.request(pReconcile="again")
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)

    driver.delete_step(*RETAINED_WITH_BACKUPS)


def key_store_while_detached(driver: StackDriver) -> None:
    """A key store is refused while a detached execution adds an HSM, and created afterwards."""
    with driver.step("Create: the second HSM outlasts the creation"):
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")
    with driver.step("2 HSMs per subnet: a DEGRADED one outlasts the update"):
        # A new HSM is restored from a backup, which may lack kmsuser (F1.31).
        driver.fault(hsm="DEGRADED")
        with _while_detached(driver, pHsmsPerSubnet=2):
            _expect_warning(driver, "3 of 4 HSMs ACTIVE")
            store = on_stack_cluster(driver, pDeleteKeyStoreUponStackDeletion="true")
            store.start()
        store.wait()
        store.expect_stack("ROLLBACK_COMPLETE")
        store.expect_reason("pCloudHsmClusterId", "an HSM", "Retry when all HSMs are ACTIVE")
        store.delete()
    with driver.step("Later"):
        _expect_detached(driver, "ExecutionSucceeded")
        driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)
        store.request()
        store.expect_stack("CREATE_COMPLETE")
        store.expect_store("CONNECTED")
        key = store.create_key()
        store.use_key(key)
        store.delete_key(key)
    with driver.step("Delete the key store"):
        store.delete()
        store.expect_stack("DELETE_COMPLETE")
    driver.delete_step(*RETAINED_WITH_BACKUPS, RETAINED_BY_KMS)


@contextmanager
def _while_detached(driver: StackDriver, **changes: object) -> Iterator[None]:
    """Send a request that AWS outlasts; at the detached execution's second look, time is paused."""
    # By then the stack is complete. No other step of align-hsms compares its request with
    # CloudFormation's record.
    driver.fault(
        operation="DescribeStackResource",
        function="cluster",
        step="DescribeHsms",
        skip=1,
        pause=True,
    )
    driver.request(**changes)
    with driver.while_paused():
        yield


def _create_without_hsms(driver: StackDriver) -> None:
    with driver.step("Create in 3 subnets, and scale down to 0"):
        driver.request(pSubnets=",".join(driver.aws.subnets[:3]))
        driver.expect_stack("CREATE_COMPLETE")
        driver.request(pHsmsPerSubnet=0)
        driver.expect_stack("UPDATE_COMPLETE")


def _expect_warning(driver: StackDriver, *parts: str) -> None:
    """The output oWarnings contains every part, and names the execution that carries on."""
    warning = driver.stack.outputs()["oWarnings"]
    driver.expect_in("oWarnings", warning, *parts, "align-hsms continues as ", "-detached")


def _expect_client_configured_meanwhile(driver: StackDriver) -> None:
    """The client was configured when the detached execution began, and not only at its end."""
    events = driver.admin.event_log()
    started = max(at for at, event in enumerate(events) if _is_detached_start(event))
    created = max(at for at, event in enumerate(events) if event["event"] == "CreateHsm")
    commands = [
        event
        for event in events[started:created]
        if event["event"] == "SendCommand" and "ConfigureClient" in event["subject"]
    ]
    driver.expect("configurations before the last HSM", len(commands), 1)


def _is_detached_start(event: Event) -> bool:
    return starts_execution(event) and str(event["execution"]).endswith("-detached")


def _expect_detached(driver: StackDriver, end: str) -> Event:
    """The latest detached execution has ended like this; returns the event of its end."""
    ends = [
        event
        for event in driver.admin.event_log()
        if event["event"] in ENDS and str(event.get("execution")).endswith("-detached")
    ]
    driver.expect("the end of the detached execution", [e["event"] for e in ends][-1:], [end])
    return ends[-1]
