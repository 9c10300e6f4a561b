"""Resource properties held to CloudFormation's resource schemas, which cfn-lint bundles.

CloudFormation checks what it knows before it changes anything, on CreateStack, UpdateStack and
CreateChangeSet, and all of a resource's properties again before the resource's handler is called:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/validate-stack-deployments.html
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CUSTOM_RESOURCE = "AWS::CloudFormation::CustomResource"
# Stands for a value that is known only once other resources exist.
UNKNOWN = object()
# Keywords that concern the members of an object or list, not their values.
STRUCTURAL = frozenset(
    {
        "additionalProperties",
        "dependentExcluded",
        "dependentRequired",
        "maxItems",
        "maxProperties",
        "minItems",
        "minProperties",
        "required",
        "requiredOr",
        "requiredXor",
    }
)


@dataclass(frozen=True)
class Problem:
    """A property that breaks its schema: a JSON pointer below Properties, and AWS's words."""

    pointer: str
    reason: str

    def __str__(self) -> str:
        return f"#{self.pointer}: {self.reason}"


def is_known(kind: str, region: str) -> bool:
    """Whether CloudFormation has a resource type in a Region."""
    return kind.startswith("Custom::") or kind in _manager().get_resource_types(region)


def attributes(kind: str, region: str) -> frozenset[str] | None:
    """The attributes that Fn::GetAtt may name; None if any."""
    if kind.startswith("Custom::") or kind in (CUSTOM_RESOURCE, "AWS::CloudFormation::Stack"):
        return None
    return frozenset(_schema(kind, region).get_atts)


def schema(kind: str, region: str) -> Mapping[str, Any]:
    """The schema of a resource type that is known."""
    known: Mapping[str, Any] = _schema(kind, region).schema
    return known


def problems(kind: str, properties: Mapping[str, Any], region: str) -> list[Problem]:
    """Everything in a resource's properties that its schema does not permit."""
    if kind.startswith("Custom::") or kind == CUSTOM_RESOURCE:
        if properties.get("ServiceToken"):
            return []
        return [Problem("", "required key [ServiceToken] not found")]
    found = [
        Problem(*_described(error))
        for error in _validator(kind, region).iter_errors(properties)
        if error.validator in STRUCTURAL or not _has_unknown(error.instance)
    ]
    read_only = _schema(kind, region).schema.get("readOnlyProperties") or []
    return found + [
        Problem("", f"extraneous key [{name}] is not permitted")
        for name in sorted(properties)
        if f"/properties/{name}" in read_only
    ]


@functools.cache
def _manager() -> Any:
    # Importing cfn-lint takes half a second.
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

    return PROVIDER_SCHEMA_MANAGER


def _schema(kind: str, region: str) -> Any:
    return _manager().get_resource_schema(region, kind)


@functools.cache
def _validator(kind: str, region: str) -> Any:
    from cfnlint.jsonschema import StandardValidator
    from cfnlint.jsonschema._keywords_cfn import cfn_type

    schema = _schema(kind, region)
    # Without strict types, "128" is a number, as CloudFormation takes it.
    extended = StandardValidator({}).extend(validators={"type": cfn_type})
    validator = extended(schema=schema.schema, resolver=schema.resolver)
    return validator.evolve(context=validator.context.evolve(strict_types=False, functions=[]))


def _has_unknown(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_unknown, value.values()))
    if isinstance(value, list):
        return any(map(_has_unknown, value))
    return value is UNKNOWN


def _described(error: Any) -> tuple[str, str]:
    """The place of an error and CloudFormation's words for it."""
    path, expected, given = list(error.path), error.validator_value, error.instance
    if error.validator == "additionalProperties":
        return _pointer(path[:-1]), f"extraneous key [{path[-1]}] is not permitted"
    words = _WORDS.get(error.validator)
    reason = words(expected, given, error.message) if words else str(error.message)
    return _pointer(path), reason


def _pointer(path: Sequence[Any]) -> str:
    return "".join(f"/{part}" for part in path)


_WORDS: Mapping[str, Callable[[Any, Any, str], str]] = {
    "enum": lambda expected, given, message: f"{given} is not a valid enum value",
    "maxItems": lambda expected, given, message: (
        f"expected maximum item count: {expected}, found: {len(given)}"
    ),
    "maxLength": lambda expected, given, message: (
        f"expected maxLength: {expected}, actual: {len(given)}"
    ),
    "maximum": lambda expected, given, message: f"{given} is not less or equal to {expected}",
    "minItems": lambda expected, given, message: (
        f"expected minimum item count: {expected}, found: {len(given)}"
    ),
    "minLength": lambda expected, given, message: (
        f"expected minLength: {expected}, actual: {len(given)}"
    ),
    "minimum": lambda expected, given, message: f"{given} is not greater or equal to {expected}",
    "pattern": lambda expected, given, message: (
        f"string [{given}] does not match pattern {expected}"
    ),
    # cfn-lint quotes the missing key.
    "required": lambda expected, given, message: (
        f"required key [{message.split(chr(39))[1]}] not found"
    ),
    "type": lambda expected, given, message: (
        f"expected type: {expected}, found: {type(given).__name__}"
    ),
    "uniqueItems": lambda expected, given, message: "array items are not unique",
}


# --- Properties before deployment ---


class Resolver:
    """Resolves what can be known of properties while no resource exists yet."""

    def __init__(
        self,
        resolve: Callable[[Any], Any],
        references: Callable[[Any], Iterator[tuple[str, str | None]]],
        conditions: Mapping[str, bool],
        resources: Mapping[str, Any],
        no_value: Any,
    ) -> None:
        self._resolve = resolve
        self._references = references
        self._conditions = conditions
        self._resources = resources
        self._no_value = no_value

    def known(self, value: Any) -> Any:
        """A value with its intrinsic functions resolved, and UNKNOWN for the rest."""
        if isinstance(value, list):
            return [each for each in map(self.known, value) if each is not self._no_value]
        if isinstance(value, str):
            return UNKNOWN if "{{resolve:" in value else value
        if not isinstance(value, dict):
            return value
        name = next(iter(value), "")
        if len(value) == 1 and (name == "Ref" or name.startswith("Fn::")):
            return self._function(name, value)
        members = {key: self.known(each) for key, each in value.items()}
        return {key: each for key, each in members.items() if each is not self._no_value}

    def _function(self, name: str, value: dict[str, Any]) -> Any:
        if name == "Fn::If" and value[name][0] in self._conditions:
            condition, then, otherwise = value[name]
            return self.known(then if self._conditions[condition] else otherwise)
        if any(reference in self._resources for reference, _ in self._references(value)):
            return UNKNOWN
        try:
            return self._resolve(value)
        except (ValueError, LookupError, TypeError):
            return UNKNOWN
