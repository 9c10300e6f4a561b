from __future__ import annotations

import json
import re
from typing import Any

import pytest

from hsm_lifecycle import secret_store
from hsm_lifecycle.errors import (
    ClusterNotFoundError,
    NotOwnedError,
    ParameterError,
    RefusedError,
    SecretNotFoundError,
    TransientError,
)
from hsm_lifecycle.steps import secrets
from tests.support.account import OTHER_STACK_ID, STACK_ID, SYSTEM, Account, Json
from tests.support.step_events import UNKNOWN


def of(cluster_id: str, **more: Any) -> Json:
    return {"ClusterId": cluster_id, "StackId": STACK_ID, "System": SYSTEM, **more}


def all_names(cluster_id: str) -> list[str]:
    path = f"/cloudhsm/{cluster_id}/"
    return [
        path + "cluster-cert",
        path + "cluster-csr",
        path + "customer-ca-cert",
        path + "initial-crypto-officer-password",
    ]


def tags_of(account: Account, name: str) -> dict[str, str]:
    described = account.secrets.describe_secret(SecretId=name)
    return {tag["Key"]: tag["Value"] for tag in described["Tags"]}


# ---- names


def test_secrets_have_the_names_of_the_aws_samples_template() -> None:
    assert secret_store.names("hsm", "cluster-abc") == secret_store.Names(
        csr="/hsm/cluster-abc/cluster-csr",
        certificate="/hsm/cluster-abc/cluster-cert",
        ca_certificate="/hsm/cluster-abc/customer-ca-cert",
        password="/hsm/cluster-abc/initial-crypto-officer-password",
    )


# ---- create_secrets


def test_create_secrets_creates_the_password_and_empty_secrets(account: Account) -> None:
    cluster_id = account.uninitialized()
    assert account.run(secrets.create_secrets, **of(cluster_id)) == {}
    names = secret_store.names(SYSTEM, cluster_id)
    assert account.secret_names() == all_names(cluster_id)
    for name in (names.csr, names.certificate, names.ca_certificate):
        assert account.text(name) is None


def test_create_secrets_generates_the_longest_admin_password(account: Account) -> None:
    cluster_id = account.uninitialized()
    account.run(secrets.create_secrets, **of(cluster_id))
    login = json.loads(account.text(secret_store.names(SYSTEM, cluster_id).password) or "")
    assert login.keys() == {"username", "password"}
    assert login["username"] == "admin"
    assert re.fullmatch(r"[A-Za-z0-9]{32}", login["password"])


def test_create_secrets_generates_a_password_per_cluster(account: Account) -> None:
    passwords = set()
    for cluster_id in (account.uninitialized(), account.uninitialized(), account.uninitialized()):
        account.run(secrets.create_secrets, **of(cluster_id))
        passwords.add(account.text(secret_store.names(SYSTEM, cluster_id).password))
    assert len(passwords) == 3


def test_create_secrets_tags_every_secret(account: Account) -> None:
    cluster_id = account.uninitialized()
    account.run(secrets.create_secrets, **of(cluster_id))
    for name in account.secret_names():
        assert tags_of(account, name) == {
            "hsm-lifecycle:stack-id": STACK_ID,
            "hsm-lifecycle:cluster-id": cluster_id,
        }


def test_create_secrets_is_idempotent(account: Account) -> None:
    cluster_id = account.uninitialized()
    names = secret_store.names(SYSTEM, cluster_id)
    account.put(names.password, "the one that the cluster was activated with")
    account.put(names.certificate, "a certificate")
    account.run(secrets.create_secrets, **of(cluster_id))
    account.run(secrets.create_secrets, **of(cluster_id))
    assert account.text(names.password) == "the one that the cluster was activated with"
    assert account.text(names.certificate) == "a certificate"
    assert account.secret_names() == all_names(cluster_id)


