"""Stacks of every released version can be updated with the current templates.

CloudFormation cannot update what these tests compare; a stack would have to be deleted instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from tests.templates.template import ROOT, TEMPLATES, Template, references

Pair = tuple[Template, Template]

RELEASED = ROOT / "tests" / "fixtures" / "released"
# Each released template, and the current one.
PAIRS = [
    pytest.param(
        (Template(directory / "templates" / template.name), template),
        id=f"{directory.name}-{template.name}",
    )
    for directory in sorted(RELEASED.iterdir())
    for template in TEMPLATES
]
# Resources that an upgrade may replace, with the reason; nothing else refers to them by name.
MAY_BE_REPLACED: dict[str, str] = {}
# Properties that hold a physical name, which is unique in the account and Region.
NAMES = ("FunctionName", "StateMachineName", "LogGroupName", "GroupName", "RoleName", "Name")


def shared(pair: Pair) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """The logical id of each resource in both templates, and the resource in each."""
    old, new = pair
    for logical_id in old.resources.keys() & new.resources.keys():
        yield logical_id, old.resources[logical_id], new.resources[logical_id]


def physical_names(template: Template) -> dict[tuple[str, str], str]:
    """The logical id of each resource that has a name, by type and name."""
    return {
        (resource["Type"], str(resource["Properties"][name])): logical_id
        for logical_id, resource in template.resources.items()
        for name in NAMES
        if name in resource.get("Properties", {})
    }


def create_only(kind: str) -> list[str]:
    """The top-level properties of a resource type whose change replaces the resource."""
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
    pointers = schema.get("createOnlyProperties", [])
    return [pointer.split("/")[2] for pointer in pointers]


@pytest.mark.parametrize("pair", PAIRS)
def test_the_custom_resource_keeps_its_logical_id_and_type(pair: Pair) -> None:
    old, new = pair
    assert new.custom_resource == old.custom_resource
    assert new.resources[new.custom_resource]["Type"] == old.resources[old.custom_resource]["Type"]


@pytest.mark.parametrize("pair", PAIRS)
def test_the_service_token_remains_the_same_function(pair: Pair) -> None:
    # "Modifying service token is not allowed" (F6.11).
    tokens = [
        template.resources[template.custom_resource]["Properties"]["ServiceToken"]
        for template in pair
    ]
    assert tokens[0] == tokens[1]
    (function,) = references(tokens[0])
    names = [template.resources[function]["Properties"]["FunctionName"] for template in pair]
    assert names[0] == names[1]


@pytest.mark.parametrize("pair", PAIRS)
def test_no_resource_changes_its_type(pair: Pair) -> None:
    changed = [name for name, old, new in shared(pair) if old["Type"] != new["Type"]]
    assert changed == []


@pytest.mark.parametrize("pair", PAIRS)
def test_a_physical_name_stays_with_its_logical_id(pair: Pair) -> None:
    # CloudFormation creates the new resource before it deletes the old one: "already exists".
    old, new = map(physical_names, pair)
    assert {key: new[key] for key in old.keys() & new.keys()} == {
        key: old[key] for key in old.keys() & new.keys()
    }


@pytest.mark.parametrize("pair", PAIRS)
def test_no_property_changes_that_replaces_the_resource(pair: Pair) -> None:
    # A replaced function or state machine that has a name fails the update; a replaced security
    # group or instance disconnects those who use it.
    changed = [
        f"{name}.{property_name}"
        for name, old, new in shared(pair)
        if not old["Type"].startswith("Custom::") and name not in MAY_BE_REPLACED
        for property_name in create_only(old["Type"])
        if old.get("Properties", {}).get(property_name)
        != new.get("Properties", {}).get(property_name)
    ]
    assert changed == []


@pytest.mark.parametrize("pair", PAIRS)
def test_new_parameters_have_defaults_and_none_is_removed(pair: Pair) -> None:
    old, new = pair
    assert [name for name in old.parameters if name not in new.parameters] == []
    assert [
        name
        for name, parameter in new.parameters.items()
        if name not in old.parameters and "Default" not in parameter
    ] == []


# Parameters whose pattern accepts less, and why no stack has a value that it rejects.
NARROWED = {
    "pClientPkgUrl": "it takes s3 URLs as well",
    "pClientType": "EC2 has no instance type of another form",
    "pReconcile": "every update of it sets a new value anyway",
}


@pytest.mark.parametrize("pair", PAIRS)
def test_parameters_accept_every_value_that_they_accepted(pair: Pair) -> None:
    old, new = pair

    def narrowed(before: dict[str, Any], after: dict[str, Any]) -> bool:
        return (
            before["Type"] != after["Type"]
            or not _is_within(before.get("AllowedValues"), after.get("AllowedValues"))
            # Whether another pattern accepts more is not decided here.
            or after.get("AllowedPattern") not in (None, before.get("AllowedPattern"))
            or after.get("MinValue", 0) > before.get("MinValue", 0)
            or after.get("MaxValue", float("inf")) < before.get("MaxValue", float("inf"))
        )

    assert [
        name
        for name in old.parameters
        if name not in NARROWED and narrowed(old.parameters[name], new.parameters[name])
    ] == []


def _is_within(before: list[str] | None, after: list[str] | None) -> bool:
    return after is None or (before is not None and set(before) <= set(after))


@pytest.mark.parametrize("pair", PAIRS)
def test_no_output_is_removed(pair: Pair) -> None:
    old, new = pair
    assert [name for name in old.outputs if name not in new.outputs] == []
