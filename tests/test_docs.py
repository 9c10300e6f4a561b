"""Documents name only existing files, headings, commands, scenarios and facts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from localaws import server
from localaws.admin_api import AWS_EVENTS, AdminApi
from localaws.core.faults import KINDS
from rehearsal.scenarios import SCENARIOS

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
TOP = {
    "display",
    "templates",
    "statemachines",
    "functions",
    "localaws",
    "scripts",
    "rehearsal",
    "tests",
    "docs",
    "examples",
}
SOURCES = ("*.py", "*.sh", "*.yml", "*.json")
# Released versions stay as they were.
RELEASED = ROOT / "tests" / "fixtures" / "released"

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
    """Paths of the repository in code blocks and code spans."""
    for word in re.split(r"[\s`'\"(){}=,;]+", code_in(text)):
        path = word.rstrip(".:")
        if path.split("/")[0] in TOP and "/" in path and not set("<>$…") & set(path):
            yield path


def links_in(document: Path) -> Iterator[tuple[Path, str]]:
    """The target and the fragment, "" without one, of each relative link."""
    for link in _LINK.findall(document.read_text()):
        if "://" not in link:
            path, _, fragment = link.partition("#")
            yield (document.parent / path).resolve() if path else document, fragment


def anchors(document: Path) -> set[str]:
    """The fragments by which GitHub links to the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_every_path_exists() -> None:
    assert [
        (document.name, path)
        for document in DOCUMENTS
        for path in paths_in(document.read_text())
        if not list(ROOT.glob(path))
    ] == []


def test_every_link_leads_to_a_file_and_a_heading() -> None:
    assert [
        (document.name, path.name, fragment)
        for document in DOCUMENTS
        for path, fragment in links_in(document)
        if not path.exists() or (fragment and fragment not in anchors(path))
    ] == []


def test_every_make_target_exists() -> None:
    assert [
        (document.name, target)
        for document in DOCUMENTS
        for target in _MAKE.findall(code_in(document.read_text()))
        if target not in targets()
    ] == []


def test_every_python_module_in_a_command_exists() -> None:
    assert [
        (document.name, module)
        for document in DOCUMENTS
        for module in _MODULE.findall(code_in(document.read_text()))
        if not (ROOT / f"{module.replace('.', '/')}.py").is_file()
        and not (ROOT / module.replace(".", "/") / "__main__.py").is_file()
    ] == []


def test_no_document_has_an_absolute_path_of_a_workstation() -> None:
    path = re.compile(r"(?<![\w.])/(root|home|work|tmp)/")
    assert [document.name for document in DOCUMENTS if path.search(document.read_text())] == []


def facts() -> list[str]:
    """The numbers of all facts with a valid status, in order."""
    return _FACT.findall((ROOT / "docs" / "aws-behaviour.md").read_text())


def test_every_fact_has_a_unique_number_and_a_status() -> None:
    text = (ROOT / "docs" / "aws-behaviour.md").read_text()
    assert re.findall(r"^- \*\*(.+?)\*\*", text, re.MULTILINE) == facts()
    assert sorted(set(facts())) == sorted(facts())


def test_every_cited_fact_exists() -> None:
    known = set(facts())
    sources = [
        path
        for top in TOP
        for kind in SOURCES
        for path in (ROOT / top).rglob(kind)
        if RELEASED not in path.parents
    ]
    assert [
        (path.relative_to(ROOT).as_posix(), number)
        for path in [*sources, *DOCUMENTS]
        for number in _CITATION.findall(path.read_text())
        if number not in known
    ] == []
    assert len(sources) > 200


def test_the_readme_starts_with_status_cost_and_commands() -> None:
    first_screen = "\n".join((ROOT / "README.md").read_text().splitlines()[:40])
    expected = ["make rehearse", "make test", "costs money", "not been run on AWS"]
    assert [text for text in expected if text not in first_screen] == []


def test_the_readme_is_short_and_says_first_how_mature_the_project_is() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) < 120
    assert "not been run on AWS" in "\n".join(lines[:10])


