"""No admin password can be read outside its secret, whether generated or restored."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from localaws.client import LocalAws
from rehearsal.checks.secret_scan import (
    Observed,
    disclosures,
    leaks,
    observable_texts,
    process_arguments,
)
from rehearsal.drivers.operator import read_secret
from rehearsal.drivers.stack import StackDriver
from rehearsal.timings import QUICK

pytestmark = pytest.mark.long

SHARED_PASSWORD = "Shared0Backup0Admin0Password"


@dataclass(frozen=True)
class Run:
    """The admin passwords of two clusters, and everything observable after their creation."""

    generated: str
    restored: str
    observed: list[Observed]
    processes: list[list[str]]


@pytest.fixture(scope="module", name="run")
def _run() -> Run:
    with LocalAws(timings=QUICK) as aws:
        driver = StackDriver(aws)
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")
        generated = _password(driver)
        for hsms in (0, 1):
            driver.request(pHsmsPerSubnet=hsms)
            driver.expect_stack("UPDATE_COMPLETE")
        shared = driver.admin.aws_event("share_backup", admin_password=SHARED_PASSWORD)
        secrets = aws.client("secretsmanager")
        secrets.create_secret(Name="shared/ca", SecretString=shared["TrustAnchor"])
        secrets.create_secret(
            Name="shared/admin",
            SecretString=json.dumps({"username": "admin", "password": SHARED_PASSWORD}),
        )
        restored = driver.second_stack(
            "restored",
            pBackupId=shared["BackupArn"],
            pBackupCaCertSecretName="shared/ca",
            pBackupAdminPasswordSecretName="shared/admin",
        )
        restored.request()
        restored.expect_stack("CREATE_COMPLETE")
        observed, processes = list(observable_texts(aws)), list(process_arguments(aws))
        return Run(generated, _password(restored), observed, processes)


def _password(driver: StackDriver) -> str:
    return str(json.loads(read_secret(driver, "initial-crypto-officer-password"))["password"])


def test_one_password_is_generated_and_one_is_restored(run: Run) -> None:
    assert len(run.generated) >= 24
    assert run.restored == SHARED_PASSWORD


def test_no_admin_password_is_readable_anywhere(run: Run) -> None:
    passwords = [("admin", run.generated), ("admin", run.restored)]
    assert disclosures(run.observed, passwords) == []


def test_the_scan_covers_the_places_where_passwords_are_handled(run: Run) -> None:
    expected = {
        "command of hsm-rActivateClusterDocument": "initial-crypto-officer-password",
        "output of hsm-rActivateClusterDocument": "Cluster activated.",
        "history of": "AdoptSecrets",
        "log /aws/lambda/cloudhsm-1": "CreateSecrets done",
        "events of hsm": "UPDATE_COMPLETE",
        "response to CloudFormation": "AdminPasswordSecretName",
    }
    assert [
        (place, text)
        for place, text in expected.items()
        if not any(found.startswith(place) for found in leaks(run.observed, [text]))
    ] == []


def test_only_the_activation_command_has_a_password_among_its_arguments(run: Run) -> None:
    assert [
        arguments
        for arguments in run.processes
        if any(
            password in argument
            for argument in arguments
            for password in (run.generated, run.restored)
        )
    ] == [["cloudhsm-cli", "cluster", "activate", "--password", run.generated]]


def test_no_response_url_is_readable_anywhere(run: Run) -> None:
    # Who has the presigned URL can respond for the stack (F6.15).
    assert [place for place, text in run.observed if "Signature=" in text] == []
