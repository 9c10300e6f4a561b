from __future__ import annotations

from typing import Any, Protocol

import pytest

from localaws.client import AdminApi, LocalAws
from rehearsal.drivers.stack import RETAINED_WITH_BACKUPS, ExpectationError, StackDriver
from rehearsal.drivers.step import Step


class Answering(Protocol):
    """The admin API of conftest.py, which answers what it is told to."""

    url: str
    answers: dict[str, Any]
    asked: list[tuple[str, Any]]


HSMS = [
    {"HsmId": "hsm-1", "State": "ACTIVE", "AvailabilityZone": "us-east-1a"},
    {"HsmId": "hsm-2", "State": "ACTIVE", "AvailabilityZone": "us-east-1b"},
]
CLUSTER = {"ClusterId": "cluster-a", "State": "ACTIVE", "Hsms": HSMS}
OTHERS = {"ClusterId": "cluster-z", "State": "ACTIVE", "Hsms": []}


def inventory(*clusters: dict[str, Any], **services: Any) -> dict[str, Any]:
    return {
        "cloudformation": {"stacks": []},
        "cloudhsm": {"clusters": [OTHERS, *clusters], "backups": []},
        "kms": {"key_stores": [], "keys": []},
        "secretsmanager": [],
        "logs": ["/of/others"],
        "iam": {"roles": [], "instance_profiles": []},
        "ec2": {"instances": [], "security_groups": [], "network_interfaces": []},
        "ssm": {"documents": [], "parameters": []},
        "lambda": [],
        "states": {"machines": [], "running": []},
        "events": [],
        "s3": [],
        **services,
    }


@pytest.fixture(name="began")
def _on_step() -> list[Step]:
    return []


@pytest.fixture(name="driver")
def _life(admin: Answering, began: list[Step]) -> StackDriver:
    admin.answers.update(
        {
            "/inventory": inventory(),
            "/clock": {"elapsed": 7.0, "paused": True},
            "/rest": {"rests": True},
        }
    )
    aws = LocalAws()
    aws.admin, aws.endpoint, aws.region = AdminApi(admin.url), admin.url, "us-east-1"
    aws.subnets, aws.vpc = ["subnet-1", "subnet-2", "subnet-3"], "vpc-1"
    return StackDriver(aws, began.append)


def test_a_cluster_as_expected_is_handed_over(driver: StackDriver, admin: Answering) -> None:
    admin.answers["/inventory"] = inventory(CLUSTER)
    assert driver.expect_cluster(state="ACTIVE", hsms=2, zones=2) == CLUSTER


@pytest.mark.parametrize(
    ("cluster", "complaint"),
    [
        ({**CLUSTER, "State": "DEGRADED"}, "cluster: expected ACTIVE, found DEGRADED"),
        ({**CLUSTER, "Hsms": HSMS[:1]}, "HSMs: expected"),
        ({**CLUSTER, "Hsms": [HSMS[0], HSMS[0]]}, "zones: expected 2, found 1"),
        ({**CLUSTER, "Hsms": [HSMS[0], {**HSMS[1], "State": "DEGRADED"}]}, "HSMs: expected"),
        ({**CLUSTER, "State": "DELETED"}, "clusters: expected 1, found 0"),
    ],
)
def test_a_cluster_that_is_not_as_expected_is_told(
    driver: StackDriver, admin: Answering, cluster: dict[str, Any], complaint: str
) -> None:
    admin.answers["/inventory"] = inventory(cluster)
    with pytest.raises(ExpectationError, match=complaint):
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)


def test_two_clusters_are_one_too_many(driver: StackDriver, admin: Answering) -> None:
    admin.answers["/inventory"] = inventory(CLUSTER, {**CLUSTER, "ClusterId": "cluster-b"})
    with pytest.raises(ExpectationError, match="clusters: expected 1, found 2"):
        driver.cluster()


def test_the_stack_s_status_is_that_of_the_inventory(driver: StackDriver, admin: Answering) -> None:
    stacks = [{"name": "hsm", "status": "UPDATE_COMPLETE"}, {"name": "other", "status": "X"}]
    admin.answers["/inventory"] = inventory(cloudformation={"stacks": stacks})
    driver.expect_stack("UPDATE_COMPLETE")
    with pytest.raises(ExpectationError, match="expected CREATE_COMPLETE, found UPDATE_COMPLETE"):
        driver.expect_stack("CREATE_COMPLETE")


def test_a_stack_that_is_not_there_is_deleted(driver: StackDriver) -> None:
    driver.expect_stack("DELETE_COMPLETE")


def test_exactly_what_backups_need_may_remain(driver: StackDriver, admin: Answering) -> None:
    left = inventory(
        cloudhsm={
            "clusters": [OTHERS, {**CLUSTER, "State": "DELETED"}],
            "backups": [{"ClusterId": "cluster-a"}],
        },
        logs=["/of/others", "/aws/cloudhsm/cluster-a"],
        iam={"roles": ["AWSServiceRoleForCloudHSM"], "instance_profiles": []},
        secretsmanager=[
            "/cloudhsm/cluster-a/customer-ca-cert",
            "/cloudhsm/cluster-a/initial-crypto-officer-password",
        ],
    )
    admin.answers["/inventory"] = left
    driver.expect_retained(*RETAINED_WITH_BACKUPS)

    admin.answers["/inventory"] = {**left, "secretsmanager": ["/cloudhsm/cluster-a/cluster-csr"]}
    with pytest.raises(ExpectationError) as told:
        driver.expect_retained(*RETAINED_WITH_BACKUPS)
    assert str(told.value) == (
        "what remains: secret /cloudhsm/cluster-a/customer-ca-cert is missing; "
        "secret /cloudhsm/cluster-a/initial-crypto-officer-password is missing; "
        "secret /cloudhsm/cluster-a/cluster-csr is left"
    )


def test_a_step_is_announced_and_measured(
    driver: StackDriver, admin: Answering, began: list[Step]
) -> None:
    with driver.step("Create"):
        assert [step.name for step in began] == ["Create"]
        admin.answers["/clock"] = {"elapsed": 107.0}
    [step] = driver.steps
    assert (step.start, step.end, step.virtual, step.failure) == (7, 107, 100, None)


def test_a_step_that_fails_keeps_its_reason(driver: StackDriver) -> None:
    with pytest.raises(ExpectationError), driver.step("Create"):
        driver.expect("users", 1, 2)
    assert driver.steps[0].failure == "users: expected 2, found 1"


def test_a_step_is_not_over_while_a_workflow_runs(driver: StackDriver, admin: Answering) -> None:
    seen = [False, False, True]
    admin.answers["/rest"] = lambda _: {"rests": seen.pop(0)}
    with driver.step("Create"):
        pass
    assert seen == []


def test_faults_go_to_the_control_port(driver: StackDriver, admin: Answering) -> None:
    driver.fault(operation="CreateHsm", pause=True)
    driver.fault({"lambda": "cluster", "die": "after"}, times=2)
    assert admin.asked[-2:] == [
        ("/faults", {"operation": "CreateHsm", "pause": True}),
        ("/faults", {"lambda": "cluster", "die": "after", "times": 2}),
    ]


def test_time_goes_on_after_what_is_done_while_it_stands_still(
    driver: StackDriver, admin: Answering
) -> None:
    with driver.while_paused():
        assert [path for path, _ in admin.asked][-1] == "/clock"
    assert admin.asked[-1] == ("/advance", {"resume": True})
