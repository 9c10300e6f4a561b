"""The way between the client and the HSMs: TCP 2223 to 2225, from group to group and back."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from hsm_lifecycle import aws
from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.steps import cluster as clusters

_THERE = ("InvalidPermission.Duplicate",)
_GONE = ("InvalidPermission.NotFound", "InvalidGroup.NotFound")
_DESCRIPTION = "hsm-lifecycle client"
_FIRST_PORT, _LAST_PORT = (
    2223,
    2225,
)  # https://docs.aws.amazon.com/cloudhsm/latest/userguide/configure-sg.html


def admit_client(event: Event) -> dict[str, Any]:
    """Let the client's security group reach the cluster's, and the cluster's be reached."""
    ec2, theirs, ours = _groups(event, clusters.own(event))
    _revoke_former(ec2, theirs, ours)
    _unless(
        _THERE,
        ec2.authorize_security_group_ingress,
        GroupId=theirs,
        IpPermissions=_ports(ours, Description=_DESCRIPTION),
    )
    _unless(
        _THERE,
        ec2.authorize_security_group_egress,
        GroupId=ours,
        IpPermissions=_ports(theirs),
    )
    return {}


def _revoke_former(ec2: Any, theirs: str, ours: str) -> None:
    """Take away what admitted a former client, known by the description that we give."""
    rules = ec2.describe_security_groups(GroupIds=[theirs])["SecurityGroups"][0]["IpPermissions"]
    for pair in (pair for rule in rules for pair in rule.get("UserIdGroupPairs") or []):
        if pair.get("Description") == _DESCRIPTION and pair["GroupId"] != ours:
            _unless(
                _GONE,
                ec2.revoke_security_group_ingress,
                GroupId=theirs,
                IpPermissions=_ports(pair["GroupId"]),
            )


def revoke_client(event: Event) -> dict[str, Any]:
    """Take both rules away again, because a group that is referred to cannot be deleted (F1.29)."""
    cluster = clusters.find(event["ClusterId"])
    if cluster is None:
        return {}
    clusters.own(event)
    ec2, theirs, ours = _groups(event, cluster)
    _unless(_GONE, ec2.revoke_security_group_ingress, GroupId=theirs, IpPermissions=_ports(ours))
    _unless(_GONE, ec2.revoke_security_group_egress, GroupId=ours, IpPermissions=_ports(theirs))
    return {}


def _groups(event: Event, cluster: dict[str, Any]) -> tuple[Any, str, str]:
    return aws.client("ec2"), cluster["SecurityGroup"], event["ClientSecurityGroupId"]


def _ports(group_id: str, **described: str) -> list[dict[str, Any]]:
    pair = {"GroupId": group_id, **described}
    return [
        {
            "IpProtocol": "tcp",
            "FromPort": _FIRST_PORT,
            "ToPort": _LAST_PORT,
            "UserIdGroupPairs": [pair],
        }
    ]


def _unless(excused: tuple[str, ...], call: Any, **request: Any) -> None:
    """Make the call; what it would bring about may be so already."""
    try:
        call(**request)
    except ClientError as problem:
        if aws.code_of(problem) not in excused:
            raise
