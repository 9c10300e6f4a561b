"""The parameter files in examples/ fit the templates: names, constraints and rules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts import templates
from scripts.preflight.parameters import Resolver, constraint_problems, values
from tests.templates.template import ROOT

EXAMPLES = ROOT / "examples"
FILES = sorted((EXAMPLES / "parameters").glob("*.json"))


def given(path: Path) -> dict[str, str]:
    return {each["ParameterKey"]: each["ParameterValue"] for each in json.loads(path.read_text())}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_parameter_file_fits_its_template(path: Path) -> None:
    name = "cloudhsm-key-store.yml" if path.stem.startswith("key-store") else "cloudhsm.yml"
    template = templates.load(ROOT / "templates" / name)
    parameters = template["Parameters"]
    assert sorted(set(given(path)) - set(parameters)) == []
    chosen = values(template, given(path))
    assert sorted(set(parameters) - set(chosen)) == []
    assert [*constraint_problems(template, chosen)] == []
    assert [*Resolver(template, chosen, {}).broken_rules()] == []


def test_every_example_is_in_the_table() -> None:
    text = (EXAMPLES / "README.md").read_text()
    paths = [path.relative_to(EXAMPLES).as_posix() for path in FILES]
    assert paths
    assert [path for path in paths if f"]({path})" not in text] == []
