"""A CloudFormation template as the tests read it: as data in its long form, and as text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts import templates

ROOT = Path(__file__).resolve().parents[2]

Way = tuple[str | int, ...]

_REFERENCE = re.compile(r"\$\{([^!}][^}]*)\}")


class Template:
    """One file of templates/."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.text = path.read_text(encoding="utf-8")
        self.body = templates.load(path)
        self.parameters: dict[str, Any] = self.body["Parameters"]
        self.resources: dict[str, Any] = self.body["Resources"]
        self.outputs: dict[str, Any] = self.body["Outputs"]

    def __repr__(self) -> str:
        return self.name

    def of_type(self, kind: str) -> dict[str, Any]:
        """The Properties of the resources of a type, by logical id."""
        return {
            logical_id: resource.get("Properties", {})
            for logical_id, resource in self.resources.items()
            if resource["Type"] == kind
        }

    @property
    def custom_resource(self) -> str:
        """The logical id of the one custom resource."""
        (logical_id,) = (
            logical_id
            for logical_id, resource in self.resources.items()
            if resource["Type"].startswith("Custom::")
        )
        return str(logical_id)

    def machines(self) -> dict[str, str]:
        """The logical id of each state machine, by the stem of its definition's file."""
        return {
            Path(properties["DefinitionS3Location"]).name.removesuffix(".asl.json"): logical_id
            for logical_id, properties in self.of_type("AWS::StepFunctions::StateMachine").items()
        }

    def substitutions(self, stem: str) -> dict[str, Any]:
        """What the template puts into the definition of a state machine."""
        properties = self.resources[self.machines()[stem]]["Properties"]
        substitutions: dict[str, Any] = properties.get("DefinitionSubstitutions", {})
        return substitutions

    def supplier(self, stem: str, placeholder: str) -> str:
        """The logical id of the resource behind a placeholder of a state machine."""
        (logical_id,) = references(self.substitutions(stem)[placeholder])
        return logical_id

    def banners(self) -> dict[str, list[str]]:
        """The lines under each banner of Resources, by the first part of the banner."""
        chapters: dict[str, list[str]] = {}
        lines: list[str] = []
        inside = False
        for line in self.text.splitlines():
            if re.match(r"[A-Z]", line):
                inside = line == "Resources:"
            elif inside and (found := re.fullmatch(r"  # --- (.+): .+ ---", line)):
                lines = chapters.setdefault(found.group(1), [])
            elif inside:
                lines.append(line)
        return chapters


def references(node: Any) -> set[str]:
    """Every name that a part of a template refers to by Ref, GetAtt or Sub."""
    found: set[str] = set()
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "Ref":
                found.add(value)
            elif key == "Fn::GetAtt":
                found.add(value[0])
            else:
                found |= references(value)
            if key == "Fn::Sub":
                text = value if isinstance(value, str) else value[0]
                found |= {name.split(".")[0] for name in _REFERENCE.findall(text)}
    elif isinstance(node, list):
        for value in node:
            found |= references(value)
    return found


def branches(node: Any) -> list[Any]:
    """What a value can be, whatever the conditions of its !If, as a flat list without NoValue."""
    if isinstance(node, list):
        return [leaf for value in node for leaf in branches(value)]
    if isinstance(node, dict) and set(node) == {"Fn::If"}:
        return branches(node["Fn::If"][1:])
    return [] if node == {"Ref": "AWS::NoValue"} else [node]


def words(name: str) -> list[str]:
    """The words of a PascalCase name."""
    return re.findall(r"[A-Z][a-z0-9]*", name)


def kebab(name: str) -> str:
    """PascalCase as-it-is-in-physical-names."""
    return "-".join(word.lower() for word in words(name))


def walk(
    node: Any, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every value inside a part of a template, with the way to it."""
    yield path, node
    if isinstance(node, dict):
        for key, value in node.items():
            yield from walk(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from walk(value, (*path, index))


TEMPLATES = [Template(path) for path in templates.all_paths(ROOT / "templates")]
