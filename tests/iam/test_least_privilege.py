"""Every action that a role may do is needed in some driver, and nothing that is needed is missing."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import botocore.session
import pytest
from botocore import xform_name

from tests.iam.requests import Decision, cluster_decisions, granted, key_store_decisions, needed
from tests.iam.required import REQUIRED
from tests.support.step_source import MODULES
from tests.templates.template import TEMPLATES, Template

LIVES = {"cloudhsm.yml": cluster_decisions, "cloudhsm-key-store.yml": key_store_decisions}
# Where IAM has another name for a service than boto3.
PREFIXES = {"cloudhsmv2": "cloudhsm", "stepfunctions": "states"}

Decided = dict[str, list[Decision]]


@pytest.fixture(scope="module", name="decided")
def _decided() -> Decided:
    """What IAM decided in the life of each template."""
    with ThreadPoolExecutor(len(LIVES)) as both:
        found = {template: both.submit(driver) for template, driver in LIVES.items()}
        return {template: driver.result() for template, driver in found.items()}


in_every_template = pytest.mark.parametrize("template", TEMPLATES, ids=repr)


@in_every_template
def test_a_life_depends_on_every_action_that_is_granted(
    template: Template, decided: Decided
) -> None:
    superfluous = set(granted(template)) - needed(decided[template.name])
    assert sorted(map(str, superfluous)) == []


@in_every_template
def test_nothing_is_denied_to_a_role(template: Template, decided: Decided) -> None:
    # So an action that is taken out of a role is missed, also where nobody complains: Lambda goes
    # on without a log.
    assert [each for each in decided[template.name] if not each.allowed] == []


def test_what_aws_demands_besides_is_listed_with_its_source_and_demanded_of_the_caller(
    decided: Decided,
) -> None:
    listed = {(each.behind, action) for each in REQUIRED for action in each.actions}
    demanded = {
        (each.behind, each.action) for driver in decided.values() for each in driver if each.behind
    }
    assert demanded == listed


def test_what_is_listed_has_a_source_and_stands_there_once() -> None:
    assert all(each.source.startswith("https://docs.aws.amazon.com/") for each in REQUIRED)
    listed = [(each.behind, action) for each in REQUIRED for action in each.actions]
    assert len(listed) == len(set(listed))


def test_every_call_of_the_functions_is_put_to_iam(decided: Decided) -> None:
    # Else a call that no role allows would pass here, and fail on AWS.
    asked = {each.action for driver in decided.values() for each in driver}
    unasked = [name for name, actions in calls().items() if not actions & asked]
    assert unasked == []


def calls() -> dict[str, set[str]]:
    """Every call of an AWS service in the source of the functions, and what IAM may call it.

    Two services may have operations of one name.
    """
    session, called = botocore.session.get_session(), set(_called())
    found: dict[str, set[str]] = {}
    for service in _services():
        for operation in session.get_service_model(service).operation_names:
            name = xform_name(operation)
            if name in called:
                action = f"{PREFIXES.get(service, service)}:{operation}"
                found.setdefault(name, set()).add(action)
    return found


def _called() -> Iterator[str]:
    """The names of all methods that are called as those of boto3's clients are: by keywords."""
    for module in MODULES.values():
        for node in ast.walk(module):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                if node.func.attr == "get_paginator":
                    (operation,) = node.args
                    assert isinstance(operation, ast.Constant)
                    yield str(operation.value)
                elif not node.args:
                    yield node.func.attr


def _services() -> set[str]:
    return {
        str(argument.value)
        for module in MODULES.values()
        for node in ast.walk(module)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "aws.client"
        for argument in node.args[:1]
        if isinstance(argument, ast.Constant)
    }
