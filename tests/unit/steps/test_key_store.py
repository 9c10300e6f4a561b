from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable
from typing import Any

import boto3
import botocore.session
import pytest

from hsm_lifecycle import key_stores
from hsm_lifecycle.errors import (
    ClusterInUseError,
    ClusterNotFoundError,
    KeyStoreNotFoundError,
    ParameterError,
    RefusedError,
    SecretNotFoundError,
    TransientError,
)
from hsm_lifecycle.ownership import STACK_TAG
from hsm_lifecycle.steps import key_store, key_store_ownership, key_store_update, kms_user
from localaws.services.cloudhsmv2.settings import Assumptions
from tests.support.account import (
    KMSUSER_PASSWORD,
    OTHER_STACK_ID,
    STACK_ID,
    TIMINGS,
    ZONES,
    Account,
    Json,
)

UNKNOWN_CLUSTER = "cluster-aaaaaaaaaaa"
UNKNOWN = "cks-0123456789abcdef0"
NAME = "store"
CLAIM = "/hsm-lifecycle/cloudhsm-ks-1/key-store"
CA_SECRET = "/cloudhsm/ca"
PASSWORD_SECRET = "/cloudhsm-ks/kmsuser-password"
NO_IDS = ("", "cks-", "rCloudHsmKeyStore", "cluster-aaaaaaaaaaa", "cks-0123456789abcdefg")


def moment(seconds: float) -> str:
    """A time as state machines write it, so many seconds after the beginning."""
    begin = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)
    return f"{begin + datetime.timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.000Z"


def of(key_store_id: str, **more: Any) -> Json:
    return {"KeyStoreId": key_store_id, "StackId": STACK_ID, **more}


def wish(cluster_id: str, name: str = NAME, **more: Any) -> Json:
    """What the steps of create-key-store are handed."""
    return {
        "ClusterId": cluster_id,
        "Name": name,
        "StackId": STACK_ID,
        "Claim": CLAIM,
        "CloudHsmCustCaCertSecretName": CA_SECRET,
        "PasswordSecretName": PASSWORD_SECRET,
        **more,
    }


def supply(account: Account, cluster_id: str) -> None:
    """Put the two secrets where the steps look for them."""
    account.put(CA_SECRET, account.anchors[cluster_id])
    account.put(PASSWORD_SECRET, KMSUSER_PASSWORD)


@pytest.fixture(name="cluster")
def _cluster(account: Account) -> str:
    """A cluster that KMS takes, and the secrets for it."""
    cluster_id = account.restored(ZONES[0], ZONES[1])
    supply(account, cluster_id)
    return cluster_id


def claim(account: Account) -> Json | None:
    parameters = boto3.client("ssm")
    try:
        value = parameters.get_parameter(Name=CLAIM)["Parameter"]["Value"]
    except parameters.exceptions.ParameterNotFound:
        return None
    return dict(json.loads(value))


def lay_claim(key_store_id: str = "", stack_id: str = STACK_ID, *, complete: bool = False) -> None:
    value = {
        "StackId": stack_id,
        "Name": NAME,
        "KeyStoreId": key_store_id,
        "IsComplete": complete,
    }
    boto3.client("ssm").put_parameter(
        Name=CLAIM, Type="String", Value=json.dumps(value), Overwrite=True
    )


def store_ids(account: Account) -> list[str]:
    found = account.kms.describe_custom_key_stores()["CustomKeyStores"]
    return [store["CustomKeyStoreId"] for store in found]


def state(account: Account, key_store_id: str) -> str:
    return str(account.store(key_store_id)["ConnectionState"])


def failed_store(account: Account, cluster_id: str, code: str = "NETWORK_ERRORS") -> str:
    """A key store whose connection has FAILED."""
    account.faults.inject({"connect": code})
    key_store_id = account.add_store(cluster_id)
    account.kms.connect_custom_key_store(CustomKeyStoreId=key_store_id)
    account.wait(TIMINGS.connect)
    assert state(account, key_store_id) == "FAILED"
    return key_store_id


def store_in(account: Account, cluster_id: str, wanted: str) -> str:
    """A key store in a state of its connection."""
    if wanted == "FAILED":
        return failed_store(account, cluster_id)
    if wanted in ("CONNECTED", "DISCONNECTING"):
        key_store_id = account.add_connected_store(cluster_id)
    else:
        key_store_id = account.add_store(cluster_id)
    if wanted == "CONNECTING":
        account.kms.connect_custom_key_store(CustomKeyStoreId=key_store_id)
    if wanted == "DISCONNECTING":
        account.kms.disconnect_custom_key_store(CustomKeyStoreId=key_store_id)
    assert state(account, key_store_id) == wanted
    return key_store_id


# ---- find


def test_a_key_store_is_found_by_its_id(account: Account, cluster: str) -> None:
    key_store_id = account.add_store(cluster)
    found = key_stores.find(key_store_id)
    assert found is not None
    assert found["CustomKeyStoreName"] == NAME


@pytest.mark.parametrize("key_store_id", [*NO_IDS, UNKNOWN])
def test_there_is_no_key_store_of_an_id_that_kms_did_not_give(
    account: Account, cluster: str, key_store_id: str
) -> None:
    account.add_store(cluster)
    assert key_stores.find(key_store_id) is None


# ---- find_key_store


def looked_for(account: Account, physical_id: str = "", looks: int = 0) -> Json:
    return account.run(
        key_store_ownership.find_key_store,
        StackId=STACK_ID,
        Claim=CLAIM,
        CloudHsmCustCaCertSecretName=CA_SECRET,
        PasswordSecretName=PASSWORD_SECRET,
        PhysicalResourceId=physical_id,
        Attempts=looks,
    )


def test_a_key_store_is_looked_for_by_its_physical_id(account: Account, cluster: str) -> None:
    key_store_id = account.add_store(cluster)
    assert looked_for(account, key_store_id, looks=1) == {
        "Id": key_store_id,
        "State": "DISCONNECTED",
        "IsIncomplete": False,
        "IsStale": False,
        "Attempts": 2,
    }


