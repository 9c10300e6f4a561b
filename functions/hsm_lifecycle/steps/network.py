"""Steps: allow and revoke TCP 2223-2225 between the client's and the cluster's security groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from hsm_lifecycle import aws, ownership
from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.errors import ParameterError

_ALREADY_ALLOWED = ("InvalidPermission.Duplicate",)
_ALREADY_REVOKED = ("InvalidPermission.NotFound", "InvalidGroup.NotFound")
_DESCRIPTION = "hsm-lifecycle client"
# https://docs.aws.amazon.com/cloudhsm/latest/userguide/configure-sg.html
_FIRST_PORT, _LAST_PORT = 2223, 2225


def admit_client(event: Event) -> dict[str, Any]:
    """Allow traffic from the client to the cluster, then revoke it for a replaced client."""
    cluster_group = ownership.require_owned(event)["SecurityGroup"]
    client_group, ec2 = event["ClientSecurityGroupId"], aws.client("ec2")
    group = ec2.describe_security_groups(GroupIds=[cluster_group])["SecurityGroups"][0]
    _tag(ec2, group, event["StackId"])
    _allow(
        ec2.authorize_security_group_ingress,
        GroupId=cluster_group,
        IpPermissions=_permissions(client_group, Description=_DESCRIPTION),
    )
    _allow(
        ec2.authorize_security_group_egress,
        GroupId=client_group,
        IpPermissions=_permissions(cluster_group),
    )
    _revoke_replaced_clients(ec2, group, client_group)
    return {}


def revoke_client(event: Event) -> dict[str, Any]:
    """Revoke both rules, because a referenced security group cannot be deleted (F1.29)."""
    cluster = ownership.find(event["ClusterId"])
    if cluster is None:
        return {}
    ownership.require_owned(event)
    ec2, cluster_group = aws.client("ec2"), cluster["SecurityGroup"]
    client_group = event["ClientSecurityGroupId"]
    _ignoring(
        _ALREADY_REVOKED,
        ec2.revoke_security_group_ingress,
        GroupId=cluster_group,
        IpPermissions=_permissions(client_group),
    )
    _ignoring(
        _ALREADY_REVOKED,
        ec2.revoke_security_group_egress,
        GroupId=client_group,
        IpPermissions=_permissions(cluster_group),
    )
    return {}


def _allow(authorize: Callable[..., Any], **rule: Any) -> None:
    """Add a rule. EC2 refuses one between the groups of VPCs that are not peered.

    https://docs.aws.amazon.com/vpc/latest/peering/vpc-peering-security-groups.html
    """
    try:
        _ignoring(_ALREADY_ALLOWED, authorize, **rule)
    except ClientError as error:
        if "belong to different networks" not in aws.error_message(error):
            raise
        raise ParameterError(
            "pClientVpcId: the VPCs of client and cluster are not peered "
            f"({aws.error_code(error)}). Peer them, with routes both ways, or set pClientVpcId and "
            "pClientSubnet to the cluster's VPC."
        ) from error


def _tag(ec2: Any, group: dict[str, Any], stack_id: str) -> None:
    """Add the stack's tag, so that no role of another stack may change the group."""
    if {"Key": ownership.STACK_TAG, "Value": stack_id} not in (group.get("Tags") or []):
        ec2.create_tags(
            Resources=[group["GroupId"]], Tags=ownership.tag_list({ownership.STACK_TAG: stack_id})
        )


def _revoke_replaced_clients(ec2: Any, group: dict[str, Any], client_group: str) -> None:
    """Revoke the rules of earlier clients, recognized by the rule's description."""
    pairs = [pair for rule in group["IpPermissions"] for pair in rule.get("UserIdGroupPairs") or []]
    for pair in pairs:
        if pair.get("Description") == _DESCRIPTION and pair["GroupId"] != client_group:
            _ignoring(
                _ALREADY_REVOKED,
                ec2.revoke_security_group_ingress,
                GroupId=group["GroupId"],
                IpPermissions=_permissions(pair["GroupId"]),
            )


def _permissions(group_id: str, **more: str) -> list[dict[str, Any]]:
    return [
        {
            "IpProtocol": "tcp",
            "FromPort": _FIRST_PORT,
            "ToPort": _LAST_PORT,
            "UserIdGroupPairs": [{"GroupId": group_id, **more}],
        }
    ]


def _ignoring(codes: tuple[str, ...], call: Callable[..., Any], **request: Any) -> None:
    """Make a call; these error codes mean that its effect is already there."""
    try:
        call(**request)
    except ClientError as error:
        if aws.error_code(error) not in codes:
            raise
