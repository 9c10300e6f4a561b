from __future__ import annotations

from typing import Any

import pytest

from hsm_lifecycle.errors import (
    ClusterNotFoundError,
    NotOwnedError,
    ParameterError,
    RefusedError,
    TransientError,
)
from hsm_lifecycle.steps import network
from tests.support.account import OTHER_STACK_ID, STACK_ID, TIMINGS, Account, Json
from tests.support.step_events import UNKNOWN

PORTS = {"IpProtocol": "tcp", "FromPort": 2223, "ToPort": 2225}


def of(cluster_id: str, group: str) -> Json:
    return {"ClusterId": cluster_id, "StackId": STACK_ID, "ClientSecurityGroupId": group}


def group_of(account: Account, cluster_id: str) -> str:
    return str(account.cluster(cluster_id)["SecurityGroup"])


def rules(account: Account, group: str, direction: str = "IpPermissions") -> dict[str, str]:
    """The groups with access to TCP 2223-2225, each with the description of its rule."""
    found = account.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
    return {
        pair["GroupId"]: pair.get("Description", "")
        for rule in found[direction]
        for pair in rule["UserIdGroupPairs"]
        if (rule["IpProtocol"], rule.get("FromPort"), rule.get("ToPort")) == ("tcp", 2223, 2225)
    }


def egress_targets(account: Account, group: str) -> list[str]:
    return list(rules(account, group, "IpPermissionsEgress"))


def allow(account: Account, group: str, source: str, **described: Any) -> None:
    pair = {"GroupId": source, **described}
    account.ec2.authorize_security_group_ingress(
        GroupId=group, IpPermissions=[{**PORTS, "UserIdGroupPairs": [pair]}]
    )


# ---- admit_client


def test_admit_client_allows_the_ports_of_hsms_only(account: Account) -> None:
    cluster_id, ours = account.uninitialized(), account.group("client")
    theirs = group_of(account, cluster_id)
    assert account.run(network.admit_client, **of(cluster_id, ours)) == {}
    assert rules(account, theirs) == {theirs: "", ours: "hsm-lifecycle client"}
    assert egress_targets(account, ours) == [theirs]
    assert account.changes == [
        "CreateTags",
        "AuthorizeSecurityGroupIngress",
        "AuthorizeSecurityGroupEgress",
    ]


def test_admit_client_tags_the_clusters_group_once(account: Account) -> None:
    cluster_id, ours = account.uninitialized(), account.group("client")
    theirs = group_of(account, cluster_id)
    account.run(network.admit_client, **of(cluster_id, ours))
    assert "CreateTags" in account.changes
    account.run(network.admit_client, **of(cluster_id, ours))
    assert "CreateTags" not in account.changes
    group = account.ec2.describe_security_groups(GroupIds=[theirs])["SecurityGroups"][0]
    assert group["Tags"] == [{"Key": "hsm-lifecycle:stack-id", "Value": STACK_ID}]


def test_admit_client_is_idempotent(account: Account) -> None:
    cluster_id, ours = account.uninitialized(), account.group("client")
    theirs = group_of(account, cluster_id)
    account.run(network.admit_client, **of(cluster_id, ours))
    account.run(network.admit_client, **of(cluster_id, ours))
    assert rules(account, theirs) == {theirs: "", ours: "hsm-lifecycle client"}
    assert egress_targets(account, ours) == [theirs]


