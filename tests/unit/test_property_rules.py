"""The properties of both custom resources: what the template allows is accepted, nothing else."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from hsm_lifecycle import property_rules
from hsm_lifecycle.errors import ParameterError
from tests.support import bad_input
from tests.support.resource_properties import resource_properties
from tests.templates.template import TEMPLATES, Template, references

# Patterns of AWS's own parameter types, whose values CloudFormation looks up.
OF_AWS = {
    "AWS::EC2::Subnet::Id": "subnet-[0-9a-f]{8,17}",
    "List<AWS::EC2::Subnet::Id>": "subnet-[0-9a-f]{8,17}",
    "AWS::EC2::Instance::Id": "i-[0-9a-f]{8,17}",
}
# No partition may be hard-coded in functions.
PARTITION = ("arn:[a-z-]+:", "arn:aws(-us-gov)?:")


def rules(rules_: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Each rule and the path of its property."""
    for name, rule in rules_.items():
        if isinstance(rule, Mapping):
            yield from rules(rule, f"{prefix}{name}.")
        else:
            yield prefix + name, rule


def described(rule: Any) -> str:
    """A rule as a parameter's constraint would say it."""
    if isinstance(rule, range):
        return f"{rule[0]} to {rule[-1]}"
    pattern: re.Pattern[str] = rule[0] if isinstance(rule, list) else rule
    text = pattern.pattern.replace(*PARTITION)
    return f"empty or {text[1:]}" if text.startswith("|") else text


def constraint(parameter: Mapping[str, Any]) -> str:
    """The constraint of a parameter."""
    if parameter["Type"] in OF_AWS:
        return OF_AWS[parameter["Type"]]
    if "AllowedValues" in parameter:
        return "|".join(parameter["AllowedValues"])
    if parameter["Type"] == "Number":
        return f"{parameter['MinValue']} to {parameter['MaxValue']}"
    pattern = str(parameter["AllowedPattern"])
    is_optional = pattern.startswith("^$|")
    text = pattern.removeprefix("^$|").removeprefix("^").removesuffix("$")
    return f"empty or {text}" if is_optional else text


@pytest.mark.parametrize("template", TEMPLATES, ids=str)
def test_the_rules_are_the_constraints_of_the_parameters(template: Template) -> None:
    logical_id = template.custom_resource
    properties = template.resources[logical_id]["Properties"]
    checked = dict(rules(property_rules.RULES[logical_id]))
    compared, without_parameter = [], set()
    for path, rule in checked.items():
        value: Any = properties
        for name in path.split("."):
            value = value[name]
        parameters = references(value) & template.parameters.keys()
        if len(parameters) == 1:
            (name,) = parameters
            compared.append((path, described(rule), constraint(template.parameters[name])))
        else:
            without_parameter.add(path)
    assert [each for each in compared if each[1] != each[2]] == []
    assert len(compared) >= 6
    assert without_parameter == {*property_rules.WITHOUT_PARAMETER[logical_id]} | {
        path
        for path in checked
        # Always the CLI; one of two parameters, one of which names another.
        if path in ("ActivationPackage.Name", "Client.ImageId")
    }


@pytest.mark.parametrize("template", TEMPLATES, ids=str)
def test_every_property_of_the_template_has_a_rule(template: Template) -> None:
    properties = template.resources[template.custom_resource]["Properties"]
    without = {"ServiceToken", "ServiceTimeout", "TemplateVersion"}
    assert set(property_rules.RULES[template.custom_resource]) == set(properties) - without


def test_what_the_template_sends_is_accepted() -> None:
    for logical_id, template in bad_input.RESOURCES.items():
        valid = resource_properties(template)
        property_rules.check(logical_id, valid)
        # Another version may have further properties.
        property_rules.check(logical_id, {**valid, "Unknown": {"a": [None]}})


def test_every_bad_value_is_refused_by_the_name_of_its_parameter() -> None:
    accepted, unnamed = [], []
    for logical_id, name, what, properties in bad_input.properties():
        try:
            property_rules.check(logical_id, properties)
        except ParameterError as error:
            label = "pClientPkg" if name.endswith("Package") else name
            text = str(error)
            if not re.match(rf"p?{label}\w*: .{{1,120}}\.$", text) or not text.isprintable():
                unnamed.append((name, what, text))
        else:
            accepted.append((logical_id, name, what))
    assert (accepted, unnamed) == ([], [])


def test_limits_are_inclusive() -> None:
    limits = {"HsmsPerSubnet": (0, 28), "BackupRetentionDays": (7, 379)}
    for name, (lowest, highest) in limits.items():
        for number in range(lowest - 1, highest + 2):
            properties = resource_properties("cloudhsm.yml", **{name: str(number)})
            is_accepted = lowest <= number <= highest
            try:
                property_rules.check("rCloudHsmCluster", properties)
            except ParameterError:
                assert not is_accepted, (name, number)
            else:
                assert is_accepted, (name, number)


def test_another_resource_is_refused() -> None:
    for logical_id in ("", "rOther", "a" * 4096, "\ud83d"):
        with pytest.raises(ParameterError, match="is none of this template"):
            property_rules.check(logical_id, resource_properties("cloudhsm.yml"))


def test_the_first_bad_property_is_named() -> None:
    values = {"System": "A", "Mode": "fips", "Reconcile": "{"}
    for first, second in itertools.pairwise(values):
        properties = resource_properties("cloudhsm.yml", **{first: values[first], second: "{"})
        with pytest.raises(ParameterError, match=f"^p{first}: "):
            property_rules.check("rCloudHsmCluster", properties)
