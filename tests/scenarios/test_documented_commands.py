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
from rehearsal.drivers.key_store import on_stack_cluster
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
    ("docs/key-store.md", "Delete"): "test_printed_commands.py",
    ("docs/preflight.md", "Preflight"): "the same command as the README's",
    ("docs/troubleshooting.md", "A deleted response secret"): "test_response_secrets.py",
    ("docs/troubleshooting.md", "ROLLBACK_COMPLETE"): "as to delete the stacks",
    ("docs/troubleshooting.md", "ROLLBACK_FAILED"): "as after DELETE_FAILED",
    (
        "docs/troubleshooting.md",
        "UPDATE_ROLLBACK_FAILED",
    ): "tests/scripts/test_continued_rollback.py",
}
# Documents whose commands need other stacks or buckets.
DOCUMENTS_ELSEWHERE = {
    "examples/README.md": "test_examples.py",
    "docs/releasing.md": "tests/scripts/release and test_released_templates.py",
    "docs/service-catalog.md": "test_service_catalog_commands.py",
    "docs/using-the-cluster.md": "test_using_the_cluster.py and tests/scripts/test_mirror.py",
}
EXTERNAL_PKI = (
    ("docs/external-pki.md", "1. Create the cluster and get its CSR"),
    ("docs/external-pki.md", "2. Sign the CSR, store the certificates and update the stack"),
)
README = ("README.md", "Deploy to AWS")
CREATE = ("docs/key-store.md", "Create")
UPGRADE = ("docs/upgrading.md", "Upgrading")
DELETE = ("docs/uninstalling.md", "Delete the stacks")
BACKUPS = ("docs/uninstalling.md", "Backups")
LEFT = (
    ("docs/uninstalling.md", "Secrets"),
    ("docs/uninstalling.md", "Evidence of the HSMs' identity"),
    ("docs/uninstalling.md", "Audit log"),
    ("docs/uninstalling.md", "Artifacts"),
    ("docs/uninstalling.md", "Service-linked roles"),
)
ALARMS = ("docs/operations.md", "Alarms")
PROTECTION = ("docs/operations.md", "Protecting other clusters")
LOGIN = ("docs/key-store.md", "Troubleshooting a failed connection")
RETAIN = ("docs/troubleshooting.md", "DELETE_FAILED")
HERE = {
    README,
    CREATE,
    UPGRADE,
    DELETE,
    BACKUPS,
    *LEFT,
    *EXTERNAL_PKI,
    ALARMS,
    PROTECTION,
    LOGIN,
    RETAIN,
}
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
    elsewhere = [ROOT / "README.md", ROOT / "examples" / "README.md"]
    for document in [*elsewhere, *sorted((ROOT / "docs").glob("*.md"))]:
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
    found = {place for place in commands() if place[0] not in DOCUMENTS_ELSEWHERE}
    assert found ^ {*HERE, *ELSEWHERE} == set()


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
    assert "stack my-cluster CREATE_COMPLETE" in sitting.succeed(README)
    cluster = sitting.outputs("my-cluster")

    def secret(name: str) -> str:
        return cluster[f"o{name}SecretName"]

    own = {
        "cluster-...": cluster["oClusterId"],
        "i-...": cluster["oClientInstanceId"],
        "AdminPasswordSecretName=...": f"AdminPasswordSecretName={secret('AdminPassword')}",
        "CaCertSecretName=...": f"CaCertSecretName={secret('CustomerCaCert')}",
    }
    sitting.succeed(CREATE, **own)
    assert sitting.outputs("my-keys")["oKeyStoreState"] == "CONNECTED"
    sitting.succeed(UPGRADE)
    assert sitting.outputs("my-cluster")["oClusterState"] == "ACTIVE"
    sitting.succeed(DELETE)
    for backup in local_aws.client("cloudhsmv2").describe_backups()["Backups"]:
        sitting.succeed(BACKUPS, **own, **{"backup-...": backup["BackupId"]})
    for place in LEFT:
        sitting.succeed(place, **own)
    left = " ".join(local_aws.admin.inventory())
    assert cluster["oClusterId"] not in left.replace(f"backup of {cluster['oClusterId']}", "")


def test_the_commands_of_alarms_have_valid_parameters(local_aws: LocalAws) -> None:
    """The local AWS has no CloudWatch, so the CLI validates them without sending a request."""
    for command in commands()[ALARMS]:
        done = Sitting(local_aws).paste(f"{command} --generate-cli-skeleton output")
        assert (done.returncode, done.stderr) == (0, "")


def test_another_cluster_is_protected_and_a_login_is_allowed_again(local_aws: LocalAws) -> None:
    other = existing_cluster(local_aws)
    group = local_aws.client("ec2").create_security_group(GroupName="other", Description="other")
    own = {
        "cluster-...": other.cluster_id,
        "sg-...": group["GroupId"],
        "my-secret": other.admin_secret,
        "my-admin-secret": other.admin_secret,
    }
    Sitting(local_aws).succeed(PROTECTION, **own)
    tags = local_aws.client("cloudhsmv2").list_tags(ResourceId=other.cluster_id)["TagList"]
    assert {"Key": "hsm-lifecycle:stack-id", "Value": "none"} in tags
    secrets = local_aws.client("secretsmanager")
    login = {"Key": f"hsm-lifecycle:admin-logins:{other.cluster_id}", "Value": "refused"}
    secrets.tag_resource(SecretId=other.admin_secret, Tags=[login])
    Sitting(local_aws).succeed(LOGIN, **own)
    assert login not in secrets.describe_secret(SecretId=other.admin_secret)["Tags"]


def test_a_cluster_whose_deletion_failed_is_retained_without_a_stack(driver: StackDriver) -> None:
    driver.request()
    keys = on_stack_cluster(driver)
    keys.request()
    driver.delete()
    driver.expect_stack("DELETE_FAILED")
    Sitting(driver.aws).succeed(RETAIN, **{"my-cluster": "hsm"})
    driver.expect_stack("DELETE_COMPLETE")
    driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)


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
