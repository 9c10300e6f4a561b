"""The format of templates: sections, members, functions and references.

cfn-lint's schemas say which members there are; the words are those of AWS:
https://repost.aws/knowledge-center/cloudformation-template-validation
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from localaws.ministack.access import ministack

Json = Mapping[str, Any]

# Sections that have a schema, and what AWS calls their members.
SECTIONS = {
    "Mappings": "Mapping",
    "Outputs": "Output",
    "Parameters": "Parameter",
    "Resources": "Resource",
}
POLICIES = {
    "DeletionPolicy": frozenset({"Delete", "Retain", "RetainExceptOnCreate", "Snapshot"}),
    "UpdateReplacePolicy": frozenset({"Delete", "Retain", "Snapshot"}),
}

_engine = ministack("services.cloudformation.engine")
_without_problems = set[str]()


def problems(template: Json) -> Iterator[str]:
    """The errors in the format of a template, in AWS's words where these are known."""
    text = repr(template)
    # Deployments and updates bring the same template again.
    if text not in _without_problems:
        yield from _all_problems(template)
        _without_problems.add(text)


def _all_problems(template: Json) -> Iterator[str]:
    yield from _nulls(template)
    found = list(_member_problems(template))
    yield from found
    # The other checks require what the schemas do.
    if not found:
        yield from _value_problems(template)
        yield from _reference_problems(template)


def _nulls(value: Any, where: str = "") -> Iterator[str]:
    if value is None:
        yield f"[{where}] 'null' values are not allowed in templates"
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _nulls(each, f"{where}/{key}")
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _nulls(each, f"{where}/{number}")


def _member_problems(template: Json) -> Iterator[str]:
    for error in _validator("template").iter_errors(template):
        if error.validator == "additionalProperties":
            yield f"Invalid template property or properties [{error.path[-1]}]"
        elif error.validator == "required":
            yield "Template format error: At least one Resources member must be defined."
        elif list(error.path) == ["AWSTemplateFormatVersion"]:
            yield "Template format error: unsupported structure."
        else:
            yield f"Template format error: {error.message}"
    if not template.get("Resources"):
        yield "Template format error: At least one Resources member must be defined."
    for section, noun in SECTIONS.items():
        for error in _validator(section.lower()).iter_errors(template.get(section) or {}):
            yield _member_problem(section, noun, error)


def _member_problem(section: str, noun: str, error: Any) -> str:
    path = [section, *map(str, error.path)]
    if error.validator == "additionalProperties" and len(path) == 2:
        return f"Template format error: {noun} name {path[-1]} is non alphanumeric."
    if error.validator == "additionalProperties":
        return f"Invalid template {noun.lower()} property '{path[-1]}'"
    if error.validator == "required":
        missing = error.message.split("'")[1]
        return (
            f"Template format error: [/{'/'.join(path)}] Every {section} object must contain a "
            f"{missing} member."
        )
    return f"Template format error: [/{'/'.join(path)}] {error.message}"


@functools.cache
def _validator(section: str) -> Any:
    # Importing cfn-lint takes half a second.
    from cfnlint.helpers import load_resource
    from cfnlint.jsonschema import StandardValidator
    from cfnlint.jsonschema._keywords_cfn import cfn_type

    schema = load_resource(f"cfnlint.data.schemas.other.{section}", "configuration.json")
    extended = StandardValidator({}).extend(validators={"type": cfn_type})
    validator = extended(schema=schema)
    return validator.evolve(context=validator.context.evolve(strict_types=False, functions=[]))


def _value_problems(template: Json) -> Iterator[str]:
    from cfnlint.helpers import VALID_PARAMETER_TYPES

    for parameter in (template.get("Parameters") or {}).values():
        if parameter["Type"] not in VALID_PARAMETER_TYPES:
            yield f"Template format error: Unrecognized parameter type: {parameter['Type']}"
    for logical_id, resource in template["Resources"].items():
        for attribute, permitted in POLICIES.items():
            policy = resource.get(attribute, "Delete")
            if isinstance(policy, str) and policy not in permitted:
                yield f"Unrecognized {attribute} {policy} for resource {logical_id}"
            elif policy == "Snapshot":
                # None of the resource types that are offered has snapshots.
                yield (
                    f"Template error: resource type {resource['Type']} does not support "
                    f"{'deletion' if attribute == 'DeletionPolicy' else 'update replace'} policy "
                    "Snapshot"
                )
    duplicates = sorted({*template["Resources"]} & {*(template.get("Parameters") or {})})
    if duplicates:
        yield (
            f"Template format error: Duplicate name{'s' if duplicates[1:] else ''} "
            f"[{', '.join(duplicates)}] in the Parameters and Resources blocks of the template"
        )
    for section in ("Conditions", "Outputs", "Resources"):
        for function in sorted(set(_unknown_functions(template.get(section) or {}))):
            yield f"Template error: Encountered unsupported function: {function}"


def _unknown_functions(value: Any) -> Iterator[str]:
    from cfnlint.helpers import FUNCTION_CONDITIONS, FUNCTIONS

    if isinstance(value, list):
        for each in value:
            yield from _unknown_functions(each)
    elif isinstance(value, dict):
        for key, each in value.items():
            if key.startswith("Fn::") and key not in FUNCTIONS | FUNCTION_CONDITIONS:
                yield key
            yield from _unknown_functions(each)


# --- References ---


def _reference_problems(template: Json) -> Iterator[str]:
    resources, conditions = template["Resources"], template.get("Conditions") or {}
    names = {*resources, *(template.get("Parameters") or {})}
    for section in ("Resources", "Outputs"):
        members = template.get(section) or {}
        missing = sorted(_unresolved(members, names, resources))
        if missing:
            yield (
                f"Template format error: Unresolved resource dependencies [{', '.join(missing)}] "
                f"in the {section} block of the template"
            )
        for condition in sorted(set(_conditions(members)) - set(conditions)):
            yield (
                f"Template format error: Unresolved condition dependency {condition} in the "
                f"{section} block of the template"
            )
    for name in sorted(_referenced(conditions) - {*(template.get("Parameters") or {})}):
        yield (
            f"Template format error: Unresolved dependencies [{name}]. Cannot reference resources "
            "in the Conditions block of the template"
        )


def _referenced(value: Any) -> set[str]:
    """The names that intrinsic functions refer to, without pseudo parameters."""
    return {
        name for name, _ in _engine._intrinsic_references(value) if not name.startswith("AWS::")
    }


def _unresolved(section: Json, names: set[str], resources: Json) -> set[str]:
    """The names that a section refers to and the template does not have."""
    depended = {name for member in section.values() for name in _listed(member.get("DependsOn"))}
    with_attributes = {
        name for name, attribute in _engine._intrinsic_references(section) if attribute
    }
    return (_referenced(section) - names) | ((depended | with_attributes) - set(resources))


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def _conditions(members: Json) -> Iterator[str]:
    """The conditions of a section's members, and those of Fn::If in them."""
    for member in members.values():
        if isinstance(member.get("Condition"), str):
            yield member["Condition"]
        yield from _tested(member)


def _tested(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _tested(each)
    elif isinstance(value, dict):
        for key, each in value.items():
            if key == "Fn::If" and isinstance(each, list) and each and isinstance(each[0], str):
                yield each[0]
            yield from _tested(each)
