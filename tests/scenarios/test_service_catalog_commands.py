"""docs/service-catalog.md, from a release alone: its commands work as they are printed."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from localaws.client import LocalAws, until
from rehearsal.drivers.deployment import Stack
from rehearsal.timings import QUICK
from scripts.release.artifacts import NAME
from scripts.templates import CATALOG
from tests.scenarios.test_documented_commands import commands
from tests.scenarios.test_released_templates import publish
from tests.support.deployer import BUCKET
from tests.support.portfolio import END_USER, create_end_user, role_arn, session
from tests.test_released import project_version

pytestmark = pytest.mark.long

Json = dict[str, Any]

DOCUMENT = "docs/service-catalog.md"
STACK = "cloudhsm-catalog"
# The versions of the document's commands.
FIRST, NEXT = "1.1.0", "1.2.0"


def release_next(aws: LocalAws) -> None:
    """What the next release would be: templates of another version."""
    s3, prefix = aws.client("s3"), f"{NAME}/{project_version()}/"
    for name in ("cloudhsm.yml", "cloudhsm-key-store.yml", CATALOG):
        text = s3.get_object(Bucket=BUCKET, Key=prefix + name)["Body"].read().decode()
        text = text.replace(f"TemplateVersion: {project_version()}", f"TemplateVersion: {NEXT}")
        s3.put_object(Bucket=BUCKET, Key=f"{NAME}/{NEXT}/{name}", Body=text.encode())


@dataclass
class Shell:
    """A shell in an empty directory."""

    aws: LocalAws
    where: Path
    environment: dict[str, str]

    def paste(self, command: str, **replaced: str) -> str:
        """Run a command of the document with the account's own values; returns its output."""
        own = {
            "arn:aws:iam::111122223333:role/engineer": role_arn(self.aws, END_USER),
            "subnet-1111aaaa": self.aws.subnets[0],
            "subnet-2222bbbb": self.aws.subnets[1],
            "vpc-3333cccc": self.aws.vpc,
            FIRST: project_version(),
            **replaced,
        }
        for sample, value in own.items():
            command = command.replace(sample, value)
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.where, env=self.environment,
            text=True, capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (command, done.stderr)
        return done.stdout


def of_end_user(aws: LocalAws) -> dict[str, str]:
    """The environment with the credentials of the role that launches products."""
    role = role_arn(aws, END_USER)
    found = aws.client("sts").assume_role(RoleArn=role, RoleSessionName="me")["Credentials"]
    return {
        **aws.env,
        "AWS_ACCESS_KEY_ID": found["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": found["SecretAccessKey"],
        "AWS_SESSION_TOKEN": found["SessionToken"],
    }


def finish(aws: LocalAws, output: str) -> str:
    """Wait for the operation that a command has begun; returns the ID of its record."""
    record = str(json.loads(output)["RecordDetail"]["RecordId"])
    client = session(aws, END_USER, "servicecatalog")

    def status() -> str:
        return str(client.describe_record(Id=record)["RecordDetail"]["Status"])

    until(lambda: not status().startswith("IN_PROGRESS"), record)
    assert status() == "SUCCEEDED"
    return record


def test_a_released_portfolio_needs_nothing_local(tmp_path: Path) -> None:
    printed = commands()
    ((create,), (add,)) = (printed[DOCUMENT, heading] for heading in ("Set up", "Add a version"))
    launch, *look, update, terminate = printed[DOCUMENT, "Launch, update, terminate"]
    with LocalAws(timings=QUICK) as aws:
        aws.client("s3").create_bucket(Bucket=BUCKET)
        create_end_user(aws)
        linked = publish(aws)["service-catalog"]
        # Opening the link means the same as the command.
        assert linked["templateURL"] in create.replace(FIRST, project_version())
        assert linked["param_pVersion1"] == project_version()
        release_next(aws)

        administrator = Shell(aws, tmp_path, aws.env)
        for command, status in ((create, "CREATE_COMPLETE"), (add, "UPDATE_COMPLETE")):
            administrator.paste(command)
            stack = Stack(aws, STACK, "")
            assert stack.wait() == status, stack.reasons()

        user = Shell(aws, tmp_path, of_end_user(aws))
        record = finish(aws, user.paste(launch))
        described, outputs = (user.paste(each, **{"rec-examplerecord1": record}) for each in look)
        assert json.loads(described)["RecordDetail"]["Status"] == "SUCCEEDED"
        assert f'"{project_version()}"' in outputs
        finish(aws, user.paste(update))
        assert f'"{NEXT}"' in user.paste(look[-1])
        finish(aws, user.paste(terminate))
        assert [each for each in aws.admin.decisions() if not each["allowed"]] == []
    assert [*tmp_path.iterdir()] == []
