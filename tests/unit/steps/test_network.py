from __future__ import annotations

from typing import Any

import pytest

from hsm_lifecycle.errors import (
    ClusterNotFoundError,
    NotOwnedError,
    RefusedError,
    TransientError,
)
from hsm_lifecycle.steps import network
from tests.support.account import OTHER_STACK_ID, STACK_ID, TIMINGS, Account, Json

UNKNOWN = "cluster-aaaaaaaaaaa"
PORTS = {"IpProtocol": "tcp", "FromPort": 2223, "ToPort": 2225}


def of(cluster_id: str, group: str) -> Json:
    return {"ClusterId": cluster_id, "StackId": STACK_ID, "ClientSecurityGroupId": group}


def group_of(account: Account, cluster_id: str) -> str:
    return str(account.cluster(cluster_id)["SecurityGroup"])


def rules(account: Account, group: str, direction: str = "IpPermissions") -> dict[str, str]:
    """The groups that TCP 2223 to 2225 is open to, each with the description of the rule."""
    found = account.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
    return {
        pair["GroupId"]: pair.get("Description", "")
        for rule in found[direction]
        for pair in rule["UserIdGroupPairs"]
        if (rule["IpProtocol"], rule.get("FromPort"), rule.get("ToPort")) == ("tcp", 2223, 2225)
    }


def ways_out(account: Account, group: str) -> list[str]:
    return list(rules(account, group, "IpPermissionsEgress"))


def open_by_hand(account: Account, group: str, source: str, **described: Any) -> None:
    pair = {"GroupId": source, **described}
    account.ec2.authorize_security_group_ingress(
        GroupId=group, IpPermissions=[{**PORTS, "UserIdGroupPairs": [pair]}]
    )


# ---- admit_client


def test_the_client_is_let_in_and_out_on_the_ports_of_hsms_alone(account: Account) -> None:
    cluster_id, ours = account.uninitialized(), account.group("client")
    theirs = group_of(account, cluster_id)
    assert account.run(network.admit_client, **of(cluster_id, ours)) == {}
    assert rules(account, theirs) == {theirs: "", ours: "hsm-lifecycle client"}
    assert ways_out(account, ours) == [theirs]
    assert account.changes == ["AuthorizeSecurityGroupIngress", "AuthorizeSecurityGroupEgress"]


def test_a_client_can_be_let_in_twice(account: Account) -> None:
    cluster_id, ours = account.uninitialized(), account.group("client")
    theirs = group_of(account, cluster_id)
    account.run(network.admit_client, **of(cluster_id, ours))
    account.run(network.admit_client, **of(cluster_id, ours))
    assert rules(account, theirs) == {theirs: "", ours: "hsm-lifecycle client"}
    assert ways_out(account, ours) == [theirs]


@pytest.mark.parametrize(
    "operation", ["AuthorizeSecurityGroupIngress", "AuthorizeSecurityGroupEgress"]
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_client_gets_both_rules_also_when_the_step_dies_in_the_middle(
    account: Account, operation: str, when: str
) -> None:
    cluster_id, ours = account.uninitialized(), account.group("client")
    theirs = group_of(account, cluster_id)
    account.faults.inject({"operation": operation, "code": "ConnectionLost", "when": when})
    with pytest.raises(TransientError, match=rf"ConnectionClosedError.*\[{cluster_id}\]$"):
        account.run(network.admit_client, **of(cluster_id, ours))
    account.run(network.admit_client, **of(cluster_id, ours))
    assert ours in rules(account, theirs)
    assert ways_out(account, ours) == [theirs]


def test_a_rule_that_was_removed_by_hand_comes_back(account: Account) -> None:
    cluster_id, ours = account.uninitialized(), account.group("client")
    theirs = group_of(account, cluster_id)
    account.run(network.admit_client, **of(cluster_id, ours))
    account.ec2.revoke_security_group_ingress(
        GroupId=theirs,
        IpPermissions=[{**PORTS, "UserIdGroupPairs": [{"GroupId": ours}]}],
    )
    account.run(network.admit_client, **of(cluster_id, ours))
    assert ours in rules(account, theirs)


def test_the_client_before_this_one_is_let_in_no_more(account: Account) -> None:
    cluster_id, former, ours = (
        account.uninitialized(),
        account.group("former"),
        account.group("client"),
    )
    theirs = group_of(account, cluster_id)
    account.run(network.admit_client, **of(cluster_id, former))
    account.run(network.admit_client, **of(cluster_id, ours))
    assert rules(account, theirs) == {theirs: "", ours: "hsm-lifecycle client"}
    account.ec2.delete_security_group(GroupId=former)


def test_whom_an_operator_let_in_stays(account: Account) -> None:
    cluster_id, ours = account.uninitialized(), account.group("client")
    theirs = group_of(account, cluster_id)
    for name in ("application", "proxy"):
        open_by_hand(account, theirs, account.group(name), Description=name)
    open_by_hand(account, theirs, account.group("nameless"))
    before = rules(account, theirs)
    account.run(network.admit_client, **of(cluster_id, ours))
    assert rules(account, theirs) == {**before, ours: "hsm-lifecycle client"}


def test_the_former_client_may_have_been_shut_out_already(account: Account) -> None:
    cluster_id, former, ours = (
        account.uninitialized(),
        account.group("former"),
        account.group("client"),
    )
    account.run(network.admit_client, **of(cluster_id, former))
    account.faults.inject(
        {
            "operation": "RevokeSecurityGroupIngress",
            "code": "InvalidPermission.NotFound",
            "when": "after",
        }
    )
    account.run(network.admit_client, **of(cluster_id, ours))
    assert former not in rules(account, group_of(account, cluster_id))


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("RulesPerSecurityGroupLimitExceeded", RefusedError),
        ("InvalidGroup.NotFound", RefusedError),
        ("RequestLimitExceeded", TransientError),
        ("UnauthorizedOperation", TransientError),
    ],
)
def test_a_refusal_is_told_in_the_words_of_aws(
    account: Account, code: str, error: type[Exception]
) -> None:
    cluster_id, ours = account.uninitialized(), account.group("client")
    account.faults.inject(
        {"operation": "AuthorizeSecurityGroupIngress", "code": code, "message": "words of AWS"}
    )
    with pytest.raises(error) as refusal:
        account.run(network.admit_client, **of(cluster_id, ours))
    assert str(refusal.value) == (
        f"AdmitClient: AuthorizeSecurityGroupIngress: {code}: words of AWS [{cluster_id}]"
    )


