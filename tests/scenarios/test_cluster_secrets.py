"""No password of an admin is told anywhere, whether the stack made it or took it over."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from localaws.client import LocalAws
from rehearsal.checks.secret_scan import observable_texts, process_arguments
from rehearsal.drivers.operator import read_secret
from rehearsal.drivers.stack import StackDriver
from tests.support.timings import QUICK

SHARED_PASSWORD = "Planted0Admin0Of0Another0Account"


@dataclass(frozen=True)
class Told:
    """The passwords that were used in the lives of two clusters, and what AWS tells of these."""

    made: str
    adopted: str
    places: list[tuple[str, str]]
    processes: list[list[str]]


@pytest.fixture(scope="module", name="told")
def _told() -> Told:
    with LocalAws(timings=QUICK) as aws:
        driver = StackDriver(aws)
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")
        made = _password(driver)
        for hsms in (0, 1):
            driver.request(pHsmsPerSubnet=hsms)
            driver.expect_stack("UPDATE_COMPLETE")
        shared = driver.admin.act("share_backup", admin_password=SHARED_PASSWORD)
        secrets = aws.client("secretsmanager")
        secrets.create_secret(Name="theirs/ca", SecretString=shared["TrustAnchor"])
        secrets.create_secret(
            Name="theirs/admin",
            SecretString=json.dumps({"username": "admin", "password": SHARED_PASSWORD}),
        )
        theirs = driver.second_stack(
            "theirs",
            pBackupId=shared["BackupArn"],
            pBackupCaCertSecretName="theirs/ca",
            pBackupAdminPasswordSecretName="theirs/admin",
        )
        theirs.request()
        theirs.expect_stack("CREATE_COMPLETE")
        return Told(
            made, _password(theirs), list(observable_texts(aws)), list(process_arguments(aws))
        )


def _password(driver: StackDriver) -> str:
    return str(json.loads(read_secret(driver, "initial-crypto-officer-password"))["password"])


def test_passwords_are_made_and_adopted(told: Told) -> None:
    assert len(told.made) >= 24
    assert told.adopted == SHARED_PASSWORD


def test_no_password_of_an_admin_is_told_anywhere(told: Told) -> None:
    telling = [where for where, text in told.places if told.made in text or told.adopted in text]
    assert telling == []


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("command of hsm-rActivateClusterDocument", "initial-crypto-officer-password"),
        ("output of hsm-rActivateClusterDocument", "Cluster activated."),
        ("history of", "AdoptSecrets"),
        ("log /aws/lambda/cloudhsm-1", "CreateSecrets done"),
        ("events of hsm", "UPDATE_COMPLETE"),
        ("response to CloudFormation", "AdminPasswordSecretName"),
    ],
)
def test_it_was_looked_for_where_it_is_made_and_used(told: Told, place: str, words: str) -> None:
    found = [where for where, text in told.places if words in text]
    assert any(where.startswith(place) for where in found), found


def test_processes_on_the_client_show_it_in_the_activation_alone(told: Told) -> None:
    telling = [
        arguments
        for arguments in told.processes
        if any(each in argument for argument in arguments for each in (told.made, told.adopted))
    ]
    assert telling == [["cloudhsm-cli", "cluster", "activate", "--password", told.made]]
