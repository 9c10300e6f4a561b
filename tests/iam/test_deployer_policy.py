"""Both stacks are deployed, updated and destroyed with the rights of examples/policies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from localaws.client import LocalAws
from rehearsal.drivers.deployment import Stack
from rehearsal.timings import QUICK
from tests.iam.roles import ACCOUNT, TRUST_ACCOUNT
from tests.iam.test_launch_roles import changed
from tests.templates.template import ROOT, as_list

pytestmark = pytest.mark.long

Json = dict[str, Any]

POLICIES = ROOT / "examples" / "policies"
SAMPLE_ACCOUNT = "111122223333"
# The names in the policy.
CLUSTER, STORE, BUCKET = "my-cluster", "my-keys", "my-artifacts"
ROLE = "deployer"
VENV = [f"VENV={sys.prefix}"] if Path(sys.prefix, "installed").exists() else []


def document(name: str) -> str:
    return (POLICIES / f"{name}.json").read_text().replace(SAMPLE_ACCOUNT, ACCOUNT)


@dataclass
class Deployer:
    """Types commands with the credentials of a role that has both policies."""

    aws: LocalAws
    templates: Path

    def __post_init__(self) -> None:
        iam, sts = self.aws.client("iam"), self.aws.client("sts")
        self.aws.client("s3").create_bucket(Bucket=BUCKET)
        hours = {"MaxSessionDuration": 43200}
        iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=TRUST_ACCOUNT, **hours)
        for name in (ROLE, "watcher"):
            iam.put_role_policy(RoleName=ROLE, PolicyName=name, PolicyDocument=document(name))
        arn = f"arn:aws:iam::{ACCOUNT}:role/{ROLE}"
        found = sts.assume_role(RoleArn=arn, RoleSessionName="me", DurationSeconds=43200)
        self.env = {
            **self.aws.env,
            "AWS_ACCESS_KEY_ID": found["Credentials"]["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": found["Credentials"]["SecretAccessKey"],
            "AWS_SESSION_TOKEN": found["Credentials"]["SessionToken"],
        }

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command, cwd=ROOT, env=self.env, text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def deploy(self, stack: str, template: str, tags: str, parameters: str) -> str:
        return self.run(
            "make", "-s", *VENV, "deploy", f"TEMPLATE={self.templates / template}",
            f"STACK={stack}", f"BUCKET={BUCKET}", f"TAGS={tags}", f"PARAMS={parameters}",
        )  # fmt: skip

    def destroy(self, stack: str) -> None:
        lift = "--no-enable-termination-protection"
        update = ("aws", "cloudformation", "update-termination-protection")
        self.run(*update, "--stack-name", stack, lift)
        self.run("make", "-s", *VENV, "destroy", f"STACK={stack}")

    def edit(self) -> None:
        """The next version of both templates."""
        for path in self.templates.iterdir():
            path.write_text(changed(path.read_text()))


@pytest.fixture(scope="module", name="decisions")
def _decisions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Json]]:
    """IAM's decisions about the deployer."""
    place = tmp_path_factory.mktemp("sources")
    built = ROOT / "build" / "rehearsal"
    for name in ("build", "statemachines"):
        os.symlink((built / name).resolve(), place / name)
    (place / "templates").mkdir()
    for template in ("cloudhsm.yml", "cloudhsm-key-store.yml"):
        text = (built / "templates" / template).read_text()
        (place / "templates" / template).write_text(text)
    with LocalAws(timings=QUICK) as aws:
        deployer = Deployer(aws, place / "templates")
        network = f"pClientVpcId={aws.vpc} pClientSubnet={aws.subnets[0]}"
        subnets = ",".join(aws.subnets[:2])
        deployer.deploy(CLUSTER, "cloudhsm.yml", "team=crypto", f"pSubnets={subnets} {network}")
        outputs = Stack(aws, CLUSTER, "").outputs()
        source = (
            f"pKeyStoreName=keys pCloudHsmClusterId={outputs['oClusterId']}"
            f" pCloudHsmAdminPasswordSecretName={outputs['oAdminPasswordSecretName']}"
            f" pCloudHsmCustCaCertSecretName={outputs['oCustomerCaCertSecretName']}"
            f" pClientInstanceId={outputs['oClientInstanceId']}"
        )
        more = "pDeleteKeyStoreUponStackDeletion=true"
        deployer.deploy(STORE, "cloudhsm-key-store.yml", "team=crypto", f"{source} {more}")
        assert "No changes" in deployer.deploy(CLUSTER, "cloudhsm.yml", "team=crypto", "")
        deployer.edit()
        for stack, template in ((CLUSTER, "cloudhsm.yml"), (STORE, "cloudhsm-key-store.yml")):
            deployer.deploy(stack, template, "stage=test", "pReconcile=next")
        for stack in (STORE, CLUSTER):
            deployer.destroy(stack)
        decided = aws.admin.decisions()
        yield [each for each in decided if each["principal"] == ROLE]


def granted() -> set[tuple[str, str]]:
    return {
        (statement["Sid"], action)
        for statement in json.loads(document("deployer"))["Statement"]
        for action in as_list(statement["Action"])
    }


def test_the_policies_suffice(decisions: list[Json]) -> None:
    assert decisions
    denied = [(each["action"], each["resource"]) for each in decisions if not each["allowed"]]
    assert denied == []


def test_no_action_can_be_removed(decisions: list[Json]) -> None:
    # A decision names the statement only if no other one would have allowed it.
    used = {(each["statement"], each["action"]) for each in decisions}
    assert granted() - used == set()
