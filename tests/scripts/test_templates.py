from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts import templates


def test_short_form_functions_are_loaded_in_long_form(tmp_path: Path) -> None:
    path = tmp_path / "template.yml"
    path.write_text(
        """
        A: !Ref pSystem
        B: !GetAtt rRole.Arn
        C: !Sub "${pSystem}-1"
        D: !If [cHasBackup, !Ref pBackupId, !Ref AWS::NoValue]
        E: !Not [!Equals [!Ref pBackupId, '']]
        F: !Condition cHasBackup
        G: !Transform {Name: AWS::Include}
        """
    )
    assert templates.load(path) == {
        "A": {"Ref": "pSystem"},
        "B": {"Fn::GetAtt": ["rRole", "Arn"]},
        "C": {"Fn::Sub": "${pSystem}-1"},
        "D": {"Fn::If": ["cHasBackup", {"Ref": "pBackupId"}, {"Ref": "AWS::NoValue"}]},
        "E": {"Fn::Not": [{"Fn::Equals": [{"Ref": "pBackupId"}, ""]}]},
        "F": {"Condition": "cHasBackup"},
        "G": {"Fn::Transform": {"Name": "AWS::Include"}},
    }


def test_loading_leaves_the_safe_loader_of_yaml_unchanged() -> None:
    assert "!" not in yaml.SafeLoader.yaml_multi_constructors


def test_templates_are_sorted_by_name_without_extension(tmp_path: Path) -> None:
    for name in "b-more.yml", "b.yml", "a.yml", "other.json":
        (tmp_path / name).touch()
    assert [path.name for path in templates.all_paths(tmp_path)] == ["a.yml", "b.yml", "b-more.yml"]


def test_all_templates_of_the_repository_are_loaded() -> None:
    assert {"cloudhsm.yml", "cloudhsm-key-store.yml"} <= set(templates.load_all())


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ({"Ref": "pSystem"}, {"pSystem"}),
        ({"Fn::GetAtt": ["rRole", "Arn"]}, {"rRole"}),
        ({"Fn::Sub": "${pSystem}-${rRole.Arn}-${!Literal}"}, {"pSystem", "rRole"}),
        ({"Fn::If": ["cHasBackup", {"Ref": "pBackupId"}, ""]}, {"cHasBackup", "pBackupId"}),
        ({"Condition": "cHasBackup"}, {"cHasBackup"}),
        ([{"Fn::Not": [{"Fn::Equals": [{"Ref": "pMode"}, "x"]}]}], {"pMode"}),
        ("plain ${text}", set()),
    ],
)
def test_references_are_found_in_every_function(value: Any, names: set[str]) -> None:
    assert templates.references(value) == names
