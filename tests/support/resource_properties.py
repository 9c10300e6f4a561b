"""The custom resource's properties as CloudFormation sends them, read from the template.

The one source of the contract between templates, state machines and functions: a test that needs
`ResourceProperties` takes the shape and the defaults from here.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

from tests.templates.template import ROOT, Template

CLUSTER, KEY_STORE = "cloudhsm.yml", "cloudhsm-key-store.yml"

# Values of the parameters that have no default, and of what only CloudFormation knows.
_PARAMETERS: dict[str, Any] = {
    "pSubnets": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
    "pKeyStoreName": "keys",
    "pCloudHsmClusterId": "cluster-abcdefg2345",
    "pCloudHsmAdminPasswordSecretName": "/cloudhsm/admin",
    "pCloudHsmCustCaCertSecretName": "/cloudhsm/ca",
    "pClientInstanceId": "i-0123456789abcdef0",
    "pClientAmiSsmParameter": "ami-0123456789abcdef0",
    "pClientSubnet": "subnet-0123456789abcdef0",
}
_ATTRIBUTES = {
    "rRequestFunction.Arn": "arn:aws:lambda:us-east-1:123456789012:function:cloudhsm-1-request",
    "rClientSecurityGroup.GroupId": "sg-0123456789abcdef0",
}


def resource_properties(template: str, **overrides: Any) -> dict[str, Any]:
    """What a custom resource of the template file `template` is sent.

    Overrides name template parameters (pMode="NON_FIPS") or properties (Mode="NON_FIPS"). Every
    value is a string, a list of strings or an object of these. KeyError: neither exists.
    """
    source = _template(template)
    parameters = {
        name: overrides.pop(name, _PARAMETERS.get(name, parameter.get("Default")))
        for name, parameter in source.parameters.items()
    }
    properties = source.resources[source.custom_resource]["Properties"]
    if unknown := overrides.keys() - properties.keys():
        raise KeyError(f"{template} has no parameter or property {', '.join(sorted(unknown))}")
    sent: dict[str, Any] = _evaluate(properties, parameters, source.body.get("Conditions", {}))
    return {**sent, **overrides}


@functools.cache
def _template(name: str) -> Template:
    return Template(ROOT / "templates" / name)


def _evaluate(value: Any, parameters: Mapping[str, Any], conditions: Mapping[str, Any]) -> Any:
    """The value of a template expression, numbers as strings like CloudFormation sends them."""

    def of(part: Any) -> Any:
        return _evaluate(part, parameters, conditions)

    match value:
        case {"Ref": name}:
            return of(parameters[name] if name in parameters else _ATTRIBUTES[name])
        case {"Fn::GetAtt": path}:
            return _ATTRIBUTES[".".join(path)]
        case {"Fn::Sub": text}:
            return re.sub(r"\$\{(\w+)\}", lambda found: str(parameters[found[1]]), text)
        case {"Fn::If": [condition, yes, no]}:
            return of(yes if of(conditions[condition]) else no)
        case {"Condition": name}:
            return of(conditions[name])
        case {"Fn::Equals": [one, other]}:
            return of(one) == of(other)
        case {"Fn::Not": [condition]}:
            return not of(condition)
        case {"Fn::And": parts}:
            return all(of(part) for part in parts)
        case dict():
            return {key: of(part) for key, part in value.items()}
        case list():
            return [of(part) for part in value]
    return str(value)
