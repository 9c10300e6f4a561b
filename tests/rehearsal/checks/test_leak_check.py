from __future__ import annotations

from typing import Any

from rehearsal.checks.leak_check import resources


def inventory(**services: Any) -> dict[str, Any]:
    """An inventory with nothing in it but this."""
    return {
        "cloudformation": {"stacks": []},
        "cloudhsm": {"clusters": [], "backups": []},
        "kms": {"key_stores": [], "keys": []},
        "secretsmanager": [],
        "logs": [],
        "iam": {"roles": [], "instance_profiles": []},
        "ec2": {"instances": [], "security_groups": [], "network_interfaces": []},
        "ssm": {"documents": [], "parameters": []},
        "lambda": [],
        "states": {"machines": [], "running": []},
        "events": [],
        "s3": [],
        **services,
    }


def test_an_empty_account_holds_nothing() -> None:
    assert resources(inventory()) == frozenset()


def test_everything_has_its_kind_and_name() -> None:
    found = resources(inventory(secretsmanager=["/a"], logs=["/b"], s3=["c"]))
    assert found == {"secret /a", "log group /b", "bucket c"}


def test_backups_count_as_those_of_their_cluster() -> None:
    backups = [
        {"BackupId": "backup-1", "ClusterId": "cluster-a"},
        {"BackupId": "backup-2", "ClusterId": "cluster-a"},
    ]
    found = resources(inventory(cloudhsm={"clusters": [], "backups": backups}))
    assert found == {"backup of cluster-a"}


def test_what_aws_only_still_shows_is_gone() -> None:
    clusters = [
        {"ClusterId": "cluster-a", "State": "DELETED", "Hsms": []},
        {"ClusterId": "cluster-b", "State": "ACTIVE", "Hsms": []},
    ]
    stacks = [{"name": "hsm", "status": "DELETE_COMPLETE"}]
    found = resources(
        inventory(cloudhsm={"clusters": clusters, "backups": []}, cloudformation={"stacks": stacks})
    )
    assert found == {"cluster cluster-b"}
