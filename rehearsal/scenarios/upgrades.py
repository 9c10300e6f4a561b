"""Stacks of a released version are upgraded with the current templates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from localaws.client import ROOT
from rehearsal.checks.secret_scan import accept_response_urls
from rehearsal.drivers.deployment import released
from rehearsal.drivers.key_store import KEY_STORE_TEMPLATE, RETAINED_BY_KMS, on_stack_cluster
from rehearsal.drivers.stack import CLUSTER_TEMPLATE, RETAINED_WITH_BACKUPS, StackDriver

# Stacks of 1.0.0 exist only where CloudHSM's IAM knows ARNs and tags, and where AWS accepts a CA
# without subject key identifier and demands no EC2 actions beyond the Service Authorization
# Reference.
WHERE_1_0_0_WORKS = (
    *("--assume", "cloudhsm-resource-level-iam=supported"),
    *("--assume", "trust-anchor-rfc5280=accepted"),
    *("--assume", "ec2-permissions-of-the-caller=not-required"),
)
NEW_VERSION_ROLLS_BACK = (
    *WHERE_1_0_0_WORKS,
    *("--assume", "rollback-order=custom-resources-first"),
)
# Version 1.0.0 did not verify the identity of HSMs.
RETAINED = tuple(name for name in RETAINED_WITH_BACKUPS if not name.startswith("HSM identity"))
# Makes an output of the new template fail, once its custom resource has succeeded.
BAD_OUTPUT = {"- TemplateVersion\n": "- NoSuchAttribute\n"}
BAD_DOCUMENT = {"schemaVersion: '2.2'": "schemaVersion: '9.9'"}


def upgrade_from_1_0_0(driver: StackDriver) -> None:
    """A stack of 1.0.0 gets the new template's outputs; cluster, HSMs and client do not change."""
    _create(driver)
    before = driver.stack.outputs()

    with driver.step("The same version with a new attribute: CloudFormation cannot resolve it"):
        driver.stack.template = CLUSTER_TEMPLATE
        driver.stack.edits = {f"      TemplateVersion: {_version()}\n": ""}
        with driver.expect_no_changes():
            driver.request()
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_in(
            "reason", _stack_reason(driver), "Requested attribute TemplateVersion does not exist"
        )
        driver.expect("outputs", driver.stack.outputs(), before)

    with driver.step("Upgrade"):
        driver.stack.edits = {}
        with driver.expect_no_changes():
            driver.deploy()
        driver.expect_stack("UPDATE_COMPLETE")
        _expect_upgraded(driver, before)
        identity = driver.stack.outputs()["oHsmIdentity"]
        driver.expect("oHsmIdentity", identity, "NOT_VERIFIED: already initialized")
    accept_response_urls(driver.aws)

    with driver.step("Upgrade again: no changes"):
        requests = driver.events("ExecutionStarted")
        driver.deploy()
        driver.expect("requests", driver.events("ExecutionStarted"), requests)

    with driver.step("2 HSMs per subnet"):
        driver.request(pHsmsPerSubnet=2)
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)

    driver.delete_step(*RETAINED)


def upgrade_rolled_back(driver: StackDriver) -> None:
    """The upgrade fails early, in the request or late, or is cancelled: 1.0.0 works as before."""
    _create(driver)
    _fail_upgrades(driver)

    with driver.step("Upgrade is cancelled while it creates HSMs"):
        driver.admin.pause_after("CreateHsm")
        driver.start(pHsmsPerSubnet=2)
        with driver.while_paused():
            driver.cancel()
        driver.wait()
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        driver.stack.parameters["pHsmsPerSubnet"] = "1"

    with driver.step("1.0.0 can still be updated"):
        driver.stack.template = released(CLUSTER_TEMPLATE, "1.0.0")
        driver.request(pReconcile="1")
        driver.expect_stack("UPDATE_COMPLETE")

    with driver.step("Upgrade"):
        before = driver.stack.outputs()
        driver.stack.template = CLUSTER_TEMPLATE
        driver.request()
        driver.expect_stack("UPDATE_COMPLETE")
        _expect_upgraded(driver, before)
    accept_response_urls(driver.aws)

    driver.delete_step(*RETAINED)