# What users ask, and the heading that answers it.
QUESTIONS = {
    "watching": "operations.md#watch-a-stack",
    "cost": "before-you-start.md#costs",
    "alarms": "operations.md#alarms",
    "preflight": "preflight.md#checks",
    "connecting an application": "using-the-cluster.md#let-an-application-reach-the-hsms",
    "the CLI": "using-the-cluster.md#log-in-as-the-admin",
    "rotating passwords": "using-the-cluster.md#rotate-passwords",
    "disaster recovery": "operations.md#restore-from-a-backup",
    "upgrading": "upgrading.md#upgrading",
    "uninstalling": "uninstalling.md#what-stays",
    "permissions": "before-you-start.md#permissions-to-deploy",
    "endpoints": "before-you-start.md#endpoints-without-internet-access",
    "quotas": "before-you-start.md#in-the-account",
}


def test_every_question_is_answered_within_two_clicks_of_the_readme() -> None:
    linked = {path for path, _ in links_in(ROOT / "README.md")}
    assert [
        question
        for question, answer in QUESTIONS.items()
        for name, heading in [answer.split("#")]
        if ROOT / "docs" / name not in linked or heading not in anchors(ROOT / "docs" / name)
    ] == []


def test_the_readme_links_every_document() -> None:
    linked = {path for path, _ in links_in(ROOT / "README.md")}
    expected = {*DOCUMENTS, ROOT / "docs" / "decisions"} - {*DECISIONS, ROOT / "README.md"}
    assert expected - linked == set()


def test_the_scenario_table_lists_every_scenario() -> None:
    rows = re.findall(r"^\| .* \| (`.*`) \|$", (ROOT / "docs/testing.md").read_text(), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([a-z0-9-]+)`", row)}
    assert named == set(SCENARIOS)


def attempts() -> list[list[str]]:
    """The cells of each row of docs/security.md about an attempt."""
    text = (ROOT / "docs" / "security.md").read_text()
    tables = re.findall(r"^\| Attempt \|.*\n\| -.*\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [row.strip("| ").split(" | ") for table in tables for row in table.splitlines()]


def test_every_attempt_names_what_prevents_it_and_a_test_that_exists() -> None:
    wrong = []
    for attempt in attempts():
        named = [path for path in paths_in(attempt[-1]) if path.startswith("tests/")]
        scenarios = re.findall(r"\bscenario `([a-z0-9-]+)`", attempt[-1])
        if (
            len(attempt) != 3
            or not (named or scenarios)
            or not all((ROOT / path).is_file() for path in named)
            or not set(scenarios) <= set(SCENARIOS)
        ):
            wrong.append(attempt)
    assert wrong == []
    assert len(attempts()) > 25


def test_every_kind_of_attacker_has_a_section() -> None:
    found = re.findall(r"^## (.+)$", (ROOT / "docs" / "security.md").read_text(), re.MULTILINE)
    assert found == [
        "Assets",
        "A forged event",
        "A stolen role of another stack",
        "A compromised client",
        "An operator's mistake",
        "A lost answer",
        "A malicious dependency",
        "The local AWS",
        "What stays open",
    ]


def test_every_decision_has_the_same_sections() -> None:
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


def test_paths_are_found_in_code_spans_and_both_kinds_of_code_blocks() -> None:
    text = (
        "scripts/prose.py `scripts/a.py` [a](b)\n\n    make test TESTS=tests/b\n```\ndocs/*.md\n```"
    )
    assert list(paths_in(text)) == ["scripts/a.py", "tests/b", "docs/*.md"]


def rows(heading: str) -> str:
    """The first cells of the table under a heading of docs/development.md."""
    text = (ROOT / "docs" / "development.md").read_text()
    section = text.split(f"### {heading}\n")[1].split("\n#")[0]
    return "\n".join(re.findall(r"^\| (`.*?) \|", section, re.MULTILINE))


def test_the_start_arguments_of_the_local_aws_are_documented() -> None:
    found = set(re.findall(r"(--[\w-]+)", rows("Start arguments")))
    options = {option for action in server.parser()._actions for option in action.option_strings}
    assert found == options - {"-h", "--help"}


def test_the_admin_api_is_documented() -> None:
    found = re.findall(r"`(GET|POST) (/[\w-]+)`", rows("Admin API"))
    emulator: Any = None  # not used until a request
    assert set(found) == set(AdminApi(emulator, "").routes)


def test_every_fault_and_aws_event_is_documented() -> None:
    assert set(re.findall(r'`\{"(\w+)"', rows("Faults"))) == set(KINDS)
    found = re.findall(r'`(?:\{")?(\w+)(?=`|": \{)', rows("AWS events"))
    assert sorted(found) == sorted(AWS_EVENTS)