@pytest.mark.parametrize("physical_id", NO_IDS)
def test_a_key_store_of_a_creation_that_gave_no_id_is_found_by_the_claim(
    account: Account, cluster: str, physical_id: str
) -> None:
    key_store_id = account.add_store(cluster)
    lay_claim(key_store_id)
    found = looked_for(account, physical_id)
    assert (found["Id"], found["IsIncomplete"]) == (key_store_id, True)
    assert account.changes == []


@pytest.mark.parametrize("physical_id", NO_IDS)
def test_without_a_claim_no_key_store_is_this_stacks(
    account: Account, cluster: str, physical_id: str
) -> None:
    account.add_store(cluster)
    assert looked_for(account, physical_id) == {
        "Id": "",
        "State": "NOT_FOUND",
        "IsIncomplete": False,
        "IsStale": False,
        "Attempts": 1,
    }


def test_what_another_stack_has_claimed_is_not_this_stacks(account: Account, cluster: str) -> None:
    lay_claim(account.add_store(cluster), OTHER_STACK_ID)
    found = looked_for(account)
    assert (found["State"], found["IsIncomplete"]) == ("NOT_FOUND", False)


def test_a_key_store_that_was_connected_once_is_no_failed_try(
    account: Account, cluster: str
) -> None:
    key_store_id = account.add_store(cluster)
    lay_claim(key_store_id, complete=True)
    assert looked_for(account, key_store_id)["IsIncomplete"] is False
    account.stack_status = "UPDATE_ROLLBACK_IN_PROGRESS"
    assert looked_for(account, key_store_id)["IsIncomplete"] is False


def test_a_key_store_of_a_stack_that_is_taken_back_is_a_failed_try(
    account: Account, cluster: str
) -> None:
    key_store_id = account.add_store(cluster)
    lay_claim(key_store_id, complete=True)
    account.stack_status = "ROLLBACK_IN_PROGRESS"
    assert looked_for(account, key_store_id)["IsIncomplete"] is True


def test_a_key_store_that_is_gone_is_absent(account: Account, cluster: str) -> None:
    key_store_id = account.add_store(cluster)
    lay_claim(key_store_id)
    account.kms.delete_custom_key_store(CustomKeyStoreId=key_store_id)
    assert looked_for(account, key_store_id)["State"] == "NOT_FOUND"
    assert looked_for(account)["State"] == "NOT_FOUND"


def test_a_key_store_whose_creation_was_not_answered_is_recognized_by_its_password(
    account: Account, cluster: str
) -> None:
    key_store_id = account.add_store(cluster)
    lay_claim()
    found = looked_for(account)
    assert (found["Id"], found["State"], found["IsIncomplete"]) == (
        key_store_id,
        "DISCONNECTED",
        True,
    )
    assert store_ids(account) == [key_store_id]
    assert (claim(account) or {})["KeyStoreId"] == key_store_id


def test_a_foreign_key_store_of_the_same_name_is_not_taken(account: Account, cluster: str) -> None:
    foreign = account.add_store(cluster)
    account.put(PASSWORD_SECRET, "Another1")
    lay_claim()
    assert looked_for(account)["State"] == "NOT_FOUND"
    assert store_ids(account) == [foreign]
    assert (claim(account) or {})["KeyStoreId"] == ""


@pytest.mark.parametrize("wanted", ["CONNECTING", "FAILED"])
def test_a_key_store_that_somebody_connected_was_not_made_by_a_lost_call(
    account: Account, cluster: str, wanted: str
) -> None:
    store_in(account, cluster, wanted)
    lay_claim()
    assert looked_for(account)["State"] == "NOT_FOUND"
    assert account.changes == []


@pytest.mark.parametrize("gone", [CA_SECRET, PASSWORD_SECRET])
def test_without_its_secrets_a_creation_did_not_come_as_far_as_a_key_store(
    account: Account, cluster: str, gone: str
) -> None:
    account.add_store(cluster)
    lay_claim()
    account.secrets.delete_secret(SecretId=gone, ForceDeleteWithoutRecovery=True)
    assert looked_for(account)["State"] == "NOT_FOUND"


def test_a_look_that_is_throttled_is_transient(account: Account, cluster: str) -> None:
    account.add_store(cluster)
    lay_claim()
    for operation in ("CreateCustomKeyStore", "DescribeCustomKeyStores", "GetParameter"):
        account.faults.inject({"operation": operation, "code": "ThrottlingException"})
        with pytest.raises(TransientError, match=operation):
            looked_for(account)
    assert looked_for(account)["State"] == "DISCONNECTED"


def test_to_delete_what_was_replaced_is_about_nothing_any_more(
    account: Account, cluster: str
) -> None:
    key_store_id = account.add_store(cluster)
    lay_claim(key_store_id, complete=True)
    account.stack_status = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
    stale = looked_for(account, UNKNOWN_CLUSTER)
    assert (stale["State"], stale["IsStale"]) == ("NOT_FOUND", True)
    real = looked_for(account, key_store_id)
    assert (real["Id"], real["IsStale"]) == (key_store_id, False)


# ---- describe_key_store


def described(account: Account, key_store_id: str, seconds: float = 0) -> Json:
    return account.run(
        key_store.describe_key_store,
        KeyStoreId=key_store_id,
        StartTime=moment(0),
        EnteredTime=moment(seconds),
    )


@pytest.mark.parametrize("wanted", ["DISCONNECTED", "CONNECTING", "CONNECTED", "DISCONNECTING"])
def test_a_key_store_is_described_by_its_connection(
    account: Account, cluster: str, wanted: str
) -> None:
    answer = described(account, store_in(account, cluster, wanted), seconds=90)
    assert answer == {"State": wanted, "ErrorCode": "", "Seconds": 90}


def test_a_connection_that_failed_has_a_code(account: Account, cluster: str) -> None:
    key_store_id = failed_store(account, cluster, "USER_LOGGED_IN")
    answer = described(account, key_store_id)
    assert (answer["State"], answer["ErrorCode"]) == ("FAILED", "USER_LOGGED_IN")


def test_a_key_store_that_is_gone_is_described_as_absent(account: Account) -> None:
    assert described(account, UNKNOWN)["State"] == "NOT_FOUND"
    assert described(account, "")["State"] == "NOT_FOUND"


# ---- check_cluster


def checked(account: Account, cluster_id: str, key_store_id: str = "") -> Json:
    return account.run(
        key_store.check_cluster,
        ClusterId=cluster_id,
        KeyStoreId=key_store_id,
        CloudHsmCustCaCertSecretName=CA_SECRET,
    )


