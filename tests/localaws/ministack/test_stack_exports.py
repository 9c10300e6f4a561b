"""Exports: one stack has a name, and those in use stay as they are."""

from __future__ import annotations

from typing import Any

from localaws.client import LocalAws
from tests.localaws.ministack.support import SampleStack, unique_name

Json = dict[str, Any]


def _parameter(value: Any) -> Json:
    return {"P": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": value}}}


def _export(name: str) -> Json:
    return {"Outputs": {"O": {"Value": {"Fn::GetAtt": "P.Value"}, "Export": {"Name": name}}}}


def test_an_export_in_use_is_neither_changed_nor_removed(aws: LocalAws, stack: SampleStack) -> None:
    name, user = unique_name("export"), SampleStack(aws)
    stack.create(_parameter("one"), **_export(name))
    assert user.create(_parameter({"Fn::ImportValue": name})) == "CREATE_COMPLETE"
    assert stack.update(_parameter("two"), **_export(name)) == "UPDATE_ROLLBACK_COMPLETE"
    assert stack.update(_parameter("two")) == "UPDATE_ROLLBACK_COMPLETE"
    assert stack.reasons(stack.name) == [
        f"Export {name} cannot be updated as it is in use by {user.name}",
        f"Export {name} cannot be deleted as it is in use by {user.name}",
    ]
    user.delete()
    assert stack.update(_parameter("two")) == "UPDATE_COMPLETE"
    assert name not in [
        each["Name"] for each in aws.client("cloudformation").list_exports()["Exports"]
    ]


def test_an_export_has_one_stack(aws: LocalAws, stack: SampleStack) -> None:
    name, other = unique_name("export"), SampleStack(aws)
    stack.create(_parameter("one"), **_export(name))
    assert other.create(_parameter("two"), **_export(name)) == "ROLLBACK_COMPLETE"
    assert other.reason(other.name) == (
        f"Export with name {name} is already exported by stack {stack.name}."
    )
    other.delete()
