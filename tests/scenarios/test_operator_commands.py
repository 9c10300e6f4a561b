"""make deploy, watch, why and destroy, as an operator types them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from localaws.client import BUCKET, ROOT, LocalAws
from rehearsal.drivers.deployment import Stack
from rehearsal.drivers.key_store import on_stack_cluster
from rehearsal.drivers.stack import CLUSTER_TEMPLATE, StackDriver
from rehearsal.timings import QUICK

Done = subprocess.CompletedProcess[str]

VENV = [f"VENV={sys.prefix}"] if os.path.exists(f"{sys.prefix}/installed") else []


@dataclass
class Operator:
    """Types commands into a shell that is set up for a local AWS."""

    aws: LocalAws
    created: Done | None = None

    def make(self, *arguments: str) -> Done:
        return self.aws.run("make", "-s", *VENV, *arguments)

    def deploy(self, parameters: str, stack: str = "hsm", *more: str) -> Done:
        given = (f"TEMPLATE={CLUSTER_TEMPLATE}", f"STACK={stack}", f"BUCKET={BUCKET}")
        return self.make("deploy", *given, f"PARAMS={parameters}", *more)

    @property
    def required(self) -> str:
        subnets = ",".join(self.aws.subnets[:2])
        client = f"pClientVpcId={self.aws.vpc} pClientSubnet={self.aws.subnets[0]}"
        return f"pSubnets={subnets} {client}"

    def events(self) -> int:
        return len(Stack(self.aws, "hsm", CLUSTER_TEMPLATE).events())

    def parameter(self, name: str) -> str:
        stacks = self.aws.client("cloudformation").describe_stacks(StackName="hsm")["Stacks"]
        values = {each["ParameterKey"]: each["ParameterValue"] for each in stacks[0]["Parameters"]}
        return str(values[name])


@pytest.fixture(scope="module", name="operator")
def _operator() -> Iterator[Operator]:
    """With a protected stack."""
    with LocalAws(timings=QUICK) as aws:
        operator = Operator(aws)
        operator.created = operator.deploy(operator.required)
        yield operator


def test_deploy_shows_the_creation_and_its_outputs(operator: Operator) -> None:
    created = operator.created
    assert created is not None
    assert created.returncode == 0, created.stderr
    lines = [line.split() for line in created.stdout.splitlines()]
    assert lines[0][1:] == ["stack", "hsm", "CREATE_IN_PROGRESS"]
    assert any(line[1:3] == ["execution", "cloudhsm-1-create-cluster"] for line in lines)
    assert any(line[1:2] == ["HSM"] and line[3] == "us-east-1b" for line in lines)
    assert [line for line in lines if line[0] == "oClusterState"] == [["oClusterState", "ACTIVE"]]


def test_a_parameter_arrives_as_it_was_quoted(operator: Operator) -> None:
    done = operator.deploy("pReconcile='a  b $HOME $$ #c'")
    assert done.returncode == 0, done.stderr
    assert operator.parameter("pReconcile") == "a  b $HOME $$ #c"


@pytest.mark.parametrize(
    ("stack", "parameters", "sentence"),
    [
        ("hsm", "pHsmPerSubnet=2", "no parameter pHsmPerSubnet. Did you mean pHsmsPerSubnet?"),
        ("two", "pSystem=other", "a new stack requires pClientSubnet, pClientVpcId, pSubnets."),
        ("two", "", "belongs to stack hsm, so nothing was created. Set pEnvPurpose to a value"),
    ],
)
def test_a_mistake_is_reported_before_anything_is_made(
    operator: Operator, stack: str, parameters: str, sentence: str
) -> None:
    before = operator.events()
    given = parameters or operator.required
    done = operator.deploy(given, stack)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert operator.events() == before
    assert Stack(operator.aws, "two", CLUSTER_TEMPLATE).status() is None


def test_a_failed_update_is_explained_in_full_and_again_by_why(operator: Operator) -> None:
    # CloudFormation gets the middle of this sentence cut out.
    sentence = " ".join(f"line {number} of the output" for number in range(20))
    operator.aws.admin.fault(script="Configure", exit=1, stderr=sentence, times=9)
    done = operator.deploy("pReconcile=again")
    operator.aws.admin.clear_faults()
    assert done.returncode == 2
    why = operator.make("why", "STACK=hsm")
    assert why.returncode == 0
    for text in (done.stdout, why.stdout):
        assert "rCloudHsmCluster is UPDATE_FAILED" in text
        assert sentence in text
        assert " of cloudhsm-1-run-on-client, " in text
        [arn] = re.findall(r"^  execution  (\S+)$", text, re.MULTILINE)
        assert f"#/v2/executions/details/{arn}\n" in text
    watched = operator.make("watch", "STACK=hsm")
    assert watched.returncode == 2
    assert watched.stdout.endswith(why.stdout)


def policy() -> dict[str, object]:
    """The example of a policy to watch with."""
    text = (ROOT / "examples" / "policies" / "watcher.json").read_text()
    found: dict[str, object] = json.loads(text)
    return found


def test_the_documented_permissions_suffice_to_watch_and_each_is_used(operator: Operator) -> None:
    aws = operator.aws
    iam, sts = aws.client("iam"), aws.client("sts")
    account = sts.get_caller_identity()["Account"]
    trust = {"Effect": "Allow", "Principal": {"AWS": account}, "Action": "sts:AssumeRole"}
    documents = {"Version": "2012-10-17", "Statement": [trust]}
    iam.create_role(RoleName="watcher", AssumeRolePolicyDocument=json.dumps(documents))
    iam.put_role_policy(RoleName="watcher", PolicyName="watch", PolicyDocument=json.dumps(policy()))
    role = f"arn:aws:iam::{account}:role/watcher"
    session = sts.assume_role(RoleArn=role, RoleSessionName="watcher")["Credentials"]
    credentials = {
        "AWS_ACCESS_KEY_ID": session["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": session["SecretAccessKey"],
        "AWS_SESSION_TOKEN": session["SessionToken"],
    }
    for command, name in (("watch", "hsm"), ("why", "hsm"), ("why", "deleted-long-ago")):
        done = subprocess.run(
            [sys.executable, "-m", "scripts.stack", command, name],
            cwd=ROOT, env={**aws.env, **credentials}, text=True, capture_output=True, check=False,
        )  # fmt: skip
        assert "Not shown" not in done.stdout
        assert "denied" not in done.stderr
        assert ("There is no stack" in done.stderr) == (name != "hsm")
    decisions = [each for each in aws.admin.decisions() if "watcher" in json.dumps(each)]
    used = {each["action"] for each in decisions if each["allowed"]}
    statements: list[dict[str, list[str]]] = policy()["Statement"]  # type: ignore[assignment]
    granted = {action for statement in statements for action in statement["Action"]}
    assert granted - used == set()


def shell(aws: LocalAws, script: str, **environment: str) -> Done:
    """`make shell` with these commands on standard input."""
    return subprocess.run(
        ["make", "-s", *VENV, "shell", "STACK=hsm"],
        cwd=ROOT, env={**aws.env, **environment}, input=script, text=True,
        capture_output=True, check=False,
    )  # fmt: skip


def test_shell_needs_the_token_of_the_admin_api(operator: Operator) -> None:
    aws = operator.aws
    instance = Stack(aws, "hsm", CLUSTER_TEMPLATE).outputs()["oClientInstanceId"]
    without = shell(aws, "echo inside")
    assert f"aws ssm start-session --target {instance}" in without.stderr
    wrong = shell(aws, "echo inside", LOCALAWS_ADMIN_URL=aws.admin.url, LOCALAWS_ADMIN_TOKEN="x")
    assert f"No shell on {instance}" in wrong.stderr
    assert "inside" not in without.stdout + wrong.stdout


def test_shell_opens_the_client_and_shows_nothing_of_the_machine(operator: Operator) -> None:
    aws = operator.aws
    given = {"LOCALAWS_ADMIN_URL": aws.admin.url, "LOCALAWS_ADMIN_TOKEN": aws.admin.token}
    script = "/opt/cloudhsm/bin/cloudhsm-cli user list\nenv; cat /proc/*/environ /etc/shadow\n"
    port = aws.admin.url.rpartition(":")[2]
    script += f"bash -c ': < /dev/tcp/127.0.0.1/{port}' && echo reached\n"
    found = shell(aws, script, PLANTED="planted", **given)
    assert '"username": "admin"' in found.stdout, found.stderr
    assert [
        text for text in ("planted", aws.admin.token, "reached", "root:$") if text in found.stdout
    ] == []
    assert "/etc/shadow: No such file" in found.stderr


def test_destroy_refuses_a_stack_that_does_not_exist(operator: Operator) -> None:
    done = operator.make("destroy", "STACK=typo")
    assert done.returncode == 2
    assert "There is no stack typo in Region us-east-1" in done.stderr


@pytest.mark.long
def test_destroy_refuses_until_protection_and_key_store_are_gone(operator: Operator) -> None:
    driver = StackDriver(operator.aws)
    keys = on_stack_cluster(driver)
    before = operator.events()
    done = operator.make("destroy", "STACK=hsm")
    assert done.returncode == 2
    assert "termination protection" in done.stderr
    lifted = operator.aws.run("bash", "-c", done.stderr.splitlines()[1])
    assert lifted.returncode == 0, lifted.stderr

    keys.request(pDeleteKeyStoreUponStackDeletion="true")
    keys.expect_stack("CREATE_COMPLETE")
    # Used by a repair, so it is checked when it is set.
    keys.request(pCloudHsmAdminPasswordSecretName="/no/such")
    keys.expect_stack("UPDATE_ROLLBACK_COMPLETE")
    keys.expect_reason("pCloudHsmAdminPasswordSecretName: the secret /no/such does not exist")
    refused = operator.make("destroy", "STACK=hsm")
    assert refused.returncode == 2
    assert "was not deleted and is unchanged. A CONNECTED KMS key store uses" in refused.stderr
    assert operator.events() == before

    deleted = operator.make("destroy", "STACK=keys")
    assert deleted.returncode == 0, deleted.stderr
    deleted = operator.make("destroy", "STACK=hsm")
    assert deleted.returncode == 0, deleted.stderr
    assert "stack hsm is DELETE_COMPLETE" in deleted.stdout
    # By name, and by the ID of the latest stack of this name.
    assert "stack hsm is DELETE_COMPLETE" in operator.make("why", "STACK=hsm").stdout
    again = operator.make("destroy", "STACK=hsm")
    assert again.returncode == 2
    assert "is deleted already" in again.stderr
