"""Without one of a role's actions, stack creation fails with AWS's message, which names it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from localaws.client import BUCKET, LocalAws
from rehearsal.checks import invariants
from rehearsal.drivers.deployment import CAPABILITIES, package
from rehearsal.drivers.stack import CLUSTER_TEMPLATE, StackDriver
from rehearsal.timings import QUICK
from tests.iam.decisions import decisions
from tests.templates.template import as_list, branches

Json = dict[str, Any]

EDITED = "templates/edited.json"
_numbers = itertools.count(1)
# The end of IAM's message.
NO_POLICY = "policy allows the {} action"


@pytest.fixture(scope="module", name="aws")
def _aws() -> Iterator[LocalAws]:
    with LocalAws(timings=QUICK) as aws:
        yield aws
        assert invariants.violations(aws.admin.event_log()) == []


def create_without(aws: LocalAws, role: str, action: str, **parameters: object) -> StackDriver:
    """Create a cluster stack whose role lacks this action."""
    packaged = package(aws, CLUSTER_TEMPLATE)
    body = aws.client("s3").get_object(Bucket=BUCKET, Key=CLUSTER_TEMPLATE)["Body"].read()
    template = yaml.safe_load(body)
    remove(template["Resources"][role]["Properties"], action)
    aws.client("s3").put_object(Bucket=BUCKET, Key=EDITED, Body=json.dumps(template))
    driver = StackDriver(aws).second_stack(f"try-{next(_numbers)}", **parameters)
    aws.client("cloudformation").create_stack(
        StackName=driver.stack.name,
        TemplateURL=packaged.replace(CLUSTER_TEMPLATE, EDITED),
        Capabilities=CAPABILITIES,
        Parameters=[
            {"ParameterKey": name, "ParameterValue": value}
            for name, value in driver.stack.parameters.items()
        ],
    )
    driver.wait()
    return driver


def remove(role: Json, action: str) -> None:
    """Remove an action from all statements of a role, and statements left without any."""
    for policy in role["Policies"]:
        document = policy["PolicyDocument"]
        statements = branches(document["Statement"])
        for statement in statements:
            statement["Action"] = [each for each in as_list(statement["Action"]) if each != action]
        document["Statement"] = [each for each in statements if each["Action"]]


@pytest.mark.parametrize(
    ("role", "action", "reason"),
    [
        ("rRequestRole", "states:ListExecutions", NO_POLICY),
        ("rStateMachineRole", "lambda:InvokeFunction", "{} on cloudhsm-"),
        ("rStateMachineRole", "events:PutRule", "is not authorized to create managed-rule"),
        ("rStateMachineRole", "logs:PutResourcePolicy", "to access the Log Destination"),
        ("rClusterRole", "ec2:CreateSecurityGroup", NO_POLICY),
        ("rCertificateRole", "secretsmanager:TagResource", NO_POLICY),
        ("rClientRole", "ssm:SendCommand", NO_POLICY),
        ("rClientInstanceRole", "ssmmessages:OpenDataChannel", "is Absent after 10 minutes"),
    ],
)
def test_a_creation_fails_and_names_the_missing_action(
    aws: LocalAws, role: str, action: str, reason: str
) -> None:
    driver = create_without(aws, role, action)
    # ROLLBACK_FAILED if deletion needs the action too.
    assert str(driver.stack.status()).startswith("ROLLBACK_")
    driver.expect_reason(reason.format(action))


def test_a_function_runs_without_its_log_but_the_denial_is_recorded(aws: LocalAws) -> None:
    create_without(aws, "rResponseRole", "logs:PutLogEvents", pHsmsPerSubnet=0)
    denied = {(each.role, each.action) for each in decisions(aws) if not each.allowed}
    assert ("rResponseRole", "logs:PutLogEvents") in denied
