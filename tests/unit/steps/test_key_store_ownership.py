from __future__ import annotations

from collections.abc import Callable

import pytest

from hsm_lifecycle.errors import (
    NotOwnedError,
    ParameterError,
    TransientError,
)
from hsm_lifecycle.steps import key_store, key_store_ownership, key_store_update, kms_user
from tests.support.account import (
    OTHER_STACK_ID,
    STACK_ID,
    Account,
    Json,
)
from tests.support.key_store_setup import (
    CA_SECRET,
    CLAIM,
    NAME,
    NO_IDS,
    NOT_CONNECTED,
    PASSWORD_SECRET,
    UNKNOWN,
    UNKNOWN_CLUSTER,
    claim_key_store,
    find_key_store,
    key_store_ids,
    key_store_in,
    of,
    read_claim,
    save_claim,
)

# ---- find_key_store


def test_find_key_store_uses_the_physical_id(account: Account, cluster: str) -> None:
    key_store_id = account.add_store(cluster)
    assert find_key_store(account, key_store_id, seconds=60) == {
        "Id": key_store_id,
        "State": "DISCONNECTED",
        "IsIncomplete": False,
        "IsAdopted": False,
        "IsStale": False,
        "IsSettled": True,
        "Seconds": 60,
    }


def test_find_key_store_uses_the_claim_without_an_id(account: Account, cluster: str) -> None:
    key_store_id = account.add_store(cluster)
    save_claim(key_store_id)
    for physical_id in NO_IDS:
        found = find_key_store(account, physical_id)
        assert (found["Id"], found["IsIncomplete"]) == (key_store_id, True), physical_id
        assert account.changes == []


def test_find_key_store_finds_nothing_without_a_claim(account: Account, cluster: str) -> None:
    account.add_store(cluster)
    for physical_id in NO_IDS:
        assert find_key_store(account, physical_id) == {
            "Id": "",
            "State": "NOT_FOUND",
            "IsIncomplete": False,
            "IsAdopted": False,
            "IsStale": False,
            "IsSettled": True,
            "Seconds": 0,
        }


def test_find_key_store_ignores_another_stacks_claim(account: Account, cluster: str) -> None:
    save_claim(account.add_store(cluster), OTHER_STACK_ID)
    found = find_key_store(account)
    assert (found["State"], found["IsIncomplete"]) == ("NOT_FOUND", False)


def test_a_key_store_that_was_connected_is_not_incomplete(account: Account, cluster: str) -> None:
    key_store_id = account.add_store(cluster)
    save_claim(key_store_id, complete=True)
    assert find_key_store(account, key_store_id)["IsIncomplete"] is False
    account.stack_status = "UPDATE_ROLLBACK_IN_PROGRESS"
    assert find_key_store(account, key_store_id)["IsIncomplete"] is False


def test_a_key_store_is_incomplete_in_the_rollback_of_a_creation(
    account: Account, cluster: str
) -> None:
    key_store_id = account.add_store(cluster)
    save_claim(key_store_id, complete=True)
    account.stack_status = "ROLLBACK_IN_PROGRESS"
    assert find_key_store(account, key_store_id)["IsIncomplete"] is True


def test_find_key_store_returns_not_found_for_a_deleted_key_store(
    account: Account, cluster: str
) -> None:
    key_store_id = account.add_store(cluster)
    save_claim(key_store_id)
    account.kms.delete_custom_key_store(CustomKeyStoreId=key_store_id)
    assert find_key_store(account, key_store_id)["State"] == "NOT_FOUND"
    assert find_key_store(account)["State"] == "NOT_FOUND"


def test_find_key_store_recognizes_a_lost_creation_by_the_password(
    account: Account, cluster: str
) -> None:
    key_store_id = account.add_store(cluster)
    save_claim()
    found = find_key_store(account)
    assert (found["Id"], found["State"], found["IsIncomplete"]) == (
        key_store_id,
        "DISCONNECTED",
        True,
    )
    assert key_store_ids(account) == [key_store_id]
    assert (read_claim() or {})["KeyStoreId"] == key_store_id


def test_find_key_store_ignores_another_key_store_of_the_name(
    account: Account, cluster: str
) -> None:
    other = account.add_store(cluster)
    account.put(PASSWORD_SECRET, "Another1")
    save_claim()
    assert find_key_store(account)["State"] == "NOT_FOUND"
    assert key_store_ids(account) == [other]
    assert (read_claim() or {})["KeyStoreId"] == ""


@pytest.mark.parametrize("wanted", ["CONNECTING", "FAILED"])
def test_find_key_store_ignores_a_connected_key_store_of_the_name(
    account: Account, cluster: str, wanted: str
) -> None:
    key_store_in(account, cluster, wanted)
    save_claim()
    assert find_key_store(account)["State"] == "NOT_FOUND"
    assert account.changes == []


@pytest.mark.parametrize("gone", [CA_SECRET, PASSWORD_SECRET])
def test_find_key_store_needs_the_secrets_of_a_lost_creation(
    account: Account, cluster: str, gone: str
) -> None:
    account.add_store(cluster)
    save_claim()
    account.secrets.delete_secret(SecretId=gone, ForceDeleteWithoutRecovery=True)
    assert find_key_store(account)["State"] == "NOT_FOUND"