def test_no_client_is_let_into_a_foreign_cluster(account: Account) -> None:
    cluster_id = account.uninitialized(OTHER_STACK_ID)
    with pytest.raises(NotOwnedError):
        account.run(network.admit_client, **of(cluster_id, account.group("client")))
    assert account.changes == []


def test_no_client_is_let_into_a_cluster_that_is_gone(account: Account) -> None:
    with pytest.raises(ClusterNotFoundError):
        account.run(network.admit_client, **of(UNKNOWN, account.group("client")))


# ---- revoke_client


def test_both_rules_are_taken_away_so_that_both_groups_can_be_deleted(account: Account) -> None:
    cluster_id, ours = account.uninitialized(), account.group("client")
    theirs = group_of(account, cluster_id)
    account.run(network.admit_client, **of(cluster_id, ours))
    assert account.run(network.revoke_client, **of(cluster_id, ours)) == {}
    assert rules(account, theirs) == {theirs: ""}
    assert ways_out(account, ours) == []
    account.hsm.delete_cluster(ClusterId=cluster_id)
    account.wait(TIMINGS.delete_cluster)
    assert account.cluster(cluster_id)["State"] == "DELETED"
    account.ec2.delete_security_group(GroupId=ours)


def test_as_long_as_the_client_is_let_in_the_cluster_cannot_be_deleted(
    account: Account,
) -> None:
    cluster_id, ours = account.uninitialized(), account.group("client")
    account.run(network.admit_client, **of(cluster_id, ours))
    account.hsm.delete_cluster(ClusterId=cluster_id)
    account.wait(TIMINGS.delete_cluster)
    assert account.cluster(cluster_id)["State"] == "UNINITIALIZED"


def test_a_client_can_be_shut_out_twice_and_without_having_been_let_in(
    account: Account,
) -> None:
    cluster_id, ours = account.uninitialized(), account.group("client")
    account.run(network.revoke_client, **of(cluster_id, ours))
    account.run(network.admit_client, **of(cluster_id, ours))
    account.run(network.revoke_client, **of(cluster_id, ours))
    account.run(network.revoke_client, **of(cluster_id, ours))
    assert ways_out(account, ours) == []


@pytest.mark.parametrize("operation", ["RevokeSecurityGroupIngress", "RevokeSecurityGroupEgress"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_client_is_shut_out_also_when_the_step_dies_in_the_middle(
    account: Account, operation: str, when: str
) -> None:
    cluster_id, ours = account.uninitialized(), account.group("client")
    account.run(network.admit_client, **of(cluster_id, ours))
    account.faults.inject({"operation": operation, "code": "RequestLimitExceeded", "when": when})
    with pytest.raises(TransientError):
        account.run(network.revoke_client, **of(cluster_id, ours))
    account.run(network.revoke_client, **of(cluster_id, ours))
    assert ours not in rules(account, group_of(account, cluster_id))
    assert ways_out(account, ours) == []


def test_the_rules_of_others_stay(account: Account) -> None:
    cluster_id, ours = account.uninitialized(), account.group("client")
    theirs, other = group_of(account, cluster_id), account.group("application")
    open_by_hand(account, theirs, other, Description="application")
    account.run(network.admit_client, **of(cluster_id, ours))
    account.run(network.revoke_client, **of(cluster_id, ours))
    assert rules(account, theirs) == {theirs: "", other: "application"}


def test_from_a_cluster_that_is_gone_nobody_needs_to_be_shut_out(account: Account) -> None:
    assert account.run(network.revoke_client, **of(UNKNOWN, account.group("client"))) == {}
    assert account.changes == []


def test_a_client_whose_group_is_gone_does_not_keep_the_cluster_from_being_deleted(
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


def test_nobody_is_shut_out_of_a_foreign_cluster(account: Account) -> None:
    cluster_id, ours = account.uninitialized(OTHER_STACK_ID), account.group("client")
    open_by_hand(account, group_of(account, cluster_id), ours, Description="hsm-lifecycle client")
    with pytest.raises(NotOwnedError):
        account.run(network.revoke_client, **of(cluster_id, ours))
    assert ours in rules(account, group_of(account, cluster_id))


def test_another_refusal_to_shut_out_is_told(account: Account) -> None:
    cluster_id, ours = account.uninitialized(), account.group("client")
    account.faults.inject(
        {"operation": "RevokeSecurityGroupEgress", "code": "InvalidParameterValue"}
    )
    with pytest.raises(RefusedError, match=rf"InvalidParameterValue.*\[{cluster_id}\]$"):
        account.run(network.revoke_client, **of(cluster_id, ours))
