from __future__ import annotations

import json

import boto3
import pytest

from hsm_lifecycle.errors import NotOwnedError, ParameterError, TransientError
from hsm_lifecycle.steps import key_store, key_store_adoption, key_store_ownership, key_store_update
from tests.support.account import OTHER_STACK_ID, STACK_ID, ZONES, Account, Json
from tests.support.key_store_setup import (
    CA_SECRET,
    CLAIM,
    NAME,
    UNKNOWN,
    find_key_store,
    key_store_ids,
    key_store_in,
    of,
    read_claim,
    save_claim,
)

OTHER_CLAIM = "/hsm-lifecycle/cloudhsm-ks-other/key-store"
ADMIN = "/cloudhsm/admin"


@pytest.fixture(name="instance")
def _instance(account: Account) -> str:
    """A client with a role, and the admin's secret."""
    account.put(ADMIN, '{"username": "admin", "password": "Password1"}')
    iam = boto3.client("iam")
    iam.create_role(RoleName="client", AssumeRolePolicyDocument="{}")
    iam.create_instance_profile(InstanceProfileName="client")
    iam.add_role_to_instance_profile(InstanceProfileName="client", RoleName="client")
    launched = account.ec2.run_instances(
        ImageId="ami-00000001",
        MinCount=1,
        MaxCount=1,
        SubnetId=account.subnets[0],
        IamInstanceProfile={"Name": "client"},
    )
    return str(launched["Instances"][0]["InstanceId"])


def adopt(account: Account, key_store_id: str, cluster_id: str, **changes: str) -> Json:
    event = {
        "ExistingKeyStoreId": key_store_id,
        "Name": NAME,
        "ClusterId": cluster_id,
        "StackId": STACK_ID,
        "CloudHsmAdminPasswordSecretName": ADMIN,
        "CloudHsmCustCaCertSecretName": CA_SECRET,
        **changes,
    }
    return account.run(key_store_adoption.adopt_key_store, **event)


def claim_for_another(key_store_id: str) -> None:
    value = {"StackId": OTHER_STACK_ID, "Name": NAME, "KeyStoreId": key_store_id}
    # More claims than a page has.
    for number in range(12):
        text = "no claim" if number else json.dumps(value)
        name = f"{OTHER_CLAIM.removesuffix('key-store')}{number or ''}/key-store"
        boto3.client("ssm").put_parameter(
            Name=name.replace("//", "/"), Type="String", Value=text, Overwrite=True
        )


@pytest.mark.parametrize("state", ["DISCONNECTED", "FAILED"])
def test_a_key_store_without_a_stack_is_claimed(
    account: Account, cluster: str, instance: str, state: str
) -> None:
    key_store_id = key_store_in(account, cluster, state)
    for _ in range(2):
        found = adopt(account, key_store_id, cluster, InstanceId=instance)
        assert found == {"Id": key_store_id, "NeedsMove": False}
    assert read_claim() == {
        "StackId": STACK_ID,
        "Name": NAME,
        "KeyStoreId": key_store_id,
        "IsComplete": False,
        "AdoptedFrom": cluster,
        "IsTaken": True,
    }
    # Its own creation may run again, whatever the key store's state is by then.
    verb = "disconnect" if state == "FAILED" else "connect"
    getattr(account.kms, f"{verb}_custom_key_store")(CustomKeyStoreId=key_store_id)
    assert adopt(account, key_store_id, cluster, InstanceId=instance)["Id"] == key_store_id


@pytest.mark.parametrize("state", ["CONNECTED", "CONNECTING", "DISCONNECTING"])
def test_a_key_store_in_use_is_refused(
    account: Account, cluster: str, instance: str, state: str
) -> None:
    key_store_id = key_store_in(account, cluster, state)
    with pytest.raises(ParameterError) as error:
        adopt(account, key_store_id, cluster, InstanceId=instance)
    assert str(error.value) == (
        f"AdoptKeyStore: pExistingKeyStoreId: {key_store_id} is {state}. Disconnect it first: aws"
        f" kms disconnect-custom-key-store --custom-key-store-id {key_store_id} [{cluster}]"
    )
    assert (account.changes, read_claim()) == ([], None)


