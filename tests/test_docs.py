"""The documents name only what exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rehearsal.scenarios import SCENARIOS

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
TOP = {"templates", "statemachines", "functions", "scripts", "rehearsal", "tests", "docs"}

_CODE = re.compile(r"```[^`]*```|^ {4}.*$|`[^`\n]+`", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_MAKE = re.compile(r"\bmake ([a-z][a-z-]*)")
_MODULE = re.compile(r"\bpython -m ((?:scripts|rehearsal)[.\w]*)")


def document_ids(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=document_ids)


def code_in(text: str) -> str:
    return "\n".join(_CODE.findall(text))


def paths_in(text: str) -> Iterator[str]:
    """What looks like a file of the repository and stands in code."""
    for word in re.split(r"[\s`'\"(){}=,;]+", code_in(text)):
        path = word.rstrip(".:")
        if path.split("/")[0] in TOP and "/" in path and not set("<>$…") & set(path):
            yield path


def links_in(document: Path) -> Iterator[str]:
    """Where the relative links of a document lead."""
    for target in _LINK.findall(document.read_text()):
        if "://" not in target:
            path = document.parent / target.partition("#")[0]
            yield path.resolve().relative_to(ROOT).as_posix()


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@each_document
def test_every_path_exists(document: Path) -> None:
    named = [*paths_in(document.read_text()), *links_in(document)]
    assert [path for path in named if not list(ROOT.glob(path))] == []


@each_document
def test_every_make_target_exists(document: Path) -> None:
    assert set(_MAKE.findall(code_in(document.read_text()))) <= targets()


@each_document
def test_every_module_to_run_exists(document: Path) -> None:
    for module in _MODULE.findall(code_in(document.read_text())):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()


@each_document
def test_no_address_of_a_machine_that_built_it(document: Path) -> None:
    assert not re.search(r"(?<![\w.])/(root|home|work|tmp)/", document.read_text())


def test_the_readme_names_the_two_commands() -> None:
    commands = code_in((ROOT / "README.md").read_text())
    assert "make rehearse" in commands
    assert "make test" in commands


def test_every_document_is_reached_from_another() -> None:
    reached = {path for document in DOCUMENTS for path in links_in(document)}
    decisions = {path.relative_to(ROOT).as_posix() for path in DECISIONS}
    documents = {path.relative_to(ROOT).as_posix() for path in DOCUMENTS}
    assert documents - decisions - {"README.md"} <= reached
    assert "docs/decisions" in reached


def test_every_scenario_stands_for_some_turn_of_a_life_and_no_other_does() -> None:
    rows = re.findall(r"^\| .* \| (`.*`) \|$", (ROOT / "docs/testing.md").read_text(), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([a-z-]+)`", row)}
    assert named == set(SCENARIOS)


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda path: path.name[:4])
def test_a_decision_says_status_context_decision_and_consequences(decision: Path) -> None:
    text = decision.read_text()
    assert text.startswith(f"# {decision.name[:4]} ")
    assert re.findall(r"^(?:Status|## \w+)", text, re.MULTILINE) == [
        "Status",
        "## Context",
        "## Decision",
        "## Consequences",
    ]


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [path.name[:4] for path in DECISIONS] == [
        f"{number:04}" for number in range(1, len(DECISIONS) + 1)
    ]


def test_paths_are_found_in_code_of_every_kind() -> None:
    text = (
        "scripts/prose.py `scripts/a.py` [a](b)\n\n    make test TESTS=tests/b\n```\ndocs/*.md\n```"
    )
    assert list(paths_in(text)) == ["scripts/a.py", "tests/b", "docs/*.md"]
