"""Updates that AWS makes in place: backup retention, HSM type and tags."""

from __future__ import annotations

from typing import Any

from rehearsal.drivers.stack import RETAINED_WITH_BACKUPS, StackDriver

Json = dict[str, Any]

# Virtual seconds in which AWS changes the type of two HSMs (F1.43).
CHANGE_SECONDS = 3600


def retention_and_tags(driver: StackDriver) -> None:
    """Backup retention is shortened and extended; the cluster follows the stack's tags."""
    driver.stack.tags = {"team": "payments", "stage": "trial"}
    driver.create_step("Create with two tags", hsms=2, zones=2)
    _expect_tags(driver, {"team": "payments", "stage": "trial"})
    _expect_retention(driver, 90)

    with driver.step("30 days, other tags, and a tag from outside the stack"):
        cluster_id = driver.cluster()["ClusterId"]
        driver.aws.client("cloudhsmv2").tag_resource(
            ResourceId=cluster_id, TagList=[{"Key": "operator", "Value": "retained"}]
        )
        driver.stack.tags = {"team": "ledger", "cost-center": "4711"}
        driver.request(pBackupRetentionDays=30)
        driver.expect_stack("UPDATE_COMPLETE")
        _expect_tags(driver, {"team": "ledger", "cost-center": "4711", "operator": "retained"})
        _expect_retention(driver, 30)

    with driver.step("379 days and other tags: fails and rolls back"):
        before, driver.stack.tags = driver.stack.tags, {"team": "treasury", "stage": "trial"}
        driver.fault(script="ConfigureClient", exit=1, stderr="no space left on device")
        driver.request(pBackupRetentionDays=379, pReconcile="1")
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("no space left on device")
        _expect_retention(driver, 30)
        _expect_tags(driver, {**before, "operator": "retained"})

    with driver.step("379 days, no tags"):
        driver.stack.tags = {}
        driver.request(pBackupRetentionDays=379)
        driver.expect_stack("UPDATE_COMPLETE")
        _expect_tags(driver, {"operator": "retained"})
        _expect_retention(driver, 379)

    with driver.step("Tags alone: the cluster gets them with the next update"):
        driver.stack.tags = {"team": "audit"}
        driver.request()
        driver.expect_stack("UPDATE_COMPLETE")
        _expect_tags(driver, {"operator": "retained"})
        driver.request(pReconcile="tags")
        driver.expect_stack("UPDATE_COMPLETE")
        _expect_tags(driver, {"team": "audit", "operator": "retained"})

    with driver.step("90 days: only the custom resource changes"):
        known = len(driver.stack.events())
        driver.request(pBackupRetentionDays=90)
        driver.expect_stack("UPDATE_COMPLETE")
        changed = {event["LogicalResourceId"] for event in driver.stack.events()[known:]}
        driver.expect("changed resources", changed, {driver.stack.name, "rCloudHsmCluster"})

    driver.delete_step(*RETAINED_WITH_BACKUPS)


def hsm_type_changed(driver: StackDriver) -> None:
    """In 2024, hsm1.medium becomes hsm2m.medium in place, and reverts within a day."""
    with driver.step("Create: 1 HSM in 1 subnet"):
        driver.request(pHsmType="hsm1.medium", pSubnets=driver.aws.subnets[0])
        driver.expect_stack("CREATE_COMPLETE")
        created = _expect_type(driver, "hsm1.medium")

    with driver.step("hsm2m.medium: AWS rolls back"):
        driver.fault({"modify": "ROLLBACK"})
        driver.request(pHsmType="hsm2m.medium")
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("AWS did not change the HSM type to hsm2m.medium (pHsmType)")
        # The stack does not wait for AWS's rollback.
        driver.expect("cluster", driver.cluster()["State"], "ROLLBACK_IN_PROGRESS")
        driver.admin.advance(CHANGE_SECONDS)
        _expect_type(driver, "hsm1.medium")

    with driver.step("hsm2m.medium"):
        driver.request(pHsmType="hsm2m.medium")
        driver.expect_stack("UPDATE_COMPLETE")
        changed = _expect_type(driver, "hsm2m.medium")
        driver.expect("users", changed["Users"], created["Users"])
        driver.expect("interface", changed["Hsms"][0]["EniId"], created["Hsms"][0]["EniId"])

    with driver.step("Back to hsm1.medium"):
        driver.request(pHsmType="hsm1.medium")
        driver.expect_stack("UPDATE_COMPLETE")
        _expect_type(driver, "hsm1.medium")

    driver.delete_step(*RETAINED_WITH_BACKUPS)


def _expect_tags(driver: StackDriver, expected: dict[str, str]) -> None:
    """The cluster has these tags in addition to those of the workflows."""
    tags = {tag["Key"]: tag["Value"] for tag in driver.cluster()["TagList"]}
    found = {key: value for key, value in tags.items() if not key.startswith("hsm-lifecycle:")}
    driver.expect("tags", found, expected)


def _expect_retention(driver: StackDriver, days: int) -> None:
    policy = {"Type": "DAYS", "Value": str(days)}
    driver.expect("retention", driver.cluster()["BackupRetentionPolicy"], policy)


def _expect_type(driver: StackDriver, hsm_type: str) -> Json:
    """The cluster and its only HSM are of this type; returns the cluster."""
    cluster = driver.expect_cluster(state="ACTIVE", hsms=1, zones=1)
    types = [cluster["HsmType"], *(hsm["HsmType"] for hsm in cluster["Hsms"])]
    driver.expect("HSM types", types, [hsm_type, hsm_type])
    return cluster
