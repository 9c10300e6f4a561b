"""Describes the parameters and the outputs of the templates in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scripts.markdown import cell, section, table
from scripts.parameter_readers import Readers, Source, readers
from scripts.statemachines import Machine
from scripts.templates import Template

# Longer lists of readers are counted, or cut.
_LISTED = 5


def parameters(
    templates: Mapping[str, Template], machines: Mapping[str, Machine], source: Source
) -> str:
    """A table for each template, its parameters in order."""
    return "\n\n".join(
        section(
            name,
            table(
                ("Parameter", "Default", "Description", "Read by"),
                (
                    (
                        f"`{key}`",
                        _default(template["Parameters"][key]),
                        cell(_description(template["Parameters"][key])),
                        read_by(found),
                    )
                    for key, found in readers(template, machines, source).items()
                ),
            ),
        )
        for name, template in templates.items()
    )


def outputs(templates: Mapping[str, Template]) -> str:
    """A table for each template, its outputs in order."""
    return "\n\n".join(
        section(
            name,
            table(
                ("Output", "Description"),
                ((f"`{key}`", cell(it["Description"])) for key, it in template["Outputs"].items()),
            ),
        )
        for name, template in templates.items()
    )


def read_by(found: Readers) -> str:
    """The readers of a parameter in one cell: resources, then states, then rules."""
    resources = ", ".join(found.resources)
    if len(found.resources) > _LISTED:
        resources = f"{len(found.resources)} resources"
    states = ", ".join(found.states[:_LISTED])
    if len(found.states) > _LISTED:
        states += f" and {len(found.states) - _LISTED} more"
    rules = ", ".join(found.rules)
    parts = [part for part in (resources, states, f"rules {rules}" if rules else "") if part]
    return "; ".join(parts) or "CloudFormation, which sends an update for a new value"


def _description(parameter: Mapping[str, Any]) -> str:
    text: str = parameter["Description"]
    if "AllowedValues" in parameter:
        text += f" One of {', '.join(f'`{value}`' for value in parameter['AllowedValues'])}."
    if "MinValue" in parameter:
        text += f" {parameter['MinValue']} to {parameter['MaxValue']}."
    return text


def _default(parameter: Mapping[str, Any]) -> str:
    if "Default" not in parameter:
        return "required"
    return f"`{parameter['Default']}`" if parameter["Default"] != "" else "empty"
