from __future__ import annotations

from typing import Any
from unittest.mock import call, create_autospec

import pytest

from localaws.client import AdminApi, LocalAws
from rehearsal.drivers.stack import RETAINED_WITH_BACKUPS, ExpectationError, StackDriver
from rehearsal.drivers.step import Step
from tests.support.inventory import inventory

HSMS = [
    {"HsmId": "hsm-1", "State": "ACTIVE", "AvailabilityZone": "us-east-1a"},
    {"HsmId": "hsm-2", "State": "ACTIVE", "AvailabilityZone": "us-east-1b"},
]
CLUSTER = {"ClusterId": "cluster-a", "State": "ACTIVE", "Hsms": HSMS}
# In the account before the scenario starts.
OLD_CLUSTER = {"ClusterId": "cluster-z", "State": "ACTIVE", "Hsms": []}
OLD_LOG_GROUP = "/old"


def account(*clusters: dict[str, Any], **services: Any) -> dict[str, Any]:
    """The inventory of an account with these clusters in addition to what was there before."""
    cloudhsm = {"clusters": [OLD_CLUSTER, *clusters], "backups": []}
    return inventory(**{"cloudhsm": cloudhsm, "logs": [OLD_LOG_GROUP], **services})


@pytest.fixture(name="started")
def _started() -> list[Step]:
    return []


@pytest.fixture(name="admin")
def _admin() -> Any:
    admin = create_autospec(AdminApi, instance=True)
    admin.inventory.return_value = account()
    admin.clock.return_value = {"elapsed": 7.0, "paused": True}
    return admin


@pytest.fixture(name="driver")
def _driver(admin: Any, started: list[Step]) -> StackDriver:
    aws = LocalAws()
    aws.admin, aws.endpoint, aws.region = admin, "http://127.0.0.1:1", "us-east-1"
    aws.access_key_id, aws.secret_access_key = "key", "secret"
    aws.subnets, aws.vpc = ["subnet-1", "subnet-2", "subnet-3"], "vpc-1"
    return StackDriver(aws, started.append)


def test_expect_cluster_returns_the_cluster(driver: StackDriver, admin: Any) -> None:
    admin.inventory.return_value = account(CLUSTER)
    assert driver.expect_cluster(state="ACTIVE", hsms=2, zones=2) == CLUSTER


@pytest.mark.parametrize(
    ("cluster", "message"),
    [
        ({**CLUSTER, "State": "DEGRADED"}, "cluster: expected ACTIVE, found DEGRADED"),
        ({**CLUSTER, "Hsms": HSMS[:1]}, "HSMs: expected"),
        ({**CLUSTER, "Hsms": [HSMS[0], HSMS[0]]}, "zones: expected 2, found 1"),
        ({**CLUSTER, "Hsms": [HSMS[0], {**HSMS[1], "State": "DEGRADED"}]}, "HSMs: expected"),
        ({**CLUSTER, "State": "DELETED"}, "clusters: expected 1, found 0"),
    ],
)
def test_expect_cluster_names_the_first_difference(
    driver: StackDriver, admin: Any, cluster: dict[str, Any], message: str
) -> None:
    admin.inventory.return_value = account(cluster)
    with pytest.raises(ExpectationError, match=message):
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)


def test_a_second_new_cluster_is_an_error(driver: StackDriver, admin: Any) -> None:
    admin.inventory.return_value = account(CLUSTER, {**CLUSTER, "ClusterId": "cluster-b"})
    with pytest.raises(ExpectationError, match="clusters: expected 1, found 2"):
        driver.cluster()


def test_expect_stack_compares_the_status_in_the_inventory(driver: StackDriver, admin: Any) -> None:
    stacks = [{"name": "hsm", "status": "UPDATE_COMPLETE"}, {"name": "other", "status": "X"}]
    admin.inventory.return_value = account(cloudformation={"stacks": stacks})
    driver.expect_stack("UPDATE_COMPLETE")
    with pytest.raises(ExpectationError, match="expected CREATE_COMPLETE, found UPDATE_COMPLETE"):
        driver.expect_stack("CREATE_COMPLETE")


def test_a_stack_missing_from_the_inventory_is_deleted(driver: StackDriver) -> None:
    driver.expect_stack("DELETE_COMPLETE")
    with pytest.raises(ExpectationError):
        driver.expect_stack("CREATE_COMPLETE")


def test_expect_in_names_the_missing_part(driver: StackDriver) -> None:
    driver.expect_in("reason", "no route to HSM", "route", "HSM")
    with pytest.raises(ExpectationError, match="reason: expected 'cluster' in 'no route to HSM'"):
        driver.expect_in("reason", "no route to HSM", "route", "cluster")


def test_expect_retained_compares_with_the_inventory_at_the_start(
    driver: StackDriver, admin: Any
) -> None:
    left = account(
        cloudhsm={
            "clusters": [OLD_CLUSTER, {**CLUSTER, "State": "DELETED"}],
            "backups": [{"ClusterId": "cluster-a"}],
        },
        logs=[OLD_LOG_GROUP, "/aws/cloudhsm/cluster-a"],
        iam={"roles": ["AWSServiceRoleForCloudHSM"], "instance_profiles": []},
        secretsmanager=[
            "/cloudhsm/cluster-a/customer-ca-cert",
            "/cloudhsm/cluster-a/initial-crypto-officer-password",
        ],
        ssm={
            "documents": [],
            "parameters": [
                f"/cloudhsm/cluster-a/hsm-identity/{name}" for name in ("ClusterCsr", "Verdict")
            ],
        },
    )
    admin.inventory.return_value = left
    driver.expect_retained(*RETAINED_WITH_BACKUPS)

    admin.inventory.return_value = {
        **left,
        "secretsmanager": ["/cloudhsm/cluster-a/cluster-csr"],
    }
    with pytest.raises(ExpectationError) as error:
        driver.expect_retained(*RETAINED_WITH_BACKUPS)
    assert str(error.value) == (
        "leak check: secret /cloudhsm/cluster-a/customer-ca-cert is missing; "
        "secret /cloudhsm/cluster-a/initial-crypto-officer-password is missing; "
        "secret /cloudhsm/cluster-a/cluster-csr was not deleted"
    )


def test_a_step_is_announced_and_measured(
    driver: StackDriver, admin: Any, started: list[Step]
) -> None:
    with driver.step("Create"):
        assert [step.name for step in started] == ["Create"]
        admin.clock.return_value = {"elapsed": 107.0}
    [step] = driver.steps
    assert (step.start, step.end, step.virtual, step.failure) == (7, 107, 100, None)


def test_a_failed_step_records_its_failure(driver: StackDriver) -> None:
    with pytest.raises(ExpectationError), driver.step("Create"):
        driver.expect("users", 1, 2)
    assert driver.steps[0].failure == "users: expected 2, found 1"


def test_a_step_ends_once_no_workflow_is_running(driver: StackDriver, admin: Any) -> None:
    admin.is_idle.side_effect = [False, False, True]
    with driver.step("Create"):
        pass
    assert admin.is_idle.call_count == 3


def test_time_resumes_after_a_pause(driver: StackDriver, admin: Any) -> None:
    with driver.while_paused():
        assert admin.method_calls[-1] == call.wait_for_pause()
    assert admin.method_calls[-1] == call.resume()
