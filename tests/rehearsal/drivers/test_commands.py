from __future__ import annotations

import json
from typing import Any

import botocore.session
import pytest

from localaws.client import BUCKET, LocalAws
from rehearsal.drivers.commands import OperatedAws, cli_command

TEMPLATE = "build/rehearsal/templates/cloudhsm.yml"


@pytest.fixture(name="typed")
def _typed() -> tuple[OperatedAws, list[str]]:
    """One that is not running, and the commands it has said."""
    aws, commands = OperatedAws(), list[str]()
    aws.on_command = commands.append
    return aws, commands


def call(aws: OperatedAws, service: str, operation: str, **parameters: Any) -> None:
    model = botocore.session.get_session().get_service_model(service)
    aws._called(params=parameters, model=model.operation_model(operation))


def request(aws: OperatedAws, operation: str, folder: str = "", **parameters: str) -> None:
    call(
        aws,
        "cloudformation",
        operation,
        StackName="hsm",
        TemplateURL=f"http://127.0.0.1:4566/{BUCKET}/{folder}{TEMPLATE}",
        Parameters=[
            {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
        ],
    )


def test_requests_to_stacks_are_make_targets_with_the_parameters_that_change(
    typed: tuple[OperatedAws, list[str]],
) -> None:
    aws, commands = typed
    request(aws, "CreateStack", pSubnets="subnet-1,subnet-2", pHsmsPerSubnet="1")
    request(aws, "UpdateStack", "edited/", pSubnets="subnet-1,subnet-2", pHsmsPerSubnet="2")
    request(aws, "UpdateStack", pSubnets="subnet-1,subnet-2", pHsmsPerSubnet="2")
    call(aws, "cloudformation", "DeleteStack", StackName="hsm")
    deploy = f"make deploy TEMPLATE={TEMPLATE} STACK=hsm BUCKET={BUCKET}"
    assert commands == [
        f"{deploy} PARAMS='pSubnets=subnet-1,subnet-2 pHsmsPerSubnet=1'",
        f"{deploy} PARAMS=pHsmsPerSubnet=2",
        deploy,
        "make destroy STACK=hsm",
    ]


def test_commands_of_the_repository_are_shown_but_not_those_that_make_runs(
    typed: tuple[OperatedAws, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    aws, commands = typed
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(LocalAws, "run", lambda _, *command: ran.append(command))
    deploy = ("make", "deploy", f"TEMPLATE={TEMPLATE}", "STACK=hsm", "PARAMS=a=1 b=2")
    aws.run(*deploy)
    aws.run("make", "destroy", "STACK=hsm")
    aws.run("make", "-s", "build/rehearsal/templates")
    aws.run("aws", "cloudformation", "package", "--template-file", TEMPLATE)
    assert ran[0] == deploy
    assert len(ran) == 4
    assert commands == [
        f"make deploy TEMPLATE={TEMPLATE} STACK=hsm BUCKET={BUCKET} PARAMS='a=1 b=2'",
        "make destroy STACK=hsm",
    ]


def test_a_script_is_one_command(typed: tuple[OperatedAws, list[str]]) -> None:
    aws, commands = typed
    step = {"inputs": {"runCommand": ["set -eu", "cloudhsm-cli user list"]}}
    content = json.dumps({"mainSteps": [step]})
    call(aws, "ssm", "CreateDocument", Name="operator", Content=content)
    call(aws, "ssm", "SendCommand", DocumentName="operator", InstanceIds=["i-a"])
    call(aws, "ssm", "DeleteDocument", Name="operator")
    assert commands == [
        "aws ssm send-command --document-name AWS-RunShellScript --instance-ids i-a"
        """ --parameters '{"commands": ["set -eu", "cloudhsm-cli user list"]}'"""
    ]


def test_reads_and_uploads_are_no_commands(typed: tuple[OperatedAws, list[str]]) -> None:
    aws, commands = typed
    call(aws, "cloudhsmv2", "DescribeClusters")
    call(aws, "s3", "PutObject", Bucket=BUCKET, Key="x")
    assert commands == []
    call(aws, "cloudhsmv2", "DeleteHsm", ClusterId="cluster-a", HsmId="hsm-b")
    assert commands == ["aws cloudhsmv2 delete-hsm --cluster-id cluster-a --hsm-id hsm-b"]


@pytest.mark.parametrize(
    ("parameters", "options"),
    [
        ({"PendingWindowInDays": 7}, "--pending-window-in-days 7"),
        ({"ForceDeleteWithoutRecovery": True}, "--force-delete-without-recovery"),
        ({"DryRun": False}, "--no-dry-run"),
        ({"InstanceIds": ["i-a", "i-b"]}, "--instance-ids i-a i-b"),
        ({"Filters": {"names": ["a"]}}, """--filters '{"names": ["a"]}'"""),
        ({"SecretString": "-----BEGIN\nMII"}, "--secret-string …"),
        ({"Plaintext": b"to be"}, "--plaintext …"),
    ],
)
def test_parameters_are_options_of_the_cli(parameters: dict[str, Any], options: str) -> None:
    assert cli_command("kms", "CreateKey", parameters) == f"aws kms create-key {options}"
