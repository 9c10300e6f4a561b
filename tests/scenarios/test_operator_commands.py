"""make deploy, watch, why and destroy, as an operator types them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from localaws.client import BUCKET, ROOT, LocalAws
from rehearsal.drivers.deployment import Stack
from rehearsal.drivers.key_store import on_stack_cluster
from rehearsal.drivers.stack import CLUSTER_TEMPLATE, StackDriver
from rehearsal.timings import QUICK
from tests.iam.roles import TRUST_ACCOUNT
from tests.support.deployer import denied, granted, policy

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

    def parameters(self) -> dict[str, str]:
        stacks = self.aws.client("cloudformation").describe_stacks(StackName="hsm")["Stacks"]
        return {each["ParameterKey"]: each["ParameterValue"] for each in stacks[0]["Parameters"]}


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
    assert operator.parameters()["pReconcile"] == "a  b $HOME $$ #c"


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


# CloudFormation gets the middle of this sentence cut out.
SENTENCE = " ".join(f"line {number} of the output" for number in range(20))


@pytest.fixture(scope="module", name="failed_update")
def _failed_update(operator: Operator) -> Done:
    """`make deploy`, which failed."""
    operator.aws.admin.fault(script="Configure", exit=1, stderr=SENTENCE, times=9)
    done = operator.deploy("pReconcile=again")
    operator.aws.admin.clear_faults()
    return done


def test_a_failed_update_is_explained_in_full_and_again_by_why(
    operator: Operator, failed_update: Done
) -> None:
    assert failed_update.returncode == 2
    why = operator.make("why", "STACK=hsm")
    assert why.returncode == 0
    for text in (failed_update.stdout, why.stdout):
        assert "rCloudHsmCluster is UPDATE_FAILED" in text
        assert SENTENCE in text
        assert " of cloudhsm-1-run-on-client, " in text
        [arn] = re.findall(r"^  execution  (\S+)$", text, re.MULTILINE)
        assert f"#/v2/executions/details/{arn}\n" in text
    watched = operator.make("watch", "STACK=hsm")
    assert watched.returncode == 2
    assert watched.stdout.endswith(why.stdout)


WATCHER = "watcher"


@dataclass
class Watched:
    """What the commands printed with the policy of a watcher, and IAM's decisions about them."""

    printed: list[Done] = field(default_factory=list)
    decisions: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture(scope="module", name="watched")
def _watched(operator: Operator, failed_update: Done) -> Watched:
    """Watch a failed update, a running one, a deleted stack and one that never existed."""
    assert failed_update.returncode == 2
    aws, found = operator.aws, Watched()
    environment = _credentials(aws)

    def type_in(command: str, stack: str) -> None:
        found.printed.append(
            subprocess.run(
                [sys.executable, "-m", "scripts.stack", command, stack],
                cwd=ROOT, env=environment, text=True, capture_output=True, check=False,
            )
        )  # fmt: skip

    type_in("watch", "hsm")
    type_in("why", "hsm")
    driver = StackDriver(aws)
    driver.stack.parameters = {**operator.parameters(), "pReconcile": "watched"}
    aws.admin.fault(operation="SendCommand", pause=True)
    driver.stack.start()
    with driver.while_paused():
        type_in("why", "hsm")
    assert driver.stack.wait() == "UPDATE_COMPLETE"
    _create_and_delete(aws, "gone")
    type_in("why", "gone")
    type_in("why", "unknown")
    found.decisions = [each for each in aws.admin.decisions() if each["principal"] == WATCHER]
    return found


def _credentials(aws: LocalAws) -> dict[str, str]:
    """The environment of a role that has the example policy and nothing else."""
    iam, sts = aws.client("iam"), aws.client("sts")
    role = iam.create_role(RoleName=WATCHER, AssumeRolePolicyDocument=TRUST_ACCOUNT)["Role"]
    iam.put_role_policy(RoleName=WATCHER, PolicyName=WATCHER, PolicyDocument=policy(WATCHER))
    session = sts.assume_role(RoleArn=role["Arn"], RoleSessionName=WATCHER)["Credentials"]
    return {
        **aws.env,
        "AWS_ACCESS_KEY_ID": session["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": session["SecretAccessKey"],
        "AWS_SESSION_TOKEN": session["SessionToken"],
    }


def _create_and_delete(aws: LocalAws, name: str) -> None:
    body = '{"Resources": {"Handle": {"Type": "AWS::CloudFormation::WaitConditionHandle"}}}'
    aws.client("cloudformation").create_stack(StackName=name, TemplateBody=body)
    stack = Stack(aws, name, "")
    assert stack.wait() == "CREATE_COMPLETE"
    stack.start_delete()
    assert stack.wait() == "DELETE_COMPLETE"


def test_with_the_watcher_s_policy_nothing_is_left_out(watched: Watched) -> None:
    of_failure, again, running, gone, unknown = watched.printed
    assert again.stdout in of_failure.stdout
    assert "Nothing has failed yet: UPDATE_IN_PROGRESS, cloudhsm-1-" in running.stdout
    assert "stack gone is DELETE_COMPLETE" in gone.stdout
    assert "There is no stack unknown" in unknown.stderr
    assert [each.stdout for each in watched.printed if "Not shown" in each.stdout] == []


def test_the_watcher_s_policy_has_every_action(watched: Watched) -> None:
    assert watched.decisions
    assert denied(watched.decisions) == []


def test_the_watcher_s_policy_has_no_other_action(watched: Watched) -> None:
    # A decision names the statement only if no other one would have allowed it.
    used = {(each["statement"], each["action"]) for each in watched.decisions}
    assert granted(WATCHER) - used == set()


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
