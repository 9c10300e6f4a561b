from __future__ import annotations

import re
from typing import Any

import pytest

from scripts import draw_statemachines as draw
from scripts import statemachines

POLL: dict[str, Any] = {
    "Comment": "Waits for a cluster.",
    "StartAt": "DescribeCluster",
    "TimeoutSeconds": 3300,
    "States": {
        "DescribeCluster": {
            "Type": "Task",
            "Resource": "${ClusterFunctionArn}",
            "Catch": [{"ErrorEquals": ["HsmBusyError"], "Next": "WaitForCluster"}],
            "Next": "IsClusterActive",
        },
        "IsClusterActive": {
            "Type": "Choice",
            "Choices": [
                {"Variable": "$.State", "StringEquals": "ACTIVE", "Next": "AlignHsms"},
                {"Variable": "$.State", "StringEquals": "CREATING", "Next": "WaitForCluster"},
                {"Variable": "$.State", "StringEquals": "UPDATING", "Next": "WaitForCluster"},
            ],
            "Default": "ClusterUnhealthy",
        },
        "WaitForCluster": {"Type": "Wait", "Seconds": 15, "Next": "DescribeCluster"},
        "AlignHsms": {
            "Type": "Task",
            "Resource": "arn:${Partition}:states:::states:startExecution.sync:2",
            "Parameters": {"StateMachineArn": "${AlignHsmsStateMachineArn}"},
            "End": True,
        },
        "ClusterUnhealthy": {"Type": "Fail", "Comment": "Inspect it."},
    },
}


def test_a_polling_loop_is_drawn_with_all_transitions() -> None:
    assert draw.flowchart(POLL).splitlines() == [
        "flowchart TD",
        "  Start(( )) --> DescribeCluster",
        '  DescribeCluster["DescribeCluster"]',
        "  DescribeCluster --> IsClusterActive",
        '  DescribeCluster -.->|"on HsmBusyError"| WaitForCluster',
        '  IsClusterActive{"IsClusterActive"}',
        '  IsClusterActive -->|"State = ACTIVE"| AlignHsms',
        '  IsClusterActive -->|"State = CREATING or UPDATING"| WaitForCluster',
        '  IsClusterActive -->|"otherwise"| ClusterUnhealthy',
        '  WaitForCluster(["WaitForCluster<br/>15 s"])',
        "  WaitForCluster --> DescribeCluster",
        '  AlignHsms[["AlignHsms<br/>runs align-hsms"]]',
        "  AlignHsms --> End((( )))",
        '  ClusterUnhealthy{{"ClusterUnhealthy"}}',
    ]


def test_a_section_states_purpose_and_timeout_of_the_machine() -> None:
    lines = draw.section("create-cluster", POLL).splitlines()
    assert lines[0] == "### create-cluster"
    assert lines[2] == "Waits for a cluster. Times out after 3300 seconds."
    assert (lines[4], lines[-1]) == ("```mermaid", "```")


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"Variable": "$.Count", "NumericGreaterThanEquals": 2}, "Count ≥ 2"),
        ({"Variable": "$.Count", "NumericLessThan": 2}, "Count < 2"),
        ({"Variable": "$.Id", "StringMatches": "cluster-*"}, "Id like cluster-*"),
        ({"Variable": "$.Have", "NumericEqualsPath": "$.Want"}, "Have = Want"),
        ({"Variable": "$.Id", "StringEquals": ""}, "Id = nothing"),
        ({"Variable": "$.Ready", "BooleanEquals": True}, "Ready"),
        ({"Variable": "$.Ready", "BooleanEquals": False}, "not Ready"),
        ({"Variable": "$.Id", "IsPresent": True}, "Id is present"),
        ({"Variable": "$.Id", "IsNull": False}, "Id is not null"),
        ({"Not": {"Variable": "$.Id", "StringEquals": "x"}}, "not (Id = x)"),
        (
            {"And": [{"Variable": "$.A", "IsPresent": True}, {"Variable": "$.A", "IsNull": True}]},
            "A is present and A is null",
        ),
        (
            {"Or": [{"Variable": "$.A", "StringEquals": "1", "Comment": "why"}]},
            "A = 1",
        ),
    ],
)
def test_a_choice_rule_is_written_in_words(rule: dict[str, Any], words: str) -> None:
    assert draw.condition({**rule, "Next": "Somewhere"}) == words


def test_alternatives_are_grouped_by_variable() -> None:
    assert draw.joined(["State = A", "Ready", "State = B"]) == "State = A or B, or Ready"


def test_labels_are_escaped_for_mermaid() -> None:
    state = {"Type": "Choice"}
    assert draw.arrow(state, 'a "b" < c') == '-->|"a #quot;b#quot; #lt; c"|'


def test_a_machine_named_by_the_input_is_the_requested_workflow() -> None:
    state = {
        "Type": "Task",
        "Resource": "arn:aws:states:::states:startExecution.sync:2",
        "Parameters": {"StateMachineArn.$": "$.WorkflowArn"},
    }
    assert draw.nested_machine(state) == "the requested workflow"


def test_every_state_of_the_repository_is_drawn() -> None:
    machines = statemachines.load_all()
    missing = [
        (stem, name)
        for stem, machine in machines.items()
        for name in machine["States"]
        if not {f'{name}"', f"{name}<br/>"}
        & set(re.findall(r'\w+(?:"|<br/>)', draw.flowchart(machine)))
    ]
    assert missing == []
    assert "handle-request" in machines
