from __future__ import annotations

import importlib
import re
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from localaws.ministack import access, templates
from localaws.ministack.patched_names import TABLE
from tests.templates.template import TEMPLATES

ROOT = Path(access.__file__).parents[2]
SOURCES = {path.relative_to(ROOT): path.read_text() for path in (ROOT / "localaws").rglob("*.py")}
LISTED = [(module, name) for module in TABLE for name in TABLE[module]]


def test_the_patches_are_for_the_installed_and_pinned_version_of_ministack() -> None:
    assert version("ministack") == access.VERSION
    pins = (ROOT / "requirements.txt").read_text()
    assert re.search(rf"^ministack=={re.escape(access.VERSION)}\b", pins, re.MULTILINE)


def test_ministack_has_every_listed_name() -> None:
    missing = [
        f"{module}.{name}"
        for module, name in LISTED
        if not hasattr(importlib.import_module(f"ministack.{module}"), name)
    ]
    assert missing == []


def test_every_listed_name_has_a_purpose() -> None:
    assert [name for name in LISTED if not TABLE[name[0]][name[1]].strip()] == []


def test_every_listed_name_is_used() -> None:
    text = "".join(text for path, text in SOURCES.items() if path.name != "patched_names.py")
    words = {*re.findall(r"\w+", text)}
    assert [name for name in LISTED if name[1] not in words] == []


def test_an_unlisted_name_can_be_neither_read_nor_replaced() -> None:
    ec2 = access.ministack("services.ec2")
    with pytest.raises(access.UnlistedNameError):
        _ = ec2._launch_templates
    with pytest.raises(access.UnlistedNameError):
        ec2._vm_launch = None


def test_a_missing_name_cannot_be_replaced() -> None:
    with pytest.raises(AttributeError):
        access.ministack("services.ec2")._no_such_name = None


def test_ministack_is_reached_through_access_from_its_patches_and_the_top_level_only() -> None:
    offenders = [
        str(path)
        for path, text in SOURCES.items()
        if re.search(r"^\s*(from|import) ministack\b", text, re.MULTILINE)
        or (
            "localaws.ministack" in text
            and path.parent not in (Path("localaws"), Path("localaws/ministack"))
        )
    ]
    assert offenders == []


def test_templates_parsed_in_c_are_the_same() -> None:
    original = importlib.import_module("ministack.services.cloudformation.engine").CfnLoader
    different = [
        template.name
        for template in TEMPLATES
        if yaml.load(text := (ROOT / "templates" / template.name).read_text(), original)
        != yaml.load(text, templates.in_c(original))
    ]
    assert different == []
