"""What CloudFormation needs of its caller: the table, and what the simulator makes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from scripts.preflight.account import Account
from scripts.preflight.checks import rights
from scripts.preflight.findings import ERROR, OK, WARNING, Finding
from scripts.preflight.subject import Subject
from tests.iam.roles import ACCOUNT, TRUST_ACCOUNT
from tests.scripts.preflight.support import CLUSTER, KEY_STORE, Laboratory, Session
from tests.templates.template import as_list

ALLOW_ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def _types() -> set[str]:
    return {
        resource["Type"]
        for template in (CLUSTER, KEY_STORE)
        for resource in template["Resources"].values()
        if resource["Type"].startswith("AWS::")
    }


def test_every_type_of_the_templates_has_rights() -> None:
    assert {right.kind for right in rights.RIGHTS} == _types()


def test_the_rights_are_those_of_the_published_resource_handlers() -> None:
    offenders = []
    for right in rights.RIGHTS:
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", right.kind).schema
        handlers = schema["handlers"]
        known = {each for name in ("create", "delete") for each in handlers[name]["permissions"]}
        offenders += [(right.kind, each) for each in right.actions if each not in known]
    assert offenders == []


def test_the_example_of_a_deployer_s_policy_has_all_rights() -> None:
    allowed = {
        action
        for name in ("deployer", "watcher")
        for statement in json.loads(Path(f"examples/policies/{name}.json").read_text())["Statement"]
        for action in as_list(statement["Action"])
    }
    required = {action for right in rights.RIGHTS for action in right.actions}
    assert required | {*rights.STACK_ACTIONS, *rights.BUCKET_ACTIONS} <= allowed


def _findings(laboratory: Laboratory, name: str, *statements: dict[str, Any]) -> list[Finding]:
    """What preflight says to a role with these statements."""
    iam = laboratory.aws.client("iam")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST_ACCOUNT)
    iam.put_role_policy(
        RoleName=name,
        PolicyName="inline",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": list(statements)}),
    )
    credentials = laboratory.aws.client("sts").assume_role(
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{name}", RoleSessionName="operator"
    )["Credentials"]
    account = Account(Session(laboratory.aws, credentials))
    subject = Subject(account, CLUSTER, laboratory.cluster_parameters(), "mine", "artifacts")
    return list(rights.rights(subject))


@pytest.mark.parametrize(
    ("name", "statements", "level", "texts"),
    [
        ("all", [ALLOW_ALL], OK, ["may create and delete all resources"]),
        (
            "no-roles",
            [ALLOW_ALL, {"Effect": "Deny", "Action": "iam:CreateRole", "Resource": "*"}],
            ERROR,
            ["iam:CreateRole is denied on arn:aws:iam::123456789012:role/mine-r"],
        ),
        (
            "other-stacks",
            [
                {
                    "Effect": "Allow",
                    "NotAction": ["cloudformation:*", "s3:PutObject"],
                    "Resource": "*",
                }
            ],
            ERROR,
            [
                "cloudformation:CreateChangeSet",
                ":stack/mine/",
                "s3:PutObject is denied on arn:aws:s3:::artifacts/",
            ],
        ),
        (
            "conditions",
            [
                {"Effect": "Allow", "NotAction": "ssm:CreateDocument", "Resource": "*"},
                {
                    "Effect": "Allow",
                    "Action": "ssm:CreateDocument",
                    "Resource": "*",
                    "Condition": {"StringEquals": {"aws:RequestTag/team": "crypto"}},
                },
            ],
            WARNING,
            ["ssm:CreateDocument on ", "depends on aws:RequestTag/team"],
        ),
        (
            "passes-to-lambda",
            [
                {"Effect": "Allow", "NotAction": "iam:PassRole", "Resource": "*"},
                {
                    "Effect": "Allow",
                    "Action": "iam:PassRole",
                    "Resource": "*",
                    "Condition": {
                        "StringEquals": {
                            "iam:PassedToService": [
                                "lambda.amazonaws.com",
                                "states.amazonaws.com",
                                "ec2.amazonaws.com",
                            ],
                            "aws:RequestedRegion": "us-east-1",
                        }
                    },
                },
            ],
            OK,
            ["may create and delete all resources"],
        ),
    ],
)
def test_what_the_caller_may_not_do(
    laboratory: Laboratory, name: str, statements: list[Any], level: str, texts: list[str]
) -> None:
    found = _findings(laboratory, f"deployer-{name}", *statements)
    assert {each.level for each in found} == {level}, found
    shown = " ".join(each.text for each in found)
    assert [text for text in texts if text not in shown] == []


def test_the_root_user_may_do_everything(laboratory: Laboratory) -> None:
    subject = laboratory.subject(CLUSTER, laboratory.cluster_parameters())
    assert [each.level for each in rights.rights(subject)] == [OK]


def test_a_federated_caller_is_not_simulated(laboratory: Laboratory) -> None:
    subject = laboratory.subject(CLUSTER, laboratory.cluster_parameters())
    arn = f"arn:aws:sts::{ACCOUNT}:federated-user/somebody"
    subject.__dict__["caller"] = {"Account": ACCOUNT, "Arn": arn}
    assert [each.level for each in rights.rights(subject)] == [WARNING]
