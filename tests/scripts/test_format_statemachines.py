from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scripts import format_statemachines
from scripts.format_statemachines import formatted

FORMATTED = """\
{
  "Comment": "Creates the first HSM.", "StartAt": "CreateHsm", "TimeoutSeconds": 3200,
  "States": {
    "CreateHsm": {
      "Type": "Task", "Resource": "${HsmFunctionArn}", "ResultPath": null, "TimeoutSeconds": 60,
      "Retry": [{
        "ErrorEquals": [
          "Lambda.ClientExecutionTimeoutException", "Lambda.AWSLambdaException", "Lambda.Unknown",
          "TransientError"
        ],
        "IntervalSeconds": 2, "BackoffRate": 2, "MaxAttempts": 6
      }],
      "Next": "IsHsmActive"
    },
    "IsHsmActive": {
      "Type": "Choice",
      "Choices": [
        {"Variable": "$.Hsm.State", "StringEquals": "ACTIVE", "Next": "ReportHsm"},
        {"Variable": "$.Hsm.State", "StringEquals": "DEGRADED", "Next": "HsmUnhealthy"}
      ],
      "Default": "WaitForHsm"
    },
    "WaitForHsm": {"Type": "Wait", "Seconds": 15, "Next": "CreateHsm"}
  }
}
"""


@pytest.mark.parametrize("indent", [None, 2, 8])
def test_the_format_depends_on_the_content_only(indent: int | None) -> None:
    assert formatted(json.dumps(json.loads(FORMATTED), indent=indent)) == FORMATTED


def test_keys_keep_their_order_and_text_its_characters() -> None:
    assert formatted('{"b": "§ 6", "a": []}') == '{"b": "§ 6", "a": []}\n'


@pytest.mark.parametrize(("spare", "lines"), [(0, 1), (1, 3)])
def test_a_line_has_100_columns_at_most(spare: int, lines: int) -> None:
    value = {"a": "x" * (100 - len('{"a": ""}') + spare)}
    assert len(formatted(json.dumps(value)).splitlines()) == lines


@pytest.mark.parametrize(("spare", "joins"), [(0, True), (1, False)])
def test_a_value_joins_a_line_only_if_it_fits(spare: int, joins: bool) -> None:
    value: list[Any] = ["x" * (100 - len('  "", "b",') + spare), "b", "y" * 80]
    first = formatted(json.dumps(value)).splitlines()[1]
    assert first.endswith('"b",') == joins
    assert len(first) <= 100


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"a": }', "line 1"),
        ('{"States": {"A": 1, "A": 2}}', "duplicate keys: A"),
        ('{"a": NaN}', "NaN is not JSON"),
    ],
)
def test_text_that_is_not_json_or_repeats_a_key_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        formatted(text)


def test_check_names_each_file_that_is_invalid_or_not_formatted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"good.json": FORMATTED, "loose.json": '{"a":1}', "invalid.json": '{"a": 1, "a": 1}'}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    paths = [str(tmp_path / name) for name in files]
    assert format_statemachines.main(["--check", *paths]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path / 'loose.json'}: not formatted, run `make format`",
        f"{tmp_path / 'invalid.json'}: duplicate keys: a",
    ]
    assert {name: (tmp_path / name).read_text() for name in files} == files
    assert format_statemachines.main(["--check", paths[0]]) == 0


def test_formatting_rewrites_valid_files_and_names_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loose, invalid = tmp_path / "loose.json", tmp_path / "invalid.json"
    loose.write_text('{"a":1}')
    invalid.write_text("{")
    assert format_statemachines.main([str(loose), str(invalid)]) == 1
    assert loose.read_text() == '{"a": 1}\n'
    assert invalid.read_text() == "{"
    assert capsys.readouterr().out.startswith(f"{invalid}: ")
    assert format_statemachines.main(["--check", str(loose)]) == 0
