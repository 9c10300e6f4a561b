"""Describes the permissions of the templates' IAM roles in Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts.markdown import table
from scripts.templates import Template


def permissions(templates: dict[str, Template]) -> str:
    """A row for each statement of each role of all templates."""
    return table(
        ("Role", "Statement", "Actions"),
        (
            (f"{Path(name).stem}: {role}", statement["Sid"], _actions(statement))
            for name, template in templates.items()
            for role, statement in statements(template)
        ),
    )


def statements(template: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each statement of each role's inline policies, with the role's logical ID."""
    for logical_id, resource in template["Resources"].items():
        if resource["Type"] == "AWS::IAM::Role":
            for policy in resource["Properties"].get("Policies", []):
                for statement in policy["PolicyDocument"]["Statement"]:
                    # A conditional statement is {"Fn::If": [condition, statement, NoValue]}.
                    yield logical_id, statement.get("Fn::If", [None, statement])[1]


def _actions(statement: dict[str, Any]) -> str:
    actions = statement["Action"]
    return ", ".join(f"`{each}`" for each in ([actions] if isinstance(actions, str) else actions))
