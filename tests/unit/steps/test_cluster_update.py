from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hsm_lifecycle.errors import (
    ClusterInUseError,
    ClusterNotFoundError,
    NotOwnedError,
    ParameterError,
    RefusedError,
    TransientError,
)
from hsm_lifecycle.steps import cluster as cluster_steps
from hsm_lifecycle.steps import cluster_update
from localaws.services.cloudhsmv2.settings import Assumptions
from tests.support.account import (
    GONE,
    LOGICAL_ID,
    OTHER_STACK_ID,
    STACK_ID,
    TIMINGS,
    ZONES,
    Account,
    Json,
)
from tests.support.step_events import UNKNOWN, make_store, of_cluster, of_stack

OTHER_SUBNETS = ["subnet-01234567", "subnet-89abcdef"]


def created(account: Account, **overrides: Any) -> Json:
    event = of_stack(ResourceProperties=account.properties(**overrides))
    return account.run(cluster_steps.create_cluster, **event)


# ---- check_update


def updated(account: Account, cluster_id: str, **overrides: Any) -> Json:
    return checked(account, cluster_id, account.properties(**overrides))


def checked(account: Account, cluster_id: str, new: Json, old: Json | None = None) -> Json:
    event = of_cluster(
        cluster_id,
        ResourceProperties=new,
        OldResourceProperties=account.properties() if old is None else old,
        EnteredTime="2026-01-31T12:00:00.000Z",
    )
    return account.run(cluster_update.check_update, **event)


def test_check_update_accepts_supported_changes(account: Account) -> None:
    account.stack_status = "UPDATE_IN_PROGRESS"
    cluster_id = account.uninitialized()
    result = updated(
        account,
        cluster_id,
        Subnets=account.subnets[::-1],
        HsmsPerSubnet="2",
        BackupRetentionDays="8",
        HsmType="hsm3x.large",
    )
    assert result == {
        "State": "UNINITIALIZED",
        "IsChangeable": True,
        "Rollback": False,
        "NeedsClient": True,
        "NeedsModification": True,
        "NeedsTags": True,
        "Client": {**account.properties()["Client"], "IsNew": False},
        "Warnings": "none",
        "SettledAt": "",
    }
    assert account.changes == []


def test_check_update_tells_whether_the_cluster_itself_changes(account: Account) -> None:
    account.stack_status = "UPDATE_IN_PROGRESS"
    cluster_id = created(account)["Id"]
    account.wait(TIMINGS.create_cluster)
    found = {
        str(changes): [
            updated(account, cluster_id, **changes)[name]
            for name in ("NeedsModification", "NeedsTags")
        ]
        for changes in ({}, {"BackupRetentionDays": "8"}, {"HsmType": "hsm3x.large"})
    }
    assert found == {
        "{}": [False, False],
        "{'BackupRetentionDays': '8'}": [True, False],
        "{'HsmType': 'hsm3x.large'}": [True, False],
    }
    account.stack_status = "UPDATE_ROLLBACK_IN_PROGRESS"
    assert updated(account, cluster_id)["NeedsModification"]


def needs_client(account: Account, cluster_id: str, **changes: Any) -> bool:
    old = account.properties()
    return bool(checked(account, cluster_id, {**old, **changes}, old)["NeedsClient"])


def test_an_update_that_concerns_neither_hsms_nor_client_needs_no_client(account: Account) -> None:
    cluster_id = account.active(*ZONES[1:])
    for changes in (
        {},
        {"BackupRetentionDays": "8", "TemplateVersion": "9.9.9", "ServiceTimeout": "3599"},
        {"PropertyOfANewVersion": "on"},
    ):
        assert not needs_client(account, cluster_id, **changes), changes


