"""What AWS changes in place: the retention of backups, the HSM type; and the tags of the stack."""

from __future__ import annotations

from typing import Any

from rehearsal.drivers.stack import LEFT_WITH_BACKUPS, StackDriver

Json = dict[str, Any]

# Virtual seconds in which AWS changes the HSM type of two HSMs (F1.43).
A_WHILE = 3600


def retention_and_tags(driver: StackDriver) -> None:
    """Backups are kept for longer, then not as long; the cluster carries the tags of its stack."""
    with driver.step("Create with two tags"):
        driver.stack.tags = {"team": "payments", "stage": "trial"}
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        _expect_tags(driver, {"team": "payments", "stage": "trial"})
        _expect_retention(driver, 90)

    with driver.step("30 days, other tags, and one by hand"):
        own = driver.cluster()["ClusterId"]
        by_hand = [{"Key": "by-hand", "Value": "kept"}]
        driver.aws.client("cloudhsmv2").tag_resource(ResourceId=own, TagList=by_hand)
        driver.stack.tags = {"team": "ledger", "cost-center": "4711"}
        driver.request(pBackupRetentionDays=30)
        driver.expect_stack("UPDATE_COMPLETE")
        _expect_tags(driver, {"team": "ledger", "cost-center": "4711", "by-hand": "kept"})
        _expect_retention(driver, 30)

    with driver.step("379 days and other tags, but it goes wrong"):
        kept, driver.stack.tags = driver.stack.tags, {"team": "treasury", "stage": "trial"}
        driver.fault(script="ConfigureClient", exit=1, stderr="no space left on device")
        driver.request(pBackupRetentionDays=379)
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("no space left on device")
        _expect_retention(driver, 30)
        _expect_tags(driver, {**kept, "by-hand": "kept"})

    with driver.step("379 days"):
        driver.stack.tags = {}
        driver.request(pBackupRetentionDays=379)
        driver.expect_stack("UPDATE_COMPLETE")
        _expect_tags(driver, {"by-hand": "kept"})
        _expect_retention(driver, 379)

    with driver.step("Delete"):
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_remaining(*LEFT_WITH_BACKUPS)


def hsm_type_changes(driver: StackDriver) -> None:
    """It is 2024: hsm1.medium becomes hsm2m.medium where it is, and within a day goes back."""
    with driver.step("Create: 1 HSM in 1 subnet"):
        driver.request(pHsmType="hsm1.medium", pSubnets=driver.aws.subnets[0])
        driver.expect_stack("CREATE_COMPLETE")
        created = _expect_type(driver, "hsm1.medium")

    with driver.step("hsm2m.medium, but AWS takes it back"):
        driver.fault({"modify": "ROLLBACK"})
        driver.request(pHsmType="hsm2m.medium")
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("AWS did not change the HSM type to hsm2m.medium (pHsmType)")
        # The stack does not wait for AWS, which is on the way back.
        driver.expect("cluster", driver.cluster()["State"], "ROLLBACK_IN_PROGRESS")
        driver.admin.advance(A_WHILE)
        _expect_type(driver, "hsm1.medium")

    with driver.step("hsm2m.medium"):
        driver.request(pHsmType="hsm2m.medium")
        driver.expect_stack("UPDATE_COMPLETE")
        changed = _expect_type(driver, "hsm2m.medium")
        driver.expect("users", changed["Users"], created["Users"])
        driver.expect("interface", changed["Hsms"][0]["EniId"], created["Hsms"][0]["EniId"])

    with driver.step("And back"):
        driver.request(pHsmType="hsm1.medium")
        driver.expect_stack("UPDATE_COMPLETE")
        _expect_type(driver, "hsm1.medium")

    with driver.step("Delete"):
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_remaining(*LEFT_WITH_BACKUPS)


def hsm_type_takes_too_long(driver: StackDriver) -> None:
    """It is 2024: four HSMs change their type for two hours, and the stack cannot wait so long."""
    with driver.step("Create: 2 HSMs per subnet"):
        driver.request(pHsmType="hsm1.medium", pHsmsPerSubnet=2)
        driver.expect_stack("CREATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)

    with driver.step("hsm2m.medium: longer than CloudFormation waits"):
        driver.request(pHsmType="hsm2m.medium")
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("is still MODIFY_IN_PROGRESS", "minutes")
        driver.expect("cluster", driver.cluster()["State"], "MODIFY_IN_PROGRESS")

    with driver.step("Two hours later, once more"):
        driver.admin.advance(2 * A_WHILE)
        driver.request(pHsmType="hsm2m.medium")
        driver.expect_stack("UPDATE_COMPLETE")
        cluster = driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)
        driver.expect("HSM type", cluster["HsmType"], "hsm2m.medium")

    with driver.step("Delete"):
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_remaining(*LEFT_WITH_BACKUPS)


def _expect_tags(driver: StackDriver, wanted: dict[str, str]) -> None:
    """Beside those of the workflows the cluster has these tags."""
    tags = {tag["Key"]: tag["Value"] for tag in driver.cluster()["TagList"]}
    ours = {key: value for key, value in tags.items() if not key.startswith("hsm-lifecycle:")}
    driver.expect("tags", ours, wanted)


def _expect_retention(driver: StackDriver, days: int) -> None:
    kept = {"Type": "DAYS", "Value": str(days)}
    driver.expect("retention", driver.cluster()["BackupRetentionPolicy"], kept)


def _expect_type(driver: StackDriver, hsm_type: str) -> Json:
    """The cluster and its one HSM are of this type."""
    cluster = driver.expect_cluster(state="ACTIVE", hsms=1, zones=1)
    types = [cluster["HsmType"], *(hsm["HsmType"] for hsm in cluster["Hsms"])]
    driver.expect("HSM types", types, [hsm_type, hsm_type])
    return cluster
