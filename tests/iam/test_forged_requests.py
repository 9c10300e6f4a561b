"""Requests that CloudFormation never sent cannot make one stack change what is another's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from localaws.client import LocalAws, until
from localaws.core.partitions import response_host
from rehearsal.drivers.stack import StackDriver
from rehearsal.timings import QUICK

pytestmark = pytest.mark.long

Json = dict[str, Any]
ATTACKER = "attacker"


class Stacks:
    """The victim's stack and the attacker's, both with a cluster of one HSM."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws = aws
        victim = StackDriver(aws)
        victim.stack.parameters["pSubnets"] = aws.subnets[0]
        attacker = victim.second_stack(ATTACKER)
        for driver in (victim, attacker):
            driver.start()
        for driver in (victim, attacker):
            driver.wait()
            driver.expect_stack("CREATE_COMPLETE")
        self.cluster = victim.stack.outputs()["oClusterId"]
        self.stack_id, self.own_stack_id = (
            str(
                aws.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]["StackId"]
            )
            for name in ("hsm", ATTACKER)
        )
        self.properties = self._creation()["ResourceProperties"]

    def _creation(self) -> Json:
        """The request that created the attacker's cluster."""
        states = self.aws.client("stepfunctions")
        (execution,) = states.list_executions(stateMachineArn=self.machine("create-cluster"))[
            "executions"
        ]
        found = states.describe_execution(executionArn=execution["executionArn"])
        return dict(json.loads(found["input"]))

    def machine(self, stem: str) -> str:
        """One of the attacker's state machines."""
        prefix = self.own_stack_id.replace(":cloudformation:", ":states:").partition(":stack/")[0]
        return f"{prefix}:stateMachine:cloudhsm-{ATTACKER}-{stem}"

    def request(self, stack_id: str) -> Json:
        """A request to delete the victim's cluster."""
        return {
            "RequestType": "Delete",
            "RequestId": "00000000-0000-0000-0000-000000000001",
            "ResponseURL": f"https://{response_host(self.aws.region)}/nobody-waits",
            "StackId": stack_id,
            "LogicalResourceId": "rCloudHsmCluster",
            "PhysicalResourceId": self.cluster,
            "ResourceType": "Custom::CloudHsmCluster",
            "ResourceProperties": self.properties,
        }

    def started(self) -> list[str]:
        """The attacker's deletions."""
        pages = self.aws.client("stepfunctions").list_executions(
            stateMachineArn=self.machine("delete-cluster")
        )
        return [execution["name"] for execution in pages["executions"]]

    def victims_hsms(self) -> list[str]:
        """The states of the victim's HSMs."""
        (cluster,) = self.aws.client("cloudhsmv2").describe_clusters(
            Filters={"clusterIds": [self.cluster]}
        )["Clusters"]
        return [hsm["State"] for hsm in cluster["Hsms"]]

    def wait(self) -> None:
        """Wait until nothing is running."""
        until(lambda: self.aws.admin.is_idle(ATTACKER), "the attacker's stack never came to rest")


@pytest.fixture(scope="module", name="stacks")
def _stacks() -> Iterator[Stacks]:
    with LocalAws(timings=QUICK) as aws:
        yield Stacks(aws)


def test_a_request_function_refuses_requests_of_another_stack(stacks: Stacks) -> None:
    for kind in ("RequestResponse", "Event"):
        stacks.aws.client("lambda").invoke(
            FunctionName=f"cloudhsm-{ATTACKER}-request",
            InvocationType=kind,
            Payload=json.dumps(stacks.request(stacks.stack_id)),
        )
    stacks.wait()
    assert stacks.started() == []
    assert stacks.victims_hsms() == ["ACTIVE"]
    responses = [json.loads(body) for body in stacks.aws.admin.responses()]
    reasons = [response["Reason"] for response in responses if response["Status"] == "FAILED"]
    assert len(reasons) == 2
    assert [reason for reason in reasons if not reason.startswith("NotOwnedError: ")] == []


@pytest.mark.parametrize("stack", ["stack_id", "own_stack_id"])
def test_a_workflow_deletes_nothing_of_another_stack(stacks: Stacks, stack: str) -> None:
    states = stacks.aws.client("stepfunctions")
    execution = states.start_execution(
        stateMachineArn=stacks.machine("delete-cluster"),
        input=json.dumps(stacks.request(getattr(stacks, stack))),
    )["executionArn"]

    def ended() -> bool:
        return bool(states.describe_execution(executionArn=execution)["status"] != "RUNNING")

    until(ended, "the forged deletion did not end")
    found = states.describe_execution(executionArn=execution)
    assert found["status"] == "FAILED"
    assert "NotOwnedError" in found["error"] + found["cause"]
    assert stacks.victims_hsms() == ["ACTIVE"]
