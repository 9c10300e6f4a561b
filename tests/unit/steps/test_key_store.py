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
    EmulatorState,
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


def supply(world: EmulatorState, cluster_id: str) -> None:
    """Put the two secrets where the steps look for them."""
    world.put(CA_SECRET, world.anchors[cluster_id])
    world.put(PASSWORD_SECRET, KMSUSER_PASSWORD)


@pytest.fixture(name="cluster")
def _cluster(world: EmulatorState) -> str:
    """A cluster that KMS takes, and the secrets for it."""
    cluster_id = world.restored(ZONES[0], ZONES[1])
    supply(world, cluster_id)
    return cluster_id


def claim(world: EmulatorState) -> Json | None:
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


def store_ids(world: EmulatorState) -> list[str]:
    found = world.kms.describe_custom_key_stores()["CustomKeyStores"]
    return [store["CustomKeyStoreId"] for store in found]


def state(world: EmulatorState, key_store_id: str) -> str:
    return str(world.store(key_store_id)["ConnectionState"])


def failed_store(world: EmulatorState, cluster_id: str, code: str = "NETWORK_ERRORS") -> str:
    """A key store whose connection has FAILED."""
    world.faults.inject({"connect": code})
    key_store_id = world.add_store(cluster_id)
    world.kms.connect_custom_key_store(CustomKeyStoreId=key_store_id)
    world.wait(TIMINGS.connect)
    assert state(world, key_store_id) == "FAILED"
    return key_store_id


def store_in(world: EmulatorState, cluster_id: str, wanted: str) -> str:
    """A key store in a state of its connection."""
    if wanted == "FAILED":
        return failed_store(world, cluster_id)
    if wanted in ("CONNECTED", "DISCONNECTING"):
        key_store_id = world.add_connected_store(cluster_id)
    else:
        key_store_id = world.add_store(cluster_id)
    if wanted == "CONNECTING":
        world.kms.connect_custom_key_store(CustomKeyStoreId=key_store_id)
    if wanted == "DISCONNECTING":
        world.kms.disconnect_custom_key_store(CustomKeyStoreId=key_store_id)
    assert state(world, key_store_id) == wanted
    return key_store_id


# ---- find


def test_a_key_store_is_found_by_its_id(world: EmulatorState, cluster: str) -> None:
    key_store_id = world.add_store(cluster)
    found = key_stores.find(key_store_id)
    assert found is not None
    assert found["CustomKeyStoreName"] == NAME


@pytest.mark.parametrize("key_store_id", [*NO_IDS, UNKNOWN])
def test_there_is_no_key_store_of_an_id_that_kms_did_not_give(
    world: EmulatorState, cluster: str, key_store_id: str
) -> None:
    world.add_store(cluster)
    assert key_stores.find(key_store_id) is None


# ---- find_key_store


def looked_for(world: EmulatorState, physical_id: str = "", looks: int = 0) -> Json:
    return world.run(
        key_store_ownership.find_key_store,
        StackId=STACK_ID,
        Claim=CLAIM,
        CloudHsmCustCaCertSecretName=CA_SECRET,
        PasswordSecretName=PASSWORD_SECRET,
        PhysicalResourceId=physical_id,
        Attempts=looks,
    )


def test_a_key_store_is_looked_for_by_its_physical_id(world: EmulatorState, cluster: str) -> None:
    key_store_id = world.add_store(cluster)
    assert looked_for(world, key_store_id, looks=1) == {
        "Id": key_store_id,
        "State": "DISCONNECTED",
        "IsIncomplete": False,
        "IsStale": False,
        "Attempts": 2,
    }


@pytest.mark.parametrize("physical_id", NO_IDS)
def test_a_key_store_of_a_creation_that_gave_no_id_is_found_by_the_claim(
    world: EmulatorState, cluster: str, physical_id: str
) -> None:
    key_store_id = world.add_store(cluster)
    lay_claim(key_store_id)
    found = looked_for(world, physical_id)
    assert (found["Id"], found["IsIncomplete"]) == (key_store_id, True)
    assert world.changes == []


@pytest.mark.parametrize("physical_id", NO_IDS)
def test_without_a_claim_no_key_store_is_this_stacks(
    world: EmulatorState, cluster: str, physical_id: str
) -> None:
    world.add_store(cluster)
    assert looked_for(world, physical_id) == {
        "Id": "",
        "State": "NOT_FOUND",
        "IsIncomplete": False,
        "IsStale": False,
        "Attempts": 1,
    }


def test_what_another_stack_has_claimed_is_not_this_stacks(
    world: EmulatorState, cluster: str
) -> None:
    lay_claim(world.add_store(cluster), OTHER_STACK_ID)
    found = looked_for(world)
    assert (found["State"], found["IsIncomplete"]) == ("NOT_FOUND", False)


def test_a_key_store_that_was_connected_once_is_no_failed_try(
    world: EmulatorState, cluster: str
) -> None:
    key_store_id = world.add_store(cluster)
    lay_claim(key_store_id, complete=True)
    assert looked_for(world, key_store_id)["IsIncomplete"] is False
    world.stack_status = "UPDATE_ROLLBACK_IN_PROGRESS"
    assert looked_for(world, key_store_id)["IsIncomplete"] is False


def test_a_key_store_of_a_stack_that_is_taken_back_is_a_failed_try(
    world: EmulatorState, cluster: str
) -> None:
    key_store_id = world.add_store(cluster)
    lay_claim(key_store_id, complete=True)
    world.stack_status = "ROLLBACK_IN_PROGRESS"
    assert looked_for(world, key_store_id)["IsIncomplete"] is True


def test_a_key_store_that_is_gone_is_absent(world: EmulatorState, cluster: str) -> None:
    key_store_id = world.add_store(cluster)
    lay_claim(key_store_id)
    world.kms.delete_custom_key_store(CustomKeyStoreId=key_store_id)
    assert looked_for(world, key_store_id)["State"] == "NOT_FOUND"
    assert looked_for(world)["State"] == "NOT_FOUND"


