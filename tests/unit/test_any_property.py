"""Any properties are refused by a parameter's name, or are those that a template could send."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hsm_lifecycle import property_rules
from hsm_lifecycle.errors import ParameterError
from hsm_lifecycle.properties import ClusterProperties
from tests.support import bad_input
from tests.support.bad_input import MISSING
from tests.support.resource_properties import resource_properties
from tests.templates.template import TEMPLATES

LABELS = {
    *(name for template in TEMPLATES for name in template.parameters),
    *(name for names in property_rules.WITHOUT_PARAMETER.values() for name in names),
}
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([*bad_input.TEXTS.values(), *bad_input.NUMBERS.values()])
    | st.integers(-2, 400).map(str)
    | st.from_regex(r"[a-z][a-z0-9-]{0,21}", fullmatch=True)
    | st.from_regex(r"https://[a-z./%@?;]{1,9}\.rpm", fullmatch=True)
    | st.from_regex(r"(subnet|i|sg|backup|cluster)-[0-9a-f]{7,18}", fullmatch=True)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["Name", "Url", "Sha256"]) | st.text(), inner, max_size=4)
    ),
    max_leaves=6,
)


@st.composite
def changed(draw: st.DrawFn, logical_id: str) -> dict[str, Any]:
    """Valid properties with some values changed, removed, added, or changed inside."""
    properties = copy.deepcopy(resource_properties(bad_input.RESOURCES[logical_id]))
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(sorted(properties)) | st.text())
        value = draw(VALUES | st.just(MISSING))
        inside = properties.get(name)
        if isinstance(inside, dict) and inside and draw(st.booleans()):
            inside[draw(st.sampled_from(sorted(inside)))] = draw(VALUES)
        elif value is MISSING:
            properties.pop(name, None)
        else:
            properties[name] = value
        if not properties:
            break
    return properties


def leaves(value: Any) -> list[Any]:
    """Everything in a value that is neither a list nor an object."""
    if isinstance(value, dict):
        return [leaf for each in value.values() for leaf in leaves(each)]
    if isinstance(value, list):
        return [leaf for each in value for leaf in leaves(each)]
    return [value]


@given(data=st.data(), logical_id=st.sampled_from(sorted(bad_input.RESOURCES)))
def test_any_property_is_refused_by_name_or_a_template_could_send_it(
    data: st.DataObject, logical_id: str
) -> None:
    properties = data.draw(changed(logical_id))
    try:
        property_rules.check(logical_id, properties)
    except ParameterError as error:
        label, _, rest = str(error).partition(": ")
        assert label in LABELS
        assert rest.isprintable()
        assert len(rest) < 140
        return
    rules = property_rules.RULES[logical_id]
    for name in rules:
        for leaf in leaves(properties[name]):
            # Nothing that means something to a shell, to JSON, to IAM or to CloudFormation.
            assert isinstance(leaf, str)
            assert not set(leaf) & set("{}")
            if name != "Reconcile":
                assert leaf.isascii()
                assert leaf.isprintable()
                assert not set(leaf) & set("$`;|&<>()'\"\\*?!#[]^\t\n")


@given(properties=changed("rCloudHsmCluster"))
def test_any_properties_can_be_parsed_or_are_refused(properties: dict[str, Any]) -> None:
    try:
        parsed = ClusterProperties.parse(properties)
    except ParameterError:
        return
    assert 0 <= parsed.hsms_per_subnet * len(parsed.subnets) <= 28
    assert 7 <= parsed.backup_retention_days <= 379
