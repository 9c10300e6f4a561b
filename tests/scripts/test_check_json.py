from __future__ import annotations

from pathlib import Path

import pytest

from scripts import check_json


def test_valid_json_has_no_fault() -> None:
    assert check_json.fault_of('{"a": [{"b": 1}, {"b": 2}]}') is None


def test_json_that_does_not_parse_is_a_fault() -> None:
    assert "line 1" in (check_json.fault_of('{"a": }') or "")


def test_a_key_that_is_there_twice_is_a_fault_at_any_depth() -> None:
    assert check_json.fault_of('{"States": {"A": 1, "A": 2}}') == "A is there twice"


def test_each_file_with_a_fault_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text("{}")
    bad.write_text("{")
    assert check_json.main([str(good), str(bad)]) == 1
    assert capsys.readouterr().out.startswith(f"{bad}: ")
    assert check_json.main([str(good)]) == 0