@pytest.mark.parametrize("skip", [0, 1, 2, 3])
@pytest.mark.parametrize("when", ["before", "after"])
def test_create_secrets_survives_a_lost_response(account: Account, skip: int, when: str) -> None:
    cluster_id = account.uninitialized()
    password = secret_store.names(SYSTEM, cluster_id).password
    account.faults.inject(
        {"operation": "CreateSecret", "code": "ConnectionLost", "skip": skip, "when": when}
    )
    with pytest.raises(TransientError, match=rf"ConnectionClosedError.*\[{cluster_id}\]$"):
        account.run(secrets.create_secrets, **of(cluster_id))
    before = account.text(password)
    assert (before is None) == (skip == 0 and when == "before")
    account.run(secrets.create_secrets, **of(cluster_id))
    assert account.text(password) == (before or account.text(password))
    assert account.secret_names() == all_names(cluster_id)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("ThrottlingException", TransientError),
        ("InternalServiceError", TransientError),
        ("AccessDeniedException", TransientError),
        ("LimitExceededException", RefusedError),
    ],
)
def test_create_secrets_quotes_the_refusal_of_aws(
    account: Account, code: str, error: type[Exception]
) -> None:
    cluster_id = account.uninitialized()
    account.faults.inject(
        {"operation": "CreateSecret", "code": code, "message": "the message of AWS"}
    )
    with pytest.raises(error) as refusal:
        account.run(secrets.create_secrets, **of(cluster_id))
    assert str(refusal.value) == (
        f"CreateSecrets: CreateSecret: {code}: the message of AWS [{cluster_id}]"
    )


