"""Every action that a role allows is used, and no action that is used is missing."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import botocore.session
import pytest
from botocore import xform_name

from tests.iam.decisions import (
    Decision,
    cluster_decisions,
    grants,
    key_store_decisions,
    used_grants,
)
from tests.iam.dependent_actions import DEPENDENT_ACTIONS
from tests.support.step_source import MODULES
from tests.templates.template import TEMPLATES

pytestmark = pytest.mark.long

RUNS = {"cloudhsm.yml": cluster_decisions, "cloudhsm-key-store.yml": key_store_decisions}
# Services whose IAM prefix differs from their name in boto3.
PREFIXES = {"cloudhsmv2": "cloudhsm", "stepfunctions": "states"}
# Operations that another action authorizes.
ACTIONS = {"lambda:Invoke": "lambda:InvokeFunction"}

Decisions = dict[str, list[Decision]]


@pytest.fixture(scope="module", name="decisions")
def _decisions() -> Decisions:
    """IAM's decisions for each template."""
    with ThreadPoolExecutor(len(RUNS)) as both:
        found = {template: both.submit(run) for template, run in RUNS.items()}
        return {template: run.result() for template, run in found.items()}


def test_every_granted_action_is_used(decisions: Decisions) -> None:
    unused = {
        template.name: {*grants(template)} - used_grants(decisions[template.name])
        for template in TEMPLATES
    }
    assert unused == {template.name: set() for template in TEMPLATES}


def test_no_action_is_denied_to_a_role(decisions: Decisions) -> None:
    # Some denials would otherwise go unnoticed: Lambda runs a function without its log.
    assert [each for found in decisions.values() for each in found if not each.allowed] == []


def test_the_required_dependent_actions_are_those_listed(decisions: Decisions) -> None:
    listed = {(each.behind, action) for each in DEPENDENT_ACTIONS for action in each.actions}
    required = {
        (each.behind, each.action) for found in decisions.values() for each in found if each.behind
    }
    assert required == listed


def test_every_dependent_action_has_a_source_and_is_listed_once() -> None:
    sources = [each.source for each in DEPENDENT_ACTIONS]
    assert [each for each in sources if not each.startswith("https://docs.aws.amazon.com/")] == []
    listed = [(each.behind, action) for each in DEPENDENT_ACTIONS for action in each.actions]
    assert sorted(listed) == sorted({*listed})


def test_every_call_of_the_functions_is_authorized_by_iam(decisions: Decisions) -> None:
    # Otherwise a call that no role allows would pass here and fail on AWS.
    decided = {each.action for found in decisions.values() for each in found}
    assert [name for name, actions in calls().items() if not actions & decided] == []


def calls() -> dict[str, set[str]]:
    """Every call of an AWS API in the functions' source, with its possible IAM actions.

    Two services may have an operation of the same name.
    """
    session, called = botocore.session.get_session(), set(_called())
    found: dict[str, set[str]] = {}
    for service in _services():
        for operation in session.get_service_model(service).operation_names:
            name = xform_name(operation)
            if name in called:
                action = f"{PREFIXES.get(service, service)}:{operation}"
                found.setdefault(name, set()).add(ACTIONS.get(action, action))
    return found


def _called() -> Iterator[str]:
    """The names of all methods that are called like those of boto3's clients, by keyword."""
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
