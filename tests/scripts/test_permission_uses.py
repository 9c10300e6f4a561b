from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts import permission_uses, templates
from scripts.permission_uses import granted, merged, recorded, shortened

TEMPLATES = templates.load_all()


def test_every_granted_action_is_recorded_as_used() -> None:
    # A new permission: run what needs it, then `python -m scripts.permission_uses`.
    assert {*granted(TEMPLATES)} - {*recorded()} == set()
    assert [grant for grant, runs in recorded().items() if not runs] == []


def test_nothing_is_recorded_that_is_not_granted_any_more() -> None:
    assert {*recorded()} - {*granted(TEMPLATES)} == set()


def test_runs_are_merged_by_template_role_statement_and_action(tmp_path: Path) -> None:
    use = ["Custom::CloudHsmCluster", "rClusterRole", "DeleteHsms", "cloudhsm:DeleteHsm"]
    old = ["Custom::CloudHsmCluster", "rClusterRole", "OfAnOlderVersion", "cloudhsm:DeleteHsm"]
    for name, uses in {"standard": [use, old], "hsm-drift": [use]}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(uses))
    found = merged(TEMPLATES, tmp_path)
    grant = "cloudhsm rClusterRole DeleteHsms cloudhsm:DeleteHsm"
    assert found[grant] == ["hsm-drift", "standard"]
    assert {each for each, runs in found.items() if runs} == {grant}
    assert [*found] == granted(TEMPLATES)


def test_a_few_runs_are_named_and_the_others_counted() -> None:
    assert shortened({"a": ["x"], "b": [*"uvwxyz"]}) == {"a": ["x"], "b": ["u", "v", "w", "3"]}


def test_an_action_that_no_run_used_fails_the_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(permission_uses, "RUNS", tmp_path)
    monkeypatch.setattr(permission_uses, "RECORDING", tmp_path / "recording.json")
    assert permission_uses.main() == 1
    assert "used by no run: cloudhsm rClusterRole DeleteHsms" in capsys.readouterr().err
    assert not (tmp_path / "recording.json").exists()


def test_a_partial_run_adds_to_the_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permission_uses, "RUNS", tmp_path)
    monkeypatch.setattr(permission_uses, "RECORDING", tmp_path / "recording")
    known, *others = granted(TEMPLATES)
    (tmp_path / "recording").write_text(json.dumps({known: ["standard", "7"], "gone": ["a"]}))
    kinds = {
        "cloudhsm": "Custom::CloudHsmCluster",
        "cloudhsm-key-store": "Custom::CloudHsmKeyStore",
    }
    uses = [[kinds[grant.split()[0]], *grant.split()[1:]] for grant in (known, *others)]
    (tmp_path / "hsm-drift.json").write_text(json.dumps(uses))
    assert permission_uses.main() == 0
    found = recorded()
    assert found.pop(known) == ["standard", "7"]
    assert found == {grant: ["hsm-drift"] for grant in others}
