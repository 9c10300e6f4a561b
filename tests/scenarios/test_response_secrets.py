"""The secret that encrypts the ResponseURL was deleted outside the stack."""

from __future__ import annotations

from typing import Any

import pytest

from rehearsal.drivers.stack import RETAINED_WITH_BACKUPS, StackDriver

pytestmark = pytest.mark.long

SECRET = "    Type: AWS::SecretsManager::Secret\n    Properties:\n"
OTHER_NAME = {SECRET: f"{SECRET}      Name: other\n"}


def delete_secret(driver: StackDriver, **how: Any) -> str:
    """Delete it; returns its ARN."""
    described = driver.aws.client("cloudformation").describe_stack_resource(
        StackName=driver.stack.name, LogicalResourceId="rResponseSecret"
    )
    arn = described["StackResourceDetail"]["PhysicalResourceId"]
    driver.aws.client("secretsmanager").delete_secret(SecretId=arn, **how)
    return str(arn)


def test_a_deleted_response_secret_is_named_with_the_remedy_which_works(
    driver: StackDriver,
) -> None:
    driver.request(pSubnets=driver.aws.subnets[0])
    arn = delete_secret(driver, RecoveryWindowInDays=7)
    name = "the secret hsm-rResponseSecret-"
    with driver.expect_no_changes():
        driver.request(pReconcile="scheduled for deletion")
    driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
    driver.expect_reason(name, "is scheduled for deletion. Restore it with", "pReconcile")
    driver.aws.client("secretsmanager").restore_secret(SecretId=arn)
    driver.request(pReconcile="restored")
    driver.expect_stack("UPDATE_COMPLETE")

    delete_secret(driver, ForceDeleteWithoutRecovery=True)
    with driver.expect_no_changes():
        driver.request(pReconcile="gone")
    driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
    driver.expect_reason(name, "is gone", "another Name of rResponseSecret")
    driver.stack.edits = OTHER_NAME
    driver.request(pHsmsPerSubnet=2, pReconcile="another name")
    driver.expect_stack("UPDATE_COMPLETE")
    driver.expect_cluster(state="ACTIVE", hsms=2, zones=1)
    driver.delete()
    driver.expect_stack("DELETE_COMPLETE")
    driver.expect_retained(*RETAINED_WITH_BACKUPS)