def test_a_key_store_whose_creation_was_not_answered_is_recognized_by_its_password(
    world: EmulatorState, cluster: str
) -> None:
    key_store_id = world.add_store(cluster)
    lay_claim()
    found = looked_for(world)
    assert (found["Id"], found["State"], found["IsIncomplete"]) == (
        key_store_id,
        "DISCONNECTED",
        True,
    )
    assert store_ids(world) == [key_store_id]
    assert (claim(world) or {})["KeyStoreId"] == key_store_id


def test_a_foreign_key_store_of_the_same_name_is_not_taken(
    world: EmulatorState, cluster: str
) -> None:
    foreign = world.add_store(cluster)
    world.put(PASSWORD_SECRET, "Another1")
    lay_claim()
    assert looked_for(world)["State"] == "NOT_FOUND"
    assert store_ids(world) == [foreign]
    assert (claim(world) or {})["KeyStoreId"] == ""


@pytest.mark.parametrize("wanted", ["CONNECTING", "FAILED"])
def test_a_key_store_that_somebody_connected_was_not_made_by_a_lost_call(
    world: EmulatorState, cluster: str, wanted: str
) -> None:
    store_in(world, cluster, wanted)
    lay_claim()
    assert looked_for(world)["State"] == "NOT_FOUND"
    assert world.changes == []


@pytest.mark.parametrize("gone", [CA_SECRET, PASSWORD_SECRET])
def test_without_its_secrets_a_creation_did_not_come_as_far_as_a_key_store(
    world: EmulatorState, cluster: str, gone: str
) -> None:
    world.add_store(cluster)
    lay_claim()
    world.secrets.delete_secret(SecretId=gone, ForceDeleteWithoutRecovery=True)
    assert looked_for(world)["State"] == "NOT_FOUND"


def test_a_look_that_is_throttled_is_transient(world: EmulatorState, cluster: str) -> None:
    world.add_store(cluster)
    lay_claim()
    for operation in ("CreateCustomKeyStore", "DescribeCustomKeyStores", "GetParameter"):
        world.faults.inject({"operation": operation, "code": "ThrottlingException"})
        with pytest.raises(TransientError, match=operation):
            looked_for(world)
    assert looked_for(world)["State"] == "DISCONNECTED"


def test_to_delete_what_was_replaced_is_about_nothing_any_more(
    world: EmulatorState, cluster: str
) -> None:
    key_store_id = world.add_store(cluster)
    lay_claim(key_store_id, complete=True)
    world.stack_status = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
    stale = looked_for(world, UNKNOWN_CLUSTER)
    assert (stale["State"], stale["IsStale"]) == ("NOT_FOUND", True)
    real = looked_for(world, key_store_id)
    assert (real["Id"], real["IsStale"]) == (key_store_id, False)


# ---- describe_key_store


def described(world: EmulatorState, key_store_id: str, seconds: float = 0) -> Json:
    return world.run(
        key_store.describe_key_store,
        KeyStoreId=key_store_id,
        StartTime=moment(0),
        EnteredTime=moment(seconds),
    )


@pytest.mark.parametrize("wanted", ["DISCONNECTED", "CONNECTING", "CONNECTED", "DISCONNECTING"])
def test_a_key_store_is_described_by_its_connection(
    world: EmulatorState, cluster: str, wanted: str
) -> None:
    answer = described(world, store_in(world, cluster, wanted), seconds=90)
    assert answer == {"State": wanted, "ErrorCode": "", "Seconds": 90}


def test_a_connection_that_failed_has_a_code(world: EmulatorState, cluster: str) -> None:
    key_store_id = failed_store(world, cluster, "USER_LOGGED_IN")
    answer = described(world, key_store_id)
    assert (answer["State"], answer["ErrorCode"]) == ("FAILED", "USER_LOGGED_IN")


def test_a_key_store_that_is_gone_is_described_as_absent(world: EmulatorState) -> None:
    assert described(world, UNKNOWN)["State"] == "NOT_FOUND"
    assert described(world, "")["State"] == "NOT_FOUND"


# ---- check_cluster


def checked(world: EmulatorState, cluster_id: str, key_store_id: str = "") -> Json:
    return world.run(
        key_store.check_cluster,
        ClusterId=cluster_id,
        KeyStoreId=key_store_id,
        CloudHsmCustCaCertSecretName=CA_SECRET,
    )


def test_a_cluster_that_kms_takes_passes_with_the_addresses_of_its_hsms(
    world: EmulatorState, cluster: str
) -> None:
    addresses = sorted(hsm["EniIp"] for hsm in world.listed(cluster))
    assert checked(world, cluster) == {"IpAddresses": " ".join(addresses)}
    assert world.changes == []


def test_a_degraded_hsm_besides_two_that_work_does_not_matter(
    world: EmulatorState, cluster: str
) -> None:
    hsm = world.add_hsm(cluster, ZONES[2])
    world.hsms.provider().degrade_hsm(hsm["HsmId"])
    assert hsm["EniIp"] not in checked(world, cluster)["IpAddresses"]


@pytest.mark.parametrize("cluster_id", [UNKNOWN_CLUSTER, "cluster-of-mine"])
def test_a_cluster_that_does_not_exist_is_refused(world: EmulatorState, cluster_id: str) -> None:
    with pytest.raises(ClusterNotFoundError, match=f"pCloudHsmClusterId: .* {cluster_id}"):
        checked(world, cluster_id)


def test_a_cluster_that_is_not_active_is_refused(world: EmulatorState) -> None:
    cluster_id = world.uninitialized()
    with pytest.raises(ParameterError, match=r"pCloudHsmClusterId: .* is UNINITIALIZED"):
        checked(world, cluster_id)


