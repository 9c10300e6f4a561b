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
from tests.support.account import OTHER_STACK_ID, STACK_ID, TIMINGS, EmulatorState, Json

UNKNOWN = "cluster-aaaaaaaaaaa"
PORTS = {"IpProtocol": "tcp", "FromPort": 2223, "ToPort": 2225}


def of(cluster_id: str, group: str) -> Json:
    return {"ClusterId": cluster_id, "StackId": STACK_ID, "ClientSecurityGroupId": group}


def group_of(world: EmulatorState, cluster_id: str) -> str:
    return str(world.cluster(cluster_id)["SecurityGroup"])


def rules(world: EmulatorState, group: str, direction: str = "IpPermissions") -> dict[str, str]:
    """The groups that TCP 2223 to 2225 is open to, each with the description of the rule."""
    found = world.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
    return {
        pair["GroupId"]: pair.get("Description", "")
        for rule in found[direction]
        for pair in rule["UserIdGroupPairs"]
        if (rule["IpProtocol"], rule.get("FromPort"), rule.get("ToPort")) == ("tcp", 2223, 2225)
    }


def ways_out(world: EmulatorState, group: str) -> list[str]:
    return list(rules(world, group, "IpPermissionsEgress"))


def open_by_hand(world: EmulatorState, group: str, source: str, **described: Any) -> None:
    pair = {"GroupId": source, **described}
    world.ec2.authorize_security_group_ingress(
        GroupId=group, IpPermissions=[{**PORTS, "UserIdGroupPairs": [pair]}]
    )


# ---- admit_client


def test_the_client_is_let_in_and_out_on_the_ports_of_hsms_alone(world: EmulatorState) -> None:
    cluster_id, ours = world.uninitialized(), world.group("client")
    theirs = group_of(world, cluster_id)
    assert world.run(network.admit_client, **of(cluster_id, ours)) == {}
    assert rules(world, theirs) == {theirs: "", ours: "hsm-lifecycle client"}
    assert ways_out(world, ours) == [theirs]
    assert world.changes == ["AuthorizeSecurityGroupIngress", "AuthorizeSecurityGroupEgress"]


def test_a_client_can_be_let_in_twice(world: EmulatorState) -> None:
    cluster_id, ours = world.uninitialized(), world.group("client")
    theirs = group_of(world, cluster_id)
    world.run(network.admit_client, **of(cluster_id, ours))
    world.run(network.admit_client, **of(cluster_id, ours))
    assert rules(world, theirs) == {theirs: "", ours: "hsm-lifecycle client"}
    assert ways_out(world, ours) == [theirs]


@pytest.mark.parametrize(
    "operation", ["AuthorizeSecurityGroupIngress", "AuthorizeSecurityGroupEgress"]
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_client_gets_both_rules_also_when_the_step_dies_in_the_middle(
    world: EmulatorState, operation: str, when: str
) -> None:
    cluster_id, ours = world.uninitialized(), world.group("client")
    theirs = group_of(world, cluster_id)
    world.faults.inject({"operation": operation, "code": "ConnectionLost", "when": when})
    with pytest.raises(TransientError, match=rf"ConnectionClosedError.*\[{cluster_id}\]$"):
        world.run(network.admit_client, **of(cluster_id, ours))
    world.run(network.admit_client, **of(cluster_id, ours))
    assert ours in rules(world, theirs)
    assert ways_out(world, ours) == [theirs]


def test_a_rule_that_was_removed_by_hand_comes_back(world: EmulatorState) -> None:
    cluster_id, ours = world.uninitialized(), world.group("client")
    theirs = group_of(world, cluster_id)
    world.run(network.admit_client, **of(cluster_id, ours))
    world.ec2.revoke_security_group_ingress(
        GroupId=theirs,
        IpPermissions=[{**PORTS, "UserIdGroupPairs": [{"GroupId": ours}]}],
    )
    world.run(network.admit_client, **of(cluster_id, ours))
    assert ours in rules(world, theirs)


def test_the_client_before_this_one_is_let_in_no_more(world: EmulatorState) -> None:
    cluster_id, former, ours = world.uninitialized(), world.group("former"), world.group("client")
    theirs = group_of(world, cluster_id)
    world.run(network.admit_client, **of(cluster_id, former))
    world.run(network.admit_client, **of(cluster_id, ours))
    assert rules(world, theirs) == {theirs: "", ours: "hsm-lifecycle client"}
    world.ec2.delete_security_group(GroupId=former)


def test_whom_an_operator_let_in_stays(world: EmulatorState) -> None:
    cluster_id, ours = world.uninitialized(), world.group("client")
    theirs = group_of(world, cluster_id)
    for name in ("application", "proxy"):
        open_by_hand(world, theirs, world.group(name), Description=name)
    open_by_hand(world, theirs, world.group("nameless"))
    before = rules(world, theirs)
    world.run(network.admit_client, **of(cluster_id, ours))
    assert rules(world, theirs) == {**before, ours: "hsm-lifecycle client"}


def test_the_former_client_may_have_been_shut_out_already(world: EmulatorState) -> None:
    cluster_id, former, ours = world.uninitialized(), world.group("former"), world.group("client")
    world.run(network.admit_client, **of(cluster_id, former))
    world.faults.inject(
        {
            "operation": "RevokeSecurityGroupIngress",
            "code": "InvalidPermission.NotFound",
            "when": "after",
        }
    )
    world.run(network.admit_client, **of(cluster_id, ours))
    assert former not in rules(world, group_of(world, cluster_id))


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
    world: EmulatorState, code: str, error: type[Exception]
) -> None:
    cluster_id, ours = world.uninitialized(), world.group("client")
    world.faults.inject(
        {"operation": "AuthorizeSecurityGroupIngress", "code": code, "message": "words of AWS"}
    )
    with pytest.raises(error) as refusal:
        world.run(network.admit_client, **of(cluster_id, ours))
    assert str(refusal.value) == (
        f"AdmitClient: AuthorizeSecurityGroupIngress: {code}: words of AWS [{cluster_id}]"
    )


