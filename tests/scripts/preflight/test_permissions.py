"""The documented policy suffices, each of its actions is needed, and without it a row warns."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.preflight import plan
from scripts.preflight.account import Account
from scripts.preflight.findings import WARNING, Finding
from scripts.preflight.subject import Subject
from scripts.templates import Template
from tests.iam.roles import ACCOUNT, TRUST_ACCOUNT
from tests.scripts.preflight.support import CLUSTER, KEY_STORE, Laboratory, Session

ROLE = "preflight"
Given = tuple[Template, dict[str, str]]


def _policy() -> dict[str, Any]:
    text = Path("docs/preflight.md").read_text()
    block = re.search(r"```json\n(.*?)```", text, re.DOTALL)
    assert block
    policy: dict[str, Any] = json.loads(block[1])
    return policy


def _actions() -> list[str]:
    """The documented actions."""
    return [
        action
        for statement in _policy()["Statement"]
        for action in (
            [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        )
    ]


def _allow(laboratory: Laboratory, *, without: str = "") -> None:
    """Give the role the documented policy, without one action."""
    policy = _policy()
    for statement in policy["Statement"]:
        listed = statement["Action"]
        listed = [listed] if isinstance(listed, str) else listed
        statement["Action"] = [action for action in listed if action != without]
    policy["Statement"] = [each for each in policy["Statement"] if each["Action"]]
    laboratory.aws.client("iam").put_role_policy(
        RoleName=ROLE, PolicyName="preflight", PolicyDocument=json.dumps(policy)
    )


@pytest.fixture(scope="module", name="session")
def _session(laboratory: Laboratory) -> Session:
    """A session of a role with the documented policy and no more."""
    iam = laboratory.aws.client("iam")
    iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=TRUST_ACCOUNT)
    _allow(laboratory)
    credentials = laboratory.aws.client("sts").assume_role(
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{ROLE}", RoleSessionName="operator"
    )["Credentials"]
    return Session(laboratory.aws, credentials)


@pytest.fixture(scope="module", name="creations")
def _creations(laboratory: Laboratory) -> list[Given]:
    """Creations whose preflights read all that preflights read."""
    backups = laboratory.aws.client("cloudhsmv2").describe_backups(Filters={"states": ["READY"]})[
        "Backups"
    ]
    vpc, subnet = laboratory.network(40)
    laboratory.aws.client("ec2").create_vpc_endpoint(
        VpcId=vpc,
        ServiceName=f"com.amazonaws.{laboratory.aws.region}.ssm",
        VpcEndpointType="Interface",
    )
    secrets = {
        "pBackupId": backups[0]["BackupId"],
        "pBackupCaCertSecretName": laboratory.cluster.ca_secret,
        "pBackupAdminPasswordSecretName": laboratory.cluster.admin_secret,
        "pClientVpcId": vpc,
        "pClientSubnet": subnet,
    }
    return [
        (CLUSTER, laboratory.cluster_parameters(**secrets)),
        (KEY_STORE, laboratory.key_store_parameters()),
    ]


def _unread(found: list[Finding]) -> set[str]:
    """The permissions that rows name as missing."""
    return {
        denied[1]
        for each in found
        if each.level == WARNING and (denied := re.search(r": (\S+) is denied", each.text))
    }


def _readers(session: Session, creations: list[Given]) -> Iterator[tuple[plan.Step, Given, str]]:
    """Each check with each permission that it asks for."""
    for template, given in creations:
        steps = plan.CLUSTER_STEPS if template is CLUSTER else plan.KEY_STORE_STEPS
        for step in steps:
            subject = Subject(Account(session), template, given)
            assert _unread(list(plan._run(step, subject))) == set(), step
            for permission in sorted(subject.account.permissions - {"sts:GetCallerIdentity"}):
                yield step, (template, given), permission


def test_the_documented_policy_is_necessary_and_sufficient(
    laboratory: Laboratory, session: Session, creations: list[Given]
) -> None:
    readers = {
        permission: (step, given) for step, given, permission in _readers(session, creations)
    }
    assert sorted(readers) == sorted(_actions())
    silent = []
    for permission, (step, (template, given)) in readers.items():
        _allow(laboratory, without=permission)
        found = list(plan._run(step, Subject(Account(session), template, given)))
        if _unread(found) != {permission}:
            silent.append((permission, step.check.name, found))
    _allow(laboratory)
    assert silent == []
