"""A CloudFormation template as the tests read it: parsed, with long-form functions, and as text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts import templates

ROOT = Path(__file__).resolve().parents[2]

Statement = dict[str, Any]

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
        """The Properties of the resources of a type, by logical ID."""
        return {
            logical_id: resource.get("Properties", {})
            for logical_id, resource in self.resources.items()
            if resource["Type"] == kind
        }

    @property
    def custom_resource(self) -> str:
        """The logical ID of the custom resource."""
        (logical_id,) = (
            logical_id
            for logical_id, resource in self.resources.items()
            if resource["Type"].startswith("Custom::")
        )
        return str(logical_id)

    def machines(self) -> dict[str, str]:
        """The logical ID of each state machine, by the stem of its definition file."""
        return {
            Path(properties["DefinitionS3Location"]).name.removesuffix(".asl.json"): logical_id
            for logical_id, properties in self.of_type("AWS::StepFunctions::StateMachine").items()
        }

    def substitutions(self, stem: str) -> dict[str, Any]:
        """The DefinitionSubstitutions of a state machine."""
        properties = self.resources[self.machines()[stem]]["Properties"]
        substitutions: dict[str, Any] = properties.get("DefinitionSubstitutions", {})
        return substitutions

    def supplier(self, stem: str, placeholder: str) -> str:
        """The logical ID of the resource behind a placeholder of a state machine."""
        value = self.substitutions(stem)[placeholder]
        if arn := value.get("Fn::Sub"):
            named = {
                **self.of_type("AWS::Lambda::Function"),
                **self.of_type("AWS::StepFunctions::StateMachine"),
            }
            (logical_id,) = (
                logical_id
                for logical_id, properties in named.items()
                for key in ("FunctionName", "StateMachineName")
                if key in properties and arn.endswith(f":{properties[key]['Fn::Sub']}")
            )
        else:
            (logical_id,) = references(value)
        return str(logical_id)

    def banners(self) -> dict[str, list[str]]:
        """The lines under each banner of Resources, by the banner's title."""
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

    def role_statements(self) -> list[tuple[str, Statement]]:
        """Each statement of each role's inline policies, with the role's logical ID."""
        return [
            (logical_id, statement)
            for logical_id, role in self.of_type("AWS::IAM::Role").items()
            for policy in role["Policies"]
            for statement in branches(policy["PolicyDocument"]["Statement"])
        ]

    def trust_statements(self) -> list[tuple[str, Statement]]:
        """Each statement of each role's trust policy, with the role's logical ID."""
        return [
            (logical_id, statement)
            for logical_id, role in self.of_type("AWS::IAM::Role").items()
            for statement in role["AssumeRolePolicyDocument"]["Statement"]
        ]


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
    """The values that a node can take, over all branches of !If, without AWS::NoValue."""
    if isinstance(node, list):
        return [leaf for value in node for leaf in branches(value)]
    if isinstance(node, dict) and set(node) == {"Fn::If"}:
        return branches(node["Fn::If"][1:])
    return [] if node == {"Ref": "AWS::NoValue"} else [node]


def as_list(value: Any) -> list[Any]:
    """An IAM element that may be a string or a list, as a list."""
    return value if isinstance(value, list) else [value]


def words(name: str) -> list[str]:
    """The words of a PascalCase name."""
    return re.findall(r"[A-Z][a-z0-9]*", name)


def kebab(name: str) -> str:
    """A PascalCase name in kebab-case, the style of physical names."""
    return "-".join(word.lower() for word in words(name))


def walk(
    node: Any, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every value inside a part of a template, with its path."""
    yield path, node
    if isinstance(node, dict):
        for key, value in node.items():
            yield from walk(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from walk(value, (*path, index))


TEMPLATES = [Template(path) for path in templates.all_paths(ROOT / "templates")]