def upgrade_rolled_back_by_new_version(driver: StackDriver) -> None:
    """The same if AWS restores custom resources first: the new version handles 1.0.0's request."""
    _create(driver)
    _fail_upgrades(driver)
    driver.stack.template = released(CLUSTER_TEMPLATE, "1.0.0")
    driver.delete_step(*RETAINED)
    accept_response_urls(driver.aws)


def upgrade_with_key_store(driver: StackDriver) -> None:
    """Cluster and key store are upgraded and rolled back while the store stays CONNECTED."""
    _create(driver)
    keys = on_stack_cluster(driver)
    keys.stack.template = released(KEY_STORE_TEMPLATE, "1.0.0")
    with driver.step("Create a key store with 1.0.0, and a key"):
        keys.request()
        keys.expect_stack("CREATE_COMPLETE")
        store_id = keys.expect_store("CONNECTED")["CustomKeyStoreId"]
        key = keys.create_key()
    before, stores_before = driver.stack.outputs(), keys.stack.outputs()
    logins = keys.logins("admin"), keys.logins("kmsuser")

    for title, edits, status in (
        ("Upgrade fails and rolls back", BAD_OUTPUT, "UPDATE_ROLLBACK_COMPLETE"),
        ("Upgrade", {}, "UPDATE_COMPLETE"),
    ):
        for each, template in ((driver, CLUSTER_TEMPLATE), (keys, KEY_STORE_TEMPLATE)):
            with driver.step(f"{title}: {each.stack.name}"):
                each.stack.template, each.stack.edits = template, edits
                with keys.expect_stays_connected(store_id):
                    each.request()
                each.expect_stack(status)
                keys.use_key(key)
    _expect_upgraded(driver, before)
    _expect_upgraded(keys, stores_before)
    accept_response_urls(driver.aws)
    driver.expect("logins", (keys.logins("admin"), keys.logins("kmsuser")), logins)

    with driver.step("Delete the key store, its key and the cluster"):
        keys.request(pDeleteKeyStoreUponStackDeletion="true")
        keys.delete_key(key)
        keys.delete()
        keys.expect_stack("DELETE_COMPLETE")
    driver.delete_step(*RETAINED, RETAINED_BY_KMS)


def _create(driver: StackDriver) -> None:
    driver.stack.template = released(CLUSTER_TEMPLATE, "1.0.0")
    driver.create_step("Create with 1.0.0", hsms=2, zones=2)


def _fail_upgrades(driver: StackDriver) -> None:
    driver.stack.template = CLUSTER_TEMPLATE
    with driver.step("Upgrade fails before the request"), _expect_rollback(driver):
        driver.stack.edits = BAD_DOCUMENT
        driver.request()

    with driver.step("Upgrade fails in the request"), _expect_rollback(driver):
        driver.fault(operation="ModifyCluster", code="CloudHsmInvalidRequestException")
        driver.request(pBackupRetentionDays=30)
        driver.expect_reason("pBackupRetentionDays")
    driver.stack.parameters["pBackupRetentionDays"] = "90"

    with driver.step("Upgrade fails after the request"), _expect_rollback(driver):
        driver.stack.edits = BAD_OUTPUT
        driver.request()
        driver.expect_in("reason", _stack_reason(driver), "NoSuchAttribute")


@contextmanager
def _expect_rollback(driver: StackDriver) -> Iterator[None]:
    """The stack rolls back and its outputs and everything else are as before."""
    before = driver.stack.outputs()
    with driver.expect_no_changes():
        yield
    driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
    driver.expect("outputs", driver.stack.outputs(), before)
    driver.stack.edits = {}


def _expect_upgraded(driver: StackDriver, before: dict[str, str]) -> None:
    """The stack has its outputs of before, and the new template's version."""
    outputs = driver.stack.outputs()
    driver.expect("outputs", {name: outputs.get(name) for name in before}, before)
    driver.expect("version", outputs["oTemplateVersion"], _version())


def _version() -> str:
    """The version of the current templates."""
    found = re.search(r"^      TemplateVersion: (.+)$", (ROOT / CLUSTER_TEMPLATE).read_text(), re.M)
    assert found  # nosec B101 # for mypy
    return found[1]


def _stack_reason(driver: StackDriver) -> str:
    """Why the stack itself failed last, rather than one of its resources."""
    failed = [
        event
        for event in driver.stack.events(driver.stack.name)
        if event["ResourceStatus"].endswith("FAILED")
    ]
    return str(failed[-1]["ResourceStatusReason"]) if failed else ""
