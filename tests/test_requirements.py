"""Dependencies are pinned, and the environment under test has exactly those versions."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "functions" / "requirements.txt"
HASHES = ROOT / "functions" / "hashes.txt"
CHECKOV = ROOT / "requirements-checkov.txt"


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
    paths = [SHIPPED, ROOT / "requirements.txt", ROOT / "constraints.txt", CHECKOV]
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


def hashed(path: Path) -> dict[str, str]:
    """The version of each distribution in a file of hashes; every one has hashes."""
    text = path.read_text().replace("\\\n", "")
    found = {}
    for line in [line for line in text.splitlines() if not line.startswith("#")]:
        match = re.fullmatch(r"([\w.-]+)==([\w.]+)( +--hash=sha256:[0-9a-f]{64})+", line)
        assert match, line
        found[match[1]] = match[2]
    return found


def test_the_wheels_of_local_zips_have_hashes_of_their_versions() -> None:
    assert hashed(ROOT / "functions" / "local-hashes.txt") == pins(SHIPPED)
    released = sorted((ROOT / "tests" / "fixtures" / "released").iterdir())
    assert released
    for version in released:
        hashes = ROOT / "tests" / "fixtures" / "hashes" / f"{version.name}.txt"
        assert hashed(hashes) == pins(version / "functions" / "requirements.txt")


def test_what_a_zip_contains_is_downloaded_by_hash() -> None:
    # A changed wheel fails `make setup` instead of getting into the zip.
    text = (ROOT / "Makefile").read_text()
    (fetch,) = re.findall(r"^FETCH = (.+)$", text, re.MULTILINE)
    assert " download " in fetch
    assert " --require-hashes " in fetch
    assert text.count(" download ") == 1
    rules = dict(re.findall(r"^\$\((\w+_WHEELS)\): (.+?) \|.*\n\t\$\(FETCH\)", text, re.M))
    assert rules == {
        "LAMBDA_WHEELS": "functions/hashes.txt",
        "LOCAL_WHEELS": "functions/local-hashes.txt",
        "RELEASED_WHEELS": "$(VENV)/wheels/released/%: tests/fixtures/hashes/%.txt",
    }
