"""Requests that AWS outlasts: they succeed with a warning, and a detached execution carries on."""

from __future__ import annotations

from typing import Any

from rehearsal.drivers.operator import expect_cli_works
from rehearsal.drivers.stack import RETAINED_WITH_BACKUPS, StackDriver
from rehearsal.events import Event

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


def _expect_detached(driver: StackDriver, end: str) -> Event:
    """The latest detached execution has ended like this; returns the event of its end."""
    ends = [
        event
        for event in driver.admin.event_log()
        if event["event"] in ENDS and str(event.get("execution")).endswith("-detached")
    ]
    driver.expect("the end of the detached execution", [e["event"] for e in ends][-1:], [end])
    return ends[-1]