def test_a_cluster_that_kms_takes_passes_with_the_addresses_of_its_hsms(
    account: Account, cluster: str
) -> None:
    addresses = sorted(hsm["EniIp"] for hsm in account.listed(cluster))
    assert checked(account, cluster) == {"IpAddresses": " ".join(addresses)}
    assert account.changes == []


def test_a_degraded_hsm_besides_two_that_work_does_not_matter(
    account: Account, cluster: str
) -> None:
    hsm = account.add_hsm(cluster, ZONES[2])
    account.hsms.provider().degrade_hsm(hsm["HsmId"])
    assert hsm["EniIp"] not in checked(account, cluster)["IpAddresses"]


@pytest.mark.parametrize("cluster_id", [UNKNOWN_CLUSTER, "cluster-of-mine"])
def test_a_cluster_that_does_not_exist_is_refused(account: Account, cluster_id: str) -> None:
    with pytest.raises(ClusterNotFoundError, match=f"pCloudHsmClusterId: .* {cluster_id}"):
        checked(account, cluster_id)


def test_a_cluster_that_is_not_active_is_refused(account: Account) -> None:
    cluster_id = account.uninitialized()
    with pytest.raises(ParameterError, match=r"pCloudHsmClusterId: .* is UNINITIALIZED"):
        checked(account, cluster_id)


def test_a_cluster_with_an_hsm_coming_or_going_is_refused(account: Account, cluster: str) -> None:
    words = "pCloudHsmClusterId: an HSM of .* is being created or deleted"
    account.hsm.create_hsm(ClusterId=cluster, AvailabilityZone=ZONES[2])
    with pytest.raises(ParameterError, match=words):
        checked(account, cluster)
    account.wait(TIMINGS.create_hsm)
    account.hsm.delete_hsm(ClusterId=cluster, HsmId=account.listed(cluster)[2]["HsmId"])
    with pytest.raises(ParameterError, match=words):
        checked(account, cluster)
    account.wait(TIMINGS.delete_hsm)
    assert account.states(cluster) == ["ACTIVE", "ACTIVE", "DELETED"]
    assert checked(account, cluster)


@pytest.mark.parametrize("zones", [(), (ZONES[0],), (ZONES[0], ZONES[0])])
def test_a_cluster_without_hsms_in_two_zones_is_refused(
    account: Account, zones: tuple[str, ...]
) -> None:
    cluster_id = account.restored(*zones)
    count = len(set(zones))
    with pytest.raises(ParameterError, match=f"pCloudHsmClusterId: .* in {count} Availability"):
        checked(account, cluster_id)


def test_a_cluster_that_has_a_key_store_is_refused_unless_it_is_our_own(
    account: Account, cluster: str
) -> None:
    key_store_id = account.add_store(cluster)
    words = (
        rf"pCloudHsmClusterId: .* already has the key store {key_store_id} \(store, DISCONNECTED\)"
    )
    with pytest.raises(ClusterInUseError, match=words):
        checked(account, cluster)
    assert checked(account, cluster, key_store_id)


def test_a_key_store_on_another_cluster_does_not_matter(account: Account, cluster: str) -> None:
    other = account.restored(ZONES[0], ZONES[1], stack_id=OTHER_STACK_ID)
    account.add_store(other)
    assert checked(account, cluster)


def test_without_a_ca_certificate_there_is_no_key_store(account: Account, cluster: str) -> None:
    account.secrets.delete_secret(SecretId=CA_SECRET, ForceDeleteWithoutRecovery=True)
    with pytest.raises(SecretNotFoundError, match=CA_SECRET):
        checked(account, cluster)


def test_certificates_that_kms_cannot_hold_are_refused(account: Account, cluster: str) -> None:
    account.put(CA_SECRET, "x" * 5000)
    assert checked(account, cluster)
    account.put(CA_SECRET, "x" * 5001)
    with pytest.raises(ParameterError, match=r"pCloudHsmCustCaCertSecretName: .* 5001 characters"):
        checked(account, cluster)


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


def test_kmsuser_gets_a_random_password_of_its_own(account: Account) -> None:
    instance, _ = make_instance(account)
    assert password_created(account, instance) == {}
    first = account.text(PASSWORD_SECRET) or ""
    assert re.fullmatch(r"[A-Za-z0-9]{32}", first)
    password_created(account, instance)
    second = account.text(PASSWORD_SECRET) or ""
    assert re.fullmatch(r"[A-Za-z0-9]{32}", second)
    assert first != second


def test_the_password_says_whose_it_is_and_who_may_read_it(account: Account) -> None:
    instance, role = make_instance(account)
    password_created(account, instance)
    described_secret = account.secrets.describe_secret(SecretId=PASSWORD_SECRET)
    assert described_secret["Tags"] == [{"Key": STACK_TAG, "Value": STACK_ID}]
    (statement,) = policy(account)["Statement"]
    assert statement["Effect"] == "Allow"
    assert statement["Principal"] == {"AWS": role}
    assert statement["Action"] == "secretsmanager:GetSecretValue"
    assert role.endswith(":role/made/client")


def test_the_password_is_never_told(account: Account, caplog: pytest.LogCaptureFixture) -> None:
    instance, _ = make_instance(account)
    answer = password_created(account, instance)
    assert (account.text(PASSWORD_SECRET) or "?") not in f"{answer} {caplog.text}"


