"""A cluster belongs to the stack whose tag it carries."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hsm_lifecycle import ownership
from hsm_lifecycle.errors import (
    ClusterNotFoundError,
    NotOwnedError,
)
from localaws.services.cloudhsmv2.settings import Quotas
from tests.support.account import (
    LOGICAL_ID,
    OTHER_STACK_ID,
    STACK_ID,
    TIMINGS,
    Account,
)
from tests.support.step_events import NO_IDS, UNKNOWN, of_cluster, of_stack

# ---- find, find_by_tags, require_owned


def test_find_returns_the_cluster_with_the_id(account: Account) -> None:
    cluster_id = account.uninitialized()
    found = ownership.find(cluster_id)
    assert found is not None
    assert found["ClusterId"] == cluster_id


def test_find_returns_none_for_other_ids(account: Account) -> None:
    account.uninitialized()
    assert [name for name in (*NO_IDS, UNKNOWN) if ownership.find(name) is not None] == []


def test_find_ignores_deleted_clusters(
    account: Account,
) -> None:
    cluster_id = account.uninitialized()
    account.hsm.delete_cluster(ClusterId=cluster_id)
    account.wait(TIMINGS.delete_cluster)
    assert account.cluster(cluster_id)["State"] == "DELETED"
    assert ownership.find(cluster_id) is None
    assert ownership.find_by_tags(STACK_ID, LOGICAL_ID) is None
    account.wait(TIMINGS.deleted_visible)
    assert ownership.find(cluster_id) is None


def test_find_by_tags_matches_stack_and_logical_id(account: Account) -> None:
    account.uninitialized(OTHER_STACK_ID)
    cluster_id = account.uninitialized()
    found = ownership.find_by_tags(STACK_ID, LOGICAL_ID)
    assert found is not None
    assert found["ClusterId"] == cluster_id
    assert ownership.find_by_tags(STACK_ID, "rOtherCluster") is None
    assert ownership.find_by_tags(STACK_ID[:-1] + "3", LOGICAL_ID) is None


def test_find_by_tags_reads_all_pages(
    make_account: Callable[..., Account],
) -> None:
    account = make_account(quotas=Quotas(clusters=40))
    for _ in range(30):
        account.hsm.create_cluster(HsmType="hsm2m.medium", Mode="FIPS", SubnetIds=account.subnets)
    cluster_id = account.uninitialized()
    found = ownership.find_by_tags(STACK_ID, LOGICAL_ID)
    assert found is not None
    assert found["ClusterId"] == cluster_id


def test_require_owned_returns_the_stacks_cluster(account: Account) -> None:
    cluster_id = account.uninitialized()
    assert ownership.require_owned(of_cluster(cluster_id))["ClusterId"] == cluster_id


@pytest.mark.parametrize("stack_id", [OTHER_STACK_ID, "", None])
def test_require_owned_refuses_a_cluster_without_the_stacks_tag(
    account: Account, stack_id: str | None
) -> None:
    cluster_id = account.uninitialized(
        TagList=[{"Key": ownership.STACK_TAG, "Value": stack_id}]
        if stack_id is not None
        else [{"Key": "Name", "Value": "mine"}]
    )
    assert not ownership.is_owned(account.cluster(cluster_id), of_cluster(cluster_id))
    with pytest.raises(NotOwnedError, match=r"hsm-lifecycle:stack-id .* restore the tag"):
        ownership.require_owned(of_cluster(cluster_id))


def test_require_owned_refuses_a_missing_cluster(account: Account) -> None:
    with pytest.raises(ClusterNotFoundError, match="no longer exists"):
        ownership.require_owned(of_cluster(UNKNOWN))


def test_tags_of_accepts_missing_tag_lists() -> None:
    assert ownership.tags_of({}) == {}
    assert ownership.tags_of({"TagList": None}) == {}


# ---- is_rollback


@pytest.mark.parametrize(
    ("status", "rollback"),
    [
        ("UPDATE_IN_PROGRESS", False),
        ("UPDATE_ROLLBACK_IN_PROGRESS", True),
        ("ROLLBACK_IN_PROGRESS", False),
        ("DELETE_IN_PROGRESS", False),
    ],
)
def test_is_rollback_depends_on_the_stack_status(
    account: Account, status: str, rollback: bool
) -> None:
    account.stack_status = status
    assert ownership.is_rollback(of_stack()) is rollback


# ---- stack_tags


def test_stack_tags_include_a_list_of_their_keys(account: Account) -> None:
    account.stack_tags = {"b": "2", "a": "1", "with blank": "3"}
    assert ownership.stack_tags(of_stack()) == {
        "a": "1",
        "b": "2",
        "with blank": "3",
        "hsm-lifecycle:stack-tag-keys": "a b",
    }


def test_stack_tags_exclude_those_of_aws(account: Account) -> None:
    account.stack_tags = {"a": "1", "aws:servicecatalog:productArn": "arn:aws:catalog:product"}
    assert ownership.stack_tags(of_stack()) == {"a": "1", "hsm-lifecycle:stack-tag-keys": "a"}


def test_stack_tags_of_a_stack_without_tags_list_no_keys(account: Account) -> None:
    assert ownership.stack_tags(of_stack()) == {"hsm-lifecycle:stack-tag-keys": ""}


def test_stack_tags_list_keys_within_the_limit_of_a_tag_value(account: Account) -> None:
    for length in range(1, 128):
        account.stack_tags = {f"{number:02}{'k' * length}": "" for number in range(40)}
        keys = ownership.stack_tags(of_stack())[ownership.STACK_KEYS_TAG]
        assert 128 <= len(keys) <= 256 or keys.split() == sorted(account.stack_tags)
        assert set(keys.split()) <= set(account.stack_tags)
