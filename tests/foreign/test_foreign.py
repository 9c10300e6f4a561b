"""Templates unlike ours, deployed with the stock AWS CLI, updated and deleted without a trace."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localaws.client import LocalAws

HERE = Path(__file__).parent
TOKEN = "Token=secret-token"


class Foreign:
    """A stack that the AWS CLI deploys from a template of this directory."""

    def __init__(self, aws: LocalAws, template: str) -> None:
        self.aws, self.template, self.stack = aws, template, f"foreign-{template}"

    def _cloudformation(self, *arguments: str) -> str:
        done = self.aws.run("aws", "cloudformation", *arguments, "--stack-name", self.stack)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def deploy(self, *parameters: str) -> dict[str, str]:
        """Create or update the stack; its outputs."""
        overrides = ["--parameter-overrides", *parameters] if parameters else []
        self._cloudformation(
            "deploy",
            "--template-file",
            str(HERE / f"{self.template}.yml"),
            "--capabilities",
            "CAPABILITY_IAM",
            "CAPABILITY_AUTO_EXPAND",
            *overrides,
        )
        described = json.loads(self._cloudformation("describe-stacks", "--output", "json"))
        (stack,) = described["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def delete(self) -> None:
        """Delete the stack."""
        self._cloudformation("delete-stack")
        self._cloudformation("wait", "stack-delete-complete")


@pytest.fixture(scope="module", name="aws")
def _aws() -> Iterator[LocalAws]:
    with LocalAws() as aws:
        yield aws


@pytest.fixture(name="foreign")
def _foreign(aws: LocalAws) -> Iterator[Callable[[str], Foreign]]:
    """Makes stacks; afterwards they are deleted, and nothing may be left."""
    before, made = aws.admin.inventory(), []

    def make(template: str) -> Foreign:
        made.append(Foreign(aws, template))
        return made[-1]

    yield make
    for stack in reversed(made):
        stack.delete()
    left = aws.admin.inventory()
    for inventory in (before, left):
        # Functions' log groups and keys that await deletion outlive a stack on AWS.
        inventory.pop("logs", None)
        inventory.pop("kms", None)
        inventory.pop("cloudformation", None)
    assert left == before


def test_a_network_gains_a_subnet_and_a_gateway(
    aws: LocalAws, foreign: Callable[[str], Foreign]
) -> None:
    network = foreign("network")
    small = network.deploy()
    large = network.deploy("Size=large", "Exposure=public")
    assert small["Subnets"] == "10.40.0.0/24,10.40.1.0/24,none"
    assert large["Subnets"] == "10.40.0.0/24,10.40.1.0/24,10.40.2.0/24"
    assert (small["Zone"], "Gateway" in small, "Gateway" in large) == ("us-east-1a", False, True)
    described = aws.client("ec2").describe_instances(InstanceIds=[large["Instance"]])
    (instance,) = described["Reservations"][0]["Instances"]
    assert instance["InstanceType"] == "t3.large"
    assert {"Key": "Plain", "Value": "no"} in instance["Tags"]


def test_settings_follow_their_list_and_password_keeps_its_secret(
    aws: LocalAws, foreign: Callable[[str], Foreign]
) -> None:
    settings, ssm = foreign("settings"), aws.client("ssm")
    first = settings.deploy(TOKEN)
    second = settings.deploy(TOKEN, "Services=Billing,Search,Mail", "Stage=prod", "Length=32")
    # CloudFormation resolves a secret again only if the resource with the reference changes.
    assert (first["User"], second["User"]) == ("test-admin", "test-admin")
    assert (first["Count"], second["Count"]) == ("2", "3")
    assert second["First"] == "https://Billing.prod.example.com"
    assert first["Password"] == second["Password"]
    secret = aws.client("secretsmanager").get_secret_value(SecretId=second["Password"])
    assert len(json.loads(secret["SecretString"])["password"]) == 32
    mail = ssm.get_parameter(Name="/foreign-settings/Mail")["Parameter"]
    assert mail["Value"] == "https://Mail.prod.example.com"


def test_a_workflow_chooses_maps_waits_and_catches(
    aws: LocalAws, foreign: Callable[[str], Foreign]
) -> None:
    workflow = foreign("workflow")
    machine = workflow.deploy()["Machine"]
    assert _run(aws, machine, {"orders": [1, -2, 3]}) == {
        "prices": [2, 0, 6],
        "report": [{"count": 3}, {"text": "factor 2"}],
    }
    assert _run(aws, machine, {"orders": []}) == "NoOrders"
    outputs = workflow.deploy("Factor=5", "Schedule=on")
    aws.admin.advance(10)
    assert outputs["Machine"] == machine
    assert outputs["Rule"].startswith("arn:aws:events:")
    assert _run(aws, machine, {"orders": [4]}) == {
        "prices": [20],
        "report": [{"count": 1}, {"text": "factor 5"}],
    }


def _run(aws: LocalAws, machine: str, given: Any) -> Any:
    """The output of an execution, or the error of one that failed."""
    client = aws.client("stepfunctions")
    arn = client.start_execution(stateMachineArn=machine, input=json.dumps(given))["executionArn"]
    while (found := client.describe_execution(executionArn=arn))["status"] == "RUNNING":
        aws.admin.is_idle()
    return found["error"] if "error" in found else json.loads(found["output"])


def test_artifacts_wait_for_a_signal_and_import_an_export(
    aws: LocalAws, foreign: Callable[[str], Foreign]
) -> None:
    password = foreign("settings").deploy(TOKEN)["Password"]
    artifacts = foreign("artifacts")
    first = artifacts.deploy("Password=foreign-settings-password")
    second = artifacts.deploy("Days=7")
    assert (first["Prefix"], second["Prefix"]) == ("keep-30/", "keep-7/")
    assert json.loads(first["Signals"]) == {"1": "prepared"}
    assert second["Layout"] == f"layout-of-{first['Bucket']}"
    rules = aws.client("s3").get_bucket_lifecycle_configuration(Bucket=second["Bucket"])["Rules"]
    assert rules[0]["Expiration"] == {"Days": 7}
    imported = aws.client("cloudformation").list_imports(ExportName="foreign-settings-password")
    assert (imported["Imports"], bool(password)) == (["foreign-artifacts"], True)


def test_a_document_says_what_a_custom_resource_returns(
    aws: LocalAws, foreign: Callable[[str], Foreign]
) -> None:
    document = foreign("document")
    first, second = document.deploy(), document.deploy("Words=three,four")
    assert (first["Text"], second["Text"]) == ("one-two", "three-four")
    assert (first["Joined"], second["Joined"]) == ("joined", "joined")
    described = aws.client("ssm").describe_document(Name=second["Document"])["Document"]
    assert described["Description"] == "Says three-four"
