from __future__ import annotations

import json
import re
import time

import boto3
import moto.backends
import pytest

from hsm_lifecycle.errors import (
    ParameterError,
    RefusedError,
    SecretNotFoundError,
    TransientError,
)
from hsm_lifecycle.ownership import STACK_TAG
from hsm_lifecycle.steps import kms_user
from tests.support.account import (
    ACCOUNT,
    KMSUSER_PASSWORD,
    STACK_ID,
    TIMINGS,
    Account,
    Json,
)
from tests.support.key_store_setup import (
    PASSWORD_SECRET,
    UNKNOWN,
    UNKNOWN_CLUSTER,
    connect_key_store,
    connection_state,
    create_key_store,
    key_store_in,
    of,
)

# ---- create_password, drop_password


def make_instance(account: Account, *, profile: bool = True) -> tuple[str, str]:
    """An instance and the ARN of its role."""
    iam, arn, options = boto3.client("iam"), "", {}
    if profile:
        trust = json.dumps({"Version": "2012-10-17", "Statement": []})
        role = iam.create_role(RoleName="client", Path="/made/", AssumeRolePolicyDocument=trust)
        arn = role["Role"]["Arn"]
        iam.create_instance_profile(InstanceProfileName="client-profile", Path="/made/")
        iam.add_role_to_instance_profile(InstanceProfileName="client-profile", RoleName="client")
        options = {"IamInstanceProfile": {"Name": "client-profile"}}
    made = account.ec2.run_instances(ImageId="ami-00000001", MinCount=1, MaxCount=1, **options)
    return made["Instances"][0]["InstanceId"], arn


def password_created(account: Account, instance: str) -> Json:
    return account.run(
        kms_user.create_password,
        ClusterId=UNKNOWN_CLUSTER,
        StackId=STACK_ID,
        PasswordSecretName=PASSWORD_SECRET,
        InstanceId=instance,
    )


def policy(account: Account) -> Json:
    found = account.secrets.get_resource_policy(SecretId=PASSWORD_SECRET)
    return dict(json.loads(found["ResourcePolicy"]))


def test_create_password_generates_a_random_password(account: Account) -> None:
    instance, _ = make_instance(account)
    assert password_created(account, instance) == {}
    first = account.text(PASSWORD_SECRET) or ""
    assert re.fullmatch(r"[A-Za-z0-9]{32}", first)
    password_created(account, instance)
    second = account.text(PASSWORD_SECRET) or ""
    assert re.fullmatch(r"[A-Za-z0-9]{32}", second)
    assert first != second


def test_create_password_tags_the_secret_and_allows_the_clients_role(account: Account) -> None:
    instance, role = make_instance(account)
    password_created(account, instance)
    described_secret = account.secrets.describe_secret(SecretId=PASSWORD_SECRET)
    assert described_secret["Tags"] == [{"Key": STACK_TAG, "Value": STACK_ID}]
    (statement,) = policy(account)["Statement"]
    assert statement["Effect"] == "Allow"
    assert statement["Principal"] == {"AWS": role}
    assert statement["Action"] == "secretsmanager:GetSecretValue"
    assert role.endswith(":role/made/client")