def test_find_key_store_is_retried_when_throttled(account: Account, cluster: str) -> None:
    account.add_store(cluster)
    save_claim()
    for operation in ("CreateCustomKeyStore", "DescribeCustomKeyStores", "GetParameter"):
        account.faults.inject({"operation": operation, "code": "ThrottlingException"})
        with pytest.raises(TransientError, match=operation):
            find_key_store(account)
    assert find_key_store(account)["State"] == "DISCONNECTED"


def test_a_cleanup_request_for_a_replaced_resource_is_stale(account: Account, cluster: str) -> None:
    key_store_id = account.add_store(cluster)
    save_claim(key_store_id, complete=True)
    account.stack_status = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
    stale = find_key_store(account, UNKNOWN_CLUSTER)
    assert (stale["State"], stale["IsStale"]) == ("NOT_FOUND", True)
    real = find_key_store(account, key_store_id)
    assert (real["Id"], real["IsStale"]) == (key_store_id, False)


# ---- claim_key_store, complete_claim, drop_claim


def test_claim_key_store_records_a_free_name(account: Account, cluster: str) -> None:
    assert claim_key_store(account, cluster) == {}
    assert read_claim() == {
        "StackId": STACK_ID,
        "Name": NAME,
        "KeyStoreId": "",
        "IsComplete": False,
    }


def test_claim_key_store_is_idempotent(account: Account, cluster: str) -> None:
    account.faults.inject({"operation": "PutParameter", "code": "ConnectionLost", "when": "after"})
    with pytest.raises(TransientError):
        claim_key_store(account, cluster)
    assert claim_key_store(account, cluster) == {}


def test_claim_key_store_replaces_another_stacks_claim(account: Account, cluster: str) -> None:
    save_claim(UNKNOWN, OTHER_STACK_ID, complete=True)
    claim_key_store(account, cluster)
    assert (read_claim() or {})["StackId"] == STACK_ID


@pytest.mark.parametrize("wanted", ["DISCONNECTED", "CONNECTING", "FAILED"])
def test_claim_key_store_refuses_a_name_that_is_taken(
    account: Account, cluster: str, wanted: str
) -> None:
    key_store_id = key_store_in(account, cluster, wanted)
    with pytest.raises(ParameterError) as error:
        claim_key_store(account, cluster)
    assert str(error.value) == (
        f"ClaimKeyStore: pKeyStoreName: a key store named store already exists"
        f" ({key_store_id}, {wanted}) and was not changed. Choose another name. [{cluster}]"
    )
    assert read_claim() is None
    assert claim_key_store(account, cluster, "another") == {}


def test_complete_claim_records_the_id(account: Account) -> None:
    save_claim(UNKNOWN)
    for _ in range(2):
        account.run(key_store_ownership.complete_claim, **of(UNKNOWN, Name="new"))
        assert read_claim() == {
            "StackId": STACK_ID,
            "Name": "new",
            "KeyStoreId": UNKNOWN,
            "IsComplete": True,
            "SettledAt": "",
        }


def test_drop_claim_deletes_only_this_stacks_claim(account: Account) -> None:
    save_claim(UNKNOWN)
    for _ in range(2):
        assert account.run(key_store_ownership.drop_claim, **of(UNKNOWN)) == {}
        assert read_claim() is None
    save_claim(UNKNOWN, OTHER_STACK_ID)
    account.run(key_store_ownership.drop_claim, **of(UNKNOWN))
    assert (read_claim() or {})["StackId"] == OTHER_STACK_ID


def test_drop_claim_is_retried_when_throttled(account: Account) -> None:
    save_claim(UNKNOWN)
    account.faults.inject(
        {"operation": "DeleteParameter", "code": "ThrottlingException", "when": "after"}
    )
    with pytest.raises(TransientError, match=rf"\[{UNKNOWN}\]$"):
        account.run(key_store_ownership.drop_claim, **of(UNKNOWN))
    assert account.run(key_store_ownership.drop_claim, **of(UNKNOWN)) == {}


# ---- require_owned


@pytest.mark.parametrize(
    ("step", "more"),
    [
        (key_store.connect_key_store, {"Connection": NOT_CONNECTED}),
        (key_store.disconnect_key_store, {}),
        (key_store.delete_key_store, {}),
        (key_store_update.rename_key_store, {"Name": "other"}),
        (key_store_update.move_key_store, {"PasswordSecretName": PASSWORD_SECRET}),
        (kms_user.update_password, {"PasswordSecretName": PASSWORD_SECRET}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
@pytest.mark.parametrize("claimed", [UNKNOWN, ""])
def test_a_key_store_that_the_claim_does_not_name_is_not_changed(
    account: Account, cluster: str, step: Callable[..., Json], more: Json, claimed: str
) -> None:
    save_claim(claimed, complete=True)
    key_store_id = account.add_store(cluster)
    with pytest.raises(NotOwnedError, match=CLAIM):
        account.run(step, **of(key_store_id, ClusterId=cluster, **more))
    assert account.changes == []


def test_without_a_claim_the_physical_id_counts(account: Account, cluster: str) -> None:
    key_store_id = account.add_store(cluster)
    assert account.run(key_store.delete_key_store, **of(key_store_id)) == {"IsRetained": False}
    assert key_store_ids(account) == []
