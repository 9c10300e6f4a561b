"""A role with the example policies of those who deploy, whose names are those of the examples."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localaws.client import ROOT, LocalAws
from tests.iam.roles import ACCOUNT, TRUST_ACCOUNT

Json = dict[str, Any]

SAMPLE_ACCOUNT, SAMPLE_REGION = "111122223333", "us-east-1"
CLUSTER, STORE, BUCKET = "my-cluster", "my-keys", "my-artifacts"
ROLE = "deployer"
# Longer than all requests of a test, in virtual time.
SECONDS = 43200
VENV = [f"VENV={sys.prefix}"] if Path(sys.prefix, "installed").exists() else []


def policy(name: str, partition: str = "aws", region: str = SAMPLE_REGION) -> str:
    """An example, with an account and Region in it."""
    text = (ROOT / "examples" / "policies" / f"{name}.json").read_text()
    text = text.replace(SAMPLE_ACCOUNT, ACCOUNT).replace(SAMPLE_REGION, region)
    return text.replace("arn:aws:", f"arn:{partition}:")


@dataclass
class Deployer:
    """Types commands with the credentials of a role that may deploy and watch."""

    aws: LocalAws

    def __post_init__(self) -> None:
        # For make, no template of another directory depends on it.
        built = self.aws.run("make", "-s", *VENV, "build/rehearsal/build/functions.zip")
        assert built.returncode == 0, built.stderr
        iam, sts, s3 = (self.aws.client(name) for name in ("iam", "sts", "s3"))
        partition = sts.get_caller_identity()["Arn"].split(":")[1]
        elsewhere = {"LocationConstraint": self.aws.region}
        configured = {"CreateBucketConfiguration": elsewhere}
        s3.create_bucket(Bucket=BUCKET, **(configured if partition != "aws" else {}))
        iam.create_role(
            RoleName=ROLE,
            AssumeRolePolicyDocument=TRUST_ACCOUNT,
            MaxSessionDuration=SECONDS,
        )
        for name in (ROLE, "watcher"):
            document = policy(name, partition, self.aws.region)
            iam.put_role_policy(RoleName=ROLE, PolicyName=name, PolicyDocument=document)
        session = sts.assume_role(
            RoleArn=f"arn:{partition}:iam::{ACCOUNT}:role/{ROLE}",
            RoleSessionName="me",
            DurationSeconds=SECONDS,
        )["Credentials"]
        self.env = {
            **self.aws.env,
            "AWS_ACCESS_KEY_ID": session["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": session["SecretAccessKey"],
            "AWS_SESSION_TOKEN": session["SessionToken"],
        }

    def run(self, *command: str, where: Path = ROOT) -> str:
        """Run a command in a directory; returns its output."""
        done = subprocess.run(
            command, cwd=where, env=self.env, text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def cloudformation(self, operation: str, *arguments: str, where: Path = ROOT) -> str:
        """Run an operation of CloudFormation with the stock CLI."""
        return self.run("aws", "cloudformation", operation, *arguments, where=where)

    def make(self, target: str, *variables: str) -> str:
        """Run a target of make."""
        return self.run("make", "-s", *VENV, target, *variables)

    def decisions(self) -> list[Json]:
        """IAM's decisions about the role so far."""
        return [each for each in self.aws.admin.decisions() if each["principal"] == ROLE]


def denied(decisions: list[Json]) -> list[tuple[str, str]]:
    """The actions and resources that were denied."""
    return [(each["action"], each["resource"]) for each in decisions if not each["allowed"]]


def granted(name: str) -> set[tuple[str, str]]:
    """Each statement and action of a policy."""
    return {
        (statement["Sid"], action)
        for statement in json.loads(policy(name))["Statement"]
        for action in (
            [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        )
    }