@pytest.mark.parametrize(
    "operation", ["AuthorizeSecurityGroupIngress", "AuthorizeSecurityGroupEgress"]
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_admit_client_survives_a_lost_response(account: Account, operation: str, when: str) -> None:
    cluster_id, ours = account.uninitialized(), account.group("client")
    theirs = group_of(account, cluster_id)
    account.faults.inject({"operation": operation, "code": "ConnectionLost", "when": when})
    with pytest.raises(TransientError, match=rf"ConnectionClosedError.*\[{cluster_id}\]$"):
        account.run(network.admit_client, **of(cluster_id, ours))
    account.run(network.admit_client, **of(cluster_id, ours))
    assert ours in rules(account, theirs)
    assert egress_targets(account, ours) == [theirs]


def test_admit_client_restores_a_removed_rule(account: Account) -> None:
    cluster_id, ours = account.uninitialized(), account.group("client")
    theirs = group_of(account, cluster_id)
    account.run(network.admit_client, **of(cluster_id, ours))
    account.ec2.revoke_security_group_ingress(
        GroupId=theirs,
        IpPermissions=[{**PORTS, "UserIdGroupPairs": [{"GroupId": ours}]}],
    )
    account.run(network.admit_client, **of(cluster_id, ours))
    assert ours in rules(account, theirs)


def test_admit_client_revokes_a_replaced_client(account: Account) -> None:
    cluster_id, replaced, ours = (
        account.uninitialized(),
        account.group("replaced"),
        account.group("client"),
    )
    theirs = group_of(account, cluster_id)
    account.run(network.admit_client, **of(cluster_id, replaced))
    account.run(network.admit_client, **of(cluster_id, ours))
    assert rules(account, theirs) == {theirs: "", ours: "hsm-lifecycle client"}
    account.ec2.delete_security_group(GroupId=replaced)


def test_a_client_of_an_unpeered_vpc_is_refused_by_parameter_and_the_former_one_stays(
    account: Account,
) -> None:
    cluster_id, former, ours = (
        account.uninitialized(),
        account.group("former"),
        account.group("client"),
    )
    account.run(network.admit_client, **of(cluster_id, former))
    account.faults.inject(
        {
            "operation": "AuthorizeSecurityGroupIngress",
            "code": "InvalidGroup.NotFound",
            "message": "You have specified two resources that belong to different networks.",
        }
    )
    with pytest.raises(ParameterError, match=r"pClientVpcId: .* are not peered"):
        account.run(network.admit_client, **of(cluster_id, ours))
    assert former in rules(account, group_of(account, cluster_id))


def test_admit_client_retains_rules_of_operators(account: Account) -> None:
    cluster_id, ours = account.uninitialized(), account.group("client")
    theirs = group_of(account, cluster_id)
    for name in ("application", "proxy"):
        allow(account, theirs, account.group(name), Description=name)
    allow(account, theirs, account.group("nameless"))
    before = rules(account, theirs)
    account.run(network.admit_client, **of(cluster_id, ours))
    assert rules(account, theirs) == {**before, ours: "hsm-lifecycle client"}


def test_admit_client_accepts_that_a_replaced_client_is_already_revoked(account: Account) -> None:
    cluster_id, replaced, ours = (
        account.uninitialized(),
        account.group("replaced"),
        account.group("client"),
    )
    account.run(network.admit_client, **of(cluster_id, replaced))
    account.faults.inject(
        {
            "operation": "RevokeSecurityGroupIngress",
            "code": "InvalidPermission.NotFound",
            "when": "after",
        }
    )
    account.run(network.admit_client, **of(cluster_id, ours))
    assert replaced not in rules(account, group_of(account, cluster_id))


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("RulesPerSecurityGroupLimitExceeded", RefusedError),
        ("InvalidGroup.NotFound", RefusedError),
        ("RequestLimitExceeded", TransientError),
        ("UnauthorizedOperation", TransientError),
    ],
)
def test_admit_client_quotes_the_refusal_of_aws(
    account: Account, code: str, error: type[Exception]
) -> None:
    cluster_id, ours = account.uninitialized(), account.group("client")
    account.faults.inject(
        {
            "operation": "AuthorizeSecurityGroupIngress",
            "code": code,
            "message": "the message of AWS",
        }
    )
    with pytest.raises(error) as refusal:
        account.run(network.admit_client, **of(cluster_id, ours))
    assert str(refusal.value) == (
        f"AdmitClient: AuthorizeSecurityGroupIngress: {code}: the message of AWS [{cluster_id}]"
    )


def test_admit_client_refuses_another_stacks_cluster(account: Account) -> None:
    cluster_id = account.uninitialized(OTHER_STACK_ID)
    with pytest.raises(NotOwnedError):
        account.run(network.admit_client, **of(cluster_id, account.group("client")))
    assert account.changes == []


def test_admit_client_refuses_a_missing_cluster(account: Account) -> None:
    with pytest.raises(ClusterNotFoundError):
        account.run(network.admit_client, **of(UNKNOWN, account.group("client")))


# ---- revoke_client


