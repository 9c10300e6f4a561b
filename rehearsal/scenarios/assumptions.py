"""The stricter of two readings where AWS's documentation is ambiguous."""

from __future__ import annotations

from rehearsal.drivers.stack import RETAINED_WITH_BACKUPS, StackDriver

# For `iam_without_resources` and `iam_without_tags`.
NO_RESOURCES = ("--assume", "cloudhsm-resource-level-iam=not-supported")
NO_RESOURCE_TAGS = ("--assume", "cloudhsm-resource-level-iam=arns-only")
# For `one_hsm_at_a_time`.
ONE_AT_A_TIME = ("--assume", "concurrent-create-hsm=refused")


def one_hsm_at_a_time(driver: StackDriver) -> None:
    """AWS rejects CreateHsm while another HSM is being created: an update adds HSMs one by one."""
    driver.create_step("Create: 1 HSM per subnet", hsms=2, zones=2)

    with driver.step("Scale up to 2 HSMs per subnet"):
        driver.request(pHsmsPerSubnet=2)
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)
        driver.expect("HSMs being created at a time", _most_in_creation(driver), 1)

    driver.delete_step(*RETAINED_WITH_BACKUPS)


def iam_without_resources(driver: StackDriver) -> None:
    """CloudHSM's IAM knows no ARNs and no tags: denied by default, pCloudHsmIamScope=ANY works."""
    with driver.step("Create: scoped by tag, so CreateCluster is denied"):
        driver.request(pCloudHsmIamScope="TAG")
        driver.expect_stack("ROLLBACK_COMPLETE")
        driver.expect_reason("CreateCluster", "AccessDenied", "set pCloudHsmIamScope=ANY")
        driver.expect_retained("stack hsm")
    driver.delete_step()
    _works_with_any_scope(driver)


def iam_without_tags(driver: StackDriver) -> None:
    """CloudHSM's IAM knows no tags of clusters: denied after CreateCluster, yet deleted."""
    with driver.step("Create: scoped by tag, so CreateHsm is denied"):
        driver.request(pCloudHsmIamScope="TAG")
        driver.expect_stack("ROLLBACK_COMPLETE")
        driver.expect_reason(
            "CreateFirstHsm", "AccessDenied", "set pCloudHsmIamScope=ANY", "[cluster-"
        )
        driver.expect_retained("role AWSServiceRoleForCloudHSM", "stack hsm")
    driver.delete_step("role AWSServiceRoleForCloudHSM")
    _works_with_any_scope(driver)


def _works_with_any_scope(driver: StackDriver) -> None:
    with driver.step("Create with pCloudHsmIamScope=ANY"):
        driver.request(pCloudHsmIamScope="ANY")
        driver.expect_stack("CREATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)

    with driver.step("Scale up to 2 HSMs per subnet; change the backup retention and tags"):
        driver.stack.tags = {"team": "crypto"}
        driver.request(pHsmsPerSubnet=2, pBackupRetentionDays=30)
        driver.expect_stack("UPDATE_COMPLETE")
        cluster = driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)
        driver.expect("retention", cluster["BackupRetentionPolicy"]["Value"], "30")

    driver.delete_step(*RETAINED_WITH_BACKUPS)


def _most_in_creation(driver: StackDriver) -> int:
    """The largest number of HSMs in CREATE_IN_PROGRESS at the same time."""
    in_creation, most = set(), 0
    for event in driver.admin.event_log():
        if event["service"] == "cloudhsm" and event["subject"].startswith("hsm-"):
            if event["event"] == "CREATE_IN_PROGRESS":
                in_creation.add(event["subject"])
            elif event["event"].isupper():
                in_creation.discard(event["subject"])
            most = max(most, len(in_creation))
    return most