@pytest.mark.parametrize(
    ("status", "attempted", "settled_at"),
    [
        ("UPDATE_ROLLBACK_IN_PROGRESS", {"HsmsPerSubnet": "2"}, "2026-01-31T12:05:00+00:00"),
        ("UPDATE_ROLLBACK_IN_PROGRESS", {"Reconcile": "now"}, "2026-01-31T12:05:00+00:00"),
        ("UPDATE_ROLLBACK_IN_PROGRESS", {"HsmsPerSubnet": "0"}, "2026-01-31T12:05:00+00:00"),
        ("UPDATE_ROLLBACK_IN_PROGRESS", {"BackupRetentionDays": "8"}, ""),
        ("UPDATE_IN_PROGRESS", {"HsmsPerSubnet": "2"}, ""),
    ],
)
def test_a_rollback_waits_for_calls_that_the_update_may_have_lost(
    account: Account, status: str, attempted: Json, settled_at: str
) -> None:
    account.stack_status = status
    cluster_id, before = account.active(ZONES[0]), account.properties()
    result = checked(account, cluster_id, before, account.properties(**attempted))
    assert result["SettledAt"] == settled_at


def test_an_update_of_hsms_or_client_needs_the_client(account: Account) -> None:
    cluster_id = account.active(*ZONES[1:])
    for name, value in {
        "HsmsPerSubnet": "2",
        "HsmType": "hsm3x.large",
        "Client": {**account.properties()["Client"], "ImageId": "ami-0123456789abcdef1"},
        "ClientSecurityGroupId": "sg-0123456789abcdef1",
        "ClientPackage": {"Name": "cloudhsm-client", "Url": "", "Sha256": ""},
        "Reconcile": "1",
    }.items():
        assert needs_client(account, cluster_id, **{name: value}), name


def test_an_update_of_a_stack_that_does_not_tell_its_client_needs_the_client(
    account: Account,
) -> None:
    cluster_id, new = account.active(*ZONES[1:]), account.properties()
    old = {name: value for name, value in new.items() if name != "Client"}  # of version 1.0.0
    result = checked(account, cluster_id, new, {**old, "ClientInstanceId": "i-0123456789abcdef0"})
    assert (result["NeedsClient"], result["Client"]["IsNew"]) == (True, True)


def test_a_rollback_to_version_1_0_0_uses_the_client_that_it_names(account: Account) -> None:
    account.stack_status = "UPDATE_ROLLBACK_IN_PROGRESS"
    cluster_id, new = account.active(*ZONES[1:]), account.properties()
    old = {name: value for name, value in new.items() if name != "Client"}
    old["ClientInstanceId"] = "i-0123456789abcdef0"
    result = checked(account, cluster_id, old, new)
    assert (result["Client"]["InstanceId"], result["Warnings"]) == ("i-0123456789abcdef0", "none")


def test_drift_of_the_hsms_needs_the_client(account: Account) -> None:
    cluster_id = account.active(*ZONES[1:])
    account.hsm.delete_hsm(ClusterId=cluster_id, HsmId=account.listed(cluster_id)[0]["HsmId"])
    assert needs_client(account, cluster_id)
    account.wait(GONE)
    assert needs_client(account, cluster_id)


def test_a_cluster_that_is_not_active_needs_the_client(account: Account) -> None:
    assert needs_client(account, account.uninitialized())


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            {"Subnets": OTHER_SUBNETS},
            "pSubnets: the cluster has subnet-.*,subnet-",
        ),
        ({"Mode": "NON_FIPS"}, "pMode: the cluster has FIPS, .* to NON_FIPS"),
        ({"NetworkType": "DUALSTACK"}, "pNetworkType: the cluster has IPV4, .* to DUALSTACK"),
        ({"BackupId": "backup-aaaaaaaaaaa"}, "pBackupId: the cluster has none, .* to backup-aaa"),
    ],
)
def test_check_update_refuses_fixed_parameters(
    account: Account, overrides: Json, message: str
) -> None:
    cluster_id = account.uninitialized()
    with pytest.raises(ParameterError, match=f"^CheckUpdate: {message}") as error:
        updated(account, cluster_id, **overrides)
    assert str(error.value).endswith(f"[{cluster_id}]")
    assert account.changes == []


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"Subnets": OTHER_SUBNETS}, ["pSubnets"]),
        ({"Mode": "NON_FIPS", "NetworkType": "DUALSTACK"}, ["pMode", "pNetworkType"]),
    ],
)
def test_check_update_warns_in_a_rollback(
    account: Account, overrides: Json, message: list[str]
) -> None:
    account.stack_status = "UPDATE_ROLLBACK_IN_PROGRESS"
    result = updated(account, account.uninitialized(), **overrides)
    assert result["Rollback"] is True
    assert result["IsChangeable"] is True
    assert all(word in result["Warnings"] for word in message)


