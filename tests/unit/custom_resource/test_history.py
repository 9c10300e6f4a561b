"""The Task in which an execution failed."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from hsm_lifecycle.custom_resource.history import Task, failed_task
from tests.support.executions import Executions

ARN = "arn:aws:states:us-east-1:123456789012:execution:hsm-1-update-cluster:update-1"
DENIED = "Lambda.AWSLambdaException"


def entered(name: str, input_: str = "{}", kind: str = "Task") -> dict[str, Any]:
    details = {"name": name, "input": input_}
    return {"type": f"{kind}StateEntered", "stateEnteredEventDetails": details}


def failed(error: str, kind: str = "LambdaFunctionScheduleFailed") -> dict[str, Any]:
    return {"type": kind, f"{kind[0].lower()}{kind[1:]}EventDetails": {"error": error}}


# In the order of events.
HISTORY = [
    entered("FindCluster"),
    entered("AdmitClient", '{"Cluster": {"Id": "cluster-2example3id"}}'),
    failed(DENIED),
    failed(DENIED),
    entered("UpdateFailed", kind="Fail"),
    failed(DENIED, "ExecutionFailed"),
]


def test_the_task_that_failed_is_found_behind_later_states(states: Executions) -> None:
    states.history = [*HISTORY[::-1]]
    assert failed_task(ARN, DENIED) == Task(
        "AdmitClient", {"Cluster": {"Id": "cluster-2example3id"}}
    )
    # A Task that ran afterwards, to compensate, has not failed.
    states.history = [failed(DENIED, "ExecutionFailed"), entered("StopClient"), *HISTORY[-3::-1]]
    assert failed_task(ARN, DENIED) == Task(
        "AdmitClient", {"Cluster": {"Id": "cluster-2example3id"}}
    )


@pytest.mark.parametrize("input_", ['{"Cluster": {"Id": "clus', "[]"])
def test_data_that_is_no_object_is_none(states: Executions, input_: str) -> None:
    states.history = [failed(DENIED), entered("AdmitClient", input_)]
    assert failed_task(ARN, DENIED) == Task("AdmitClient", {})


def test_there_is_none_if_the_history_does_not_show_it_or_cannot_be_read(
    states: Executions, monkeypatch: pytest.MonkeyPatch
) -> None:
    states.history = [*HISTORY[::-1]]
    assert failed_task(ARN, "States.Runtime") is None

    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException"}}, "GetExecutionHistory")

    monkeypatch.setattr(states, "get_execution_history", refuse)
    assert failed_task(ARN, DENIED) is None
