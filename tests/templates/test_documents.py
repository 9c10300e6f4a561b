"""SSM documents: their scripts run as root with parameters that are inserted as text."""

from __future__ import annotations

import re
import re._parser as sre_parse  # type: ignore[import-not-found]  # it has no type information
from typing import Any

import pytest

from scripts import extract_scripts
from tests.templates.template import TEMPLATES

# Between single quotes, a shell takes every character literally except the quote itself.
HARMLESS = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 !#$%&()*+,-./:;<=>?@[]^_{|}~"
)
# Syntax on which Java's patterns (SSM) and RE2 (its agent) differ (F6.23): look-around, back
# references, possessive and lazy quantifiers, classes by letter.
_NOT_PORTABLE = re.compile(r"\(\?(?!:)|\\[1-9dDwWsSbBAZzQEpPkG]|[*+?}][+?]")

DOCUMENTS: list[tuple[str, dict[str, Any]]] = [
    (f"{template} {logical_id}", document)
    for template in TEMPLATES
    for logical_id, document in template.of_type("AWS::SSM::Document").items()
]
PARAMETERS: list[tuple[str, dict[str, Any]]] = [
    (f"{label} {name}", parameter)
    for label, document in DOCUMENTS
    for name, parameter in document["Content"].get("parameters", {}).items()
]
STEPS: list[tuple[str, dict[str, Any]]] = [
    (f"{label} {step['name']}", step)
    for label, document in DOCUMENTS
    for step in document["Content"]["mainSteps"]
]
SCRIPTS: list[tuple[str, str]] = [(label, step["inputs"]["runCommand"][0]) for label, step in STEPS]


def characters_of(pattern: str) -> set[str]:
    """Every character that text matching the pattern can contain, from the pattern as re parses it.

    Raises ValueError for an element that matches too much, such as a negated class.
    """
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
                raise ValueError(f"{pattern}: {kind} matches too many characters")

    read(sre_parse.parse(pattern))
    return characters


def alternatives(pattern: str) -> list[str]:
    """The top-level alternatives of a pattern."""
    parts, depth = [""], 0
    for character in re.findall(r"\\.|\[[^\]]*\]|.", pattern):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "|" and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def is_anchored(pattern: str) -> bool:
    """Whether every alternative matches from start to end."""
    return all(re.fullmatch(r"\^.*(?<!\\)\$|\^\$", part) for part in alternatives(pattern))


def test_a_document_is_a_command_of_schema_2_2_that_is_replaced_when_it_changes() -> None:
    # UpdateMethod NewVersion would fail the rollback of an upgrade: SSM refuses content that an
    # earlier version has (F6.20).
    wrong = [
        label
        for label, document in DOCUMENTS
        if document["DocumentType"] != "Command"
        or "UpdateMethod" in document
        or "Name" in document
        or document["Content"]["schemaVersion"] != "2.2"
        or not document["Content"]["description"].endswith(".")
    ]
    assert wrong == []


def test_parameters_match_only_characters_that_single_quotes_make_literal() -> None:
    # {{ parameter }} is replaced as text before the shell reads it (F6.21).
    wrong = [
        label
        for label, parameter in PARAMETERS
        if parameter["type"] != "String"
        or not characters_of(parameter["allowedPattern"]) <= HARMLESS
    ]
    assert wrong == []


def test_patterns_are_anchored_in_every_alternative() -> None:
    assert [label for label, each in PARAMETERS if not is_anchored(each["allowedPattern"])] == []


def test_patterns_use_only_syntax_common_to_java_and_re2() -> None:
    wrong = [label for label, each in PARAMETERS if _NOT_PORTABLE.search(each["allowedPattern"])]
    assert wrong == []


def test_defaults_match_their_patterns() -> None:
    wrong = [
        label
        for label, parameter in PARAMETERS
        if "default" in parameter
        and not re.fullmatch(parameter["allowedPattern"], parameter["default"])
    ]
    assert wrong == []


def test_a_step_is_one_linux_shell_script_with_a_timeout_of_1_to_20_minutes() -> None:
    wrong = [
        label
        for label, step in STEPS
        if step["action"] != "aws:runShellScript"
        or step["precondition"] != {"StringEquals": ["platformType", "Linux"]}
        or len(step["inputs"]["runCommand"]) != 1
        or not 60 <= int(step["inputs"]["timeoutSeconds"]) <= 1200
    ]
    assert wrong == []


def test_scripts_stop_at_the_first_failure_and_first_wait_for_cloud_init() -> None:
    beginning = (
        "#!/bin/bash\nset -euo pipefail\ncloud-init status --wait > /dev/null"
        ' || echo "cloud-init status: exit code $?, ignored." >&2\n'
    )
    assert [label for label, script in SCRIPTS if not script.startswith(beginning)] == []


def test_scripts_use_every_parameter_and_only_in_single_quotes() -> None:
    wrong = []
    declared = {label: set(each["Content"].get("parameters", {})) for label, each in DOCUMENTS}
    for label, script in SCRIPTS:
        used = set(re.findall(r"\{\{\s*(\w+)\s*\}\}", script))
        if used != declared[label.rpartition(" ")[0]]:
            wrong.append((label, str(used)))
        for line in script.splitlines():
            unquoted = "".join(line.split("'")[::2])
            if "{{" in unquoted or re.search(r"\{\{(?! \w+ \}\})", line):
                wrong.append((label, line))
    assert wrong == []


def test_scripts_do_not_trace_commands_which_would_print_secrets() -> None:
    wrong = [label for label, script in SCRIPTS if re.search(r"set -\w*x|xtrace|bash -x", script)]
    assert wrong == []


def test_shellcheck_is_given_every_script() -> None:
    extracted = [name for each in TEMPLATES for name in extract_scripts.scripts_of(each.body)]
    assert extracted == [label.split()[1] for label, _ in DOCUMENTS]


@pytest.mark.parametrize(
    ("pattern", "kind"),
    [("^[^a]$", "NOT"), ("^.$", "ANY"), (r"^\S+$", "CATEGORY"), ("^(?!x)a$", "ASSERT_NOT")],
)
def test_a_pattern_that_matches_too_many_characters_is_detected(pattern: str, kind: str) -> None:
    with pytest.raises(ValueError, match=kind):
        characters_of(pattern)


def test_a_pattern_that_matches_a_quote_is_detected() -> None:
    assert not characters_of("^[a-z']+$") <= HARMLESS


@pytest.mark.parametrize("pattern", ["^a|b$", "a$", "^a", r"^a\$", "^a$|b"])
def test_a_pattern_open_at_one_end_is_detected(pattern: str) -> None:
    assert not is_anchored(pattern)
