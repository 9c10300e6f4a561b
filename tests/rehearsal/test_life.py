from __future__ import annotations

from typing import Any, Protocol

import pytest

from rehearsal.display import Step
from rehearsal.life import LEFT_WITH_BACKUPS, Life, NotAsExpectedError
from rehearsal.local_aws import Control, LocalAws


class Answering(Protocol):
    """The control port of conftest.py, which answers what it is told to."""

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
def _began() -> list[Step]:
    return []


@pytest.fixture(name="life")
def _life(control: Answering, began: list[Step]) -> Life:
    control.answers.update(
        {
            "/inventory": inventory(),
            "/clock": {"elapsed": 7.0, "paused": True},
            "/rest": {"rests": True},
        }
    )
    aws = LocalAws()
    aws.control, aws.endpoint, aws.region = Control(control.url), control.url, "us-east-1"
    aws.subnets, aws.vpc = ["subnet-1", "subnet-2", "subnet-3"], "vpc-1"
    return Life(aws, began.append)


def test_a_cluster_as_expected_is_handed_over(life: Life, control: Answering) -> None:
    control.answers["/inventory"] = inventory(CLUSTER)
    assert life.expect_cluster(state="ACTIVE", hsms=2, zones=2) == CLUSTER


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
    life: Life, control: Answering, cluster: dict[str, Any], complaint: str
) -> None:
    control.answers["/inventory"] = inventory(cluster)
    with pytest.raises(NotAsExpectedError, match=complaint):
        life.expect_cluster(state="ACTIVE", hsms=2, zones=2)


def test_two_clusters_are_one_too_many(life: Life, control: Answering) -> None:
    control.answers["/inventory"] = inventory(CLUSTER, {**CLUSTER, "ClusterId": "cluster-b"})
    with pytest.raises(NotAsExpectedError, match="clusters: expected 1, found 2"):
        life.cluster()


def test_the_stack_s_status_is_that_of_the_inventory(life: Life, control: Answering) -> None:
    stacks = [{"name": "hsm", "status": "UPDATE_COMPLETE"}, {"name": "other", "status": "X"}]
    control.answers["/inventory"] = inventory(cloudformation={"stacks": stacks})
    life.expect_stack("UPDATE_COMPLETE")
    with pytest.raises(NotAsExpectedError, match="expected CREATE_COMPLETE, found UPDATE_COMPLETE"):
        life.expect_stack("CREATE_COMPLETE")


def test_a_stack_that_is_not_there_is_deleted(life: Life) -> None:
    life.expect_stack("DELETE_COMPLETE")


def test_exactly_what_backups_need_may_remain(life: Life, control: Answering) -> None:
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
    control.answers["/inventory"] = left
    life.expect_remaining(*LEFT_WITH_BACKUPS)

    control.answers["/inventory"] = {**left, "secretsmanager": ["/cloudhsm/cluster-a/cluster-csr"]}
    with pytest.raises(NotAsExpectedError) as told:
        life.expect_remaining(*LEFT_WITH_BACKUPS)
    assert str(told.value) == (
        "what remains: secret /cloudhsm/cluster-a/customer-ca-cert is missing; "
        "secret /cloudhsm/cluster-a/initial-crypto-officer-password is missing; "
        "secret /cloudhsm/cluster-a/cluster-csr is left"
    )


def test_a_step_is_announced_and_measured(
    life: Life, control: Answering, began: list[Step]
) -> None:
    with life.step("Create"):
        assert [step.name for step in began] == ["Create"]
        control.answers["/clock"] = {"elapsed": 107.0}
    [step] = life.steps
    assert (step.start, step.end, step.virtual, step.failure) == (7, 107, 100, None)


def test_a_step_that_fails_keeps_its_reason(life: Life) -> None:
    with pytest.raises(NotAsExpectedError), life.step("Create"):
        life.expect("users", 1, 2)
    assert life.steps[0].failure == "users: expected 2, found 1"


def test_a_step_is_not_over_while_a_workflow_runs(life: Life, control: Answering) -> None:
    seen = [False, False, True]
    control.answers["/rest"] = lambda _: {"rests": seen.pop(0)}
    with life.step("Create"):
        pass
    assert seen == []


def test_faults_go_to_the_control_port(life: Life, control: Answering) -> None:
    life.fault(operation="CreateHsm", pause=True)
    life.fault({"lambda": "cluster", "die": "after"}, times=2)
    assert control.asked[-2:] == [
        ("/faults", {"operation": "CreateHsm", "pause": True}),
        ("/faults", {"lambda": "cluster", "die": "after", "times": 2}),
    ]


def test_time_goes_on_after_what_is_done_while_it_stands_still(
    life: Life, control: Answering
) -> None:
    with life.standing_still():
        assert [path for path, _ in control.asked][-1] == "/clock"
    assert control.asked[-1] == ("/advance", {"resume": True})