def test_a_cluster_with_an_hsm_coming_or_going_is_refused(
    world: EmulatorState, cluster: str
) -> None:
    words = "pCloudHsmClusterId: an HSM of .* is coming or going"
    world.hsm.create_hsm(ClusterId=cluster, AvailabilityZone=ZONES[2])
    with pytest.raises(ParameterError, match=words):
        checked(world, cluster)
    world.wait(TIMINGS.create_hsm)
    world.hsm.delete_hsm(ClusterId=cluster, HsmId=world.listed(cluster)[2]["HsmId"])
    with pytest.raises(ParameterError, match=words):
        checked(world, cluster)
    world.wait(TIMINGS.delete_hsm)
    assert world.states(cluster) == ["ACTIVE", "ACTIVE", "DELETED"]
    assert checked(world, cluster)


@pytest.mark.parametrize("zones", [(), (ZONES[0],), (ZONES[0], ZONES[0])])
def test_a_cluster_without_hsms_in_two_zones_is_refused(
    world: EmulatorState, zones: tuple[str, ...]
) -> None:
    cluster_id = world.restored(*zones)
    count = len(set(zones))
    with pytest.raises(ParameterError, match=f"pCloudHsmClusterId: .* in {count} Availability"):
        checked(world, cluster_id)


def test_a_cluster_that_has_a_key_store_is_refused_unless_it_is_our_own(
    world: EmulatorState, cluster: str
) -> None:
    key_store_id = world.add_store(cluster)
    words = rf"pCloudHsmClusterId: .* the key store {key_store_id} \(store, DISCONNECTED\) already"
    with pytest.raises(ClusterInUseError, match=words):
        checked(world, cluster)
    assert checked(world, cluster, key_store_id)


def test_a_key_store_on_another_cluster_does_not_matter(world: EmulatorState, cluster: str) -> None:
    other = world.restored(ZONES[0], ZONES[1], stack_id=OTHER_STACK_ID)
    world.add_store(other)
    assert checked(world, cluster)


def test_without_a_ca_certificate_there_is_no_key_store(world: EmulatorState, cluster: str) -> None:
    world.secrets.delete_secret(SecretId=CA_SECRET, ForceDeleteWithoutRecovery=True)
    with pytest.raises(SecretNotFoundError, match=CA_SECRET):
        checked(world, cluster)


def test_certificates_that_kms_cannot_hold_are_refused(world: EmulatorState, cluster: str) -> None:
    world.put(CA_SECRET, "x" * 5000)
    assert checked(world, cluster)
    world.put(CA_SECRET, "x" * 5001)
    with pytest.raises(ParameterError, match=r"pCloudHsmCustCaCertSecretName: .* 5001 characters"):
        checked(world, cluster)


# ---- create_password, drop_password


def make_instance(world: EmulatorState, *, profile: bool = True) -> tuple[str, str]:
    """An instance and the ARN of its role."""
    iam, arn, options = boto3.client("iam"), "", {}
    if profile:
        trust = json.dumps({"Version": "2012-10-17", "Statement": []})
        role = iam.create_role(RoleName="client", Path="/made/", AssumeRolePolicyDocument=trust)
        arn = role["Role"]["Arn"]
        iam.create_instance_profile(InstanceProfileName="client-profile", Path="/made/")
        iam.add_role_to_instance_profile(InstanceProfileName="client-profile", RoleName="client")
        options = {"IamInstanceProfile": {"Name": "client-profile"}}
    made = world.ec2.run_instances(ImageId="ami-00000001", MinCount=1, MaxCount=1, **options)
    return made["Instances"][0]["InstanceId"], arn


def password_created(world: EmulatorState, instance: str) -> Json:
    return world.run(
        kms_user.create_password,
        ClusterId=UNKNOWN_CLUSTER,
        StackId=STACK_ID,
        PasswordSecretName=PASSWORD_SECRET,
        InstanceId=instance,
    )


def policy(world: EmulatorState) -> Json:
    found = world.secrets.get_resource_policy(SecretId=PASSWORD_SECRET)
    return dict(json.loads(found["ResourcePolicy"]))


def test_kmsuser_gets_a_random_password_of_its_own(world: EmulatorState) -> None:
    instance, _ = make_instance(world)
    assert password_created(world, instance) == {}
    first = world.text(PASSWORD_SECRET) or ""
    assert re.fullmatch(r"[A-Za-z0-9]{32}", first)
    password_created(world, instance)
    second = world.text(PASSWORD_SECRET) or ""
    assert re.fullmatch(r"[A-Za-z0-9]{32}", second)
    assert first != second


def test_the_password_says_whose_it_is_and_who_may_read_it(world: EmulatorState) -> None:
    instance, role = make_instance(world)
    password_created(world, instance)
    described_secret = world.secrets.describe_secret(SecretId=PASSWORD_SECRET)
    assert described_secret["Tags"] == [{"Key": STACK_TAG, "Value": STACK_ID}]
    (statement,) = policy(world)["Statement"]
    assert statement["Effect"] == "Allow"
    assert statement["Principal"] == {"AWS": role}
    assert statement["Action"] == "secretsmanager:GetSecretValue"
    assert role.endswith(":role/made/client")


def test_the_password_is_never_told(world: EmulatorState, caplog: pytest.LogCaptureFixture) -> None:
    instance, _ = make_instance(world)
    answer = password_created(world, instance)
    assert (world.text(PASSWORD_SECRET) or "?") not in f"{answer} {caplog.text}"


