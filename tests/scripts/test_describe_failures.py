from __future__ import annotations

from scripts import statemachines
from scripts.describe_failures import failures

MACHINE = {
    "States": {
        "Create": {"Type": "Task", "Comment": "Not a failure."},
        "ClusterUnhealthy": {"Type": "Fail", "Comment": "Inspect | delete it."},
    }
}


def test_each_fail_state_is_a_row_with_its_comment() -> None:
    assert failures({"create-cluster": MACHINE}).splitlines()[2:] == [
        "| create-cluster | `ClusterUnhealthy` | Inspect \\| delete it. |"
    ]


def test_every_fail_state_of_the_repository_says_what_to_do() -> None:
    rows = failures(statemachines.load_all()).splitlines()[2:]
    assert rows
    assert [row for row in rows if row.endswith("|  |")] == []
