from __future__ import annotations

from typing import Any

import pytest

from hsm_lifecycle import secret_store
from hsm_lifecycle.errors import (
    ParameterError,
    RefusedError,
)
from hsm_lifecycle.steps import preflight
from tests.support.account import (
    SYSTEM,
    TIMINGS,
    ZONES,
    Account,
    Json,
)
from tests.support.step_events import of_stack

# ---- check_creation


def test_check_creation_accepts_the_defaults(account: Account) -> None:
    event = of_stack(ResourceProperties=account.properties())
    client = {**event["ResourceProperties"]["Client"], "IsNew": True}
    result = account.run(preflight.check_creation, **event)
    assert result == {"BackupSecrets": {}, "Client": client}
    assert account.changes == []


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"HsmsPerSubnet": "0"}, "pHsmsPerSubnet: .* at least one HSM .* update to 0"),
        ({"HsmsPerSubnet": "10"}, "pHsmsPerSubnet: 10 in each of 3"),
        (
            {"ExternallyProvidedCertsReady": "true"},
            "pExternallyProvidedCertsReady: .* no certificates yet",
        ),
    ],
)
def test_check_creation_refuses_impossible_parameters(
    account: Account, overrides: Json, message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        account.run(
            preflight.check_creation, **of_stack(ResourceProperties=account.properties(**overrides))
        )
    assert account.changes == []


def check_subnets(account: Account, *subnets: str) -> None:
    properties = account.properties(Subnets=list(subnets))
    account.run(preflight.check_creation, **of_stack(ResourceProperties=properties))


def test_check_creation_refuses_two_subnets_in_one_zone(account: Account) -> None:
    first, second, _ = account.subnets
    same_zone = account.subnet(ZONES[0], 9)
    with pytest.raises(ParameterError, match=r"pSubnets: .* are both in us-east-1a") as error:
        check_subnets(account, first, second, same_zone)
    assert first in str(error.value)
    assert same_zone in str(error.value)


def test_check_creation_refuses_subnets_of_two_vpcs(account: Account) -> None:
    other = account.ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    subnet = account.ec2.create_subnet(
        VpcId=other, CidrBlock="10.1.0.0/24", AvailabilityZone=ZONES[1]
    )["Subnet"]["SubnetId"]
    with pytest.raises(ParameterError, match=r"pSubnets: .* several VPCs"):
        check_subnets(account, account.subnets[0], subnet)


def test_check_creation_refuses_a_duplicate_subnet(account: Account) -> None:
    first, second, _ = account.subnets
    with pytest.raises(ParameterError, match=rf"pSubnets: {second} is listed twice\. List"):
        check_subnets(account, first, second, second)


def test_check_creation_accepts_one_subnet(account: Account) -> None:
    event = of_stack(ResourceProperties=account.properties(Subnets=account.subnets[:1]))
    client = {**event["ResourceProperties"]["Client"], "IsNew": True}
    result = account.run(preflight.check_creation, **event)
    assert result == {"BackupSecrets": {}, "Client": client}


def test_check_creation_refuses_an_unknown_subnet(account: Account) -> None:
    properties = account.properties(Subnets=["subnet-00000000"])
    with pytest.raises(RefusedError, match=r"pSubnets: DescribeSubnets: .*subnet-00000000"):
        account.run(preflight.check_creation, **of_stack(ResourceProperties=properties))


def test_check_creation_refuses_too_many_tags(
    account: Account,
) -> None:
    event = of_stack(ResourceProperties=account.properties())
    account.stack_tags = {f"key-{number}": "" for number in range(47)}
    account.run(preflight.check_creation, **event)
    account.stack_tags["one-more"] = ""
    with pytest.raises(
        ParameterError, match=r"51 tags \(3 added by this template\); .* at most 47 stack tags"
    ):
        account.run(preflight.check_creation, **event)
    assert account.changes == []


# ---- check_creation from a backup


def make_backup(account: Account) -> Json:
    """A backup of this account's cluster, still in progress."""
    cluster_id = account.restored(ZONES[0], ZONES[1])
    account.hsm.delete_hsm(ClusterId=cluster_id, HsmId=account.listed(cluster_id)[0]["HsmId"])
    (backup,) = account.hsm.describe_backups(Filters={"clusterIds": [cluster_id]})["Backups"]
    assert isinstance(backup, dict)
    return backup


def checked(account: Account, backup: str, **overrides: Any) -> Json:
    properties = account.properties(BackupId=backup, **overrides)
    return account.run(preflight.check_creation, **of_stack(ResourceProperties=properties))


def test_check_creation_returns_the_secrets_of_the_backups_cluster(account: Account) -> None:
    backup = make_backup(account)
    account.wait(TIMINGS.create_backup)
    source = secret_store.names(SYSTEM, backup["ClusterId"])
    assert checked(account, backup["BackupId"])["BackupSecrets"] == {
        "CaCertificate": source.ca_certificate,
        "Password": source.password,
        "ClusterId": backup["ClusterId"],
        "BackupTime": backup["CreateTimestamp"].isoformat(),
    }


def test_check_creation_returns_the_secrets_named_by_parameters(account: Account) -> None:
    backup = make_backup(account)
    account.wait(TIMINGS.create_backup)
    source = secret_store.names(SYSTEM, backup["ClusterId"])
    result = checked(account, backup["BackupId"], BackupCaCertSecretName="old/ca")
    names = {"CaCertificate": "old/ca", "Password": source.password}
    assert names.items() <= result["BackupSecrets"].items()
    result = checked(account, backup["BackupId"], BackupAdminPasswordSecretName="old/admin")
    assert result["BackupSecrets"] == {
        "CaCertificate": source.ca_certificate,
        "Password": "old/admin",
        "ClusterId": backup["ClusterId"],
        "BackupTime": "",
    }


def test_check_creation_finds_a_shared_backup_by_arn(account: Account) -> None:
    shared = account.hsms.provider().share_backup("Password1")
    (backup,) = account.hsm.describe_backups(Shared=True)["Backups"]
    source = secret_store.names(SYSTEM, backup["ClusterId"])
    assert checked(account, shared["BackupArn"])["BackupSecrets"]["Password"] == source.password


def test_check_creation_finds_an_own_backup_by_arn(account: Account) -> None:
    backup = make_backup(account)
    account.wait(TIMINGS.create_backup)
    source = secret_store.names(SYSTEM, backup["ClusterId"])
    assert checked(account, backup["BackupArn"])["BackupSecrets"]["Password"] == source.password


def test_check_creation_does_not_find_a_shared_backup_by_id(account: Account) -> None:
    shared = account.hsms.provider().share_backup("Password1")
    with pytest.raises(ParameterError, match=r"pBackupId: backup .* does not exist .* its ARN"):
        checked(account, shared["BackupArn"].rpartition("/")[2])


@pytest.mark.parametrize(
    "backup",
    ["backup-aaaaaaaaaaa", "arn:aws:cloudhsm:us-east-1:999999999999:backup/backup-aaaaaaaaaaa"],
)
def test_check_creation_refuses_an_unknown_backup(account: Account, backup: str) -> None:
    account.hsms.provider().share_backup("Password1")
    with pytest.raises(
        ParameterError, match=f"^CheckCreation: pBackupId: backup {backup} does not exist"
    ):
        checked(account, backup)
    assert account.changes == []


def test_check_creation_refuses_a_backup_in_progress(account: Account) -> None:
    backup = make_backup(account)
    with pytest.raises(ParameterError, match=r"pBackupId: backup-.* is CREATE_IN_PROGRESS"):
        checked(account, backup["BackupId"])


def test_check_creation_refuses_a_backup_pending_deletion(account: Account) -> None:
    backup = make_backup(account)
    account.wait(TIMINGS.create_backup)
    account.hsm.delete_backup(BackupId=backup["BackupId"])
    with pytest.raises(ParameterError, match=r"pBackupId: backup-.* is PENDING_DELETION"):
        checked(account, backup["BackupId"])


def test_check_creation_refuses_a_backup_of_another_mode(account: Account) -> None:
    shared = account.hsms.provider().share_backup("Password1", mode="NON_FIPS")
    with pytest.raises(ParameterError, match=r"pMode: .* is in NON_FIPS mode"):
        checked(account, shared["BackupArn"])
    assert checked(account, shared["BackupArn"], Mode="NON_FIPS")
