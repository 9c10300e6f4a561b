"""Parameters as CloudFormation checks and resolves them, and what they make of the template."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from scripts.templates import Template

# Stands for what AWS chooses, in the forms that properties demand.
_PLACEHOLDERS = {"GroupId": "sg-00000000"}
UNRESOLVED_IMAGE = "ami-00000000"


def values(template: Template, given: Mapping[str, str]) -> dict[str, str]:
    """The parameters' values: as given, or else their defaults; without those that are missing."""
    defaults = {
        name: str(about["Default"])
        for name, about in template["Parameters"].items()
        if "Default" in about
    }
    return {**defaults, **given}


def constraint_problems(template: Template, chosen: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each parameter whose value breaks a constraint, and how."""
    for name, about in template["Parameters"].items():
        if name in chosen and (problem := _problem(about, chosen[name])):
            yield name, problem


def _problem(about: Mapping[str, Any], value: str) -> str:
    text = about.get("ConstraintDescription", "").removesuffix(".")
    if "AllowedValues" in about and value not in map(str, about["AllowedValues"]):
        return f"{value!r} is not one of {', '.join(map(str, about['AllowedValues']))}"
    if "AllowedPattern" in about and not re.search(about["AllowedPattern"], value):
        return f"{value!r} {text or 'is not allowed: ' + about['AllowedPattern']}"
    if about["Type"] == "Number":
        low, high = about.get("MinValue", 0), about.get("MaxValue", 0)
        if not value.isdecimal() or not low <= int(value) <= high:
            return f"{value!r} is not a whole number from {low} to {high}"
    if about["Type"].startswith(("AWS::EC2", "List<")) and not value.strip():
        return "it is empty"
    return ""


class Resolver:
    """Resolves functions of a template; what AWS chooses becomes a placeholder."""

    def __init__(
        self, template: Template, chosen: Mapping[str, str], pseudo: Mapping[str, str]
    ) -> None:
        self._template = template
        lists = {
            name: [each.strip() for each in chosen[name].split(",") if each.strip()]
            for name, about in template["Parameters"].items()
            if about["Type"].startswith("List<") and name in chosen
        }
        self._names: dict[str, Any] = {**pseudo, **chosen, **lists}

    def broken_rules(self) -> Iterator[str]:
        """The descriptions of the assertions that do not hold."""
        for rule in self._template.get("Rules", {}).values():
            if self.resolve(rule.get("RuleCondition", True)):
                for assertion in rule["Assertions"]:
                    if not self.resolve(assertion["Assert"]):
                        yield str(assertion["AssertDescription"])

    def resolve(self, value: Any) -> Any:
        """A value of the template, without functions."""
        match value:
            case {"Ref": "AWS::NoValue"}:
                return None
            case {"Ref": str(name)}:
                return self._names.get(name, name)
            case {"Fn::GetAtt": [_, str(attribute)]}:
                return _PLACEHOLDERS.get(attribute, "placeholder")
            case {"Fn::Sub": str(text)}:
                return re.sub(r"\$\{([^!}]+)\}", lambda found: self._text(found[1]), text)
            case {"Fn::If": [str(name), then, otherwise]}:
                return self.resolve(then if self._condition(name) else otherwise)
            case {"Condition": str(name)}:
                return self._condition(name)
            case {"Fn::Equals": [one, other]}:
                return self.resolve(one) == self.resolve(other)
            case {"Fn::Not": [condition]}:
                return not self.resolve(condition)
            case {"Fn::And": [*conditions]}:
                return all(map(self.resolve, conditions))
            case {"Fn::Or": [*conditions]}:
                return any(map(self.resolve, conditions))
            case dict():
                return {key: self.resolve(each) for key, each in value.items()}
            case list():
                return [self.resolve(each) for each in value]
        return value

    def _text(self, name: str) -> str:
        return str(self._names.get(name, "placeholder"))

    def _condition(self, name: str) -> bool:
        return bool(self.resolve(self._template["Conditions"][name]))
