from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hsm_lifecycle import aws, secret_store
from hsm_lifecycle.errors import (
    CertificateError,
    ClusterNotFoundError,
    NotOwnedError,
    ParameterError,
    RefusedError,
    SecretNotFoundError,
    TransientError,
)
from hsm_lifecycle.steps import secrets
from rehearsal.test_ca import make_ca
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


def test_create_secrets_is_retried_while_a_deleted_secret_lingers(account: Account) -> None:
    cluster_id = account.uninitialized()
    account.faults.inject({"operation": "CreateSecret", "code": "InvalidRequestException"})
    with pytest.raises(TransientError, match=r"initial-crypto-officer-password is still being del"):
        account.run(secrets.create_secrets, **of(cluster_id))
    account.run(secrets.create_secrets, **of(cluster_id))
    assert account.secret_names() == all_names(cluster_id)


def test_create_secrets_refuses_another_stacks_cluster(account: Account) -> None:
    cluster_id = account.uninitialized(OTHER_STACK_ID)
    with pytest.raises(NotOwnedError):
        account.run(secrets.create_secrets, **of(cluster_id))
    assert account.secret_names() == []


def test_create_secrets_refuses_a_missing_cluster(account: Account) -> None:
    with pytest.raises(ClusterNotFoundError):
        account.run(secrets.create_secrets, **of(UNKNOWN))


# ---- check_backup_secrets, adopt_secrets

OLD_LOGIN = json.dumps({"username": "admin", "password": "Old0Password"})
NEW_LOGIN = json.dumps({"username": "admin", "password": "New0Password"})
OLD_CA = make_ca(time.time()).pem


def backup_secrets(moment: datetime | None = None) -> Json:
    return {
        "CaCertificate": "/old/ca",
        "Password": "/old/password",
        "ClusterId": UNKNOWN,
        "BackupTime": (moment or datetime.now(UTC)).isoformat(),
    }


def old_secrets(
    account: Account, ca: str | None = OLD_CA, password: str | None = OLD_LOGIN
) -> None:
    account.put("/old/ca", ca)
    account.put("/old/password", password)


def check_backup(account: Account) -> Json:
    return account.run(secrets.check_backup_secrets, BackupSecrets=backup_secrets())


def test_check_backup_secrets_accepts_secrets_with_values(account: Account) -> None:
    old_secrets(account)
    assert check_backup(account) == {}
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
    with pytest.raises(ParameterError, match=f"{parameter}: .* secret {name} does not exist"):
        check_backup(account)


def test_check_backup_secrets_refuses_an_empty_secret(account: Account) -> None:
    old_secrets(account, ca=None)
    with pytest.raises(ParameterError, match=r"pBackupCaCertSecretName: .* has no text value"):
        check_backup(account)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("junk", "is not JSON"),
        ('["admin"]', "is not a JSON object"),
        ('{"password": "Old0Password"}', "has no username"),
        ('{"username": "admin"}', "has no password"),
        ('{"username": "admin", "password": 12345678}', "has no password"),
        ('{"username": "admin", "password": "Old0:Password"}', "has a password with a colon"),
        ('{"username": "admin", "password": "short"}', "not of 8 to 32 characters"),
    ],
)
def test_check_backup_secrets_refuses_a_password_secret_without_a_login(
    account: Account, text: str, message: str
) -> None:
    old_secrets(account, password=text)
    with pytest.raises(ParameterError) as failure:
        check_backup(account)
    said = str(failure.value)
    assert "pBackupAdminPasswordSecretName: the secret /old/password " in said
    assert message in said
    assert not {"junk", "Old0", "12345678", "short"} & set(re.findall(r"\w+", said))


def test_check_backup_secrets_refuses_anything_but_certificates(account: Account) -> None:
    for text, message in (
        ("junk", "is not a PEM certificate"),
        (OLD_CA + make_ca(time.time()).key_pem, "contains a PRIVATE KEY"),
    ):
        old_secrets(account, ca=text)
        expected = f"pBackupCaCertSecretName: the secret /old/ca {message}"
        with pytest.raises(ParameterError, match=expected):
            check_backup(account)


def restored(account: Account, **more: Any) -> tuple[str, Json]:
    """A restored cluster, whose CA is in the backup's secret, and the step's event."""
    cluster_id = account.restored(**more)
    old_secrets(account, ca=account.anchors[cluster_id])
    return cluster_id, of(cluster_id, BackupSecrets=backup_secrets())