def test_the_admin_password_is_not_returned_or_logged(
    account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    cluster_id = account.uninitialized()
    result = account.run(secrets.create_secrets, **of(cluster_id))
    login = json.loads(account.text(secret_store.names(SYSTEM, cluster_id).password) or "")
    assert login["password"] not in f"{result} {caplog.text}"


def test_create_secrets_refuses_another_stacks_cluster(account: Account) -> None:
    cluster_id = account.uninitialized(OTHER_STACK_ID)
    with pytest.raises(NotOwnedError):
        account.run(secrets.create_secrets, **of(cluster_id))
    assert account.secret_names() == []


def test_create_secrets_refuses_a_missing_cluster(account: Account) -> None:
    with pytest.raises(ClusterNotFoundError):
        account.run(secrets.create_secrets, **of(UNKNOWN))


# ---- check_backup_secrets, adopt_secrets

BACKUP_SECRETS = {"CaCertificate": "/old/ca", "Password": "/old/password"}


def old_secrets(
    account: Account, ca: str | None = "old ca", password: str | None = "old one"
) -> None:
    account.put("/old/ca", ca)
    account.put("/old/password", password)


def test_check_backup_secrets_accepts_secrets_with_values(account: Account) -> None:
    old_secrets(account)
    assert account.run(secrets.check_backup_secrets, BackupSecrets=BACKUP_SECRETS) == {}
    assert account.changes == []


@pytest.mark.parametrize(
    ("missing", "parameter", "name"),
    [
        ("/old/ca", "pBackupCaCertSecretName", "/old/ca"),
        ("/old/password", "pBackupAdminPasswordSecretName", "/old/password"),
    ],
)
def test_check_backup_secrets_names_the_parameter_of_a_missing_secret(
    account: Account, missing: str, parameter: str, name: str
) -> None:
    old_secrets(account)
    account.secrets.delete_secret(SecretId=missing, ForceDeleteWithoutRecovery=True)
    with pytest.raises(ParameterError, match=f"{parameter}: .* the secret {name} does not exist"):
        account.run(secrets.check_backup_secrets, BackupSecrets=BACKUP_SECRETS)


def test_check_backup_secrets_refuses_an_empty_secret(account: Account) -> None:
    old_secrets(account, ca=None)
    with pytest.raises(ParameterError, match=r"pBackupCaCertSecretName: .* has no text value"):
        account.run(secrets.check_backup_secrets, BackupSecrets=BACKUP_SECRETS)


def test_adopt_secrets_copies_the_backups_secrets(account: Account) -> None:
    old_secrets(account)
    cluster_id = account.restored()
    event = of(cluster_id, BackupSecrets=BACKUP_SECRETS)
    assert account.run(secrets.adopt_secrets, **event) == {}
    names = secret_store.names(SYSTEM, cluster_id)
    assert account.text(names.ca_certificate) == "old ca"
    assert account.text(names.password) == "old one"
    assert tags_of(account, names.password) == {
        "hsm-lifecycle:stack-id": STACK_ID,
        "hsm-lifecycle:cluster-id": cluster_id,
    }
    assert account.text("/old/ca") == "old ca"


def test_adopt_secrets_is_idempotent(account: Account) -> None:
    old_secrets(account)
    cluster_id = account.restored()
    names = secret_store.names(SYSTEM, cluster_id)
    event = of(cluster_id, BackupSecrets=BACKUP_SECRETS)
    account.faults.inject(
        {"operation": "CreateSecret", "code": "ConnectionLost", "when": "after", "skip": 1}
    )
    with pytest.raises(TransientError):
        account.run(secrets.adopt_secrets, **event)
    account.put(names.password, "changed since")
    account.run(secrets.adopt_secrets, **event)
    assert account.text(names.password) == "changed since"
    assert account.text(names.ca_certificate) == "old ca"


def test_adopt_secrets_refuses_another_stacks_cluster(account: Account) -> None:
    old_secrets(account)
    cluster_id = account.restored(stack_id=OTHER_STACK_ID)
    with pytest.raises(NotOwnedError):
        account.run(secrets.adopt_secrets, **of(cluster_id, BackupSecrets=BACKUP_SECRETS))
    assert account.secret_names() == ["/old/ca", "/old/password"]


def test_adopt_secrets_names_a_missing_secret(account: Account) -> None:
    cluster_id = account.restored()
    with pytest.raises(SecretNotFoundError, match=rf"/old/ca does not exist.*\[{cluster_id}\]$"):
        account.run(secrets.adopt_secrets, **of(cluster_id, BackupSecrets=BACKUP_SECRETS))


# ---- check_secrets


def create_lasting(account: Account, cluster_id: str) -> secret_store.Names:
    names = secret_store.names(SYSTEM, cluster_id)
    account.put(names.ca_certificate, "ca")
    account.put(names.password, "password")
    return names


def test_check_secrets_needs_only_the_ca_certificate_and_the_password(account: Account) -> None:
    create_lasting(account, UNKNOWN)
    assert account.run(secrets.check_secrets, ClusterId=UNKNOWN, System=SYSTEM) == {}
    assert account.changes == []


@pytest.mark.parametrize(
    ("end", "remedy"),
    [
        ("customer-ca-cert", "Store customerCA.crt of a client with the tag"),
        ("initial-crypto-officer-password", "Store the admin's password with the tag"),
    ],
)
def test_check_secrets_names_a_missing_secret_and_the_remedy(
    account: Account, end: str, remedy: str
) -> None:
    create_lasting(account, UNKNOWN)
    name = f"/cloudhsm/{UNKNOWN}/{end}"
    account.secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    with pytest.raises(SecretNotFoundError) as failure:
        account.run(secrets.check_secrets, ClusterId=UNKNOWN, System=SYSTEM)
    message = str(failure.value)
    assert message.startswith(f"CheckSecrets: The secret {name} is gone. ")
    assert remedy in message
    assert "hsm-lifecycle:stack-id" in message
    assert message.endswith(f"set a new pReconcile. [{UNKNOWN}]")
    assert len(f"SecretNotFoundError: {message}") <= 240  # else failure_reason cuts the remedy


@pytest.mark.parametrize("end", ["customer-ca-cert", "initial-crypto-officer-password"])
def test_check_secrets_refuses_a_secret_scheduled_for_deletion(account: Account, end: str) -> None:
    create_lasting(account, UNKNOWN)
    account.secrets.delete_secret(SecretId=f"/cloudhsm/{UNKNOWN}/{end}", RecoveryWindowInDays=7)
    with pytest.raises(SecretNotFoundError, match=f"/cloudhsm/{UNKNOWN}/{end}"):
        account.run(secrets.check_secrets, ClusterId=UNKNOWN, System=SYSTEM)


def test_check_secrets_is_retried_when_throttled(account: Account) -> None:
    create_lasting(account, UNKNOWN)
    account.faults.inject({"operation": "DescribeSecret", "code": "ThrottlingException"})
    with pytest.raises(TransientError):
        account.run(secrets.check_secrets, ClusterId=UNKNOWN, System=SYSTEM)


# ---- delete_secrets


def deleted(account: Account, cluster_id: str, has_backups: bool) -> Json:
    return account.run(
        secrets.delete_secrets, ClusterId=cluster_id, System=SYSTEM, HasBackups=has_backups
    )


def fill(account: Account, cluster_id: str) -> None:
    for name in all_names(cluster_id):
        account.put(name, "text")


def test_delete_secrets_retains_what_backups_need(account: Account) -> None:
    fill(account, UNKNOWN)
    assert deleted(account, UNKNOWN, has_backups=True) == {}
    assert account.secret_names() == [
        f"/cloudhsm/{UNKNOWN}/customer-ca-cert",
        f"/cloudhsm/{UNKNOWN}/initial-crypto-officer-password",
    ]


def test_delete_secrets_deletes_all_without_backups(account: Account) -> None:
    fill(account, UNKNOWN)
    deleted(account, UNKNOWN, has_backups=False)
    assert account.secret_names() == []


def test_delete_secrets_ignores_other_clusters(account: Account) -> None:
    other = "cluster-aaaaaaaaaaab"  # one name is a prefix of the other
    fill(account, UNKNOWN)
    fill(account, other)
    deleted(account, UNKNOWN, has_backups=False)
    assert account.secret_names() == all_names(other)


def test_a_deleted_secrets_name_can_be_used_again(account: Account) -> None:
    cluster_id = account.uninitialized()
    fill(account, cluster_id)
    deleted(account, cluster_id, has_backups=False)
    account.run(secrets.create_secrets, **of(cluster_id))
    assert account.secret_names() == all_names(cluster_id)


def test_delete_secrets_ignores_missing_secrets(account: Account) -> None:
    fill(account, UNKNOWN)
    csr, certificate = f"/cloudhsm/{UNKNOWN}/cluster-csr", f"/cloudhsm/{UNKNOWN}/cluster-cert"
    account.secrets.delete_secret(SecretId=csr, ForceDeleteWithoutRecovery=True)
    account.secrets.delete_secret(SecretId=certificate, RecoveryWindowInDays=7)
    deleted(account, UNKNOWN, has_backups=False)
    deleted(account, UNKNOWN, has_backups=False)
    assert account.secret_names() == []


@pytest.mark.parametrize("skip", [0, 1, 2, 3])
def test_delete_secrets_survives_a_lost_response(account: Account, skip: int) -> None:
    fill(account, UNKNOWN)
    account.faults.inject(
        {"operation": "DeleteSecret", "code": "ConnectionLost", "when": "after", "skip": skip}
    )
    with pytest.raises(TransientError):
        deleted(account, UNKNOWN, has_backups=False)
    deleted(account, UNKNOWN, has_backups=False)
    assert account.secret_names() == []


def test_delete_secrets_quotes_the_refusal_of_aws(account: Account) -> None:
    fill(account, UNKNOWN)
    account.faults.inject({"operation": "DeleteSecret", "code": "InvalidRequestException"})
    with pytest.raises(RefusedError, match=rf"InvalidRequestException.*\[{UNKNOWN}\]$"):
        deleted(account, UNKNOWN, has_backups=False)


# ---- exists, read, write, delete


def test_exists_does_not_need_a_value(account: Account) -> None:
    account.put("/full", "text")
    account.put("/empty", None)
    assert secret_store.exists("/full")
    assert secret_store.exists("/empty")
    assert not secret_store.exists("/absent")


def test_read_returns_what_was_written(account: Account) -> None:
    account.put("/name", None)
    secret_store.write("/name", "text")
    assert secret_store.read("/name") == "text"


def test_write_is_idempotent(account: Account) -> None:
    account.put("/name", "text")
    versions = account.secrets.describe_secret(SecretId="/name")["VersionIdsToStages"]
    secret_store.write("/name", "text")
    assert account.secrets.describe_secret(SecretId="/name")["VersionIdsToStages"] == versions
    secret_store.write("/name", "other")
    assert account.text("/name") == "other"


@pytest.mark.parametrize("text", [None, ""])
def test_read_refuses_an_empty_secret(account: Account, text: str | None) -> None:
    account.put("/name", text)
    with pytest.raises(SecretNotFoundError, match="The secret /name does not exist or has no"):
        secret_store.read("/name")


def test_read_refuses_a_binary_secret(account: Account) -> None:
    account.secrets.create_secret(Name="/name", SecretBinary=b"bytes")
    with pytest.raises(SecretNotFoundError, match="/name"):
        secret_store.read("/name")


def test_read_refuses_a_missing_secret(account: Account) -> None:
    with pytest.raises(SecretNotFoundError, match="/name"):
        secret_store.read("/name")


def test_read_refuses_a_secret_scheduled_for_deletion(
    account: Account,
) -> None:
    account.put("/name", "text")
    account.secrets.delete_secret(SecretId="/name", RecoveryWindowInDays=7)
    with pytest.raises(SecretNotFoundError, match="/name"):
        secret_store.read("/name")


def test_delete_is_idempotent(account: Account) -> None:
    account.put("/name", "text")
    secret_store.delete("/name")
    secret_store.delete("/name")
    assert account.secret_names() == []
