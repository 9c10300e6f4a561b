"""The commands of docs/local-aws.md work as documented, with the stock CLI."""

from __future__ import annotations

import re

import pytest

from localaws.client import ROOT, LocalAws
from rehearsal.drivers.stack import RETAINED_WITH_BACKUPS, StackDriver

pytestmark = pytest.mark.long


def commands() -> str:
    """The indented commands of the section about the local AWS."""
    [section] = [
        section
        for section in (ROOT / "docs" / "local-aws.md").read_text().split("\n## ")
        if section.startswith("Deploy with the stock CLI")
    ]
    return "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))


def test_the_documented_commands_create_and_delete_a_cluster(local_aws: LocalAws) -> None:
    driver = StackDriver(local_aws)
    # The environment has what the printed commands export.
    script = commands()
    [stack] = set(re.findall(r"--stack-name (\S+)", script))
    done = local_aws.run("bash", "-euo", "pipefail", "-c", script)
    assert done.returncode == 0, done.stderr
    assert f"Successfully created/updated stack - {stack}" in done.stdout
    assert '"State": "ACTIVE"' in done.stdout
    driver.expect_retained(*RETAINED_WITH_BACKUPS, "bucket artifacts")