def test_adopt_secrets_copies_the_backups_secrets(account: Account) -> None:
    cluster_id, event = restored(account)
    account.put("/old/ca", f"\n{account.anchors[cluster_id]}\n")
    assert account.run(secrets.adopt_secrets, **event) == {}
    names = secret_store.names(SYSTEM, cluster_id)
    assert account.text(names.ca_certificate) == account.anchors[cluster_id]
    assert account.text(names.password) == OLD_LOGIN
    assert tags_of(account, names.password) == {
        "hsm-lifecycle:stack-id": STACK_ID,
        "hsm-lifecycle:cluster-id": cluster_id,
    }


def test_adopt_secrets_refuses_the_ca_of_another_cluster(account: Account) -> None:
    cluster_id, event = restored(account)
    account.put("/old/ca", OLD_CA)
    with pytest.raises(ParameterError) as failure:
        account.run(secrets.adopt_secrets, **event)
    assert str(failure.value).startswith(
        "AdoptSecrets: pBackupCaCertSecretName: the secret /old/ca does not contain the CA"
    )
    assert str(failure.value).endswith(f"[{cluster_id}]")
    assert account.changes == []


def test_adopt_secrets_takes_the_password_of_the_backups_time(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster_id, event = restored(account)
    account.put("/old/password", NEW_LOGIN)
    account.put("/old/password", json.dumps({"username": "admin", "password": "Third0Password"}))
    backup_time = datetime(2026, 1, 2, tzinfo=UTC)
    dates = {OLD_LOGIN: backup_time - timedelta(days=1), NEW_LOGIN: backup_time - timedelta(1, 60)}
    date_versions(account, monkeypatch, dates, later=backup_time + timedelta(seconds=1))
    event["BackupSecrets"] = backup_secrets(backup_time)
    account.run(secrets.adopt_secrets, **event)
    assert account.text(secret_store.names(SYSTEM, cluster_id).password) == OLD_LOGIN


def test_adopt_secrets_takes_no_password_that_was_corrected_or_left_pending(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster_id, event = restored(account)
    first = account.secrets.describe_secret(SecretId="/old/password")["VersionIdsToStages"]
    wrong = account.secrets.put_secret_value(SecretId="/old/password", SecretString=NEW_LOGIN)
    account.secrets.update_secret_version_stage(
        SecretId="/old/password",
        VersionStage="AWSCURRENT",
        RemoveFromVersionId=wrong["VersionId"],
        MoveToVersionId=next(iter(first)),
    )
    account.secrets.put_secret_value(
        SecretId="/old/password", SecretString="a failed rotation's", VersionStages=["AWSPENDING"]
    )
    backup_time = datetime(2026, 1, 2, tzinfo=UTC)
    dates = {OLD_LOGIN: backup_time - timedelta(days=2), NEW_LOGIN: backup_time - timedelta(1)}
    date_versions(account, monkeypatch, dates, later=backup_time - timedelta(seconds=1))
    event["BackupSecrets"] = backup_secrets(backup_time)
    account.run(secrets.adopt_secrets, **event)
    assert account.text(secret_store.names(SYSTEM, cluster_id).password) == OLD_LOGIN


def test_adopt_secrets_takes_the_current_password_of_a_younger_secret(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster_id, event = restored(account)
    account.put("/old/password", NEW_LOGIN)
    event["BackupSecrets"] = backup_secrets(datetime(2020, 1, 1, tzinfo=UTC))
    account.run(secrets.adopt_secrets, **event)
    assert account.text(secret_store.names(SYSTEM, cluster_id).password) == NEW_LOGIN


def test_adopt_secrets_takes_the_current_password_of_a_secret_named_by_the_operator(
    account: Account,
) -> None:
    cluster_id, event = restored(account)
    account.put("/old/password", NEW_LOGIN)
    event["BackupSecrets"] = {**backup_secrets(), "BackupTime": ""}
    account.run(secrets.adopt_secrets, **event)
    assert account.text(secret_store.names(SYSTEM, cluster_id).password) == NEW_LOGIN


def date_versions(
    account: Account, monkeypatch: pytest.MonkeyPatch, dates: dict[str, datetime], later: datetime
) -> None:
    """Let the versions with these values have these dates, and all others a later one."""
    listed = account.secrets.list_secret_version_ids(
        SecretId="/old/password", IncludeDeprecated=True
    )["Versions"]
    for version in listed:
        value = account.secrets.get_secret_value(
            SecretId="/old/password", VersionId=version["VersionId"]
        )["SecretString"]
        version["CreatedDate"] = dates.get(value, later)

    def page(**request: Any) -> Json:
        assert request.pop("SecretId") == "/old/password"
        assert request.pop("IncludeDeprecated")
        if request:
            assert request == {"NextToken": "more"}
            return {"Versions": listed[1:]}
        return {"Versions": listed[:1], "NextToken": "more"}

    monkeypatch.setattr(aws.client("secretsmanager"), "list_secret_version_ids", page)


def test_adopt_secrets_is_idempotent(account: Account) -> None:
    cluster_id, event = restored(account)
    names = secret_store.names(SYSTEM, cluster_id)
    account.faults.inject(
        {"operation": "CreateSecret", "code": "ConnectionLost", "when": "after", "skip": 1}
    )
    with pytest.raises(TransientError):
        account.run(secrets.adopt_secrets, **event)
    account.put(names.password, "changed since")
    account.run(secrets.adopt_secrets, **event)
    assert account.text(names.password) == "changed since"
    assert account.text(names.ca_certificate) == account.anchors[cluster_id]


def test_adopt_secrets_refuses_another_stacks_cluster(account: Account) -> None:
    _, event = restored(account, stack_id=OTHER_STACK_ID)
    with pytest.raises(NotOwnedError):
        account.run(secrets.adopt_secrets, **event)
    assert account.secret_names() == ["/old/ca", "/old/password"]


def test_adopt_secrets_names_a_missing_secret(account: Account) -> None:
    cluster_id, event = restored(account)
    account.secrets.delete_secret(SecretId="/old/ca", ForceDeleteWithoutRecovery=True)
    with pytest.raises(ParameterError, match=rf"/old/ca does not exist.*\[{cluster_id}\]$"):
        account.run(secrets.adopt_secrets, **event)


# ---- check_secrets


def create_lasting(account: Account, cluster_id: str) -> secret_store.Names:
    names = secret_store.names(SYSTEM, cluster_id)
    account.put(names.ca_certificate, account.anchors.get(cluster_id, OLD_CA))
    account.put(names.password, "password")
    return names


def test_check_secrets_needs_only_the_ca_certificate_and_the_password(account: Account) -> None:
    cluster_id = account.restored()
    create_lasting(account, cluster_id)
    assert account.run(secrets.check_secrets, ClusterId=cluster_id, System=SYSTEM) == {}
    assert account.changes == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (OLD_CA, "does not contain the CA of the cluster's certificate"),
        ("junk", "is not a PEM certificate"),
        (make_ca(time.time()).key_pem, "contains a PRIVATE KEY"),
    ],
)
def test_check_secrets_refuses_anything_but_the_clusters_ca(
    account: Account, text: str, message: str
) -> None:
    cluster_id = account.restored()
    name = create_lasting(account, cluster_id).ca_certificate
    account.put(name, text)
    with pytest.raises(CertificateError) as failure:
        account.run(secrets.check_secrets, ClusterId=cluster_id, System=SYSTEM)
    said = str(failure.value)
    assert said.startswith(f"CheckSecrets: The secret {name} {message}")
    assert said.endswith(f"[{cluster_id}]")
    assert len(f"CertificateError: {said}") <= 240


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
    with pytest.raises(SecretNotFoundError, match=f"/cloudhsm/{UNKNOWN}/{end}") as failure:
        account.run(secrets.check_secrets, ClusterId=UNKNOWN, System=SYSTEM)
    # A new secret of this name would be refused, and the password exists nowhere else.
    message = str(failure.value)
    assert "is scheduled for deletion. Restore it with aws secretsmanager restore-secret" in message
    assert message.endswith(f", then set a new pReconcile. [{UNKNOWN}]")
    assert len(f"SecretNotFoundError: {message}") <= 240


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
    with pytest.raises(SecretNotFoundError, match="/name is scheduled for deletion"):
        secret_store.read("/name")


def test_delete_is_idempotent(account: Account) -> None:
    account.put("/name", "text")
    secret_store.delete("/name")
    secret_store.delete("/name")
    assert account.secret_names() == []