def test_what_cannot_be_adopted_is_refused_without_its_id_at_the_end(
    account: Account, cluster: str, instance: str
) -> None:
    key_store_id = account.add_store(cluster)
    unrelated = account.active(ZONES[1])
    for changes, sentence in (
        ({"ExistingKeyStoreId": UNKNOWN}, "pExistingKeyStoreId: .* does not exist here"),
        ({"Name": "other"}, f"pKeyStoreName: .* Set pKeyStoreName to {NAME};"),
        ({"ClusterId": unrelated}, f"pCloudHsmClusterId: {key_store_id} is of {cluster}"),
        ({"CloudHsmAdminPasswordSecretName": "/no"}, "pCloudHsmAdminPasswordSecretName: .*/no"),
        ({"CloudHsmCustCaCertSecretName": "/no"}, "pCloudHsmCustCaCertSecretName: .*/no"),
        ({"InstanceId": "i-00000000000000000"}, "pClientInstanceId: i-00000000000000000 is"),
    ):
        given = {"InstanceId": instance, **changes}
        with pytest.raises(ParameterError, match=rf"{sentence}.*\[cluster-\w+\]$"):
            adopt(account, **{"key_store_id": key_store_id, "cluster_id": cluster, **given})
        assert (account.changes, read_claim()) == ([], None), changes


def test_a_key_store_that_another_stack_claims_is_refused(
    account: Account, cluster: str, instance: str
) -> None:
    key_store_id = account.add_store(cluster)
    claim_for_another(key_store_id)
    with pytest.raises(ParameterError) as error:
        adopt(account, key_store_id, cluster, InstanceId=instance)
    assert str(error.value) == (
        f"AdoptKeyStore: pExistingKeyStoreId: the SSM parameter {OTHER_CLAIM} says that"
        f" {key_store_id} is another stack's. Delete that stack, or the parameter if the stack is"
        f" gone. [{cluster}]"
    )
    assert (account.changes, read_claim()) == ([], None)