@pytest.mark.parametrize("operation", ["CreateSecret", "PutResourcePolicy"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_password_whose_creation_dies_in_the_middle_can_be_read_in_the_end(
    account: Account, operation: str, when: str
) -> None:
    instance, role = make_instance(account)
    account.faults.inject({"operation": operation, "code": "ConnectionLost", "when": when})
    with pytest.raises(TransientError):
        password_created(account, instance)
    password_created(account, instance)
    assert account.text(PASSWORD_SECRET)
    assert policy(account)["Statement"][0]["Principal"] == {"AWS": role}


def test_a_secret_of_somebody_else_is_neither_overwritten_nor_dropped(account: Account) -> None:
    instance, _ = make_instance(account)
    account.put(PASSWORD_SECRET, "theirs")
    with pytest.raises(RefusedError, match=f"{PASSWORD_SECRET} exists without this stack's tag"):
        password_created(account, instance)
    dropped(account)
    assert account.text(PASSWORD_SECRET) == "theirs"


def test_a_password_that_is_still_being_deleted_is_waited_for(account: Account) -> None:
    instance, _ = make_instance(account)
    password_created(account, instance)
    account.secrets.delete_secret(SecretId=PASSWORD_SECRET, RecoveryWindowInDays=7)
    with pytest.raises(TransientError, match=f"{PASSWORD_SECRET} is still being deleted"):
        password_created(account, instance)


def test_a_client_without_a_profile_cannot_read_the_password(account: Account) -> None:
    instance, _ = make_instance(account, profile=False)
    with pytest.raises(ParameterError, match=f"pClientInstanceId: {instance} has no instance pr"):
        password_created(account, instance)
    assert account.secret_names() == []


def test_a_profile_without_a_role_is_named(account: Account) -> None:
    instance, _ = make_instance(account)
    boto3.client("iam").remove_role_from_instance_profile(
        InstanceProfileName="client-profile", RoleName="client"
    )
    words = f"pClientInstanceId: the instance profile client-profile of {instance} has no role"
    with pytest.raises(ParameterError, match=words):
        password_created(account, instance)
    assert account.secret_names() == []


def test_a_client_that_is_gone_is_refused_by_the_parameters_name(account: Account) -> None:
    instance, _ = make_instance(account)
    account.ec2.terminate_instances(InstanceIds=[instance])
    for gone in (instance, "i-0123456789abcdef0"):
        with pytest.raises(ParameterError, match=f"pClientInstanceId: {gone} is terminated"):
            password_created(account, gone)
    assert account.secret_names() == []


def test_a_client_that_is_stopped_may_read_the_password_later(account: Account) -> None:
    instance, _ = make_instance(account)
    account.ec2.stop_instances(InstanceIds=[instance])
    assert password_created(account, instance) == {}


def dropped(account: Account) -> Json:
    return account.run(kms_user.drop_password, **of(UNKNOWN, PasswordSecretName=PASSWORD_SECRET))


def test_the_password_is_dropped_once_it_is_worthless(account: Account) -> None:
    instance, _ = make_instance(account)
    password_created(account, instance)
    account.faults.inject({"operation": "DeleteSecret", "code": "ConnectionLost", "when": "after"})
    with pytest.raises(TransientError):
        dropped(account)
    assert dropped(account) == {}
    assert dropped(account) == {}
    assert account.secret_names() == []


def test_a_password_that_somebody_has_deleted_already_does_not_stand_in_the_way(
    account: Account,
) -> None:
    instance, _ = make_instance(account)
    password_created(account, instance)
    account.secrets.delete_secret(SecretId=PASSWORD_SECRET, RecoveryWindowInDays=30)
    assert dropped(account) == {}


# ---- claim_key_store, complete_claim, drop_claim


def claimed(account: Account, cluster_id: str, name: str = NAME) -> Json:
    return account.run(
        key_store_ownership.claim_key_store,
        Name=name,
        ClusterId=cluster_id,
        StackId=STACK_ID,
        Claim=CLAIM,
    )


def test_a_name_that_is_free_is_claimed(account: Account, cluster: str) -> None:
    assert claimed(account, cluster) == {}
    assert claim(account) == {
        "StackId": STACK_ID,
        "Name": NAME,
        "KeyStoreId": "",
        "IsComplete": False,
    }


def test_a_name_can_be_claimed_twice(account: Account, cluster: str) -> None:
    account.faults.inject({"operation": "PutParameter", "code": "ConnectionLost", "when": "after"})
    with pytest.raises(TransientError):
        claimed(account, cluster)
    assert claimed(account, cluster) == {}


def test_the_claim_of_a_stack_that_is_no_more_is_replaced(account: Account, cluster: str) -> None:
    lay_claim(UNKNOWN, OTHER_STACK_ID, complete=True)
    claimed(account, cluster)
    assert (claim(account) or {})["StackId"] == STACK_ID


@pytest.mark.parametrize("wanted", ["DISCONNECTED", "CONNECTING", "FAILED"])
def test_a_name_that_is_taken_is_refused_with_who_has_it(
    account: Account, cluster: str, wanted: str
) -> None:
    key_store_id = store_in(account, cluster, wanted)
    with pytest.raises(ParameterError) as refusal:
        claimed(account, cluster)
    assert str(refusal.value) == (
        f"ClaimKeyStore: pKeyStoreName: a key store named store already exists ({key_store_id}, {wanted})"
        f" and was not changed. Choose another name. [{cluster}]"
    )
    assert claim(account) is None
    assert claimed(account, cluster, "another") == {}


def test_a_claim_is_complete_when_the_store_was_connected(account: Account) -> None:
    lay_claim(UNKNOWN)
    for _ in range(2):
        account.run(key_store_ownership.complete_claim, **of(UNKNOWN, Name="new", Claim=CLAIM))
        assert claim(account) == {
            "StackId": STACK_ID,
            "Name": "new",
            "KeyStoreId": UNKNOWN,
            "IsComplete": True,
        }


def test_a_claim_is_dropped_and_that_of_another_stack_is_not(account: Account) -> None:
    lay_claim(UNKNOWN)
    for _ in range(2):
        assert account.run(key_store_ownership.drop_claim, **of(UNKNOWN, Claim=CLAIM)) == {}
        assert claim(account) is None
    lay_claim(UNKNOWN, OTHER_STACK_ID)
    account.run(key_store_ownership.drop_claim, **of(UNKNOWN, Claim=CLAIM))
    assert (claim(account) or {})["StackId"] == OTHER_STACK_ID


def test_a_claim_that_cannot_be_dropped_now_is_dropped_later(account: Account) -> None:
    lay_claim(UNKNOWN)
    account.faults.inject(
        {"operation": "DeleteParameter", "code": "ThrottlingException", "when": "after"}
    )
    with pytest.raises(TransientError, match=rf"\[{UNKNOWN}\]$"):
        account.run(key_store_ownership.drop_claim, **of(UNKNOWN, Claim=CLAIM))
    assert account.run(key_store_ownership.drop_claim, **of(UNKNOWN, Claim=CLAIM)) == {}


# ---- create_key_store


def created(account: Account, cluster_id: str, name: str = NAME) -> str:
    answer = account.run(key_store.create_key_store, **wish(cluster_id, name))
    assert answer.keys() == {"Id"}
    return str(answer["Id"])


def test_a_key_store_is_created_on_the_cluster_and_claimed(account: Account, cluster: str) -> None:
    claimed(account, cluster)
    key_store_id = created(account, cluster)
    store = account.store(key_store_id)
    assert store["CustomKeyStoreName"] == NAME
    assert store["CloudHsmClusterId"] == cluster
    assert store["TrustAnchorCertificate"] == account.anchors[cluster]
    assert claim(account) == {
        "StackId": STACK_ID,
        "Name": NAME,
        "KeyStoreId": key_store_id,
        "IsComplete": False,
    }


def test_a_key_store_is_created_once_however_often_it_is_asked_for(
    account: Account, cluster: str
) -> None:
    claimed(account, cluster)
    key_store_id = created(account, cluster)
    assert created(account, cluster) == key_store_id
    assert store_ids(account) == [key_store_id]


@pytest.mark.parametrize("operation", ["CreateCustomKeyStore", "PutParameter"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_key_store_whose_creation_dies_in_the_middle_is_found_again(
    account: Account, cluster: str, operation: str, when: str
) -> None:
    claimed(account, cluster)
    account.faults.inject({"operation": operation, "code": "ConnectionLost", "when": when})
    with pytest.raises(TransientError, match=rf"\[{cluster}\]$"):
        created(account, cluster)
    key_store_id = created(account, cluster)
    assert store_ids(account) == [key_store_id]
    assert (claim(account) or {})["KeyStoreId"] == key_store_id


def test_what_a_creation_that_was_not_answered_made_is_found_by_the_deletion(
    account: Account, cluster: str
) -> None:
    claimed(account, cluster)
    account.faults.inject(
        {"operation": "CreateCustomKeyStore", "code": "ConnectionLost", "when": "after"}
    )
    with pytest.raises(TransientError):
        created(account, cluster)
    found = looked_for(account, cluster)
    assert [found["Id"]] == store_ids(account)
    assert found["IsIncomplete"] is True


@pytest.mark.parametrize(
    ("code", "parameter"),
    [
        ("CloudHsmClusterInUseException", "pCloudHsmClusterId"),
        ("CloudHsmClusterInvalidConfigurationException", "pCloudHsmClusterId"),
        ("CloudHsmClusterNotActiveException", "pCloudHsmClusterId"),
        ("CloudHsmClusterNotFoundException", "pCloudHsmClusterId"),
        ("CustomKeyStoreNameInUseException", "pKeyStoreName"),
        ("IncorrectTrustAnchorException", "pCloudHsmCustCaCertSecretName"),
    ],
)
def test_a_refusal_of_kms_names_the_parameter(
    account: Account, cluster: str, code: str, parameter: str
) -> None:
    account.faults.inject(
        {"operation": "CreateCustomKeyStore", "code": code, "message": "words of AWS"}
    )
    with pytest.raises(RefusedError) as refusal:
        created(account, cluster)
    assert str(refusal.value) == (
        f"CreateKeyStore: {parameter}: CreateCustomKeyStore: {code}: words of AWS [{cluster}]"
    )


def test_the_certificate_of_another_cluster_is_refused_by_the_parameters_name(
    account: Account, cluster: str
) -> None:
    account.put(CA_SECRET, account.ca.pem)
    with pytest.raises(RefusedError, match=r"pCloudHsmCustCaCertSecretName: .*IncorrectTrustAnch"):
        created(account, cluster)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("KMSInternalException", TransientError),
        ("ThrottlingException", TransientError),
        ("AccessDeniedException", TransientError),
        ("LimitExceededException", RefusedError),
    ],
)
def test_other_refusals_of_kms_are_told_in_its_words(
    account: Account, cluster: str, code: str, error: type[Exception]
) -> None:
    account.faults.inject({"operation": "CreateCustomKeyStore", "code": code})
    with pytest.raises(error, match=f"^CreateKeyStore: CreateCustomKeyStore: {code}: "):
        created(account, cluster)


# ---- connect_key_store, disconnect_key_store

FRESH: Json = {"Number": 0, "IsRepaired": False}


def connected(account: Account, key_store_id: str, connection: Json | None = None) -> Json:
    return account.run(
        key_store.connect_key_store, **of(key_store_id, Connection=connection or FRESH)
    )


def test_a_key_store_is_connected_and_the_attempts_are_counted(
    account: Account, cluster: str
) -> None:
    key_store_id = account.add_store(cluster)
    assert connected(account, key_store_id) == {"Number": 1, "IsRepaired": False}
    assert state(account, key_store_id) == "CONNECTING"
    repaired = {"Number": 1, "IsRepaired": True}
    assert connected(account, key_store_id, repaired) == {"Number": 2, "IsRepaired": True}


@pytest.mark.parametrize("wanted", ["CONNECTING", "CONNECTED"])
def test_a_key_store_that_is_connected_or_about_to_be_is_left_alone(
    account: Account, cluster: str, wanted: str
) -> None:
    key_store_id = store_in(account, cluster, wanted)
    assert connected(account, key_store_id)["Number"] == 1
    assert account.changes == []


def test_a_connection_whose_answer_was_lost_goes_on(account: Account, cluster: str) -> None:
    key_store_id = account.add_store(cluster)
    account.faults.inject(
        {"operation": "ConnectCustomKeyStore", "code": "ConnectionLost", "when": "after"}
    )
    with pytest.raises(TransientError, match=rf"\[{key_store_id}\]$"):
        connected(account, key_store_id)
    assert connected(account, key_store_id)["Number"] == 1
    assert account.changes == []


def test_a_key_store_that_is_gone_is_not_connected(account: Account) -> None:
    assert connected(account, UNKNOWN)["Number"] == 1
    assert account.changes == []


@pytest.mark.parametrize("wanted", ["FAILED", "DISCONNECTING"])
def test_what_has_to_be_disconnected_first_is_refused_by_kms(
    account: Account, cluster: str, wanted: str
) -> None:
    key_store_id = store_in(account, cluster, wanted)
    with pytest.raises(RefusedError, match=rf"CustomKeyStoreInvalidState.*\[{key_store_id}\]$"):
        connected(account, key_store_id)


def test_a_cluster_that_kms_cannot_use_is_named_by_its_parameter(
    account: Account, cluster: str
) -> None:
    key_store_id = account.add_store(cluster)
    for hsm in account.listed(cluster):
        account.hsm.delete_hsm(ClusterId=cluster, HsmId=hsm["HsmId"])
    with pytest.raises(RefusedError, match="pCloudHsmClusterId: ConnectCustomKeyStore: "):
        connected(account, key_store_id)


def disconnected(account: Account, key_store_id: str) -> Json:
    return account.run(key_store.disconnect_key_store, **of(key_store_id))


@pytest.mark.parametrize("wanted", ["CONNECTED", "CONNECTING", "FAILED"])
def test_a_key_store_is_disconnected_from_wherever_it_is(
    account: Account, cluster: str, wanted: str
) -> None:
    key_store_id = store_in(account, cluster, wanted)
    assert disconnected(account, key_store_id) == {}
    assert state(account, key_store_id) == "DISCONNECTING"
    assert disconnected(account, key_store_id) == {}
    account.wait(TIMINGS.disconnect)
    assert state(account, key_store_id) == "DISCONNECTED"
    assert disconnected(account, key_store_id) == {}


def test_a_key_store_that_is_gone_is_disconnected_enough(account: Account) -> None:
    assert disconnected(account, UNKNOWN) == {}


def test_a_disconnection_whose_answer_was_lost_goes_on(account: Account, cluster: str) -> None:
    key_store_id = store_in(account, cluster, "CONNECTING")
    account.faults.inject(
        {"operation": "DisconnectCustomKeyStore", "code": "ConnectionLost", "when": "after"}
    )
    with pytest.raises(TransientError):
        disconnected(account, key_store_id)
    assert disconnected(account, key_store_id) == {}
    account.wait(TIMINGS.disconnect)
    assert state(account, key_store_id) == "DISCONNECTED"


def test_a_disconnection_that_is_throttled_is_transient(account: Account, cluster: str) -> None:
    key_store_id = store_in(account, cluster, "CONNECTING")
    account.faults.inject({"operation": "DisconnectCustomKeyStore", "code": "ThrottlingException"})
    with pytest.raises(TransientError):
        disconnected(account, key_store_id)


# ---- diagnose_connection

CODES = [
    code
    for code in botocore.session.get_session()
    .get_service_model("kms")
    .shape_for("ConnectionErrorCodeType")
    .enum
    if not code.startswith("XKS_")
]
KMSUSER_CODES = ["INVALID_CREDENTIALS", "USER_LOCKED_OUT", "USER_NOT_FOUND"]


def diagnosed(
    account: Account, code: str, number: int = 0, seconds: float = 60, *, repaired: bool = False
) -> Json:
    return account.run(
        key_store.diagnose_connection,
        KeyStoreId=UNKNOWN,
        ErrorCode=code,
        Connection={"Number": number, "IsRepaired": repaired},
        StartTime=moment(0),
        EnteredTime=moment(seconds),
    )


@pytest.mark.parametrize("code", KMSUSER_CODES)
@pytest.mark.parametrize(
    ("number", "seconds", "repaired", "decision"),
    [
        (0, 60, False, "REPAIR"),
        (1, 1200, False, "REPAIR"),
        # Another connection takes 1260 of the 2700 seconds.
        (1, 1440, False, "REPAIR"),
        (1, 1441, False, "FAIL"),
        (0, 1441, False, "CONNECT"),
        # Once.
        (1, 60, True, "FAIL"),
        (2, 60, True, "FAIL"),
    ],
)
def test_kmsuser_is_repaired_once_and_with_time_left(
    account: Account, code: str, number: int, seconds: float, repaired: bool, decision: str
) -> None:
    assert diagnosed(account, code, number, seconds, repaired=repaired)["Next"] == decision


@pytest.mark.parametrize("code", [code for code in [*CODES, "NEW"] if code not in KMSUSER_CODES])
def test_what_was_failed_when_it_was_found_is_tried_once(account: Account, code: str) -> None:
    assert diagnosed(account, code, 0)["Next"] == "CONNECT"
    assert diagnosed(account, code, 1)["Next"] == "FAIL"


@pytest.mark.parametrize("code", KMSUSER_CODES)
def test_a_repair_in_vain_is_told_only_where_there_was_one(account: Account, code: str) -> None:
    late = diagnosed(account, code, 1, 1441)
    assert late["Next"] == "FAIL"
    assert "No time was left to reset kmsuser" in late["Message"]
    assert "even after" in diagnosed(account, code, 2, repaired=True)["Message"]


@pytest.mark.parametrize("repaired", [False, True])
@pytest.mark.parametrize("code", CODES)
def test_every_code_of_kms_has_a_remedy_that_fits_into_a_stack_event(
    account: Account, code: str, repaired: bool
) -> None:
    message = diagnosed(account, code, 1, repaired=repaired)["Message"]
    assert message.startswith(f"{code}. ")
    assert "Developer Guide" not in message
    assert re.search(r"pReconcile|pCloudHsmClusterId", message)
    # As connect-key-store ends, and 240 characters of it are shown.
    told = f"ConnectionFailed: KMS could not connect the key store: {message} [{UNKNOWN}]"
    assert len(told) <= 240


def test_a_code_that_nobody_knows_leads_to_the_guide(account: Account) -> None:
    assert diagnosed(account, "NEW", 1)["Message"] == (
        "NEW. See Troubleshooting a CloudHSM key store in the KMS Developer Guide."
    )


# ---- update_password


def password_updated(account: Account, key_store_id: str) -> Json:
    return account.run(
        kms_user.update_password, **of(key_store_id, PasswordSecretName=PASSWORD_SECRET)
    )


def test_kms_is_told_the_new_password_and_can_connect_with_it(
    account: Account, cluster: str
) -> None:
    account.put(PASSWORD_SECRET, "OldPassword1")
    key_store_id = created(account, cluster)
    account.add_kmsuser(cluster)
    account.put(PASSWORD_SECRET, KMSUSER_PASSWORD)
    for _ in range(2):
        assert password_updated(account, key_store_id) == {}
    connected(account, key_store_id)
    account.wait(TIMINGS.connect)
    assert state(account, key_store_id) == "CONNECTED"


def test_a_password_is_not_told_while_the_store_is_connected(
    account: Account, cluster: str
) -> None:
    key_store_id = store_in(account, cluster, "CONNECTED")
    with pytest.raises(RefusedError, match=rf"CustomKeyStoreInvalidState.*\[{key_store_id}\]$"):
        password_updated(account, key_store_id)


def test_without_a_password_there_is_nothing_to_tell(account: Account, cluster: str) -> None:
    key_store_id = account.add_store(cluster)
    account.secrets.delete_secret(SecretId=PASSWORD_SECRET, ForceDeleteWithoutRecovery=True)
    with pytest.raises(SecretNotFoundError, match=PASSWORD_SECRET):
        password_updated(account, key_store_id)


# ---- check_key_store_update


def update_checked(
    account: Account,
    key_store_id: str,
    cluster_id: str,
    name: str = NAME,
    physical_id: str = "",
) -> Json:
    return account.run(
        key_store_update.check_key_store_update,
        **of(
            key_store_id,
            Name=name,
            ClusterId=cluster_id,
            PhysicalResourceId=physical_id or key_store_id,
        ),
    )


def test_a_key_store_that_is_as_it_should_be_needs_nothing(account: Account, cluster: str) -> None:
    key_store_id = account.add_store(cluster)
    account.stack_status = "UPDATE_IN_PROGRESS"
    assert update_checked(account, key_store_id, cluster) == {
        "IsChangeable": True,
        "NeedsRename": False,
        "NeedsMove": False,
        "Rollback": False,
        "Warnings": "none",
    }
    assert account.changes == []


@pytest.mark.parametrize("wanted", ["DISCONNECTED", "CONNECTED"])
def test_another_name_is_noticed(account: Account, cluster: str, wanted: str) -> None:
    key_store_id = store_in(account, cluster, wanted)
    answer = update_checked(account, key_store_id, cluster, "new")
    assert (answer["NeedsRename"], answer["NeedsMove"]) == (True, False)


@pytest.mark.parametrize("wanted", ["CONNECTING", "FAILED", "DISCONNECTING"])
def test_a_name_that_kms_would_not_change_now_is_refused(
    account: Account, cluster: str, wanted: str
) -> None:
    key_store_id = store_in(account, cluster, wanted)
    with pytest.raises(ParameterError, match=f"pKeyStoreName: the key store is {wanted}"):
        update_checked(account, key_store_id, cluster, "new")
    assert update_checked(account, key_store_id, cluster)["IsChangeable"]


def test_a_name_of_another_key_store_is_refused(account: Account, cluster: str) -> None:
    other = account.add_store(account.restored(*ZONES[:2], stack_id=OTHER_STACK_ID), "theirs")
    key_store_id = account.add_store(cluster)
    with pytest.raises(
        ParameterError, match=rf"pKeyStoreName: .* theirs already exists \({other}\)"
    ):
        update_checked(account, key_store_id, cluster, "theirs")
    account.stack_status = "UPDATE_ROLLBACK_IN_PROGRESS"
    answer = update_checked(account, key_store_id, cluster, "theirs")
    assert (answer["IsChangeable"], answer["NeedsRename"]) == (False, False)
    assert "pKeyStoreName" in answer["Warnings"]


def test_a_cluster_that_is_not_related_is_refused(account: Account, cluster: str) -> None:
    other = account.restored(ZONES[0], ZONES[1], stack_id=OTHER_STACK_ID)
    key_store_id = account.add_store(cluster)
    with pytest.raises(ParameterError, match=r"pCloudHsmClusterId: .* has a different certificate"):
        update_checked(account, key_store_id, other)


def relative_of(account: Account, cluster_id: str) -> str:
    """A cluster restored from a backup of another one, with two HSMs."""
    account.wait(TIMINGS.create_backup)
    backups = account.hsm.describe_backups(Filters={"clusterIds": [cluster_id]})["Backups"]
    relative = account.uninitialized(OTHER_STACK_ID, SourceBackupId=backups[0]["BackupId"])
    account.anchors[relative] = account.anchors[cluster_id]
    for zone in ZONES[:2]:
        account.add_hsm(relative, zone)
    return relative


def test_a_key_store_moves_to_a_cluster_restored_from_its_own(
    account: Account, cluster: str
) -> None:
    account.add_hsm(cluster, ZONES[2])
    relative = relative_of(account, cluster)
    key_store_id = account.add_store(cluster)
    answer = update_checked(account, key_store_id, relative)
    assert (answer["NeedsRename"], answer["NeedsMove"]) == (False, True)
    for _ in range(2):
        assert moved(account, key_store_id, relative) == {}
        assert account.store(key_store_id)["CloudHsmClusterId"] == relative
    account.add_kmsuser(relative)
    connected(account, key_store_id)
    account.wait(TIMINGS.connect)
    assert state(account, key_store_id) == "CONNECTED"


def test_a_cluster_that_is_gone_leaves_it_to_kms_who_is_related(
    account: Account, cluster: str
) -> None:
    key_store_id = account.add_store(cluster)
    for hsm in account.listed(cluster):
        account.hsm.delete_hsm(ClusterId=cluster, HsmId=hsm["HsmId"])
    account.wait(TIMINGS.delete_hsm + 60)
    account.hsm.delete_cluster(ClusterId=cluster)
    account.wait(TIMINGS.delete_cluster)
    assert update_checked(account, key_store_id, UNKNOWN_CLUSTER)["NeedsMove"] is True


def test_a_key_store_that_is_gone_cannot_be_updated(account: Account) -> None:
    with pytest.raises(KeyStoreNotFoundError, match=f"{UNKNOWN} no longer exists"):
        update_checked(account, "", UNKNOWN_CLUSTER, physical_id=UNKNOWN)


def test_the_rollback_of_a_key_store_that_is_gone_passes(account: Account) -> None:
    account.stack_status = "UPDATE_ROLLBACK_IN_PROGRESS"
    answer = update_checked(account, "", UNKNOWN_CLUSTER, physical_id=UNKNOWN)
    assert (answer["IsChangeable"], answer["Rollback"]) == (False, True)
    assert f"{UNKNOWN} no longer exists" in answer["Warnings"]


# ---- rename_key_store, move_key_store


def renamed(account: Account, key_store_id: str, name: str) -> Json:
    return account.run(key_store_update.rename_key_store, **of(key_store_id, Name=name))


@pytest.mark.parametrize("wanted", ["DISCONNECTED", "CONNECTED"])
def test_a_key_store_is_renamed_as_it_is(account: Account, cluster: str, wanted: str) -> None:
    key_store_id = store_in(account, cluster, wanted)
    for changes in (["UpdateCustomKeyStore"], []):
        assert renamed(account, key_store_id, "new") == {}
        assert account.changes == changes
    store = account.store(key_store_id)
    assert (store["CustomKeyStoreName"], store["ConnectionState"]) == ("new", wanted)


def test_if_kms_wants_it_disconnected_for_its_name_it_is_left_connected(
    make_account: Callable[..., Account],
) -> None:
    account = make_account(assumptions=Assumptions(rename_while_connected=False))
    key_store_id = store_in(account, account.restored(ZONES[0], ZONES[1]), "CONNECTED")
    with pytest.raises(ParameterError, match=r"pKeyStoreName: .* Disconnect it yourself"):
        renamed(account, key_store_id, "new")
    store = account.store(key_store_id)
    assert (store["CustomKeyStoreName"], store["ConnectionState"]) == (NAME, "CONNECTED")


def test_a_rename_whose_answer_was_lost_has_happened(account: Account, cluster: str) -> None:
    key_store_id = account.add_store(cluster)
    account.faults.inject(
        {"operation": "UpdateCustomKeyStore", "code": "ConnectionLost", "when": "after"}
    )
    with pytest.raises(TransientError):
        renamed(account, key_store_id, "new")
    assert renamed(account, key_store_id, "new") == {}


def test_a_name_that_somebody_took_meanwhile_is_refused_by_the_parameters_name(
    account: Account, cluster: str
) -> None:
    account.add_store(account.restored(*ZONES[:2], stack_id=OTHER_STACK_ID), "theirs")
    key_store_id = account.add_store(cluster)
    with pytest.raises(RefusedError, match=r"pKeyStoreName: .*CustomKeyStoreNameInUse"):
        renamed(account, key_store_id, "theirs")


def moved(account: Account, key_store_id: str, cluster_id: str) -> Json:
    event = of(key_store_id, ClusterId=cluster_id, PasswordSecretName=PASSWORD_SECRET)
    return account.run(key_store_update.move_key_store, **event)


def test_a_key_store_is_not_moved_to_a_stranger(account: Account, cluster: str) -> None:
    other = account.restored(ZONES[0], ZONES[1], stack_id=OTHER_STACK_ID)
    key_store_id = account.add_store(cluster)
    with pytest.raises(RefusedError, match=r"pCloudHsmClusterId: .*NotRelated"):
        moved(account, key_store_id, other)
    assert account.store(key_store_id)["CloudHsmClusterId"] == cluster


def test_a_key_store_is_not_moved_while_it_is_connected(account: Account, cluster: str) -> None:
    key_store_id = store_in(account, cluster, "CONNECTED")
    with pytest.raises(RefusedError, match="CustomKeyStoreInvalidState"):
        moved(account, key_store_id, cluster)


# ---- delete_key_store, retain_key_store, report_key_store


def deleted(account: Account, key_store_id: str) -> Json:
    return account.run(key_store.delete_key_store, **of(key_store_id))


def test_a_key_store_without_keys_is_deleted(account: Account, cluster: str) -> None:
    key_store_id = account.add_store(cluster)
    account.faults.inject(
        {"operation": "DeleteCustomKeyStore", "code": "ConnectionLost", "when": "after"}
    )
    with pytest.raises(TransientError, match=rf"\[{key_store_id}\]$"):
        deleted(account, key_store_id)
    assert deleted(account, key_store_id) == {"IsRetained": False}
    assert store_ids(account) == []


@pytest.mark.parametrize("pending", [False, True])
def test_a_key_store_that_holds_keys_is_kept(account: Account, cluster: str, pending: bool) -> None:
    key_store_id = store_in(account, cluster, "CONNECTED")
    account.hsms.provider().create_key(key_store_id, "key-1")
    if pending:
        account.hsms.provider().schedule_key_deletion("key-1")
    disconnected(account, key_store_id)
    account.wait(TIMINGS.disconnect)
    for _ in range(2):
        assert deleted(account, key_store_id) == {"IsRetained": True}
    assert store_ids(account) == [key_store_id]
    if pending:
        account.wait(31 * 24 * 3600)
        assert deleted(account, key_store_id) == {"IsRetained": False}


def test_a_key_store_that_is_connected_is_not_deleted(account: Account, cluster: str) -> None:
    key_store_id = store_in(account, cluster, "CONNECTED")
    with pytest.raises(RefusedError, match=rf"CustomKeyStoreInvalidState.*\[{key_store_id}\]$"):
        deleted(account, key_store_id)


def test_a_key_store_that_is_kept_is_told_of_in_the_log_too(
    account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    answer = account.run(key_store.retain_key_store, KeyStoreId=UNKNOWN)
    assert answer == {
        "Retained": f"Key store {UNKNOWN} was retained and is disconnected. To use its keys, connect it:"
        f" aws kms connect-custom-key-store --custom-key-store-id {UNKNOWN}"
    }
    assert answer["Retained"] in caplog.text


@pytest.mark.parametrize("wanted", ["DISCONNECTED", "CONNECTED", "FAILED"])
def test_a_key_store_is_reported(account: Account, cluster: str, wanted: str) -> None:
    key_store_id = store_in(account, cluster, wanted)
    assert account.run(key_store.report_key_store, **of(key_store_id, Warnings="none")) == {
        "PhysicalResourceId": key_store_id,
        "Data": {"KeyStoreId": key_store_id, "State": wanted, "Warnings": "none"},
    }


def test_after_a_rollback_the_absence_of_a_key_store_is_reported(account: Account) -> None:
    report = account.run(key_store.report_key_store, **of("", Warnings="gone"))
    assert report["Data"] == {"KeyStoreId": "none", "State": "NOT_FOUND", "Warnings": "gone"}
