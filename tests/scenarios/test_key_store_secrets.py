"""No password is told anywhere: known ones are planted, and looked for wherever one could look."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from localaws.client import LocalAws
from rehearsal.checks.secret_scan import observable_texts, process_arguments
from rehearsal.drivers.key_store import KeyStoreDriver
from rehearsal.drivers.stack import StackDriver
from rehearsal.fixtures import ADMIN_PASSWORD, ExistingCluster, existing_cluster

PASSWORD_SECRET = "/cloudhsm-ks/1/kmsuser-password"
STALE_PASSWORD = "Stale0Admin0Password0Planted"


@pytest.fixture(scope="module", name="cluster")
def _laid() -> Iterator[ExistingCluster]:
    with LocalAws(timings={"connect": 31, "disconnect": 7}) as aws:
        yield existing_cluster(aws)


@pytest.fixture(scope="module", name="passwords")
def _passwords(cluster: ExistingCluster) -> list[str]:
    """kmsuser's passwords, each read from its secret; a connection that failed is among them."""
    store = KeyStoreDriver(StackDriver(cluster.aws), cluster.parameters)
    passwords = [_while_it_is_used(store, "CreateCustomKeyStore", "")]
    store.expect_stack("CREATE_COMPLETE")

    # kmsuser is gone, and the admin's password is stale.
    store.disconnect_manually()
    cluster.cloudhsm_cli("user-delete", new_username="kmsuser", role="crypto-user")
    cluster.store_admin_password(STALE_PASSWORD)
    passwords.append(_while_it_is_used(store, "CreateSecret", "stale"))
    store.expect_stack("UPDATE_ROLLBACK_COMPLETE")
    store.expect_reason("Login failed")
    # The rollback has made another, and did not log in with it.
    passwords.append(_password(store))

    cluster.store_admin_password(ADMIN_PASSWORD)
    passwords.append(_while_it_is_used(store, "UpdateCustomKeyStore", "right"))
    store.expect_stack("UPDATE_COMPLETE")
    store.expect_store("CONNECTED")
    assert len(set(passwords)) == 4
    assert {len(password) for password in passwords} == {32}
    return passwords


def _while_it_is_used(store: KeyStoreDriver, operation: str, reconcile: str) -> str:
    """The password that is in the secret while this operation is at work."""
    store.fault(operation=operation, pause=True)
    store.start(pReconcile=reconcile)
    with store.while_paused():
        password = _password(store)
    store.wait()
    return password


def _password(store: KeyStoreDriver) -> str:
    secrets = store.aws.client("secretsmanager")
    return str(secrets.get_secret_value(SecretId=PASSWORD_SECRET)["SecretString"])


def test_no_password_is_told_anywhere(cluster: ExistingCluster, passwords: list[str]) -> None:
    secret = [*passwords, ADMIN_PASSWORD, STALE_PASSWORD]
    told = list(observable_texts(cluster.aws))
    assert [where for where, text in told if any(each in text for each in secret)] == []


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("history of", "CreateKmsUser"),
        ("execution ", "kmsuser-password"),
        ("log /aws/lambda/cloudhsm-ks-1-key-store", "CreatePassword done"),
        ("log /aws/vendedlogs/states/cloudhsm-ks-1", "CreatePassword"),
        ("command of keys-rCreateKmsUserDocument", PASSWORD_SECRET),
        ("output of keys-rCreateKmsUserDocument", "kmsuser is ready."),
        ("output of keys-rCreateKmsUserDocument", "Login failed"),
        ("parameter /hsm-lifecycle/cloudhsm-ks-1/key-store", "IsComplete"),
        ("events of keys", "Login failed"),
        ("response to CloudFormation", "Login failed"),
        ("event log", "LoginRefused"),
    ],
)
def test_it_was_looked_for_in_places_where_much_is_told(
    cluster: ExistingCluster, passwords: list[str], place: str, words: str
) -> None:
    assert any(
        where.startswith(place) and words in text for where, text in observable_texts(cluster.aws)
    )


def test_processes_on_the_client_show_it_in_the_call_of_the_cli_alone(
    cluster: ExistingCluster, passwords: list[str]
) -> None:
    processes = list(process_arguments(cluster.aws))
    telling = [
        arguments
        for arguments in processes
        if any(each in " ".join(arguments) for each in passwords)
    ]
    assert len(telling) == 3
    for program, *_, option, _ in telling:
        assert (program, option) == ("cloudhsm-cli", "--password")
    admins = (ADMIN_PASSWORD, STALE_PASSWORD)
    assert not any(each in argument for one in processes for argument in one for each in admins)


def test_the_password_is_gone_once_the_key_store_is_connected(
    cluster: ExistingCluster, passwords: list[str]
) -> None:
    assert PASSWORD_SECRET not in cluster.aws.admin.inventory()["secretsmanager"]


def test_kmsusers_password_is_never_the_admins_nor_left_to_who_made_it(
    cluster: ExistingCluster, passwords: list[str]
) -> None:
    assert ADMIN_PASSWORD not in passwords
    for password in passwords:
        with pytest.raises(Exception, match="Login failed"):
            cluster.cloudhsm_cli(
                "user-change-password",
                login_role="crypto-user",
                username="kmsuser",
                password=password,
                new_username="kmsuser",
                new_password="Never0Accepted",
                role="crypto-user",
            )


def test_the_client_may_read_it_by_the_policy_of_the_secret_alone(
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
