from __future__ import annotations

from typing import Any

import pytest

from scripts import describe_updates, templates
from scripts.describe_updates import effects

SOURCE = 'FIXED = ("pMode",)\nMODIFIABLE = ("pDays",)\n'
TEMPLATE: dict[str, Any] = {
    "Parameters": dict.fromkeys(["pSystem", "pMode", "pDays", "pImage", "pOwnImage", "pReconcile"]),
    "Resources": {
        "rCustom": {
            "Type": "Custom::Thing",
            "Properties": {"ServiceToken": {"Fn::GetAtt": ["rFunction", "Arn"]}},
        },
        "rFunction": {
            "Type": "AWS::Lambda::Function",
            "Properties": {"FunctionName": {"Fn::Sub": "${pSystem}-request"}},
        },
        "rClient": {
            "Type": "AWS::EC2::Instance",
            "Properties": {
                "ImageId": {"Fn::If": ["cHasOwn", {"Ref": "pOwnImage"}, {"Ref": "pImage"}]},
                "Tags": [{"Key": "Name", "Value": {"Ref": "pReconcile"}}],
            },
        },
    },
}
STATED = {"pReconcile": "Repairs drift."}


def test_effects_follow_from_template_functions_and_schemas() -> None:
    found = effects(TEMPLATE, SOURCE, STATED)
    assert list(found) == list(TEMPLATE["Parameters"])
    assert "Rejected by CloudFormation" in found["pSystem"]
    assert "then rolls back" in found["pSystem"]
    assert found["pMode"].startswith("Rejected: AWS cannot change it.")
    assert found["pDays"] == "Changed in place."
    assert found["pImage"] == found["pOwnImage"] == "Replaces `rClient`."
    assert found["pReconcile"] == "Repairs drift."


def test_a_parameter_without_an_effect_is_rejected() -> None:
    with pytest.raises(ValueError, match="no known effect of an update of pReconcile"):
        effects(TEMPLATE, SOURCE, {})


def test_an_effect_of_an_unknown_parameter_is_rejected() -> None:
    with pytest.raises(KeyError, match="pGone"):
        effects(TEMPLATE, SOURCE, {**STATED, "pGone": "No effect."})


def test_a_missing_constant_is_rejected() -> None:
    with pytest.raises(ValueError, match="FIXED is not defined"):
        describe_updates.constant("MODIFIABLE = ()", "FIXED")


def test_the_repository_s_templates_are_described() -> None:
    text = describe_updates.updates(templates.load_all(), describe_updates.PROPERTIES.read_text())
    assert "| `pMode` | Rejected: AWS cannot change it." in text
    assert "| `pClientSubnet` | Replaces `rClientInstance`. |" in text
    assert "| `pEnvPurpose` | Rejected by CloudFormation" in text
