from __future__ import annotations

from collections.abc import Callable

import pytest

from hsm_lifecycle.errors import (
    KeyStoreNotFoundError,
    ParameterError,
    RefusedError,
    TransientError,
)
from hsm_lifecycle.steps import key_store_update
from localaws.services.cloudhsmv2.settings import Assumptions
from tests.support.account import (
    OTHER_STACK_ID,
    TIMINGS,
    ZONES,
    Account,
    Json,
)
from tests.support.key_store_setup import (
    NAME,
    PASSWORD_SECRET,
    UNKNOWN,
    UNKNOWN_CLUSTER,
    connect_key_store,
    connection_state,
    key_store_in,
    of,
)

# What a CONNECTED key store uses only for a repair or a move; none of it exists.
REFERENCES = {
    "CloudHsmAdminPasswordSecretName": "/old/admin",
    "CloudHsmCustCaCertSecretName": "/old/ca",
    "ClientInstanceId": "i-00000000000000000",
}

# ---- check_key_store_update


def update_checked(
    account: Account,
    key_store_id: str,
    cluster_id: str,
    name: str = NAME,
    physical_id: str = "",
    **changes: str,
) -> Json:
    return account.run(
        key_store_update.check_key_store_update,
        **of(
            key_store_id,
            Name=name,
            ClusterId=cluster_id,
            PhysicalResourceId=physical_id or key_store_id,
            **{**REFERENCES, **changes},
            OldResourceProperties=REFERENCES,
        ),
    )


def test_check_key_store_update_finds_no_difference(account: Account, cluster: str) -> None:
    key_store_id = account.add_store(cluster)
    account.stack_status = "UPDATE_IN_PROGRESS"
    assert update_checked(account, key_store_id, cluster) == {
        "IsChangeable": True,
        "NeedsRename": False,
        "NeedsMove": False,
        "NeedsConnection": True,
        "Rollback": False,
        "Warnings": "none",
    }
    assert account.changes == []


@pytest.mark.parametrize(
    ("changed", "needs_connection"),
    [
        ({"DeleteKeyStoreUponStackDeletion": "true"}, False),
        ({"TemplateVersion": "9.9.9", "ServiceToken": "arn"}, False),
        ({"OfAnotherVersion": "x"}, False),
        ({"DeleteKeyStoreUponStackDeletion": "true", "Reconcile": "now"}, True),
        ({"KeyStoreName": "another"}, True),
    ],
)
@pytest.mark.parametrize("status", ["UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS"])
def test_only_some_updates_concern_the_connection(
    account: Account, cluster: str, changed: dict[str, str], needs_connection: bool, status: str
) -> None:
    key_store_id = account.add_store(cluster)
    account.stack_status = status
    old = {
        **{name: "old" for name in changed if name != "OfAnotherVersion"},
        "DeleteKeyStoreUponStackDeletion": "false",
    }
    event = of(key_store_id, Name=NAME, ClusterId=cluster, PhysicalResourceId=key_store_id)
    checked = account.run(
        key_store_update.check_key_store_update,
        **{
            **event,
            **REFERENCES,
            "OldResourceProperties": {**REFERENCES, **old},
            "ResourceProperties": {**REFERENCES, **old, **changed},
        },
    )
    assert checked["NeedsConnection"] is needs_connection


@pytest.mark.parametrize(
    ("reference", "value", "sentence"),
    [
        (
            "CloudHsmAdminPasswordSecretName",
            "/new/admin",
            "pCloudHsmAdminPasswordSecretName: the secret /new/admin does not exist. Name the one",
        ),
        (
            "CloudHsmCustCaCertSecretName",
            "/new/ca",
            "pCloudHsmCustCaCertSecretName: The secret /new/ca does not exist or has no text",
        ),
        ("ClientInstanceId", "i-11111111111111111", "pClientInstanceId: i-11111111111111111 is"),
    ],
)
def test_a_new_secret_or_client_is_checked_when_it_is_set(
    account: Account, cluster: str, reference: str, value: str, sentence: str
) -> None:
    key_store_id = account.add_store(cluster)
    account.stack_status = "UPDATE_IN_PROGRESS"
    with pytest.raises(ParameterError, match=sentence):
        update_checked(account, key_store_id, cluster, **{reference: value})
    # A rollback must not fail.
    account.stack_status = "UPDATE_ROLLBACK_IN_PROGRESS"
    checked = update_checked(account, key_store_id, cluster, **{reference: value})
    assert checked["Warnings"] == "none"


