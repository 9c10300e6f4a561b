"""Describes the templates in Markdown: their parameters, and what their roles may do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts import templates
from scripts.templates import Template


def all_templates() -> dict[str, Template]:
    """Every template by its file name."""
    return {path.name: templates.load(path) for path in templates.all_paths()}


def parameters(found: dict[str, Template]) -> str:
    """The parameters of all templates, a table for each, in the order of the console."""
    return "\n\n".join(
        "\n".join(
            [
                f"**templates/{name}**",
                "",
                "| Parameter | Default | What it is |",
                "| --- | --- | --- |",
            ]
            + [_row(key, parameter) for key, parameter in template["Parameters"].items()]
        )
        for name, template in found.items()
    )


def _row(name: str, parameter: dict[str, Any]) -> str:
    meaning = parameter.get("Description", "")
    if "AllowedValues" in parameter:
        meaning += (
            " One of " + ", ".join(f"`{value}`" for value in parameter["AllowedValues"]) + "."
        )
    if "MinValue" in parameter:
        meaning += f" {parameter['MinValue']} to {parameter['MaxValue']}."
    return f"| `{name}` | {_default(parameter)} | {_cell(meaning)} |"


def _default(parameter: dict[str, Any]) -> str:
    if "Default" not in parameter:
        return "required"
    return f"`{parameter['Default']}`" if parameter["Default"] != "" else "empty"


def permissions(found: dict[str, Template]) -> str:
    """What each role of all templates may do: a row for each statement."""
    rows = ["| Role | Statement | Actions |", "| --- | --- | --- |"]
    for name, template in found.items():
        for role, statement in statements(template):
            actions = statement["Action"]
            actions = [actions] if isinstance(actions, str) else actions
            listed = ", ".join(f"`{action}`" for action in actions)
            rows.append(f"| {Path(name).stem}: {role} | {statement['Sid']} | {listed} |")
    return "\n".join(rows)


def statements(template: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each statement of each role's own policies, with the role's logical id."""
    for logical_id, resource in template["Resources"].items():
        if resource["Type"] == "AWS::IAM::Role":
            for policy in resource["Properties"].get("Policies", []):
                for statement in policy["PolicyDocument"]["Statement"]:
                    # A statement that depends on a condition is the second of Fn::If's three.
                    yield logical_id, statement.get("Fn::If", [None, statement])[1]


def _cell(text: str) -> str:
    """Text that fits into a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")