def test_check_update_refuses_too_many_tags(account: Account) -> None:
    account.stack_tags = {"dropped": ""}
    cluster_id = created(account)["Id"]
    by_hand = [{"Key": "backup", "Value": "weekly"}]
    account.hsm.tag_resource(ResourceId=cluster_id, TagList=by_hand)
    account.stack_tags = {f"key-{number}": "" for number in range(46)}
    assert updated(account, cluster_id)["Warnings"] == "none"
    account.run(cluster_update.tag_cluster, **of_cluster(cluster_id))
    assert len(account.tags(cluster_id)) == 50
    account.stack_tags["one-more"] = ""
    with pytest.raises(
        ParameterError, match=r"51 tags \(3 added by this template\); .* at most 47 stack tags"
    ):
        updated(account, cluster_id)
    account.stack_status = "UPDATE_ROLLBACK_IN_PROGRESS"
    assert "CloudHSM allows 50" in updated(account, cluster_id)["Warnings"]


def test_check_update_compares_backups_by_id(account: Account) -> None:
    shared = account.hsms.provider().share_backup("Password1")
    cluster_id = created(account, BackupId=shared["BackupArn"])["Id"]
    assert updated(account, cluster_id, BackupId=shared["BackupArn"])["Warnings"] == "none"
    backup_id = shared["BackupArn"].rpartition("/")[2]
    assert updated(account, cluster_id, BackupId=backup_id)["Warnings"] == "none"
    with pytest.raises(ParameterError, match=r"pBackupId: the cluster has backup-.* to none"):
        updated(account, cluster_id)


@pytest.mark.parametrize("cluster_id", ["", UNKNOWN])
def test_check_update_refuses_a_missing_cluster(account: Account, cluster_id: str) -> None:
    with pytest.raises(ClusterNotFoundError, match=r"no longer exists .* create a new one"):
        updated(account, cluster_id)


@pytest.mark.parametrize("cluster_id", ["", UNKNOWN])
def test_check_update_accepts_the_rollback_of_a_missing_cluster(
    account: Account, cluster_id: str
) -> None:
    account.stack_status = "UPDATE_ROLLBACK_IN_PROGRESS"
    result = updated(account, cluster_id)
    assert (result["State"], result["IsChangeable"]) == ("NOT_FOUND", False)
    assert "no longer exists" in result["Warnings"]


def test_check_update_refuses_another_stacks_cluster(account: Account) -> None:
    cluster_id = account.uninitialized(OTHER_STACK_ID)
    with pytest.raises(NotOwnedError, match="restore the tag"):
        updated(account, cluster_id)
    account.stack_status = "UPDATE_ROLLBACK_IN_PROGRESS"
    result = updated(account, cluster_id)
    assert (result["State"], result["IsChangeable"]) == ("UNINITIALIZED", False)
    assert "hsm-lifecycle:stack-id" in result["Warnings"]


@pytest.mark.parametrize("state", ["CONNECTED", "CONNECTING", "FAILED", "DISCONNECTING"])
def test_check_update_refuses_zero_hsms_under_a_key_store(account: Account, state: str) -> None:
    cluster_id = account.restored(ZONES[0], ZONES[1])
    store_id = make_store(account, cluster_id, state)
    backup = account.cluster(cluster_id)["SourceBackupId"]
    assert updated(account, cluster_id, BackupId=backup)["Warnings"] == "none"
    with pytest.raises(ClusterInUseError, match=f"pHsmsPerSubnet: .* {store_id} is {state}"):
        updated(account, cluster_id, BackupId=backup, HsmsPerSubnet="0")


