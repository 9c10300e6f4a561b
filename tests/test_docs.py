"""The documents name only what exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from rehearsal.scenarios import SCENARIOS

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
TOP = {
    "templates",
    "statemachines",
    "functions",
    "localaws",
    "scripts",
    "rehearsal",
    "tests",
    "docs",
}
SOURCES = ("*.py", "*.sh", "*.yml", "*.json")

_CODE = re.compile(r"```[^`]*```|^ {4}.*$|`[^`\n]+`", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_MAKE = re.compile(r"\bmake ([a-z][a-z-]*)")
_FACT = re.compile(
    r"^- \*\*(F\d+\.\d+)\*\* \((?:documented|observed in public|assumed)\) ", re.MULTILINE
)
_CITATION = re.compile(r"\bF\d+\.\d+\b")
_MODULE = re.compile(r"\bpython -m ((?:localaws|rehearsal|scripts)[.\w]*)")


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


def test_every_path_exists() -> None:
    assert [
        (document.name, path)
        for document in DOCUMENTS
        for path in (*paths_in(document.read_text()), *links_in(document))
        if not list(ROOT.glob(path))
    ] == []


def test_every_make_target_exists() -> None:
    assert [
        (document.name, target)
        for document in DOCUMENTS
        for target in _MAKE.findall(code_in(document.read_text()))
        if target not in targets()
    ] == []


def test_every_module_to_run_exists() -> None:
    assert [
        (document.name, module)
        for document in DOCUMENTS
        for module in _MODULE.findall(code_in(document.read_text()))
        if not (ROOT / f"{module.replace('.', '/')}.py").is_file()
        and not (ROOT / module.replace(".", "/") / "__main__.py").is_file()
    ] == []


def test_no_document_names_a_path_of_a_machine() -> None:
    path = re.compile(r"(?<![\w.])/(root|home|work|tmp)/")
    assert [document.name for document in DOCUMENTS if path.search(document.read_text())] == []


def facts() -> list[str]:
    """The numbers of docs/aws-behaviour.md, in order; a fact without a status has none."""
    return _FACT.findall((ROOT / "docs" / "aws-behaviour.md").read_text())


def test_every_fact_has_a_number_of_its_own_and_a_status() -> None:
    text = (ROOT / "docs" / "aws-behaviour.md").read_text()
    assert re.findall(r"^- \*\*(.+?)\*\*", text, re.MULTILINE) == facts()
    assert sorted(set(facts())) == sorted(facts())


def test_every_fact_that_is_cited_exists() -> None:
    known = set(facts())
    sources = [path for top in TOP for kind in SOURCES for path in (ROOT / top).rglob(kind)]
    assert [
        (path.relative_to(ROOT).as_posix(), number)
        for path in [*sources, *DOCUMENTS]
        for number in _CITATION.findall(path.read_text())
        if number not in known
    ] == []
    assert len(sources) > 200


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


def test_the_scenario_table_lists_every_scenario() -> None:
    rows = re.findall(r"^\| .* \| (`.*`) \|$", (ROOT / "docs/testing.md").read_text(), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([a-z-]+)`", row)}
    assert named == set(SCENARIOS)


def test_a_decision_has_a_status_a_context_a_decision_and_consequences() -> None:
    headings = ["Status", "## Context", "## Decision", "## Consequences"]
    assert [
        path.name
        for path in DECISIONS
        if not path.read_text().startswith(f"# {path.name[:4]} ")
        or re.findall(r"^(?:Status|## \w+)", path.read_text(), re.MULTILINE) != headings
    ] == []


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [path.name[:4] for path in DECISIONS] == [
        f"{number:04}" for number in range(1, len(DECISIONS) + 1)
    ]


def test_paths_are_found_in_code_of_every_kind() -> None:
    text = (
        "scripts/prose.py `scripts/a.py` [a](b)\n\n    make test TESTS=tests/b\n```\ndocs/*.md\n```"
    )
    assert list(paths_in(text)) == ["scripts/a.py", "tests/b", "docs/*.md"]
