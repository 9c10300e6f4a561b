from __future__ import annotations

from typing import Any

import pytest

from scripts import describe_changes as describe
from scripts import describe_templates

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
SAID = {"pReconcile": "Repaired."}


def test_what_an_update_does_follows_from_template_and_code() -> None:
    effects = describe.effects(TEMPLATE, SOURCE, SAID)
    assert list(effects) == list(TEMPLATE["Parameters"])
    assert "Refused by CloudFormation" in effects["pSystem"]
    assert effects["pMode"].startswith("Refused, because AWS cannot change it.")
    assert effects["pDays"] == "Changed in place."
    assert effects["pImage"] == effects["pOwnImage"] == "`rClient` is replaced."
    assert effects["pReconcile"] == "Repaired."


def test_a_parameter_of_which_nothing_is_known_is_refused() -> None:
    with pytest.raises(ValueError, match="what does an update of pReconcile do"):
        describe.effects(TEMPLATE, SOURCE, {})


def test_a_sentence_about_a_parameter_that_does_not_exist_is_refused() -> None:
    with pytest.raises(KeyError, match="pGone"):
        describe.effects(TEMPLATE, SOURCE, {**SAID, "pGone": "Nothing."})


def test_a_constant_that_is_not_there_is_missed() -> None:
    with pytest.raises(ValueError, match="there is no FIXED"):
        describe.constant("MODIFIABLE = ()", "FIXED")


def test_the_repositorys_own_templates_can_be_described() -> None:
    text = describe.changes(describe_templates.all_templates(), describe.PROPERTIES.read_text())
    assert "| `pMode` | Refused, because AWS cannot change it." in text
    assert "| `pClientSubnet` | `rClientInstance` is replaced. |" in text
    assert "| `pEnvPurpose` | Refused by CloudFormation" in text
