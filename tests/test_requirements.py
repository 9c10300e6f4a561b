"""Dependencies are pinned, and the environment under test has exactly those versions."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "functions" / "requirements.txt"
HASHES = ROOT / "functions" / "hashes.txt"


def lines(path: Path) -> list[str]:
    found = [line.partition("#")[0].strip() for line in path.read_text().splitlines()]
    return [line for line in found if line and not line.startswith("-r ")]


def pins(path: Path) -> dict[str, str]:
    """The exact version of each distribution, by normalized name."""
    pairs = [line.split("==") for line in lines(path)]
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pairs}


CONSTRAINTS = pins(ROOT / "constraints.txt")
REQUIRED = {**pins(ROOT / "requirements.txt"), **pins(SHIPPED)}


def test_every_version_is_exact() -> None:
    paths = [SHIPPED, ROOT / "requirements.txt", ROOT / "constraints.txt"]
    found = [line for path in paths for line in lines(path)]
    assert found
    assert [line for line in found if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []


def test_every_requirement_has_the_same_version_in_the_constraints() -> None:
    assert CONSTRAINTS | REQUIRED == CONSTRAINTS


def test_the_environment_has_the_versions_of_the_constraints() -> None:
    assert {name: importlib.metadata.version(name) for name in CONSTRAINTS} == CONSTRAINTS


def test_the_constraints_include_every_transitive_dependency() -> None:
    def needs(name: str) -> set[str]:
        found = importlib.metadata.requires(name) or []
        plain = [need for need in found if "extra ==" not in need and "python" not in need]
        return {re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", need)[0]).lower() for need in plain}

    missing = [
        (name, need)
        for name in CONSTRAINTS
        for need in needs(name) - set(CONSTRAINTS)
        if "win" not in need
    ]
    assert missing == []


def test_shipped_dependencies_depend_only_on_each_other() -> None:
    shipped = set(pins(SHIPPED))
    missing = [
        (name, need)
        for name in shipped
        for need in importlib.metadata.requires(name) or []
        if "extra ==" not in need
        and "python_full_version <" not in need
        and re.split(r"[^\w.-]", need)[0].lower() not in shipped
    ]
    assert missing == []


def test_every_requirement_has_a_reason_beside_it() -> None:
    found = [
        line
        for path in (SHIPPED, ROOT / "requirements.txt")
        for line in path.read_text().splitlines()
        if "==" in line
    ]
    assert found
    assert [line for line in found if "#" not in line] == []


def test_every_wheel_that_ships_has_one_hash_of_its_version() -> None:
    found = {}
    for line in lines(HASHES):
        match = re.fullmatch(r"([\w.-]+)==([\w.]+) --hash=sha256:[0-9a-f]{64}", line)
        assert match, line
        found[match[1]] = match[2]
    assert found == pins(SHIPPED)


def test_what_ships_is_downloaded_by_hash() -> None:
    # A changed wheel fails `make setup` instead of getting into the zip.
    rule = (ROOT / "Makefile").read_text().partition("$(LAMBDA_WHEELS): ")[2].partition("\n\n")[0]
    assert rule.startswith("functions/hashes.txt ")
    assert "$(FETCH) --require-hashes $(LAMBDA_PLATFORM)" in rule