def test_a_new_secret_with_the_clusters_ca_is_accepted(account: Account, cluster: str) -> None:
    account.put("/new/ca", account.anchors[cluster])
    key_store_id = account.add_store(cluster)
    account.stack_status = "UPDATE_IN_PROGRESS"
    checked = update_checked(account, key_store_id, cluster, CloudHsmCustCaCertSecretName="/new/ca")
    assert checked["IsChangeable"]


@pytest.mark.parametrize("wanted", ["DISCONNECTED", "CONNECTED"])
def test_check_key_store_update_finds_another_name(
    account: Account, cluster: str, wanted: str
) -> None:
    key_store_id = key_store_in(account, cluster, wanted)
    result = update_checked(account, key_store_id, cluster, "new")
    assert (result["NeedsRename"], result["NeedsMove"]) == (True, False)


@pytest.mark.parametrize("wanted", ["CONNECTING", "FAILED", "DISCONNECTING"])
def test_check_key_store_update_refuses_a_rename_in_other_states(
    account: Account, cluster: str, wanted: str
) -> None:
    key_store_id = key_store_in(account, cluster, wanted)
    with pytest.raises(ParameterError, match=f"pKeyStoreName: the key store is {wanted}"):
        update_checked(account, key_store_id, cluster, "new")
    assert update_checked(account, key_store_id, cluster)["IsChangeable"]


def test_check_key_store_update_refuses_a_name_that_is_taken(
    account: Account, cluster: str
) -> None:
    other = account.add_store(account.restored(*ZONES[:2], stack_id=OTHER_STACK_ID), "theirs")
    key_store_id = account.add_store(cluster)
    with pytest.raises(
        ParameterError, match=rf"pKeyStoreName: .* theirs already exists \({other}\)"
    ):
        update_checked(account, key_store_id, cluster, "theirs")
    account.stack_status = "UPDATE_ROLLBACK_IN_PROGRESS"
    result = update_checked(account, key_store_id, cluster, "theirs")
    assert (result["IsChangeable"], result["NeedsRename"]) == (False, False)
    assert "pKeyStoreName" in result["Warnings"]


def test_check_key_store_update_refuses_an_unrelated_cluster(
    account: Account, cluster: str
) -> None:
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


def test_a_key_store_moves_to_a_cluster_restored_from_its_backup(
    account: Account, cluster: str
) -> None:
    account.add_hsm(cluster, ZONES[2])
    relative = relative_of(account, cluster)
    key_store_id = account.add_store(cluster)
    result = update_checked(account, key_store_id, relative)
    assert (result["NeedsRename"], result["NeedsMove"]) == (False, True)
    for _ in range(2):
        assert moved(account, key_store_id, relative) == {}
        assert account.store(key_store_id)["CloudHsmClusterId"] == relative
    account.add_kmsuser(relative)
    connect_key_store(account, key_store_id)
    account.wait(TIMINGS.connect)
    assert connection_state(account, key_store_id) == "CONNECTED"


def test_kms_decides_whether_a_deleted_cluster_is_related(account: Account, cluster: str) -> None:
    key_store_id = account.add_store(cluster)
    for hsm in account.listed(cluster):
        account.hsm.delete_hsm(ClusterId=cluster, HsmId=hsm["HsmId"])
    account.wait(TIMINGS.delete_hsm + 60)
    account.hsm.delete_cluster(ClusterId=cluster)
    account.wait(TIMINGS.delete_cluster)
    assert update_checked(account, key_store_id, UNKNOWN_CLUSTER)["NeedsMove"] is True


