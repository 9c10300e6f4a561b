"""Released versions, frozen in tests/fixtures/released, and the version that comes after them.

docs/development.md has the rules.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path

import pytest

from tests.templates.template import TEMPLATES

ROOT = Path(__file__).parents[1]
RELEASED = ROOT / "tests" / "fixtures" / "released"
SHIPPED = ("functions", "statemachines", "templates")


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


VERSIONS = sorted((path.name for path in RELEASED.iterdir()), key=numbers)


def project_version() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def digests(directory: Path) -> dict[str, str]:
    """The SHA-256 of everything that ships, by path."""
    return {
        path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for name in SHIPPED
        for path in (directory / name).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_a_released_version_is_never_edited(version: str) -> None:
    sums = (RELEASED / version / "SHA256SUMS").read_text()
    expected = {name: digest for digest, name in (line.split() for line in sums.splitlines())}
    assert digests(RELEASED / version) == expected


def test_a_change_after_a_release_raises_the_version() -> None:
    # CloudFormation asks the custom resource only if the version is new, so without one an
    # existing stack gets neither new attributes nor what new steps do.
    version = project_version()
    assert numbers(version) >= numbers(VERSIONS[-1])
    if version in VERSIONS:
        assert digests(ROOT) == digests(RELEASED / version)


def test_templates_carry_the_project_s_version() -> None:
    found = {
        template.name: template.resources[template.custom_resource]["Properties"]["TemplateVersion"]
        for template in TEMPLATES
    }
    assert found == dict.fromkeys(found, project_version())


def test_the_changelog_has_a_section_for_each_release() -> None:
    sections = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert sections == ["Unreleased", *reversed(VERSIONS)]
