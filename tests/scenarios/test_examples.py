"""examples/parameters, deployed with the command of examples/README.md and the deployer's policy.

The other files are deployed by test_released_templates.py.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from localaws.client import ROOT, LocalAws
from rehearsal.drivers.deployment import Stack
from rehearsal.timings import QUICK
from scripts.release.addresses import virtual_hosted
from scripts.release.artifacts import NAME
from tests.scenarios import test_released_templates as released
from tests.scenarios.test_documented_commands import EXTERNAL_PKI, commands
from tests.support.deployer import BUCKET, CLUSTER, Deployer, denied
from tests.test_released import project_version

pytestmark = pytest.mark.long

FILES = "examples/parameters"
STANDARD, OWN_PKI, FROM_BACKUP = (
    f"{FILES}/{name}.json" for name in ("standard", "own-pki", "from-backup")
)
RESTORED = "my-restored-cluster"


@dataclass
class Reader:
    """Someone with the examples and a role, but without this repository."""

    deployer: Deployer
    where: Path

    def __post_init__(self) -> None:
        shutil.copytree(ROOT / FILES, self.where / FILES)
        aws = self.deployer.aws
        network = {"first": aws.subnets[0], "second": aws.subnets[1], "vpc": aws.vpc}
        for sample, value in network.items():
            self.edit(released.SAMPLES[sample], value)

    def edit(self, old: str, new: str, name: str = "*.json") -> None:
        """Replace a text in the files of this name."""
        found = 0
        for path in (self.where / FILES).glob(name):
            found += path.read_text().count(old)
            path.write_text(path.read_text().replace(old, new))
        assert found, f"{old} is in none of the files"

    def paste(self, command: str, status: str, stack: str = CLUSTER) -> Stack:
        """Run a command of examples/README.md, and wait for the end of the request."""
        command = command.replace("/1.1.0/", f"/{project_version()}/").replace(CLUSTER, stack)
        self.deployer.run("bash", "-c", command, where=self.where)
        found = Stack(self.deployer.aws, stack, "")
        assert found.wait() == status, found.reasons()
        return found


def test_every_file_is_deployed_by_a_test() -> None:
    here = {Path(path).stem for path in (OWN_PKI, FROM_BACKUP)}
    there = {"standard", "govcloud", "key-store"}
    assert {path.stem for path in (ROOT / FILES).glob("*.json")} == here | there


def test_a_cluster_of_your_own_pki_is_restored_from_its_backup(tmp_path: Path) -> None:
    create, update = commands()["examples/README.md", "Parameters"]
    assert (STANDARD in create, OWN_PKI in update) == (True, True)
    with LocalAws(timings=QUICK) as aws:
        reader = Reader(Deployer(aws), tmp_path)
        released.publish(aws)
        url = virtual_hosted(aws.region, BUCKET, f"{NAME}/{project_version()}/cloudhsm.yml")
        assert url in create.replace("1.1.0", project_version())

        stack = reader.paste(create.replace(STANDARD, OWN_PKI), "CREATE_COMPLETE")
        assert stack.outputs()["oClusterState"] == "UNINITIALIZED"
        _store_certificates(reader, stack.outputs()["oCsrSecretName"])
        reader.edit('"pExternallyProvidedCertsReady", "ParameterValue": "false"',
                    '"pExternallyProvidedCertsReady", "ParameterValue": "true"')  # fmt: skip
        outputs = reader.paste(update, "UPDATE_COMPLETE").outputs()
        assert outputs["oClusterState"] == "ACTIVE"

        backups = aws.client("cloudhsmv2").describe_backups()["Backups"]
        reader.edit("backup-abcdefg2345", backups[0]["BackupId"], "from-backup.json")
        restored = reader.paste(create.replace(STANDARD, FROM_BACKUP), "CREATE_COMPLETE", RESTORED)
        assert restored.outputs()["oClusterState"] == "ACTIVE"
        assert restored.outputs()["oClusterId"] != outputs["oClusterId"]
        assert denied(reader.deployer.decisions()) == []


def _store_certificates(reader: Reader, secret: str) -> None:
    """What docs/external-pki.md says to do between the steps, as the PKI's own role."""
    script = "\n".join(command for place in EXTERNAL_PKI for command in commands()[place])
    (reader.where / "scripts").symlink_to(ROOT / "scripts")
    done = reader.deployer.aws.run(
        "bash", "-euc", f"cd {reader.where}\nCSR_SECRET={secret}\n{script}"
    )
    assert done.returncode == 0, done.stderr
