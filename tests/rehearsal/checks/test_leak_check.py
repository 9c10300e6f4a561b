from __future__ import annotations

from rehearsal.checks.leak_check import differences, resources
from tests.support.inventory import inventory


def test_an_empty_account_has_no_resources() -> None:
    assert resources(inventory()) == frozenset()


def test_each_resource_is_listed_by_kind_and_name() -> None:
    found = resources(inventory(secretsmanager=["/a"], logs=["/b"], s3=["c"]))
    assert found == {"secret /a", "log group /b", "bucket c"}


def test_backups_are_listed_once_per_cluster() -> None:
    backups = [
        {"BackupId": "backup-1", "ClusterId": "cluster-a"},
        {"BackupId": "backup-2", "ClusterId": "cluster-a"},
    ]
    found = resources(inventory(cloudhsm={"clusters": [], "backups": backups}))
    assert found == {"backup of cluster-a"}


def test_deleted_resources_that_aws_still_lists_are_ignored() -> None:
    clusters = [
        {"ClusterId": "cluster-a", "State": "DELETED", "Hsms": []},
        {"ClusterId": "cluster-b", "State": "ACTIVE", "Hsms": []},
    ]
    stacks = [{"name": "hsm", "status": "DELETE_COMPLETE"}]
    found = resources(
        inventory(cloudhsm={"clusters": clusters, "backups": []}, cloudformation={"stacks": stacks})
    )
    assert found == {"cluster cluster-b"}


def test_differences_lists_missing_and_leaked_resources() -> None:
    assert differences({"role a", "role b"}, ["role b", "role c"]) == [
        "role c is missing",
        "role a was not deleted",
    ]
