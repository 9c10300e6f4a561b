"""How every SSM document is written, for its script runs as root with what it was given."""

from __future__ import annotations

import re
import re._parser as sre_parse  # type: ignore[import-not-found]  # it has no type information
from typing import Any

import pytest

from scripts import extract_scripts
from tests.templates.template import TEMPLATES, Template

# Inside single quotes a shell takes every character as it is, but for the quote that ends them.
HARMLESS = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 !#$%&()*+,-./:;<=>?@[]^_{|}~"
)
# What Java's patterns, with which SSM checks, and RE2, with which its agent does, have in common
# (F6.23): no look-around, back reference, possessive or lazy quantifier, class by letter.
_NOT_COMMON = re.compile(r"\(\?(?!:)|\\[1-9dDwWsSbBAZzQEpPkG]|[*+?}][+?]")

DOCUMENTS = [
    pytest.param(document, id=f"{template}-{logical_id}")
    for template in TEMPLATES
    for logical_id, document in template.of_type("AWS::SSM::Document").items()
]
PARAMETERS = [
    pytest.param(parameter, id=f"{template}-{logical_id}-{name}")
    for template in TEMPLATES
    for logical_id, document in template.of_type("AWS::SSM::Document").items()
    for name, parameter in document["Content"].get("parameters", {}).items()
]
SCRIPTS = [
    pytest.param(template.of_type("AWS::SSM::Document")[logical_id.split("-")[0]], step, id=name)
    for template in TEMPLATES
    for logical_id, document in template.of_type("AWS::SSM::Document").items()
    for step in document["Content"]["mainSteps"]
    for name in [f"{template}-{logical_id}-{step['name']}"]
]
in_every_document = pytest.mark.parametrize("document", DOCUMENTS)
in_every_parameter = pytest.mark.parametrize("parameter", PARAMETERS)
in_every_script = pytest.mark.parametrize(("document", "step"), SCRIPTS)


def let_through(pattern: str) -> set[str]:
    """Every character that can occur in a text which the pattern matches, as re itself reads it."""
    characters: set[str] = set()

    def read(parsed: Any) -> None:
        for operation, argument in parsed:
            kind = str(operation)
            if kind == "LITERAL":
                characters.add(chr(argument))
            elif kind == "RANGE":
                characters.update(map(chr, range(argument[0], argument[1] + 1)))
            elif kind == "IN":
                read(argument)
            elif kind in ("MAX_REPEAT", "SUBPATTERN"):
                read(argument[-1])
            elif kind == "BRANCH":
                for branch in argument[1]:
                    read(branch)
            elif kind != "AT":
                raise ValueError(f"{pattern} has {kind}, which lets too much through")

    read(sre_parse.parse(pattern))
    return characters


def alternatives(pattern: str) -> list[str]:
    """The parts of a pattern between the bars that stand in no group and in no class."""
    parts, depth = [""], 0
    for character in re.findall(r"\\.|\[[^\]]*\]|.", pattern):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "|" and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return parts


@in_every_document
def test_a_document_is_a_command_of_schema_2_2_that_can_be_replaced(
    document: dict[str, Any],
) -> None:
    assert document["DocumentType"] == "Command"
    assert document["UpdateMethod"] == "NewVersion"
    assert "Name" not in document
    assert document["Content"]["schemaVersion"] == "2.2"
    assert document["Content"]["description"].endswith(".")


@in_every_parameter
def test_a_parameter_lets_only_harmless_characters_through(parameter: dict[str, Any]) -> None:
    # {{ parameter }} is replaced as text before the shell reads it (F6.21).
    pattern = parameter["allowedPattern"]
    assert parameter["type"] == "String"
    assert let_through(pattern) <= HARMLESS


@in_every_parameter
def test_a_pattern_is_anchored_in_every_alternative(parameter: dict[str, Any]) -> None:
    for alternative in alternatives(parameter["allowedPattern"]):
        assert re.fullmatch(r"\^.*(?<!\\)\$|\^\$", alternative), alternative


@in_every_parameter
def test_java_and_re2_read_a_pattern_alike(parameter: dict[str, Any]) -> None:
    assert not _NOT_COMMON.search(parameter["allowedPattern"])


@in_every_parameter
def test_a_default_is_allowed(parameter: dict[str, Any]) -> None:
    if "default" in parameter:
        assert re.fullmatch(parameter["allowedPattern"], parameter["default"])


@in_every_script
def test_a_script_is_bash_and_stops_at_the_first_failure(
    document: dict[str, Any], step: dict[str, Any]
) -> None:
    assert step["action"] == "aws:runShellScript"
    assert step["precondition"] == {"StringEquals": ["platformType", "Linux"]}
    (script,) = step["inputs"]["runCommand"]
    assert script.startswith("#!/bin/bash\nset -euo pipefail\n"), document["Content"]["description"]
    assert 60 <= int(step["inputs"]["timeoutSeconds"]) <= 1200


@in_every_script
def test_a_script_waits_until_the_client_has_booted(
    document: dict[str, Any], step: dict[str, Any]
) -> None:
    commands = [
        line
        for line in step["inputs"]["runCommand"][0].splitlines()[2:]
        if line and not line.startswith("#")
    ]
    assert commands[0].startswith("cloud-init status --wait"), document["Content"]["description"]


@in_every_script
def test_what_a_script_is_given_stands_in_single_quotes(
    document: dict[str, Any], step: dict[str, Any]
) -> None:
    (script,) = step["inputs"]["runCommand"]
    given = set(document["Content"].get("parameters", {}))
    assert set(re.findall(r"\{\{\s*(\w+)\s*\}\}", script)) == given
    for line in script.splitlines():
        outside = "".join(line.split("'")[::2])
        assert "{{" not in outside, line
        assert re.findall(r"\{\{(?! \w+ \}\})", line) == [], line


@in_every_script
def test_no_script_prints_what_it_runs(document: dict[str, Any], step: dict[str, Any]) -> None:
    # It would print secrets, too.
    (script,) = step["inputs"]["runCommand"]
    assert not re.search(r"set -\w*x|xtrace|bash -x", script), document["Content"]["description"]


@pytest.mark.parametrize("template", TEMPLATES, ids=repr)
def test_every_script_can_be_taken_out_to_be_checked(template: Template) -> None:
    assert set(extract_scripts.scripts_of(template.body)) == set(
        template.of_type("AWS::SSM::Document")
    )


@pytest.mark.parametrize(
    ("pattern", "character"),
    [("^[^a]$", "NOT"), ("^.$", "ANY"), (r"^\S+$", "CATEGORY"), ("^(?!x)a$", "ASSERT_NOT")],
)
def test_a_pattern_that_lets_anything_through_is_recognized(pattern: str, character: str) -> None:
    with pytest.raises((ValueError, AttributeError, TypeError), match=character):
        let_through(pattern)


def test_a_pattern_that_lets_a_quote_through_is_recognized() -> None:
    assert not let_through("^[a-z']+$") <= HARMLESS


@pytest.mark.parametrize("pattern", ["^a|b$", "a$", "^a", r"^a\$", "^a$|b"])
def test_a_pattern_that_is_open_at_an_end_is_recognized(pattern: str) -> None:
    with pytest.raises(AssertionError):
        test_a_pattern_is_anchored_in_every_alternative({"allowedPattern": pattern})