def test_two_stacks_that_claim_it_at_the_same_time_are_both_refused(
    account: Account, cluster: str, instance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_store_id = account.add_store(cluster)

    def save_while_another_does(event: Json, **claim: object) -> None:
        claim_for_another(key_store_id)
        key_store_ownership.save_claim(event, **claim)

    monkeypatch.setattr(f"{key_store_adoption.__name__}.save_claim", save_while_another_does)
    with pytest.raises(ParameterError, match=OTHER_CLAIM):
        adopt(account, key_store_id, cluster, InstanceId=instance)
    assert read_claim() is None


def test_a_claim_whose_confirmation_was_lost_lets_nothing_be_changed(
    account: Account, cluster: str, instance: str
) -> None:
    key_store_id = account.add_store(cluster)
    account.faults.inject({"operation": "GetParametersByPath", "code": "x", "skip": 1})
    with pytest.raises(Exception, match="GetParametersByPath"):
        adopt(account, key_store_id, cluster, InstanceId=instance)
    assert (read_claim() or {})["IsTaken"] is False
    for physical_id in ("", key_store_id):
        assert find_key_store(account, physical_id)["State"] == "NOT_FOUND"
    assert adopt(account, key_store_id, cluster, InstanceId=instance)["Id"] == key_store_id
    found = find_key_store(account)
    assert (found["Id"], found["IsIncomplete"], found["IsAdopted"]) == (key_store_id, True, True)


def test_a_complete_adoption_is_adopted_only_in_the_rollback_of_its_creation(
    account: Account, cluster: str, instance: str
) -> None:
    key_store_id = account.add_store(cluster)
    adopt(account, key_store_id, cluster, InstanceId=instance)
    account.run(key_store_ownership.complete_claim, **of(key_store_id, Name=NAME))
    for status, is_adopted in (("ROLLBACK_IN_PROGRESS", True), ("DELETE_IN_PROGRESS", False)):
        account.stack_status = status
        assert find_key_store(account, key_store_id)["IsAdopted"] is is_adopted


# ---- release_key_store


def test_a_released_key_store_returns_to_its_cluster(
    account: Account, cluster: str, instance: str
) -> None:
    key_store_id = account.add_store(cluster)
    adopt(account, key_store_id, cluster, InstanceId=instance)
    account.wait(86400)  # AWS takes a backup each day
    backup = account.hsm.describe_backups(Filters={"clusterIds": [cluster]})["Backups"][0]
    restored = account.uninitialized(SourceBackupId=backup["BackupId"])
    for zone in ZONES[:2]:
        account.add_hsm(restored, zone)
    account.kms.update_custom_key_store(CustomKeyStoreId=key_store_id, CloudHsmClusterId=restored)
    account.faults.inject(
        {"operation": "UpdateCustomKeyStore", "code": "ThrottlingException", "when": "after"}
    )
    with pytest.raises(TransientError):
        account.run(key_store_adoption.release_key_store, **of(key_store_id))
    for _ in range(2):
        released = account.run(key_store_adoption.release_key_store, **of(key_store_id))
        assert key_store_id in released["Retained"]
        assert account.store(key_store_id)["CloudHsmClusterId"] == cluster


def test_a_released_key_store_stays_where_it_is_if_its_cluster_is_unusable(
    account: Account, cluster: str, instance: str
) -> None:
    key_store_id = account.add_store(cluster)
    adopt(account, key_store_id, cluster, InstanceId=instance)
    claim = {**(read_claim() or {}), "AdoptedFrom": "cluster-aaaaaaaaaaa"}
    boto3.client("ssm").put_parameter(Name=CLAIM, Value=json.dumps(claim), Overwrite=True)
    account.run(key_store_adoption.release_key_store, **of(key_store_id))
    assert account.store(key_store_id)["CloudHsmClusterId"] == cluster


# ---- another stack took it


def test_a_late_deletion_leaves_a_key_store_that_another_stack_took(
    account: Account, cluster: str
) -> None:
    key_store_id = account.add_store(cluster)
    assert find_key_store(account, key_store_id)["Id"] == key_store_id
    claim_for_another(key_store_id)
    account.stack_status = "DELETE_IN_PROGRESS"
    assert find_key_store(account, key_store_id)["State"] == "NOT_FOUND"
    for step in (key_store.disconnect_key_store, key_store.delete_key_store):
        with pytest.raises(NotOwnedError, match=OTHER_CLAIM):
            account.run(step, **of(key_store_id))
    assert key_store_ids(account) == [key_store_id]


# ---- updates


@pytest.mark.parametrize(
    ("old", "new", "refused"),
    [
        ("", UNKNOWN, "Set it back to an empty text"),
        (UNKNOWN, UNKNOWN[:-1] + "1", f"Set it back to {UNKNOWN}"),
        (UNKNOWN, "", ""),
        (UNKNOWN, UNKNOWN, ""),
        ("", "own", ""),
    ],
)
def test_an_update_takes_no_other_key_store(
    account: Account, cluster: str, old: str, new: str, refused: str
) -> None:
    key_store_id = account.add_store(cluster)
    save_claim(key_store_id, complete=True)
    event = of(
        key_store_id,
        Name=NAME,
        ClusterId=cluster,
        PhysicalResourceId=key_store_id,
        CloudHsmAdminPasswordSecretName=ADMIN,
        CloudHsmCustCaCertSecretName=CA_SECRET,
        ClientInstanceId="i-00000000000000000",
        ResourceProperties={"ExistingKeyStoreId": new.replace("own", key_store_id)},
        OldResourceProperties={"ExistingKeyStoreId": old},
    )
    account.stack_status = "UPDATE_IN_PROGRESS"
    if refused:
        with pytest.raises(ParameterError, match=f"pExistingKeyStoreId: .*{refused}"):
            account.run(key_store_update.check_key_store_update, **event)
    else:
        assert account.run(key_store_update.check_key_store_update, **event)["IsChangeable"]
    account.stack_status = "UPDATE_ROLLBACK_IN_PROGRESS"
    assert account.run(key_store_update.check_key_store_update, **event)["IsChangeable"]
