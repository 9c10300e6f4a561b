from __future__ import annotations

from pathlib import Path

import yaml

from scripts import templates


def test_short_functions_are_read_as_long_ones(tmp_path: Path) -> None:
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


def test_reading_does_not_change_how_yaml_is_read_elsewhere() -> None:
    assert "!" not in yaml.SafeLoader.yaml_multi_constructors


def test_the_shorter_name_comes_first(tmp_path: Path) -> None:
    for name in "b-more.yml", "b.yml", "a.yml", "other.json":
        (tmp_path / name).touch()
    assert [path.name for path in templates.all_paths(tmp_path)] == ["a.yml", "b.yml", "b-more.yml"]


def test_all_templates_of_the_repository_are_found() -> None:
    assert Path("templates/cloudhsm.yml") in templates.all_paths()
