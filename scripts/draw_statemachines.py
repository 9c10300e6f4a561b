"""Draws the state machines as Mermaid flowcharts, and lists how they can fail."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MACHINES = Path("statemachines")
Machine = dict[str, Any]
State = dict[str, Any]

# How a comparison of a Choice reads between its variable and its value.
_COMPARISONS = {
    "Equals": "=",
    "LessThan": "<",
    "LessThanEquals": "≤",
    "GreaterThan": ">",
    "GreaterThanEquals": "≥",
    "Matches": "like",
}
_KINDS = "String|Numeric|Timestamp|Boolean"
# What surrounds the label of a state, which is how Mermaid is told its shape.
_SHAPES = {
    "Choice": ("{", "}"),
    "Wait": ("([", "])"),
    "Fail": ("{{", "}}"),
    "Succeed": ("((", "))"),
}
_BOX, _NESTED = ("[", "]"), ("[[", "]]")


def all_machines(directory: Path = MACHINES) -> dict[str, Machine]:
    """Every state machine by its stem, such as create-cluster."""
    return {
        path.name.removesuffix(".asl.json"): json.loads(path.read_text())
        for path in sorted(directory.glob("*.asl.json"))
    }


def chapter(machines: dict[str, Machine]) -> str:
    """All machines in Markdown: what each is for, its limit, its picture."""
    return "\n\n".join(section(name, machine) for name, machine in machines.items())


def section(name: str, machine: Machine) -> str:
    """One machine in Markdown."""
    limit = machine.get("TimeoutSeconds")
    return "\n".join(
        [
            f"### {name}",
            "",
            machine.get("Comment", "") + (f" Ends within {limit} seconds." if limit else ""),
            "",
            "```mermaid",
            flowchart(machine),
            "```",
        ]
    )


def flowchart(machine: Machine) -> str:
    """One machine as a Mermaid flowchart, its states in the order of the file."""
    lines = ["flowchart TD", f"  Start(( )) --> {machine['StartAt']}"]
    for name, state in machine["States"].items():
        lines.append(f"  {name}{shape(name, state)}")
        lines += [
            f"  {name} {arrow(state, label)} {target}" for target, label in ways_out(state).items()
        ]
        if state.get("End"):
            lines.append(f"  {name} --> End((( )))")
    return "\n".join(lines)


def shape(name: str, state: State) -> str:
    """A state's label in its shape."""
    label = name
    left, right = _SHAPES.get(state["Type"], _BOX)
    if "Seconds" in state:
        label += f"<br/>{state['Seconds']} s"
    if child := nested_machine(state):
        label += f"<br/>runs {child}"
        left, right = _NESTED
    return f'{left}"{label}"{right}'


def nested_machine(state: State) -> str | None:
    """What a Task runs, if that is another machine: its stem, or "the lifecycle" if input says."""
    if "states:startExecution" not in state.get("Resource", ""):
        return None
    arn = state.get("Parameters", {}).get("StateMachineArn", "")
    stem = re.sub(r"StateMachineArn}$", "", arn.removeprefix("${"))
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", stem).lower() or "the lifecycle"


def ways_out(state: State) -> dict[str, str]:
    """The states that can follow, each with what leads there; all that leads to one is joined."""
    ways: dict[str, list[str]] = {}
    for rule in state.get("Choices", []):
        ways.setdefault(rule["Next"], []).append(condition(rule))
    if "Default" in state:
        ways.setdefault(state["Default"], []).append("otherwise")
    if "Next" in state:
        ways.setdefault(state["Next"], [])
    for catch in state.get("Catch", []):
        errors = " or ".join(catch["ErrorEquals"])
        ways.setdefault(catch["Next"], []).append(f"on {errors}")
    return {target: joined(labels) for target, labels in ways.items()}


def joined(labels: list[str]) -> str:
    """Alternatives as one label: what is compared is named once."""
    values: dict[str, list[str]] = {}
    for label in labels:
        subject, equals, value = label.partition(" = ")
        values.setdefault(subject + equals, []).append(value)
    return ", or ".join(subject + " or ".join(alike) for subject, alike in values.items())


def arrow(state: State, label: str) -> str:
    """The arrow of a way out; one that only errors take is dotted."""
    dotted = label.startswith("on ") and state["Type"] != "Choice"
    shaft = "-.->" if dotted else "-->"
    return f'{shaft}|"{escaped(label)}"|' if label else shaft


def escaped(text: str) -> str:
    """Text that Mermaid takes as text."""
    return text.replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")


def condition(rule: dict[str, Any]) -> str:
    """A rule of a Choice in words."""
    for word, joint in (("And", " and "), ("Or", " or ")):
        if word in rule:
            return joint.join(condition(part) for part in rule[word])
    if "Not" in rule:
        return f"not ({condition(rule['Not'])})"
    subject = rule["Variable"].removeprefix("$.")
    [(operator, value)] = [
        (key, value) for key, value in rule.items() if key not in ("Variable", "Next", "Comment")
    ]
    if operator == "BooleanEquals":
        return subject if value else f"not {subject}"
    if operator.startswith("Is"):
        what = operator.removeprefix("Is").lower()
        return f"{subject} is {'' if value else 'not '}{what}"
    if operator.endswith("Path"):
        operator, value = operator.removesuffix("Path"), value.removeprefix("$.")
    comparison = _COMPARISONS[re.sub(f"^({_KINDS})", "", operator)]
    return f"{subject} {comparison} {'nothing' if value == '' else value}"


def failures(machines: dict[str, Machine]) -> str:
    """The Fail states of all machines as a Markdown table: where, which error, what to do."""
    rows = ["| Workflow | State | What to do |", "| --- | --- | --- |"]
    rows += [
        f"| {machine} | {state} | {advice} |" for machine, state, advice in _failures(machines)
    ]
    return "\n".join(rows)


def _failures(machines: dict[str, Machine]) -> Iterator[tuple[str, str, str]]:
    for stem, machine in machines.items():
        for name, state in machine["States"].items():
            if state["Type"] == "Fail":
                yield stem, f"`{name}`", state.get("Comment", "").replace("|", "\\|")
