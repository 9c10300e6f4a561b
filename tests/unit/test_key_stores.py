from __future__ import annotations

from hsm_lifecycle import key_stores
from tests.support.account import (
    Account,
)
from tests.support.key_store_setup import NAME, NO_IDS, UNKNOWN

# ---- find


def test_find_returns_the_key_store_with_the_id(account: Account, cluster: str) -> None:
    key_store_id = account.add_store(cluster)
    found = key_stores.find(key_store_id)
    assert found is not None
    assert found["CustomKeyStoreName"] == NAME


def test_find_returns_none_for_other_ids(account: Account, cluster: str) -> None:
    account.add_store(cluster)
    assert [name for name in (*NO_IDS, UNKNOWN) if key_stores.find(name) is not None] == []