def test_no_client_is_let_into_a_foreign_cluster(world: EmulatorState) -> None:
    cluster_id = world.uninitialized(OTHER_STACK_ID)
    with pytest.raises(NotOwnedError):
        world.run(network.admit_client, **of(cluster_id, world.group("client")))
    assert world.changes == []


def test_no_client_is_let_into_a_cluster_that_is_gone(world: EmulatorState) -> None:
    with pytest.raises(ClusterNotFoundError):
        world.run(network.admit_client, **of(UNKNOWN, world.group("client")))


# ---- revoke_client


def test_both_rules_are_taken_away_so_that_both_groups_can_be_deleted(world: EmulatorState) -> None:
    cluster_id, ours = world.uninitialized(), world.group("client")
    theirs = group_of(world, cluster_id)
    world.run(network.admit_client, **of(cluster_id, ours))
    assert world.run(network.revoke_client, **of(cluster_id, ours)) == {}
    assert rules(world, theirs) == {theirs: ""}
    assert ways_out(world, ours) == []
    world.hsm.delete_cluster(ClusterId=cluster_id)
    world.wait(TIMINGS.delete_cluster)
    assert world.cluster(cluster_id)["State"] == "DELETED"
    world.ec2.delete_security_group(GroupId=ours)


def test_as_long_as_the_client_is_let_in_the_cluster_cannot_be_deleted(
    world: EmulatorState,
) -> None:
    cluster_id, ours = world.uninitialized(), world.group("client")
    world.run(network.admit_client, **of(cluster_id, ours))
    world.hsm.delete_cluster(ClusterId=cluster_id)
    world.wait(TIMINGS.delete_cluster)
    assert world.cluster(cluster_id)["State"] == "UNINITIALIZED"


def test_a_client_can_be_shut_out_twice_and_without_having_been_let_in(
    world: EmulatorState,
) -> None:
    cluster_id, ours = world.uninitialized(), world.group("client")
    world.run(network.revoke_client, **of(cluster_id, ours))
    world.run(network.admit_client, **of(cluster_id, ours))
    world.run(network.revoke_client, **of(cluster_id, ours))
    world.run(network.revoke_client, **of(cluster_id, ours))
    assert ways_out(world, ours) == []


@pytest.mark.parametrize("operation", ["RevokeSecurityGroupIngress", "RevokeSecurityGroupEgress"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_client_is_shut_out_also_when_the_step_dies_in_the_middle(
    world: EmulatorState, operation: str, when: str
) -> None:
    cluster_id, ours = world.uninitialized(), world.group("client")
    world.run(network.admit_client, **of(cluster_id, ours))
    world.faults.inject({"operation": operation, "code": "RequestLimitExceeded", "when": when})
    with pytest.raises(TransientError):
        world.run(network.revoke_client, **of(cluster_id, ours))
    world.run(network.revoke_client, **of(cluster_id, ours))
    assert ours not in rules(world, group_of(world, cluster_id))
    assert ways_out(world, ours) == []


def test_the_rules_of_others_stay(world: EmulatorState) -> None:
    cluster_id, ours = world.uninitialized(), world.group("client")
    theirs, other = group_of(world, cluster_id), world.group("application")
    open_by_hand(world, theirs, other, Description="application")
    world.run(network.admit_client, **of(cluster_id, ours))
    world.run(network.revoke_client, **of(cluster_id, ours))
    assert rules(world, theirs) == {theirs: "", other: "application"}


def test_from_a_cluster_that_is_gone_nobody_needs_to_be_shut_out(world: EmulatorState) -> None:
    assert world.run(network.revoke_client, **of(UNKNOWN, world.group("client"))) == {}
    assert world.changes == []


def test_a_client_whose_group_is_gone_does_not_keep_the_cluster_from_being_deleted(
    world: EmulatorState,
) -> None:
    cluster_id, ours = world.uninitialized(), world.group("client")
    world.run(network.admit_client, **of(cluster_id, ours))
    world.ec2.revoke_security_group_ingress(
        GroupId=group_of(world, cluster_id),
        IpPermissions=[{**PORTS, "UserIdGroupPairs": [{"GroupId": ours}]}],
    )
    world.ec2.delete_security_group(GroupId=ours)
    assert world.run(network.revoke_client, **of(cluster_id, ours)) == {}


def test_nobody_is_shut_out_of_a_foreign_cluster(world: EmulatorState) -> None:
    cluster_id, ours = world.uninitialized(OTHER_STACK_ID), world.group("client")
    open_by_hand(world, group_of(world, cluster_id), ours, Description="hsm-lifecycle client")
    with pytest.raises(NotOwnedError):
        world.run(network.revoke_client, **of(cluster_id, ours))
    assert ours in rules(world, group_of(world, cluster_id))


def test_another_refusal_to_shut_out_is_told(world: EmulatorState) -> None:
    cluster_id, ours = world.uninitialized(), world.group("client")
    world.faults.inject({"operation": "RevokeSecurityGroupEgress", "code": "InvalidParameterValue"})
    with pytest.raises(RefusedError, match=rf"InvalidParameterValue.*\[{cluster_id}\]$"):
        world.run(network.revoke_client, **of(cluster_id, ours))
