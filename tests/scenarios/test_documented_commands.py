"""The documents' commands work as they are printed, in one sitting with the local AWS."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from localaws.client import ROOT, LocalAws
from rehearsal.drivers.stack import StackDriver
from rehearsal.fixtures import existing_cluster

pytestmark = pytest.mark.long

# Where the commands of a document's heading are run, if not here, or why nowhere.
ELSEWHERE = {
    ("README.md", "Try it without an AWS account"): "CI runs them",
    ("docs/development.md", "Admin API"): "tests/localaws/test_client.py",
    ("docs/hsm-identity.md", "Pinning the manufacturer's root for hsm2m.medium"): (
        "the file is offered to browsers only"
    ),
    ("docs/hsm-identity.md", "The evidence"): "tests/scripts/test_verify_identity.py",
    ("docs/local-aws.md", "Deploy with the stock CLI"): "test_local_aws_commands.py",
    ("docs/preflight.md", "Preflight"): "the same command as the README's",
}
EXTERNAL_PKI = (
    ("docs/external-pki.md", "1. Create the cluster and get its CSR"),
    ("docs/external-pki.md", "2. Sign the CSR, store the certificates and update the stack"),
)
HERE = [
    ("README.md", "Deploy to AWS"),
    ("docs/operations.md", "Protecting other clusters"),
    ("docs/operations.md", "Alarms"),
    ("docs/key-store.md", "Create"),
    ("docs/upgrading.md", "Upgrading"),
    ("docs/uninstalling.md", "Delete the stacks"),
    ("docs/uninstalling.md", "Secrets"),
    ("docs/uninstalling.md", "Evidence of the HSMs' identity"),
    ("docs/uninstalling.md", "Audit log"),
    ("docs/uninstalling.md", "Backups"),
    ("docs/uninstalling.md", "Artifacts"),
    ("docs/uninstalling.md", "Service-linked roles"),
]
COMMANDS = (
    "aws",
    "curl",
    "make",
    "openssl",
    "path=${CSR_SECRET%/*}",
    "python",
    "scripts/sign_csr.sh",
)
VENV = [f"VENV={sys.prefix}"] if os.path.exists(f"{sys.prefix}/installed") else []


def commands() -> dict[tuple[str, str], list[str]]:
    """The commands of all documents by document and heading, continued lines joined."""
    found: dict[tuple[str, str], list[str]] = {}
    for document in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        heading, fence, text = "", False, document.read_text().replace("\\\n", " ")
        for line in text.splitlines():
            if line.lstrip().startswith("```"):
                fence = not fence and line.strip() == "```sh"
            elif line.startswith("#") and not fence:
                heading = line.lstrip("# ")
            elif (fence or line.startswith("    ")) and line.split()[:1] in [
                [each] for each in COMMANDS
            ]:
                place = (document.relative_to(ROOT).as_posix(), heading)
                found.setdefault(place, []).append(" ".join(line.split()))
    return found


def test_every_command_is_run_or_says_why_not() -> None:
    assert commands().keys() ^ {*HERE, *EXTERNAL_PKI, *ELSEWHERE} == set()


@dataclass
class Sitting:
    """An operator who pastes commands, with the IDs of their own account."""

    aws: LocalAws

    def outputs(self, stack: str) -> dict[str, str]:
        [found] = self.aws.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        return {each["OutputKey"]: each["OutputValue"] for each in found["Outputs"]}

    def paste(self, command: str, **replaced: str) -> subprocess.CompletedProcess[str]:
        """Run a command with other IDs."""
        own = {
            "templates/": "build/rehearsal/templates/",
            "subnet-1111aaaa": self.aws.subnets[0],
            "subnet-2222bbbb": self.aws.subnets[1],
            "vpc-3333cccc": self.aws.vpc,
            "TEMPLATE=": f"{shlex.join(VENV)} TEMPLATE=",
            "STACK=": f"{shlex.join(VENV)} STACK=",
            **replaced,
        }
        for name, value in own.items():
            command = command.replace(name, value)
        print(f"$ {command}")
        return self.aws.run("bash", "-c", command)

    def succeed(self, place: tuple[str, str], **replaced: str) -> str:
        """Run all commands of a heading; returns their output."""
        output = ""
        for command in commands()[place]:
            done = self.paste(command, **replaced)
            if "update-termination-protection" in done.stderr:
                # The refusal prints the command that lifts the protection.
                [lift] = re.findall(r"^ *(aws .*)$", done.stderr, re.MULTILINE)
                assert self.paste(lift).returncode == 0
                if place[0] == "README.md":
                    continue
                done = self.paste(command, **replaced)
            assert done.returncode == 0, (command, done.stdout, done.stderr)
            output += done.stdout
        return output


def test_the_documented_commands_work_in_one_sitting(local_aws: LocalAws) -> None:
    sitting = Sitting(local_aws)
    output = sitting.succeed(("README.md", "Deploy to AWS"))
    assert "stack my-cluster CREATE_COMPLETE" in output.replace("  ", " ")
    cluster = sitting.outputs("my-cluster")
    own = {
        "cluster-...": cluster["oClusterId"],
        "i-...": cluster["oClientInstanceId"],
        "pCloudHsmAdminPasswordSecretName=...": "pCloudHsmAdminPasswordSecretName="
        + cluster["oAdminPasswordSecretName"],
        "pCloudHsmCustCaCertSecretName=...": "pCloudHsmCustCaCertSecretName="
        + cluster["oCustomerCaCertSecretName"],
    }
    sitting.succeed(("docs/key-store.md", "Create"), **own)
    assert sitting.outputs("my-keys")["oKeyStoreState"] == "CONNECTED"
    sitting.succeed(("docs/upgrading.md", "Upgrading"))
    assert sitting.outputs("my-cluster")["oClusterState"] == "ACTIVE"
    for place in HERE[5:9]:
        sitting.succeed(place, **own)
    backups = local_aws.client("cloudhsmv2").describe_backups()["Backups"]
    for backup in backups:
        sitting.succeed(HERE[9], **own, **{"backup-...": backup["BackupId"]})
    sitting.succeed(HERE[10])
    sitting.succeed(HERE[11])


def test_the_commands_of_alarms_have_valid_parameters(local_aws: LocalAws) -> None:
    """The local AWS has no CloudWatch, so the CLI validates them without sending a request."""
    for command in commands()["docs/operations.md", "Alarms"]:
        done = Sitting(local_aws).paste(f"{command} --generate-cli-skeleton output")
        assert (done.returncode, done.stderr) == (0, "")


def test_another_cluster_can_be_protected(local_aws: LocalAws) -> None:
    other = existing_cluster(local_aws)
    group = local_aws.client("ec2").create_security_group(GroupName="other", Description="other")
    replaced = {
        "cluster-...": other.cluster_id,
        "sg-...": group["GroupId"],
        "my-secret": other.admin_secret,
    }
    Sitting(local_aws).succeed(("docs/operations.md", "Protecting other clusters"), **replaced)
    tags = local_aws.client("cloudhsmv2").list_tags(ResourceId=other.cluster_id)["TagList"]
    assert {"Key": "hsm-lifecycle:stack-id", "Value": "none"} in tags


def test_your_own_pki_issues_the_certificate(driver: StackDriver, tmp_path: Path) -> None:
    driver.request(pUseExternalPkiProcess="true")
    driver.expect_stack("CREATE_COMPLETE")
    script = "\n".join(command for place in EXTERNAL_PKI for command in commands()[place])
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    secret = driver.stack.outputs()["oCsrSecretName"]
    done = driver.aws.run("bash", "-euc", f"cd {tmp_path}\nCSR_SECRET={secret}\n{script}")
    assert done.returncode == 0, done.stderr
    driver.request(pExternallyProvidedCertsReady="true")
    driver.expect_stack("UPDATE_COMPLETE")
    assert driver.stack.outputs()["oClusterState"] == "ACTIVE"
