"""Everything is pinned, and what ships is what is tested."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "functions" / "requirements.txt"


def lines(path: Path) -> list[str]:
    found = [line.partition("#")[0].strip() for line in path.read_text().splitlines()]
    return [line for line in found if line and not line.startswith("-r ")]


def pins(path: Path) -> dict[str, str]:
    """The exact version of each distribution, by its normalized name."""
    pairs = [line.split("==") for line in lines(path)]
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pairs}


CONSTRAINTS = pins(ROOT / "constraints.txt")
REQUIRED = {**pins(ROOT / "requirements.txt"), **pins(SHIPPED)}


@pytest.mark.parametrize(
    "path", [SHIPPED, ROOT / "requirements.txt", ROOT / "constraints.txt"], ids=lambda p: p.name
)
def test_every_version_is_exact(path: Path) -> None:
    assert [line for line in lines(path) if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []


def test_what_is_required_is_constrained_to_the_same_version() -> None:
    assert CONSTRAINTS | REQUIRED == CONSTRAINTS


@pytest.mark.parametrize(("name", "version"), CONSTRAINTS.items())
def test_the_environment_is_the_constrained_one(name: str, version: str) -> None:
    assert importlib.metadata.version(name) == version


def test_the_constraints_close_over_everything_required() -> None:
    def needs(name: str) -> set[str]:
        found = importlib.metadata.requires(name) or []
        plain = [need for need in found if "extra ==" not in need and "python" not in need]
        return {re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", need)[0]).lower() for need in plain}

    for name in CONSTRAINTS:
        assert {need for need in needs(name) if "win" not in need} <= set(CONSTRAINTS), name


def test_what_ships_needs_nothing_that_does_not_ship() -> None:
    shipped = set(pins(SHIPPED))
    for name in shipped:
        for need in importlib.metadata.requires(name) or []:
            if "extra ==" not in need and "python_full_version <" not in need:
                assert re.split(r"[^\w.-]", need)[0].lower() in shipped, need


@pytest.mark.parametrize("path", [SHIPPED, ROOT / "requirements.txt"], ids=lambda p: p.name)
def test_every_line_says_why(path: Path) -> None:
    assert [
        line for line in path.read_text().splitlines() if "==" in line and "#" not in line
    ] == []
