"""Finds what reads each parameter of a template: rules, resources, states and steps.

The custom resource passes parameters on as properties. States read a property by its path; steps
that receive all properties read fields of a class, which the source of the functions shows.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from scripts.statemachines import Machine
from scripts.templates import Template, references

FUNCTIONS = Path("functions") / "hsm_lifecycle"
PARSED_CLASS = "ClusterProperties"
_PROPERTY = re.compile(r"\$\.ResourceProperties\.(\w+)")


@dataclass(frozen=True)
class Readers:
    """What reads a parameter: names of rules, logical IDs, names of states and steps."""

    rules: tuple[str, ...]
    resources: tuple[str, ...]
    states: tuple[str, ...]


def readers(
    template: Template, machines: Mapping[str, Machine], source: Source
) -> dict[str, Readers]:
    """The readers of each parameter, in the order of template and state machines."""
    states = list(_states(template, machines, source))
    rules: Mapping[str, Any] = template.get("Rules", {})
    conditions = template.get("Conditions", {})
    found = {}
    for parameter in template["Parameters"]:
        resources, properties = [], set()
        for logical_id, resource in template["Resources"].items():
            given = resource.get("Properties", {})
            if resource["Type"].startswith("Custom::"):
                properties |= {
                    name for name in given if parameter in _resolved(given[name], conditions)
                }
            elif parameter in _resolved(given, conditions):
                resources.append(logical_id)
        found[parameter] = Readers(
            rules=tuple(name for name, rule in rules.items() if parameter in references(rule)),
            resources=tuple(resources),
            states=tuple(dict.fromkeys(name for name, read in states if read & properties)),
        )
    return found


def _resolved(value: Any, conditions: Mapping[str, Any]) -> set[str]:
    """What a value refers to, directly or through conditions."""
    found, pending = set(), references(value)
    while pending:
        name = pending.pop()
        found.add(name)
        pending |= references(conditions.get(name, {})) - found
    return found


def _states(
    template: Template, machines: Mapping[str, Machine], source: Source
) -> Iterator[tuple[str, set[str]]]:
    """Each state of the template's machines, with the properties that it reads."""
    for stem in _stems(template):
        for name, state in machines[stem]["States"].items():
            read = set(_PROPERTY.findall(str(state)))
            given = state.get("Parameters", {})
            if given.get("ResourceProperties.$") == "$.ResourceProperties" and "Step" in given:
                read |= source.properties_of(given["Step"])
            yield name, read


def _stems(template: Template) -> list[str]:
    """The stems of the template's state machine files, in the order of the template."""
    return [
        PurePosixPath(resource["Properties"]["DefinitionS3Location"]).name.removesuffix(".asl.json")
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::StepFunctions::StateMachine"
    ]


class Source:
    """The functions' source: which properties a step reads from the parsed class."""

    def __init__(self, modules: Iterable[str], parsed_class: str = PARSED_CLASS) -> None:
        self._class_name = parsed_class
        self._functions: dict[str, list[ast.FunctionDef]] = {}
        self._fields: dict[str, set[str]] = {}
        for module in map(ast.parse, modules):
            for node in ast.walk(module):
                if isinstance(node, ast.ClassDef) and node.name == parsed_class:
                    self._fields = _fields(node)
                elif isinstance(node, ast.FunctionDef):
                    self._functions.setdefault(node.name, []).append(node)

    @classmethod
    def read(cls, directory: Path = FUNCTIONS) -> Source:
        """The source of a package."""
        return cls(path.read_text() for path in sorted(directory.rglob("*.py")))

    def properties_of(self, step: str) -> set[str]:
        """The properties that a step such as CheckCreation reads, itself or through helpers."""
        pending = [re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", step).lower()]
        seen: set[str] = set()
        found: set[str] = set()
        while pending:
            seen.add(name := pending.pop())
            for function in self._functions.get(name, []):
                found |= self._read_in(function)
                pending += self._called_by(function) - seen
        return found

    def _read_in(self, function: ast.FunctionDef) -> set[str]:
        names = self._parsed_names(function)
        read = {
            node.attr
            for node in ast.walk(function)
            if isinstance(node, ast.Attribute)
            and (self._is_parse(node.value) or ast.unparse(node.value) in names)
        }
        return set().union(*(self._fields.get(field, set()) for field in read))

    def _called_by(self, function: ast.FunctionDef) -> set[str]:
        """The functions to which a function passes its event or the parsed properties."""
        passed = {"event", *self._parsed_names(function)}
        return {
            ast.unparse(node.func).rpartition(".")[2]
            for node in ast.walk(function)
            if isinstance(node, ast.Call) and {*map(ast.unparse, node.args)} & passed
        }

    def _parsed_names(self, function: ast.FunctionDef) -> set[str]:
        """The parameters and variables of a function that hold the parsed properties."""
        arguments = function.args
        names = {
            argument.arg
            for argument in (*arguments.args, *arguments.kwonlyargs)
            if argument.annotation and ast.unparse(argument.annotation) == self._class_name
        }
        for node in ast.walk(function):
            if isinstance(node, ast.Assign):
                target, value = node.targets[0], node.value
                pairs = [(target, value)]
                if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                    pairs = list(zip(target.elts, value.elts, strict=True))
                names |= {ast.unparse(name) for name, each in pairs if self._is_parse(each)}
        return names

    def _is_parse(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Call) and ast.unparse(node.func) == f"{self._class_name}.parse"


def _fields(parsed: ast.ClassDef) -> dict[str, set[str]]:
    """The properties behind each field and each @property of the parsed class."""
    fields: dict[str, set[str]] = {}
    derived: dict[str, set[str]] = {}
    for function in (node for node in parsed.body if isinstance(node, ast.FunctionDef)):
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "cls":
                fields |= {each.arg: _constants(each.value) for each in node.keywords if each.arg}
            elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self":
                derived.setdefault(function.name, set()).add(node.attr)
    return fields | {
        name: set().union(*(fields.get(field, set()) for field in read))
        for name, read in derived.items()
    }


def _constants(value: ast.expr) -> set[str]:
    """The keys that an expression takes from a mapping: given["Mode"], number(given, "Count")."""
    found = set()
    for node in ast.walk(value):
        keys = [node.slice] if isinstance(node, ast.Subscript) else []
        keys += node.args if isinstance(node, ast.Call) else []
        found |= {key.value for key in keys if isinstance(key, ast.Constant)}
    return {key for key in found if isinstance(key, str)}