def test_check_update_accepts_zero_hsms_under_a_disconnected_key_store(
    account: Account,
) -> None:
    cluster_id = account.restored(ZONES[0], ZONES[1])
    make_store(account, cluster_id, "DISCONNECTED")
    backup = account.cluster(cluster_id)["SourceBackupId"]
    result = updated(account, cluster_id, BackupId=backup, HsmsPerSubnet="0")
    assert result["Warnings"] == "none"


def test_check_update_fails_if_the_stack_cannot_be_described(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STACK_ID", OTHER_STACK_ID)
    with pytest.raises(RefusedError, match="DescribeStacks: ValidationError"):
        account.run(
            cluster_update.check_update,
            ClusterId=UNKNOWN,
            ResourceProperties=account.properties(),
        )


# ---- tag_cluster


def test_tag_cluster_applies_the_stacks_tags(account: Account) -> None:
    account.stack_tags = {"kept": "1", "changed": "1", "dropped": "1"}
    cluster_id = created(account)["Id"]
    account.stack_tags = {"kept": "1", "changed": "2", "added": "1"}
    assert account.run(cluster_update.tag_cluster, **of_cluster(cluster_id)) == {}
    assert account.tags(cluster_id) == {
        "kept": "1",
        "changed": "2",
        "added": "1",
        "hsm-lifecycle:stack-tag-keys": "added changed kept",
        "hsm-lifecycle:stack-id": STACK_ID,
        "hsm-lifecycle:logical-id": LOGICAL_ID,
    }


def test_tag_cluster_retains_tags_set_outside_the_stack(account: Account) -> None:
    account.stack_tags = {"dropped": "1"}
    cluster_id = created(account)["Id"]
    by_hand = [{"Key": "backup", "Value": "weekly"}]
    account.hsm.tag_resource(ResourceId=cluster_id, TagList=by_hand)
    account.stack_tags = {}
    account.run(cluster_update.tag_cluster, **of_cluster(cluster_id))
    tags = account.tags(cluster_id)
    assert tags["backup"] == "weekly"
    assert "dropped" not in tags


def test_tag_cluster_restores_a_removed_tag(account: Account) -> None:
    account.stack_tags = {"Team": "keys"}
    cluster_id = created(account)["Id"]
    account.hsm.untag_resource(ResourceId=cluster_id, TagKeyList=["Team"])
    account.run(cluster_update.tag_cluster, **of_cluster(cluster_id))
    assert account.tags(cluster_id)["Team"] == "keys"


def test_tag_cluster_is_idempotent(account: Account) -> None:
    account.stack_tags = {"Team": "keys"}
    cluster_id = created(account)["Id"]
    account.run(cluster_update.tag_cluster, **of_cluster(cluster_id))
    assert account.changes == []


@pytest.mark.parametrize("operation", ["TagResource", "UntagResource"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_tag_cluster_survives_a_lost_response(
    account: Account, operation: str, moment: str
) -> None:
    account.stack_tags = {"kept": "1", "dropped": "1"}
    cluster_id = created(account)["Id"]
    account.stack_tags = {"kept": "2"}
    account.faults.inject({"operation": operation, "code": "ConnectionLost", "when": moment})
    with pytest.raises(TransientError):
        account.run(cluster_update.tag_cluster, **of_cluster(cluster_id))
    account.run(cluster_update.tag_cluster, **of_cluster(cluster_id))
    tags = account.tags(cluster_id)
    assert tags["kept"] == "2"
    assert "dropped" not in tags


def test_tag_cluster_refuses_another_stacks_cluster(account: Account) -> None:
    cluster_id = account.uninitialized(OTHER_STACK_ID)
    account.stack_tags = {"Team": "keys"}
    with pytest.raises(NotOwnedError, match=rf"\[{cluster_id}\]$"):
        account.run(cluster_update.tag_cluster, **of_cluster(cluster_id))
    assert account.changes == []


# ---- modify_cluster


def modified(account: Account, cluster_id: str, **overrides: Any) -> Json:
    event = of_cluster(cluster_id, ResourceProperties=account.properties(**overrides))
    return account.run(cluster_update.modify_cluster, **event)


def test_modify_cluster_does_nothing_without_changes(account: Account) -> None:
    assert modified(account, account.uninitialized()) == {}
    assert account.changes == []


def test_modify_cluster_changes_the_backup_retention(account: Account) -> None:
    cluster_id = account.uninitialized()
    modified(account, cluster_id, BackupRetentionDays="200")
    assert account.cluster(cluster_id)["BackupRetentionPolicy"]["Value"] == "200"
    modified(account, cluster_id, BackupRetentionDays="200")
    assert account.changes == []


def old_cluster(make_account: Callable[..., Account]) -> tuple[Account, str]:
    """An ACTIVE hsm1.medium cluster, in the last year that AWS created them."""
    account = make_account(assumptions=Assumptions(year=2024))
    backup = account.hsms.provider().share_backup("Password1", hsm_type="hsm1.medium")
    cluster_id = account.uninitialized(
        HsmType="hsm1.medium", SourceBackupId=backup["BackupArn"], Mode="FIPS"
    )
    account.add_hsm(cluster_id)
    return account, cluster_id


def test_modify_cluster_changes_the_hsm_type(make_account: Callable[..., Account]) -> None:
    account, cluster_id = old_cluster(make_account)
    modified(account, cluster_id, BackupRetentionDays="8")
    assert account.changes == ["ModifyCluster", "ModifyCluster"]
    assert account.cluster(cluster_id)["State"] == "MODIFY_IN_PROGRESS"
    account.wait(TIMINGS.change_hsm_type)
    cluster = account.cluster(cluster_id)
    assert (cluster["State"], cluster["HsmType"]) == ("ACTIVE", "hsm2m.medium")
    assert cluster["BackupRetentionPolicy"]["Value"] == "8"
    modified(account, cluster_id, BackupRetentionDays="8")
    assert account.changes == []


def test_modify_cluster_survives_a_lost_response(
    make_account: Callable[..., Account],
) -> None:
    account, cluster_id = old_cluster(make_account)
    account.faults.inject({"operation": "ModifyCluster", "code": "ConnectionLost", "when": "after"})
    with pytest.raises(TransientError):
        modified(account, cluster_id)
    assert account.cluster(cluster_id)["State"] == "MODIFY_IN_PROGRESS"
    assert modified(account, cluster_id) == {}


def test_modify_cluster_names_the_refused_parameter(account: Account) -> None:
    cluster_id = account.uninitialized()
    message = "ModifyCluster: pHsmType: ModifyCluster: CloudHsmInvalidRequestException"
    with pytest.raises(RefusedError, match=rf"^{message}.* \[{cluster_id}\]$"):
        modified(account, cluster_id, HsmType="hsm2m.large")


def test_modify_cluster_is_retried_when_throttled(account: Account) -> None:
    cluster_id = account.uninitialized()
    account.faults.inject({"operation": "ModifyCluster", "code": "ThrottlingException"})
    with pytest.raises(TransientError, match="pBackupRetentionDays"):
        modified(account, cluster_id, BackupRetentionDays="8")
    modified(account, cluster_id, BackupRetentionDays="8")
    assert account.cluster(cluster_id)["BackupRetentionPolicy"]["Value"] == "8"


def test_modify_cluster_refuses_another_stacks_cluster(account: Account) -> None:
    cluster_id = account.uninitialized(OTHER_STACK_ID)
    with pytest.raises(NotOwnedError):
        modified(account, cluster_id, BackupRetentionDays="8")
    assert account.changes == []