def test_check_key_store_update_refuses_a_missing_key_store(account: Account) -> None:
    with pytest.raises(KeyStoreNotFoundError, match=f"{UNKNOWN} no longer exists"):
        update_checked(account, "", UNKNOWN_CLUSTER, physical_id=UNKNOWN)


def test_check_key_store_update_accepts_the_rollback_of_a_missing_key_store(
    account: Account,
) -> None:
    account.stack_status = "UPDATE_ROLLBACK_IN_PROGRESS"
    result = update_checked(account, "", UNKNOWN_CLUSTER, physical_id=UNKNOWN)
    assert (result["IsChangeable"], result["Rollback"]) == (False, True)
    assert f"{UNKNOWN} no longer exists" in result["Warnings"]


# ---- rename_key_store, move_key_store


def renamed(account: Account, key_store_id: str, name: str) -> Json:
    return account.run(key_store_update.rename_key_store, **of(key_store_id, Name=name))


@pytest.mark.parametrize("wanted", ["DISCONNECTED", "CONNECTED"])
def test_rename_key_store_retains_the_connection(
    account: Account, cluster: str, wanted: str
) -> None:
    key_store_id = key_store_in(account, cluster, wanted)
    for changes in (["UpdateCustomKeyStore"], []):
        assert renamed(account, key_store_id, "new") == {}
        assert account.changes == changes
    store = account.store(key_store_id)
    assert (store["CustomKeyStoreName"], store["ConnectionState"]) == ("new", wanted)


def test_rename_key_store_never_disconnects(
    make_account: Callable[..., Account],
) -> None:
    account = make_account(assumptions=Assumptions(rename_while_connected=False))
    key_store_id = key_store_in(account, account.restored(ZONES[0], ZONES[1]), "CONNECTED")
    with pytest.raises(ParameterError, match=r"pKeyStoreName: .* Disconnect it yourself"):
        renamed(account, key_store_id, "new")
    store = account.store(key_store_id)
    assert (store["CustomKeyStoreName"], store["ConnectionState"]) == (NAME, "CONNECTED")


def test_rename_key_store_survives_a_lost_response(account: Account, cluster: str) -> None:
    key_store_id = account.add_store(cluster)
    account.faults.inject(
        {"operation": "UpdateCustomKeyStore", "code": "ConnectionLost", "when": "after"}
    )
    with pytest.raises(TransientError):
        renamed(account, key_store_id, "new")
    assert renamed(account, key_store_id, "new") == {}


def test_rename_key_store_names_the_parameter_of_a_name_that_is_taken(
    account: Account, cluster: str
) -> None:
    account.add_store(account.restored(*ZONES[:2], stack_id=OTHER_STACK_ID), "theirs")
    key_store_id = account.add_store(cluster)
    with pytest.raises(RefusedError, match=r"pKeyStoreName: .*CustomKeyStoreNameInUse"):
        renamed(account, key_store_id, "theirs")


def moved(account: Account, key_store_id: str, cluster_id: str) -> Json:
    event = of(key_store_id, ClusterId=cluster_id, PasswordSecretName=PASSWORD_SECRET)
    return account.run(key_store_update.move_key_store, **event)


def test_move_key_store_refuses_an_unrelated_cluster(account: Account, cluster: str) -> None:
    other = account.restored(ZONES[0], ZONES[1], stack_id=OTHER_STACK_ID)
    key_store_id = account.add_store(cluster)
    with pytest.raises(RefusedError, match=r"pCloudHsmClusterId: .*NotRelated"):
        moved(account, key_store_id, other)
    assert account.store(key_store_id)["CloudHsmClusterId"] == cluster


def test_move_key_store_is_refused_for_a_connected_key_store(
    account: Account, cluster: str
) -> None:
    key_store_id = key_store_in(account, cluster, "CONNECTED")
    with pytest.raises(RefusedError, match="CustomKeyStoreInvalidState"):
        moved(account, key_store_id, cluster)
