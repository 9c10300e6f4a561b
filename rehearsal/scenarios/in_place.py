"""What AWS changes in place: the retention of backups, the HSM type; and the tags of the stack."""

from __future__ import annotations

from typing import Any

from rehearsal.life import LEFT_WITH_BACKUPS, Life

Json = dict[str, Any]

# Virtual seconds in which AWS changes the HSM type of two HSMs (F1.43).
A_WHILE = 3600


def retention_and_tags(life: Life) -> None:
    """Backups are kept for longer, then not as long; the cluster carries the tags of its stack."""
    with life.step("Create with two tags"):
        life.stack.tags = {"team": "payments", "stage": "trial"}
        life.request()
        life.expect_stack("CREATE_COMPLETE")
        life.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        _expect_tags(life, {"team": "payments", "stage": "trial"})
        _expect_retention(life, 90)

    with life.step("30 days, other tags, and one by hand"):
        own = life.cluster()["ClusterId"]
        by_hand = [{"Key": "by-hand", "Value": "kept"}]
        life.aws.client("cloudhsmv2").tag_resource(ResourceId=own, TagList=by_hand)
        life.stack.tags = {"team": "ledger", "cost-center": "4711"}
        life.request(pBackupRetentionDays=30)
        life.expect_stack("UPDATE_COMPLETE")
        _expect_tags(life, {"team": "ledger", "cost-center": "4711", "by-hand": "kept"})
        _expect_retention(life, 30)

    with life.step("379 days and other tags, but it goes wrong"):
        kept, life.stack.tags = life.stack.tags, {"team": "treasury", "stage": "trial"}
        life.fault(script="ConfigureClient", exit=1, stderr="no space left on device")
        life.request(pBackupRetentionDays=379)
        life.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        life.expect_reason("no space left on device")
        _expect_retention(life, 30)
        _expect_tags(life, {**kept, "by-hand": "kept"})

    with life.step("379 days"):
        life.stack.tags = {}
        life.request(pBackupRetentionDays=379)
        life.expect_stack("UPDATE_COMPLETE")
        _expect_tags(life, {"by-hand": "kept"})
        _expect_retention(life, 379)

    with life.step("Delete"):
        life.delete()
        life.expect_stack("DELETE_COMPLETE")
        life.expect_remaining(*LEFT_WITH_BACKUPS)


def hsm_type_changes(life: Life) -> None:
    """It is 2024: hsm1.medium becomes hsm2m.medium where it is, and within a day goes back."""
    with life.step("Create: 1 HSM in 1 subnet"):
        life.request(pHsmType="hsm1.medium", pSubnets=life.aws.subnets[0])
        life.expect_stack("CREATE_COMPLETE")
        created = _expect_type(life, "hsm1.medium")

    with life.step("hsm2m.medium, but AWS takes it back"):
        life.fault({"modify": "ROLLBACK"})
        life.request(pHsmType="hsm2m.medium")
        life.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        life.expect_reason("AWS did not change the HSM type to hsm2m.medium (pHsmType)")
        # The stack does not wait for AWS, which is on the way back.
        life.expect("cluster", life.cluster()["State"], "ROLLBACK_IN_PROGRESS")
        life.control.advance(A_WHILE)
        _expect_type(life, "hsm1.medium")

    with life.step("hsm2m.medium"):
        life.request(pHsmType="hsm2m.medium")
        life.expect_stack("UPDATE_COMPLETE")
        changed = _expect_type(life, "hsm2m.medium")
        life.expect("users", changed["Users"], created["Users"])
        life.expect("interface", changed["Hsms"][0]["EniId"], created["Hsms"][0]["EniId"])

    with life.step("And back"):
        life.request(pHsmType="hsm1.medium")
        life.expect_stack("UPDATE_COMPLETE")
        _expect_type(life, "hsm1.medium")

    with life.step("Delete"):
        life.delete()
        life.expect_stack("DELETE_COMPLETE")
        life.expect_remaining(*LEFT_WITH_BACKUPS)


def hsm_type_takes_too_long(life: Life) -> None:
    """It is 2024: four HSMs change their type for two hours, and the stack cannot wait so long."""
    with life.step("Create: 2 HSMs per subnet"):
        life.request(pHsmType="hsm1.medium", pHsmsPerSubnet=2)
        life.expect_stack("CREATE_COMPLETE")
        life.expect_cluster(state="ACTIVE", hsms=4, zones=2)

    with life.step("hsm2m.medium: longer than CloudFormation waits"):
        life.request(pHsmType="hsm2m.medium")
        life.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        life.expect_reason("is still MODIFY_IN_PROGRESS", "minutes")
        life.expect("cluster", life.cluster()["State"], "MODIFY_IN_PROGRESS")

    with life.step("Two hours later, once more"):
        life.control.advance(2 * A_WHILE)
        life.request(pHsmType="hsm2m.medium")
        life.expect_stack("UPDATE_COMPLETE")
        cluster = life.expect_cluster(state="ACTIVE", hsms=4, zones=2)
        life.expect("HSM type", cluster["HsmType"], "hsm2m.medium")

    with life.step("Delete"):
        life.delete()
        life.expect_stack("DELETE_COMPLETE")
        life.expect_remaining(*LEFT_WITH_BACKUPS)


def _expect_tags(life: Life, wanted: dict[str, str]) -> None:
    """Beside those of the workflows the cluster has these tags."""
    tags = {tag["Key"]: tag["Value"] for tag in life.cluster()["TagList"]}
    ours = {key: value for key, value in tags.items() if not key.startswith("hsm-lifecycle:")}
    life.expect("tags", ours, wanted)


def _expect_retention(life: Life, days: int) -> None:
    kept = {"Type": "DAYS", "Value": str(days)}
    life.expect("retention", life.cluster()["BackupRetentionPolicy"], kept)


def _expect_type(life: Life, hsm_type: str) -> Json:
    """The cluster and its one HSM are of this type."""
    cluster = life.expect_cluster(state="ACTIVE", hsms=1, zones=1)
    types = [cluster["HsmType"], *(hsm["HsmType"] for hsm in cluster["Hsms"])]
    life.expect("HSM types", types, [hsm_type, hsm_type])
    return cluster
