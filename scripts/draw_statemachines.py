"""Draws the state machines as Mermaid flowcharts."""

from __future__ import annotations

import re
from typing import Any

from scripts.statemachines import Machine, State

# The sign for each comparison of a Choice state.
_COMPARISONS = {
    "Equals": "=",
    "LessThan": "<",
    "LessThanEquals": "≤",
    "GreaterThan": ">",
    "GreaterThanEquals": "≥",
    "Matches": "like",
}
_KINDS = "String|Numeric|Timestamp|Boolean"
# The brackets around a label, which give a Mermaid node its shape.
_SHAPES = {
    "Choice": ("{", "}"),
    "Wait": ("([", "])"),
    "Fail": ("{{", "}}"),
    "Succeed": ("((", "))"),
}
_TASK, _NESTED = ("[", "]"), ("[[", "]]")


def chapter(machines: dict[str, Machine]) -> str:
    """All machines in Markdown: purpose, timeout and flowchart."""
    return "\n\n".join(section(name, machine) for name, machine in machines.items())


def section(name: str, machine: Machine) -> str:
    """One machine in Markdown."""
    limit = machine.get("TimeoutSeconds")
    return "\n".join(
        [
            f"### {name}",
            "",
            machine.get("Comment", "") + (f" Times out after {limit} seconds." if limit else ""),
            "",
            "```mermaid",
            flowchart(machine),
            "```",
        ]
    )


def flowchart(machine: Machine) -> str:
    """One machine as a Mermaid flowchart, its states in file order."""
    lines = ["flowchart TD", f"  Start(( )) --> {machine['StartAt']}"]
    for name, state in machine["States"].items():
        lines.append(f"  {name}{shape(name, state)}")
        lines += [
            f"  {name} {arrow(state, label)} {target}"
            for target, label in transitions(state).items()
        ]
        if state.get("End"):
            lines.append(f"  {name} --> End((( )))")
    return "\n".join(lines)


def shape(name: str, state: State) -> str:
    """The label of a state in its shape."""
    label = name
    left, right = _SHAPES.get(state["Type"], _TASK)
    if "Seconds" in state:
        label += f"<br/>{state['Seconds']} s"
    if "SecondsPath" in state:
        label += "<br/>longer over time"
    if child := nested_machine(state):
        label += f"<br/>runs {child}"
        left, right = _NESTED
    return f'{left}"{label}"{right}'


def nested_machine(state: State) -> str | None:
    """The machine that a Task runs: its stem, "the requested workflow" if the input names it."""
    if "states:startExecution" not in state.get("Resource", ""):
        return None
    arn = state.get("Parameters", {}).get("StateMachineArn", "")
    stem = re.sub(r"StateMachineArn}$", "", arn.removeprefix("${"))
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", stem).lower() or "the requested workflow"


def transitions(state: State) -> dict[str, str]:
    """The possible next states, each with the joined conditions that lead to it."""
    targets: dict[str, list[str]] = {}
    for rule in state.get("Choices", []):
        targets.setdefault(rule["Next"], []).append(condition(rule))
    if "Default" in state:
        targets.setdefault(state["Default"], []).append("otherwise")
    if "Next" in state:
        targets.setdefault(state["Next"], [])
    for catch in state.get("Catch", []):
        errors = " or ".join(catch["ErrorEquals"])
        targets.setdefault(catch["Next"], []).append(f"on {errors}")
    return {target: joined(labels) for target, labels in targets.items()}


def joined(labels: list[str]) -> str:
    """Alternatives as one label that names each compared variable once."""
    values: dict[str, list[str]] = {}
    for label in labels:
        subject, equals, value = label.partition(" = ")
        values.setdefault(subject + equals, []).append(value)
    return ", or ".join(subject + " or ".join(alike) for subject, alike in values.items())


def arrow(state: State, label: str) -> str:
    """The arrow of a transition, dotted for an error."""
    dotted = label.startswith("on ") and state["Type"] != "Choice"
    shaft = "-.->" if dotted else "-->"
    return f'{shaft}|"{escaped(label)}"|' if label else shaft


def escaped(text: str) -> str:
    """Text with Mermaid's special characters escaped."""
    return text.replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")


def condition(rule: dict[str, Any]) -> str:
    """A rule of a Choice state in words."""
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
