"""README's commands for the local AWS work as they stand there, with nothing but the stock CLI."""

from __future__ import annotations

import re

from localaws.client import ROOT, LocalAws
from localaws.server import parser
from rehearsal.drivers.stack import RETAINED_WITH_BACKUPS, StackDriver

HEADING = "## By hand into the local AWS, with the stock CLI\n"


def commands() -> str:
    """The block of commands under the heading."""
    section = (ROOT / "README.md").read_text().split(HEADING)[1].split("\n## ")[0]
    return re.sub(r"^ {4}", "", "\n".join(re.findall(r"^ {4}.*$", section, re.M)), flags=re.M)


def test_they_make_a_cluster_and_delete_it(local_aws: LocalAws) -> None:
    driver = StackDriver(local_aws)
    # Somebody else may have the port that `make serve` takes.
    documented = f"http://127.0.0.1:{parser().get_default('port')}"
    assert documented in commands()
    here = commands().replace(documented, local_aws.endpoint)
    done = local_aws.run("bash", "-euo", "pipefail", "-c", here)
    assert done.returncode == 0, done.stderr
    assert "Successfully created/updated stack - by-hand" in done.stdout
    assert '"State": "ACTIVE"' in done.stdout
    driver.expect_retained(*RETAINED_WITH_BACKUPS, "bucket artifacts")
