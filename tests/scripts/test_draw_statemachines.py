from __future__ import annotations

from typing import Any

import pytest

from scripts import draw_statemachines as draw

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
        "ClusterUnhealthy": {"Type": "Fail", "Comment": "Look at it | then delete it."},
    },
}


def test_a_poll_is_drawn_with_its_three_ways_out() -> None:
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


def test_a_section_tells_what_the_machine_is_for_and_when_it_ends() -> None:
    lines = draw.section("create-cluster", POLL).splitlines()
    assert lines[0] == "### create-cluster"
    assert lines[2] == "Waits for a cluster. Ends within 3300 seconds."
    assert (lines[4], lines[-1]) == ("```mermaid", "```")


def test_the_failures_are_listed_with_what_to_do() -> None:
    table = draw.failures({"create-cluster": POLL})
    assert "| create-cluster | `ClusterUnhealthy` | Look at it \\| then delete it. |" in table


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
def test_a_rule_reads_as_words(rule: dict[str, Any], words: str) -> None:
    assert draw.condition({**rule, "Next": "Somewhere"}) == words


def test_alternatives_of_different_kinds_are_told_apart() -> None:
    assert draw.joined(["State = A", "Ready", "State = B"]) == "State = A or B, or Ready"


def test_a_label_cannot_break_the_picture() -> None:
    state = {"Type": "Choice"}
    assert draw.arrow(state, 'a "b" < c') == '-->|"a #quot;b#quot; #lt; c"|'


def test_a_machine_given_by_the_input_is_named_in_words() -> None:
    state = {
        "Type": "Task",
        "Resource": "arn:aws:states:::states:startExecution.sync:2",
        "Parameters": {"StateMachineArn.$": "$.LifecycleArn"},
    }
    assert draw.nested_machine(state) == "the lifecycle"


def test_every_state_of_every_machine_of_the_repository_is_drawn() -> None:
    machines = draw.all_machines()
    assert "handle-request" in machines
    for machine in machines.values():
        drawn = draw.flowchart(machine)
        for name in machine["States"]:
            assert f'{name}"' in drawn or f"{name}<br/>" in drawn