def test_revoke_client_lets_both_groups_be_deleted(account: Account) -> None:
    cluster_id, ours = account.uninitialized(), account.group("client")
    theirs = group_of(account, cluster_id)
    account.run(network.admit_client, **of(cluster_id, ours))
    assert account.run(network.revoke_client, **of(cluster_id, ours)) == {}
    assert rules(account, theirs) == {theirs: ""}
    assert egress_targets(account, ours) == []
    account.hsm.delete_cluster(ClusterId=cluster_id)
    account.wait(TIMINGS.delete_cluster)
    assert account.cluster(cluster_id)["State"] == "DELETED"
    account.ec2.delete_security_group(GroupId=ours)


def test_an_admitted_client_blocks_the_deletion_of_the_cluster(
    account: Account,
) -> None:
    cluster_id, ours = account.uninitialized(), account.group("client")
    account.run(network.admit_client, **of(cluster_id, ours))
    account.hsm.delete_cluster(ClusterId=cluster_id)
    account.wait(TIMINGS.delete_cluster)
    assert account.cluster(cluster_id)["State"] == "UNINITIALIZED"


def test_revoke_client_is_idempotent(
    account: Account,
) -> None:
    cluster_id, ours = account.uninitialized(), account.group("client")
    account.run(network.revoke_client, **of(cluster_id, ours))
    account.run(network.admit_client, **of(cluster_id, ours))
    account.run(network.revoke_client, **of(cluster_id, ours))
    account.run(network.revoke_client, **of(cluster_id, ours))
    assert egress_targets(account, ours) == []


@pytest.mark.parametrize("operation", ["RevokeSecurityGroupIngress", "RevokeSecurityGroupEgress"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_revoke_client_survives_a_lost_response(
    account: Account, operation: str, when: str
) -> None:
    cluster_id, ours = account.uninitialized(), account.group("client")
    account.run(network.admit_client, **of(cluster_id, ours))
    account.faults.inject({"operation": operation, "code": "RequestLimitExceeded", "when": when})
    with pytest.raises(TransientError):
        account.run(network.revoke_client, **of(cluster_id, ours))
    account.run(network.revoke_client, **of(cluster_id, ours))
    assert ours not in rules(account, group_of(account, cluster_id))
    assert egress_targets(account, ours) == []


def test_revoke_client_retains_other_rules(account: Account) -> None:
    cluster_id, ours = account.uninitialized(), account.group("client")
    theirs, other = group_of(account, cluster_id), account.group("application")
    allow(account, theirs, other, Description="application")
    account.run(network.admit_client, **of(cluster_id, ours))
    account.run(network.revoke_client, **of(cluster_id, ours))
    assert rules(account, theirs) == {theirs: "", other: "application"}


def test_revoke_client_does_nothing_without_a_cluster(account: Account) -> None:
    assert account.run(network.revoke_client, **of(UNKNOWN, account.group("client"))) == {}
    assert account.changes == []


def test_revoke_client_accepts_a_deleted_client_group(
    account: Account,
) -> None:
    cluster_id, ours = account.uninitialized(), account.group("client")
    account.run(network.admit_client, **of(cluster_id, ours))
    account.ec2.revoke_security_group_ingress(
        GroupId=group_of(account, cluster_id),
        IpPermissions=[{**PORTS, "UserIdGroupPairs": [{"GroupId": ours}]}],
    )
    account.ec2.delete_security_group(GroupId=ours)
    assert account.run(network.revoke_client, **of(cluster_id, ours)) == {}


def test_revoke_client_refuses_another_stacks_cluster(account: Account) -> None:
    cluster_id, ours = account.uninitialized(OTHER_STACK_ID), account.group("client")
    allow(account, group_of(account, cluster_id), ours, Description="hsm-lifecycle client")
    with pytest.raises(NotOwnedError):
        account.run(network.revoke_client, **of(cluster_id, ours))
    assert ours in rules(account, group_of(account, cluster_id))


def test_revoke_client_quotes_other_errors(account: Account) -> None:
    cluster_id, ours = account.uninitialized(), account.group("client")
    account.faults.inject(
        {"operation": "RevokeSecurityGroupEgress", "code": "InvalidParameterValue"}
    )
    with pytest.raises(RefusedError, match=rf"InvalidParameterValue.*\[{cluster_id}\]$"):
        account.run(network.revoke_client, **of(cluster_id, ours))