def test_the_password_is_not_returned_or_logged(
    account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    instance, _ = make_instance(account)
    result = password_created(account, instance)
    assert (account.text(PASSWORD_SECRET) or "?") not in f"{result} {caplog.text}"


@pytest.mark.parametrize("operation", ["CreateSecret", "PutResourcePolicy"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_create_password_survives_a_lost_response(
    account: Account, operation: str, when: str
) -> None:
    instance, role = make_instance(account)
    account.faults.inject({"operation": operation, "code": "ConnectionLost", "when": when})
    with pytest.raises(TransientError):
        password_created(account, instance)
    password_created(account, instance)
    assert account.text(PASSWORD_SECRET)
    assert policy(account)["Statement"][0]["Principal"] == {"AWS": role}


def test_another_stacks_secret_is_neither_overwritten_nor_deleted(account: Account) -> None:
    instance, _ = make_instance(account)
    account.put(PASSWORD_SECRET, "theirs")
    with pytest.raises(RefusedError, match=f"{PASSWORD_SECRET} exists without this stack's tag"):
        password_created(account, instance)
    dropped(account)
    assert account.text(PASSWORD_SECRET) == "theirs"


def test_create_password_does_not_adopt_a_secret_that_is_described_late(account: Account) -> None:
    instance, _ = make_instance(account)
    account.put(PASSWORD_SECRET, "theirs")
    # Secrets Manager is eventually consistent (F6.72).
    account.faults.inject({"operation": "DescribeSecret", "code": "ResourceNotFoundException"})
    with pytest.raises(TransientError, match="not described yet"):
        password_created(account, instance)
    with pytest.raises(RefusedError):
        password_created(account, instance)
    assert account.text(PASSWORD_SECRET) == "theirs"
    assert "ResourcePolicy" not in account.secrets.get_resource_policy(SecretId=PASSWORD_SECRET)


@pytest.mark.parametrize(("times", "seconds"), [(1, 2), (9, 18), (10, 18)])
def test_create_password_waits_until_the_password_is_readable(
    account: Account, monkeypatch: pytest.MonkeyPatch, times: int, seconds: int
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    instance, _ = make_instance(account)
    account.faults.inject(
        {
            "operation": "DescribeSecret",
            "code": "ResourceNotFoundException",
            "skip": 1,
            "times": times,
        }
    )
    if times < 10:
        password_created(account, instance)
    else:
        with pytest.raises(TransientError, match="does not show it yet"):
            password_created(account, instance)
    assert sum(slept) == seconds


def test_create_password_is_retried_while_the_secret_is_being_deleted(account: Account) -> None:
    instance, _ = make_instance(account)
    password_created(account, instance)
    account.secrets.delete_secret(SecretId=PASSWORD_SECRET, RecoveryWindowInDays=7)
    with pytest.raises(TransientError, match=f"{PASSWORD_SECRET} is still being deleted"):
        password_created(account, instance)


def test_create_password_is_retried_while_a_deleted_secret_lingers(account: Account) -> None:
    instance, _ = make_instance(account)
    # Secrets Manager deletes asynchronously, and describes the secret no longer (F6.44).
    account.faults.inject({"operation": "CreateSecret", "code": "InvalidRequestException"})
    with pytest.raises(TransientError, match=f"{PASSWORD_SECRET} is still being deleted"):
        password_created(account, instance)
    password_created(account, instance)


def test_create_password_refuses_a_client_without_profile(account: Account) -> None:
    instance, _ = make_instance(account, profile=False)
    with pytest.raises(ParameterError, match=f"pClientInstanceId: {instance} has no instance pr"):
        password_created(account, instance)
    assert account.secret_names() == []


def test_create_password_refuses_a_profile_without_role(account: Account) -> None:
    instance, _ = make_instance(account)
    boto3.client("iam").remove_role_from_instance_profile(
        InstanceProfileName="client-profile", RoleName="client"
    )
    message = f"pClientInstanceId: the instance profile client-profile of {instance} has no role"
    with pytest.raises(ParameterError, match=message):
        password_created(account, instance)
    assert account.secret_names() == []


def test_create_password_refuses_a_terminated_client(account: Account) -> None:
    instance, _ = make_instance(account)
    account.ec2.terminate_instances(InstanceIds=[instance])
    for gone in (instance, "i-0123456789abcdef0"):
        with pytest.raises(ParameterError, match=f"pClientInstanceId: {gone} is terminated"):
            password_created(account, gone)
    assert account.secret_names() == []


def test_create_password_refuses_a_client_that_is_shutting_down(account: Account) -> None:
    instance, _ = make_instance(account)
    # moto terminates at once.
    backend = moto.backends.get_backend("ec2")[ACCOUNT][account.ec2.meta.region_name]
    backend.get_instance(instance)._state.name = "shutting-down"
    with pytest.raises(ParameterError, match=f"pClientInstanceId: {instance} is shutting-down"):
        password_created(account, instance)
    assert account.secret_names() == []


def test_create_password_accepts_a_stopped_client(account: Account) -> None:
    instance, _ = make_instance(account)
    account.ec2.stop_instances(InstanceIds=[instance])
    assert password_created(account, instance) == {}


def dropped(account: Account) -> Json:
    return account.run(kms_user.drop_password, **of(UNKNOWN, PasswordSecretName=PASSWORD_SECRET))


def test_drop_password_deletes_the_secret(account: Account) -> None:
    instance, _ = make_instance(account)
    password_created(account, instance)
    account.faults.inject({"operation": "DeleteSecret", "code": "ConnectionLost", "when": "after"})
    with pytest.raises(TransientError):
        dropped(account)
    assert dropped(account) == {}
    assert dropped(account) == {}
    assert account.secret_names() == []


def test_drop_password_accepts_a_deleted_secret(
    account: Account,
) -> None:
    instance, _ = make_instance(account)
    password_created(account, instance)
    account.secrets.delete_secret(SecretId=PASSWORD_SECRET, RecoveryWindowInDays=30)
    assert dropped(account) == {}


# ---- update_password


def password_updated(account: Account, key_store_id: str) -> Json:
    return account.run(
        kms_user.update_password, **of(key_store_id, PasswordSecretName=PASSWORD_SECRET)
    )


def test_update_password_lets_kms_connect(account: Account, cluster: str) -> None:
    account.put(PASSWORD_SECRET, "OldPassword1")
    key_store_id = create_key_store(account, cluster)
    account.add_kmsuser(cluster)
    account.put(PASSWORD_SECRET, KMSUSER_PASSWORD)
    for _ in range(2):
        assert password_updated(account, key_store_id) == {}
    connect_key_store(account, key_store_id)
    account.wait(TIMINGS.connect)
    assert connection_state(account, key_store_id) == "CONNECTED"


def test_update_password_is_refused_for_a_connected_key_store(
    account: Account, cluster: str
) -> None:
    key_store_id = key_store_in(account, cluster, "CONNECTED")
    with pytest.raises(RefusedError, match=rf"CustomKeyStoreInvalidState.*\[{key_store_id}\]$"):
        password_updated(account, key_store_id)


def test_update_password_needs_the_secret(account: Account, cluster: str) -> None:
    key_store_id = account.add_store(cluster)
    account.secrets.delete_secret(SecretId=PASSWORD_SECRET, ForceDeleteWithoutRecovery=True)
    with pytest.raises(SecretNotFoundError, match=PASSWORD_SECRET):
        password_updated(account, key_store_id)