@pytest.mark.parametrize("operation", ["CreateSecret", "PutResourcePolicy"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_password_whose_creation_dies_in_the_middle_can_be_read_in_the_end(
    world: EmulatorState, operation: str, when: str
) -> None:
    instance, role = make_instance(world)
    world.faults.inject({"operation": operation, "code": "ConnectionLost", "when": when})
    with pytest.raises(TransientError):
        password_created(world, instance)
    password_created(world, instance)
    assert world.text(PASSWORD_SECRET)
    assert policy(world)["Statement"][0]["Principal"] == {"AWS": role}


def test_a_secret_of_somebody_else_is_neither_overwritten_nor_dropped(world: EmulatorState) -> None:
    instance, _ = make_instance(world)
    world.put(PASSWORD_SECRET, "theirs")
    with pytest.raises(RefusedError, match=f"{PASSWORD_SECRET} exists and has not the tag"):
        password_created(world, instance)
    dropped(world)
    assert world.text(PASSWORD_SECRET) == "theirs"


def test_a_password_that_is_still_being_deleted_is_waited_for(world: EmulatorState) -> None:
    instance, _ = make_instance(world)
    password_created(world, instance)
    world.secrets.delete_secret(SecretId=PASSWORD_SECRET, RecoveryWindowInDays=7)
    with pytest.raises(TransientError, match=f"{PASSWORD_SECRET} is still being deleted"):
        password_created(world, instance)


def test_a_client_without_a_profile_cannot_read_the_password(world: EmulatorState) -> None:
    instance, _ = make_instance(world, profile=False)
    with pytest.raises(ParameterError, match=f"pClientInstanceId: {instance} has no instance pr"):
        password_created(world, instance)
    assert world.secret_names() == []


def test_a_profile_without_a_role_is_named(world: EmulatorState) -> None:
    instance, _ = make_instance(world)
    boto3.client("iam").remove_role_from_instance_profile(
        InstanceProfileName="client-profile", RoleName="client"
    )
    words = f"pClientInstanceId: the instance profile client-profile of {instance} has no role"
    with pytest.raises(ParameterError, match=words):
        password_created(world, instance)
    assert world.secret_names() == []


def test_a_client_that_is_gone_is_refused_by_the_parameters_name(world: EmulatorState) -> None:
    instance, _ = make_instance(world)
    world.ec2.terminate_instances(InstanceIds=[instance])
    for gone in (instance, "i-0123456789abcdef0"):
        with pytest.raises(ParameterError, match=f"pClientInstanceId: {gone} is terminated"):
            password_created(world, gone)
    assert world.secret_names() == []


def test_a_client_that_is_stopped_may_read_the_password_later(world: EmulatorState) -> None:
    instance, _ = make_instance(world)
    world.ec2.stop_instances(InstanceIds=[instance])
    assert password_created(world, instance) == {}


def dropped(world: EmulatorState) -> Json:
    return world.run(kms_user.drop_password, **of(UNKNOWN, PasswordSecretName=PASSWORD_SECRET))


def test_the_password_is_dropped_once_it_is_worthless(world: EmulatorState) -> None:
    instance, _ = make_instance(world)
    password_created(world, instance)
    world.faults.inject({"operation": "DeleteSecret", "code": "ConnectionLost", "when": "after"})
    with pytest.raises(TransientError):
        dropped(world)
    assert dropped(world) == {}
    assert dropped(world) == {}
    assert world.secret_names() == []


def test_a_password_that_somebody_has_deleted_already_does_not_stand_in_the_way(
    world: EmulatorState,
) -> None:
    instance, _ = make_instance(world)
    password_created(world, instance)
    world.secrets.delete_secret(SecretId=PASSWORD_SECRET, RecoveryWindowInDays=30)
    assert dropped(world) == {}


# ---- claim_key_store, complete_claim, drop_claim


def claimed(world: EmulatorState, cluster_id: str, name: str = NAME) -> Json:
    return world.run(
        key_store_ownership.claim_key_store,
        Name=name,
        ClusterId=cluster_id,
        StackId=STACK_ID,
        Claim=CLAIM,
    )


def test_a_name_that_is_free_is_claimed(world: EmulatorState, cluster: str) -> None:
    assert claimed(world, cluster) == {}
    assert claim(world) == {
        "StackId": STACK_ID,
        "Name": NAME,
        "KeyStoreId": "",
        "IsComplete": False,
    }


def test_a_name_can_be_claimed_twice(world: EmulatorState, cluster: str) -> None:
    world.faults.inject({"operation": "PutParameter", "code": "ConnectionLost", "when": "after"})
    with pytest.raises(TransientError):
        claimed(world, cluster)
    assert claimed(world, cluster) == {}


def test_the_claim_of_a_stack_that_is_no_more_is_replaced(
    world: EmulatorState, cluster: str
) -> None:
    lay_claim(UNKNOWN, OTHER_STACK_ID, complete=True)
    claimed(world, cluster)
    assert (claim(world) or {})["StackId"] == STACK_ID


@pytest.mark.parametrize("wanted", ["DISCONNECTED", "CONNECTING", "FAILED"])
def test_a_name_that_is_taken_is_refused_with_who_has_it(
    world: EmulatorState, cluster: str, wanted: str
) -> None:
    key_store_id = store_in(world, cluster, wanted)
    with pytest.raises(ParameterError) as refusal:
        claimed(world, cluster)
    assert str(refusal.value) == (
        f"ClaimKeyStore: pKeyStoreName: a key store named store exists ({key_store_id}, {wanted})"
        f" and is left alone. Choose another name. [{cluster}]"
    )
    assert claim(world) is None
    assert claimed(world, cluster, "another") == {}


def test_a_claim_is_complete_when_the_store_was_connected(world: EmulatorState) -> None:
    lay_claim(UNKNOWN)
    for _ in range(2):
        world.run(key_store_ownership.complete_claim, **of(UNKNOWN, Name="new", Claim=CLAIM))
        assert claim(world) == {
            "StackId": STACK_ID,
            "Name": "new",
            "KeyStoreId": UNKNOWN,
            "IsComplete": True,
        }


def test_a_claim_is_dropped_and_that_of_another_stack_is_not(world: EmulatorState) -> None:
    lay_claim(UNKNOWN)
    for _ in range(2):
        assert world.run(key_store_ownership.drop_claim, **of(UNKNOWN, Claim=CLAIM)) == {}
        assert claim(world) is None
    lay_claim(UNKNOWN, OTHER_STACK_ID)
    world.run(key_store_ownership.drop_claim, **of(UNKNOWN, Claim=CLAIM))
    assert (claim(world) or {})["StackId"] == OTHER_STACK_ID


def test_a_claim_that_cannot_be_dropped_now_is_dropped_later(world: EmulatorState) -> None:
    lay_claim(UNKNOWN)
    world.faults.inject(
        {"operation": "DeleteParameter", "code": "ThrottlingException", "when": "after"}
    )
    with pytest.raises(TransientError, match=rf"\[{UNKNOWN}\]$"):
        world.run(key_store_ownership.drop_claim, **of(UNKNOWN, Claim=CLAIM))
    assert world.run(key_store_ownership.drop_claim, **of(UNKNOWN, Claim=CLAIM)) == {}


# ---- create_key_store


def created(world: EmulatorState, cluster_id: str, name: str = NAME) -> str:
    answer = world.run(key_store.create_key_store, **wish(cluster_id, name))
    assert answer.keys() == {"Id"}
    return str(answer["Id"])


def test_a_key_store_is_created_on_the_cluster_and_claimed(
    world: EmulatorState, cluster: str
) -> None:
    claimed(world, cluster)
    key_store_id = created(world, cluster)
    store = world.store(key_store_id)
    assert store["CustomKeyStoreName"] == NAME
    assert store["CloudHsmClusterId"] == cluster
    assert store["TrustAnchorCertificate"] == world.anchors[cluster]
    assert claim(world) == {
        "StackId": STACK_ID,
        "Name": NAME,
        "KeyStoreId": key_store_id,
        "IsComplete": False,
    }


def test_a_key_store_is_created_once_however_often_it_is_asked_for(
    world: EmulatorState, cluster: str
) -> None:
    claimed(world, cluster)
    key_store_id = created(world, cluster)
    assert created(world, cluster) == key_store_id
    assert store_ids(world) == [key_store_id]


@pytest.mark.parametrize("operation", ["CreateCustomKeyStore", "PutParameter"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_key_store_whose_creation_dies_in_the_middle_is_found_again(
    world: EmulatorState, cluster: str, operation: str, when: str
) -> None:
    claimed(world, cluster)
    world.faults.inject({"operation": operation, "code": "ConnectionLost", "when": when})
    with pytest.raises(TransientError, match=rf"\[{cluster}\]$"):
        created(world, cluster)
    key_store_id = created(world, cluster)
    assert store_ids(world) == [key_store_id]
    assert (claim(world) or {})["KeyStoreId"] == key_store_id


def test_what_a_creation_that_was_not_answered_made_is_found_by_the_deletion(
    world: EmulatorState, cluster: str
) -> None:
    claimed(world, cluster)
    world.faults.inject(
        {"operation": "CreateCustomKeyStore", "code": "ConnectionLost", "when": "after"}
    )
    with pytest.raises(TransientError):
        created(world, cluster)
    found = looked_for(world, cluster)
    assert [found["Id"]] == store_ids(world)
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
    world: EmulatorState, cluster: str, code: str, parameter: str
) -> None:
    world.faults.inject(
        {"operation": "CreateCustomKeyStore", "code": code, "message": "words of AWS"}
    )
    with pytest.raises(RefusedError) as refusal:
        created(world, cluster)
    assert str(refusal.value) == (
        f"CreateKeyStore: {parameter}: CreateCustomKeyStore: {code}: words of AWS [{cluster}]"
    )


def test_the_certificate_of_another_cluster_is_refused_by_the_parameters_name(
    world: EmulatorState, cluster: str
) -> None:
    world.put(CA_SECRET, world.ca.pem)
    with pytest.raises(RefusedError, match=r"pCloudHsmCustCaCertSecretName: .*IncorrectTrustAnch"):
        created(world, cluster)


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
    world: EmulatorState, cluster: str, code: str, error: type[Exception]
) -> None:
    world.faults.inject({"operation": "CreateCustomKeyStore", "code": code})
    with pytest.raises(error, match=f"^CreateKeyStore: CreateCustomKeyStore: {code}: "):
        created(world, cluster)


# ---- connect_key_store, disconnect_key_store

FRESH: Json = {"Number": 0, "IsRepaired": False}


def connected(world: EmulatorState, key_store_id: str, connection: Json | None = None) -> Json:
    return world.run(
        key_store.connect_key_store, **of(key_store_id, Connection=connection or FRESH)
    )


def test_a_key_store_is_connected_and_the_attempts_are_counted(
    world: EmulatorState, cluster: str
) -> None:
    key_store_id = world.add_store(cluster)
    assert connected(world, key_store_id) == {"Number": 1, "IsRepaired": False}
    assert state(world, key_store_id) == "CONNECTING"
    repaired = {"Number": 1, "IsRepaired": True}
    assert connected(world, key_store_id, repaired) == {"Number": 2, "IsRepaired": True}


@pytest.mark.parametrize("wanted", ["CONNECTING", "CONNECTED"])
def test_a_key_store_that_is_connected_or_about_to_be_is_left_alone(
    world: EmulatorState, cluster: str, wanted: str
) -> None:
    key_store_id = store_in(world, cluster, wanted)
    assert connected(world, key_store_id)["Number"] == 1
    assert world.changes == []


def test_a_connection_whose_answer_was_lost_goes_on(world: EmulatorState, cluster: str) -> None:
    key_store_id = world.add_store(cluster)
    world.faults.inject(
        {"operation": "ConnectCustomKeyStore", "code": "ConnectionLost", "when": "after"}
    )
    with pytest.raises(TransientError, match=rf"\[{key_store_id}\]$"):
        connected(world, key_store_id)
    assert connected(world, key_store_id)["Number"] == 1
    assert world.changes == []


def test_a_key_store_that_is_gone_is_not_connected(world: EmulatorState) -> None:
    assert connected(world, UNKNOWN)["Number"] == 1
    assert world.changes == []


@pytest.mark.parametrize("wanted", ["FAILED", "DISCONNECTING"])
def test_what_has_to_be_disconnected_first_is_refused_by_kms(
    world: EmulatorState, cluster: str, wanted: str
) -> None:
    key_store_id = store_in(world, cluster, wanted)
    with pytest.raises(RefusedError, match=rf"CustomKeyStoreInvalidState.*\[{key_store_id}\]$"):
        connected(world, key_store_id)


def test_a_cluster_that_kms_cannot_use_is_named_by_its_parameter(
    world: EmulatorState, cluster: str
) -> None:
    key_store_id = world.add_store(cluster)
    for hsm in world.listed(cluster):
        world.hsm.delete_hsm(ClusterId=cluster, HsmId=hsm["HsmId"])
    with pytest.raises(RefusedError, match="pCloudHsmClusterId: ConnectCustomKeyStore: "):
        connected(world, key_store_id)


def disconnected(world: EmulatorState, key_store_id: str) -> Json:
    return world.run(key_store.disconnect_key_store, **of(key_store_id))


@pytest.mark.parametrize("wanted", ["CONNECTED", "CONNECTING", "FAILED"])
def test_a_key_store_is_disconnected_from_wherever_it_is(
    world: EmulatorState, cluster: str, wanted: str
) -> None:
    key_store_id = store_in(world, cluster, wanted)
    assert disconnected(world, key_store_id) == {}
    assert state(world, key_store_id) == "DISCONNECTING"
    assert disconnected(world, key_store_id) == {}
    world.wait(TIMINGS.disconnect)
    assert state(world, key_store_id) == "DISCONNECTED"
    assert disconnected(world, key_store_id) == {}


def test_a_key_store_that_is_gone_is_disconnected_enough(world: EmulatorState) -> None:
    assert disconnected(world, UNKNOWN) == {}


def test_a_disconnection_whose_answer_was_lost_goes_on(world: EmulatorState, cluster: str) -> None:
    key_store_id = store_in(world, cluster, "CONNECTING")
    world.faults.inject(
        {"operation": "DisconnectCustomKeyStore", "code": "ConnectionLost", "when": "after"}
    )
    with pytest.raises(TransientError):
        disconnected(world, key_store_id)
    assert disconnected(world, key_store_id) == {}
    world.wait(TIMINGS.disconnect)
    assert state(world, key_store_id) == "DISCONNECTED"


def test_a_disconnection_that_is_throttled_is_transient(world: EmulatorState, cluster: str) -> None:
    key_store_id = store_in(world, cluster, "CONNECTING")
    world.faults.inject({"operation": "DisconnectCustomKeyStore", "code": "ThrottlingException"})
    with pytest.raises(TransientError):
        disconnected(world, key_store_id)


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
    world: EmulatorState, code: str, number: int = 0, seconds: float = 60, *, repaired: bool = False
) -> Json:
    return world.run(
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
    world: EmulatorState, code: str, number: int, seconds: float, repaired: bool, decision: str
) -> None:
    assert diagnosed(world, code, number, seconds, repaired=repaired)["Next"] == decision


@pytest.mark.parametrize("code", [code for code in [*CODES, "NEW"] if code not in KMSUSER_CODES])
def test_what_was_failed_when_it_was_found_is_tried_once(world: EmulatorState, code: str) -> None:
    assert diagnosed(world, code, 0)["Next"] == "CONNECT"
    assert diagnosed(world, code, 1)["Next"] == "FAIL"


@pytest.mark.parametrize("code", KMSUSER_CODES)
def test_a_repair_in_vain_is_told_only_where_there_was_one(world: EmulatorState, code: str) -> None:
    late = diagnosed(world, code, 1, 1441)
    assert late["Next"] == "FAIL"
    assert "No time was left to set kmsuser up anew" in late["Message"]
    assert "even after" in diagnosed(world, code, 2, repaired=True)["Message"]


@pytest.mark.parametrize("repaired", [False, True])
@pytest.mark.parametrize("code", CODES)
def test_every_code_of_kms_has_a_remedy_that_fits_into_a_stack_event(
    world: EmulatorState, code: str, repaired: bool
) -> None:
    message = diagnosed(world, code, 1, repaired=repaired)["Message"]
    assert message.startswith(f"{code}. ")
    assert "Developer Guide" not in message
    assert re.search(r"pReconcile|pCloudHsmClusterId", message)
    # As connect-key-store ends, and 240 characters of it are shown.
    told = f"ConnectionFailed: KMS could not connect the key store: {message} [{UNKNOWN}]"
    assert len(told) <= 240


def test_a_code_that_nobody_knows_leads_to_the_guide(world: EmulatorState) -> None:
    assert diagnosed(world, "NEW", 1)["Message"] == (
        "NEW. See the KMS Developer Guide, Troubleshooting a CloudHSM key store."
    )


# ---- update_password


def password_updated(world: EmulatorState, key_store_id: str) -> Json:
    return world.run(
        kms_user.update_password, **of(key_store_id, PasswordSecretName=PASSWORD_SECRET)
    )


def test_kms_is_told_the_new_password_and_can_connect_with_it(
    world: EmulatorState, cluster: str
) -> None:
    world.put(PASSWORD_SECRET, "OldPassword1")
    key_store_id = created(world, cluster)
    world.add_kmsuser(cluster)
    world.put(PASSWORD_SECRET, KMSUSER_PASSWORD)
    for _ in range(2):
        assert password_updated(world, key_store_id) == {}
    connected(world, key_store_id)
    world.wait(TIMINGS.connect)
    assert state(world, key_store_id) == "CONNECTED"


def test_a_password_is_not_told_while_the_store_is_connected(
    world: EmulatorState, cluster: str
) -> None:
    key_store_id = store_in(world, cluster, "CONNECTED")
    with pytest.raises(RefusedError, match=rf"CustomKeyStoreInvalidState.*\[{key_store_id}\]$"):
        password_updated(world, key_store_id)


def test_without_a_password_there_is_nothing_to_tell(world: EmulatorState, cluster: str) -> None:
    key_store_id = world.add_store(cluster)
    world.secrets.delete_secret(SecretId=PASSWORD_SECRET, ForceDeleteWithoutRecovery=True)
    with pytest.raises(SecretNotFoundError, match=PASSWORD_SECRET):
        password_updated(world, key_store_id)


# ---- check_key_store_update


def update_checked(
    world: EmulatorState,
    key_store_id: str,
    cluster_id: str,
    name: str = NAME,
    physical_id: str = "",
) -> Json:
    return world.run(
        key_store_update.check_key_store_update,
        **of(
            key_store_id,
            Name=name,
            ClusterId=cluster_id,
            PhysicalResourceId=physical_id or key_store_id,
        ),
    )


def test_a_key_store_that_is_as_it_should_be_needs_nothing(
    world: EmulatorState, cluster: str
) -> None:
    key_store_id = world.add_store(cluster)
    world.stack_status = "UPDATE_IN_PROGRESS"
    assert update_checked(world, key_store_id, cluster) == {
        "IsChangeable": True,
        "NeedsRename": False,
        "NeedsMove": False,
        "Rollback": False,
        "Warnings": "none",
    }
    assert world.changes == []


@pytest.mark.parametrize("wanted", ["DISCONNECTED", "CONNECTED"])
def test_another_name_is_noticed(world: EmulatorState, cluster: str, wanted: str) -> None:
    key_store_id = store_in(world, cluster, wanted)
    answer = update_checked(world, key_store_id, cluster, "new")
    assert (answer["NeedsRename"], answer["NeedsMove"]) == (True, False)


@pytest.mark.parametrize("wanted", ["CONNECTING", "FAILED", "DISCONNECTING"])
def test_a_name_that_kms_would_not_change_now_is_refused(
    world: EmulatorState, cluster: str, wanted: str
) -> None:
    key_store_id = store_in(world, cluster, wanted)
    with pytest.raises(ParameterError, match=f"pKeyStoreName: the key store is {wanted}"):
        update_checked(world, key_store_id, cluster, "new")
    assert update_checked(world, key_store_id, cluster)["IsChangeable"]


def test_a_name_of_another_key_store_is_refused(world: EmulatorState, cluster: str) -> None:
    other = world.add_store(world.restored(*ZONES[:2], stack_id=OTHER_STACK_ID), "theirs")
    key_store_id = world.add_store(cluster)
    with pytest.raises(ParameterError, match=rf"pKeyStoreName: .* theirs exists \({other}\)"):
        update_checked(world, key_store_id, cluster, "theirs")
    world.stack_status = "UPDATE_ROLLBACK_IN_PROGRESS"
    answer = update_checked(world, key_store_id, cluster, "theirs")
    assert (answer["IsChangeable"], answer["NeedsRename"]) == (False, False)
    assert "pKeyStoreName" in answer["Warnings"]


def test_a_cluster_that_is_not_related_is_refused(world: EmulatorState, cluster: str) -> None:
    other = world.restored(ZONES[0], ZONES[1], stack_id=OTHER_STACK_ID)
    key_store_id = world.add_store(cluster)
    with pytest.raises(ParameterError, match=r"pCloudHsmClusterId: .* has another certificate"):
        update_checked(world, key_store_id, other)


def relative_of(world: EmulatorState, cluster_id: str) -> str:
    """A cluster restored from a backup of another one, with two HSMs."""
    world.wait(TIMINGS.create_backup)
    backups = world.hsm.describe_backups(Filters={"clusterIds": [cluster_id]})["Backups"]
    relative = world.uninitialized(OTHER_STACK_ID, SourceBackupId=backups[0]["BackupId"])
    world.anchors[relative] = world.anchors[cluster_id]
    for zone in ZONES[:2]:
        world.add_hsm(relative, zone)
    return relative


def test_a_key_store_moves_to_a_cluster_restored_from_its_own(
    world: EmulatorState, cluster: str
) -> None:
    world.add_hsm(cluster, ZONES[2])
    relative = relative_of(world, cluster)
    key_store_id = world.add_store(cluster)
    answer = update_checked(world, key_store_id, relative)
    assert (answer["NeedsRename"], answer["NeedsMove"]) == (False, True)
    for _ in range(2):
        assert moved(world, key_store_id, relative) == {}
        assert world.store(key_store_id)["CloudHsmClusterId"] == relative
    world.add_kmsuser(relative)
    connected(world, key_store_id)
    world.wait(TIMINGS.connect)
    assert state(world, key_store_id) == "CONNECTED"


def test_a_cluster_that_is_gone_leaves_it_to_kms_who_is_related(
    world: EmulatorState, cluster: str
) -> None:
    key_store_id = world.add_store(cluster)
    for hsm in world.listed(cluster):
        world.hsm.delete_hsm(ClusterId=cluster, HsmId=hsm["HsmId"])
    world.wait(TIMINGS.delete_hsm + 60)
    world.hsm.delete_cluster(ClusterId=cluster)
    world.wait(TIMINGS.delete_cluster)
    assert update_checked(world, key_store_id, UNKNOWN_CLUSTER)["NeedsMove"] is True


def test_a_key_store_that_is_gone_cannot_be_updated(world: EmulatorState) -> None:
    with pytest.raises(KeyStoreNotFoundError, match=f"{UNKNOWN} no longer exists"):
        update_checked(world, "", UNKNOWN_CLUSTER, physical_id=UNKNOWN)


def test_the_rollback_of_a_key_store_that_is_gone_passes(world: EmulatorState) -> None:
    world.stack_status = "UPDATE_ROLLBACK_IN_PROGRESS"
    answer = update_checked(world, "", UNKNOWN_CLUSTER, physical_id=UNKNOWN)
    assert (answer["IsChangeable"], answer["Rollback"]) == (False, True)
    assert f"{UNKNOWN} no longer exists" in answer["Warnings"]


# ---- rename_key_store, move_key_store


def renamed(world: EmulatorState, key_store_id: str, name: str) -> Json:
    return world.run(key_store_update.rename_key_store, **of(key_store_id, Name=name))


@pytest.mark.parametrize("wanted", ["DISCONNECTED", "CONNECTED"])
def test_a_key_store_is_renamed_as_it_is(world: EmulatorState, cluster: str, wanted: str) -> None:
    key_store_id = store_in(world, cluster, wanted)
    for changes in (["UpdateCustomKeyStore"], []):
        assert renamed(world, key_store_id, "new") == {}
        assert world.changes == changes
    store = world.store(key_store_id)
    assert (store["CustomKeyStoreName"], store["ConnectionState"]) == ("new", wanted)


def test_if_kms_wants_it_disconnected_for_its_name_it_is_left_connected(
    make_world: Callable[..., EmulatorState],
) -> None:
    world = make_world(assumptions=Assumptions(rename_while_connected=False))
    key_store_id = store_in(world, world.restored(ZONES[0], ZONES[1]), "CONNECTED")
    with pytest.raises(ParameterError, match=r"pKeyStoreName: .* Disconnect it yourself"):
        renamed(world, key_store_id, "new")
    store = world.store(key_store_id)
    assert (store["CustomKeyStoreName"], store["ConnectionState"]) == (NAME, "CONNECTED")


def test_a_rename_whose_answer_was_lost_has_happened(world: EmulatorState, cluster: str) -> None:
    key_store_id = world.add_store(cluster)
    world.faults.inject(
        {"operation": "UpdateCustomKeyStore", "code": "ConnectionLost", "when": "after"}
    )
    with pytest.raises(TransientError):
        renamed(world, key_store_id, "new")
    assert renamed(world, key_store_id, "new") == {}


def test_a_name_that_somebody_took_meanwhile_is_refused_by_the_parameters_name(
    world: EmulatorState, cluster: str
) -> None:
    world.add_store(world.restored(*ZONES[:2], stack_id=OTHER_STACK_ID), "theirs")
    key_store_id = world.add_store(cluster)
    with pytest.raises(RefusedError, match=r"pKeyStoreName: .*CustomKeyStoreNameInUse"):
        renamed(world, key_store_id, "theirs")


def moved(world: EmulatorState, key_store_id: str, cluster_id: str) -> Json:
    event = of(key_store_id, ClusterId=cluster_id, PasswordSecretName=PASSWORD_SECRET)
    return world.run(key_store_update.move_key_store, **event)


def test_a_key_store_is_not_moved_to_a_stranger(world: EmulatorState, cluster: str) -> None:
    other = world.restored(ZONES[0], ZONES[1], stack_id=OTHER_STACK_ID)
    key_store_id = world.add_store(cluster)
    with pytest.raises(RefusedError, match=r"pCloudHsmClusterId: .*NotRelated"):
        moved(world, key_store_id, other)
    assert world.store(key_store_id)["CloudHsmClusterId"] == cluster


def test_a_key_store_is_not_moved_while_it_is_connected(world: EmulatorState, cluster: str) -> None:
    key_store_id = store_in(world, cluster, "CONNECTED")
    with pytest.raises(RefusedError, match="CustomKeyStoreInvalidState"):
        moved(world, key_store_id, cluster)


# ---- delete_key_store, retain_key_store, report_key_store


def deleted(world: EmulatorState, key_store_id: str) -> Json:
    return world.run(key_store.delete_key_store, **of(key_store_id))


def test_a_key_store_without_keys_is_deleted(world: EmulatorState, cluster: str) -> None:
    key_store_id = world.add_store(cluster)
    world.faults.inject(
        {"operation": "DeleteCustomKeyStore", "code": "ConnectionLost", "when": "after"}
    )
    with pytest.raises(TransientError, match=rf"\[{key_store_id}\]$"):
        deleted(world, key_store_id)
    assert deleted(world, key_store_id) == {"IsRetained": False}
    assert store_ids(world) == []


@pytest.mark.parametrize("pending", [False, True])
def test_a_key_store_that_holds_keys_is_kept(
    world: EmulatorState, cluster: str, pending: bool
) -> None:
    key_store_id = store_in(world, cluster, "CONNECTED")
    world.hsms.provider().create_key(key_store_id, "key-1")
    if pending:
        world.hsms.provider().schedule_key_deletion("key-1")
    disconnected(world, key_store_id)
    world.wait(TIMINGS.disconnect)
    for _ in range(2):
        assert deleted(world, key_store_id) == {"IsRetained": True}
    assert store_ids(world) == [key_store_id]
    if pending:
        world.wait(31 * 24 * 3600)
        assert deleted(world, key_store_id) == {"IsRetained": False}


def test_a_key_store_that_is_connected_is_not_deleted(world: EmulatorState, cluster: str) -> None:
    key_store_id = store_in(world, cluster, "CONNECTED")
    with pytest.raises(RefusedError, match=rf"CustomKeyStoreInvalidState.*\[{key_store_id}\]$"):
        deleted(world, key_store_id)


def test_a_key_store_that_is_kept_is_told_of_in_the_log_too(
    world: EmulatorState, caplog: pytest.LogCaptureFixture
) -> None:
    answer = world.run(key_store.retain_key_store, KeyStoreId=UNKNOWN)
    assert answer == {
        "Retained": f"The key store {UNKNOWN} is kept, disconnected. Connect it to use its keys:"
        f" aws kms connect-custom-key-store --custom-key-store-id {UNKNOWN}"
    }
    assert answer["Retained"] in caplog.text


@pytest.mark.parametrize("wanted", ["DISCONNECTED", "CONNECTED", "FAILED"])
def test_a_key_store_is_reported(world: EmulatorState, cluster: str, wanted: str) -> None:
    key_store_id = store_in(world, cluster, wanted)
    assert world.run(key_store.report_key_store, **of(key_store_id, Warnings="none")) == {
        "PhysicalResourceId": key_store_id,
        "Data": {"KeyStoreId": key_store_id, "State": wanted, "Warnings": "none"},
    }


def test_after_a_rollback_the_absence_of_a_key_store_is_reported(world: EmulatorState) -> None:
    report = world.run(key_store.report_key_store, **of("", Warnings="gone"))
    assert report["Data"] == {"KeyStoreId": "none", "State": "NOT_FOUND", "Warnings": "gone"}
