"""Describes the Fail states of the state machines in Markdown."""

from __future__ import annotations

from scripts.markdown import cell, table
from scripts.statemachines import Machine


def failures(machines: dict[str, Machine]) -> str:
    """Each Fail state with its workflow and its comment, which says what to do."""
    return table(
        ("Workflow", "State", "What to do"),
        (
            (workflow, f"`{name}`", cell(state.get("Comment", "")))
            for workflow, machine in machines.items()
            for name, state in machine["States"].items()
            if state["Type"] == "Fail"
        ),
    )
