from __future__ import annotations

import importlib
import re
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from localaws.ministack import access, templates
from localaws.ministack.patched_names import TABLE
from tests.templates.template import TEMPLATES, Template

PACKAGE = Path(access.__file__).parent.parent
LISTED = [(module, attribute) for module in TABLE for attribute in TABLE[module]]


def test_the_installed_ministack_is_the_one_the_seams_were_made_for() -> None:
    assert version("ministack") == access.VERSION


def test_the_pinned_ministack_is_the_one_the_seams_were_made_for() -> None:
    pins = (PACKAGE.parent / "requirements.txt").read_text()
    assert re.search(rf"^ministack=={re.escape(access.VERSION)}\b", pins, re.MULTILINE)


@pytest.mark.parametrize(("module", "attribute"), LISTED, ids=lambda name: name)
def test_a_seam_is_there(module: str, attribute: str) -> None:
    assert hasattr(importlib.import_module(f"ministack.{module}"), attribute)


def test_every_seam_has_its_reason() -> None:
    assert [name for name in LISTED if not TABLE[name[0]][name[1]].strip()] == []


def test_every_seam_is_used() -> None:
    text = "".join(
        path.read_text() for path in PACKAGE.rglob("*.py") if path.name != "patched_names.py"
    )
    words = {*re.findall(r"\w+", text)}
    assert [name for name in LISTED if name[1] not in words] == []


def test_what_the_table_does_not_list_cannot_be_reached() -> None:
    with pytest.raises(access.UnlistedNameError):
        _ = access.ministack("services.ec2")._launch_templates


def test_what_the_table_does_not_list_cannot_be_replaced() -> None:
    with pytest.raises(access.UnlistedNameError):
        access.ministack("services.ec2")._vm_launch = None


def test_what_ministack_does_not_have_cannot_be_replaced() -> None:
    with pytest.raises(AttributeError):
        access.ministack("services.ec2")._no_such_thing = None


def test_nobody_reaches_for_ministack_but_through_the_table() -> None:
    directly = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if re.search(r"^\s*(from|import) ministack", path.read_text(), re.MULTILINE)
    }
    assert directly == set()


@pytest.mark.parametrize("template", TEMPLATES, ids=repr)
def test_templates_read_in_c_are_the_same(template: Template) -> None:
    text = (PACKAGE.parent / "templates" / template.name).read_text()
    ministacks = importlib.import_module("ministack.services.cloudformation.engine").CfnLoader
    assert yaml.load(text, templates.in_c(ministacks)) == yaml.load(text, ministacks)
