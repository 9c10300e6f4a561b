"""No password can be read outside its secret: known ones are used, then scanned for everywhere."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from localaws.client import LocalAws, LocalAwsError
from rehearsal.checks.secret_scan import (
    Observed,
    disclosures,
    leaks,
    observable_texts,
    process_arguments,
)
from rehearsal.drivers.key_store import KeyStoreDriver
from rehearsal.drivers.stack import StackDriver
from rehearsal.fixtures import ADMIN_PASSWORD, ExistingCluster, existing_cluster

pytestmark = pytest.mark.long

PASSWORD_SECRET = "/cloudhsm-ks/1/kmsuser-password"
STALE_PASSWORD = "Stale0Admin0Password"


@pytest.fixture(scope="module", name="cluster")
def _cluster() -> Iterator[ExistingCluster]:
    with LocalAws(timings={"connect": 31, "disconnect": 7}) as aws:
        yield existing_cluster(aws)


@pytest.fixture(scope="module", name="passwords")
def _passwords(cluster: ExistingCluster) -> list[str]:
    """kmsuser's passwords, each read from its secret, including one of a failed connection."""
    store = KeyStoreDriver(StackDriver(cluster.aws), cluster.parameters)
    passwords = [_password_during(store, "CreateCustomKeyStore", "")]
    store.expect_stack("CREATE_COMPLETE")

    # kmsuser is gone, and the admin's password is stale.
    store.disconnect_manually()
    cluster.cloudhsm_cli("user-delete", new_username="kmsuser", role="crypto-user")
    cluster.store_admin_password(STALE_PASSWORD)
    passwords.append(_password_during(store, "CreateSecret", "stale"))
    store.expect_stack("UPDATE_ROLLBACK_COMPLETE")
    store.expect_reason("Login failed")
    # Created by the rollback, and never used for a login.
    passwords.append(_password(store))

    cluster.store_admin_password(ADMIN_PASSWORD)
    passwords.append(_password_during(store, "UpdateCustomKeyStore", "current"))
    store.expect_stack("UPDATE_COMPLETE")
    store.expect_store("CONNECTED")
    assert len(set(passwords)) == 4
    assert {len(password) for password in passwords} == {32}
    return passwords


@pytest.fixture(scope="module", name="observed")
def _observed(cluster: ExistingCluster, passwords: list[str]) -> list[Observed]:
    return list(observable_texts(cluster.aws))


def _password_during(store: KeyStoreDriver, operation: str, reconcile: str) -> str:
    """Update the stack; returns the password in the secret during this operation."""
    store.fault(operation=operation, pause=True)
    store.start(pReconcile=reconcile)
    with store.while_paused():
        password = _password(store)
    store.wait()
    return password


def _password(store: KeyStoreDriver) -> str:
    secrets = store.aws.client("secretsmanager")
    return str(secrets.get_secret_value(SecretId=PASSWORD_SECRET)["SecretString"])


def test_no_password_is_readable_anywhere(observed: list[Observed], passwords: list[str]) -> None:
    known = [*passwords, ADMIN_PASSWORD, STALE_PASSWORD]
    assert disclosures(observed, [("password", password) for password in known]) == []


def test_the_scan_covers_the_places_where_passwords_are_handled(observed: list[Observed]) -> None:
    expected = [
        ("history of", "CreateKmsUser"),
        ("history of", "kmsuser-password"),
        ("event bus", "kmsuser-password"),
        ("log /aws/lambda/cloudhsm-ks-1-key-store", "CreatePassword done"),
        ("log /aws/vendedlogs/states/cloudhsm-ks-1", "CreatePassword"),
        ("command of keys-rCreateKmsUserDocument", PASSWORD_SECRET),
        ("output of keys-rCreateKmsUserDocument", "kmsuser is ready."),
        ("output of keys-rCreateKmsUserDocument", "Login failed"),
        ("request ssm:PutParameter", "IsComplete"),
        ("events of keys", "Login failed"),
        ("response to CloudFormation", "Login failed"),
        ("event log", "LoginRefused"),
    ]
    assert [
        (place, text)
        for place, text in expected
        if not any(found.startswith(place) for found in leaks(observed, [text]))
    ] == []


def test_only_cloudhsm_cli_has_a_password_among_its_arguments(
    cluster: ExistingCluster, passwords: list[str]
) -> None:
    processes = list(process_arguments(cluster.aws))
    with_password = [
        arguments
        for arguments in processes
        if any(password in " ".join(arguments) for password in passwords)
    ]
    assert [(program, option) for program, *_, option, _ in with_password] == [
        ("cloudhsm-cli", "--password")
    ] * 3
    admins = (ADMIN_PASSWORD, STALE_PASSWORD)
    assert [each for each in processes if any(admin in " ".join(each) for admin in admins)] == []


def test_the_passwords_secret_is_deleted_once_the_key_store_is_connected(
    cluster: ExistingCluster, passwords: list[str]
) -> None:
    assert PASSWORD_SECRET not in cluster.aws.admin.inventory()["secretsmanager"]


def test_kms_has_changed_every_password_of_kmsuser(
    cluster: ExistingCluster, passwords: list[str]
) -> None:
    assert ADMIN_PASSWORD not in passwords
    for password in passwords:
        with pytest.raises(LocalAwsError, match="Login failed"):
            cluster.cloudhsm_cli(
                "user-change-password",
                login_role="crypto-user",
                username="kmsuser",
                password=password,
                new_username="kmsuser",
                new_password="Never0Accepted",
                role="crypto-user",
            )


def test_only_the_secrets_policy_lets_the_client_read_the_password(
    cluster: ExistingCluster, passwords: list[str]
) -> None:
    decisions = [
        decision
        for decision in cluster.aws.admin.decisions()
        if decision["principal"] == "existing"
        and decision["action"] == "secretsmanager:GetSecretValue"
        and "kmsuser-password" in decision["resource"]
    ]
    assert decisions
    assert {(decision["allowed"], decision["statement"]) for decision in decisions} == {
        (True, None)
    }
