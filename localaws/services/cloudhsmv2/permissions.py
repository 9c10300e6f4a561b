"""What AWS demands of the *caller* besides the action itself (F5.2, F5.4, F5.5, F5.6)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2.models import Cluster, Hsm
from localaws.services.cloudhsmv2.store import Estate

# Who assume AWSServiceRoleForCloudHSM (F4.27) and
# AWSServiceRoleForKeyManagementServiceCustomKeyStores (F4.26).
CLOUDHSM = "cloudhsm.amazonaws.com"
KEY_STORES = "cks.kms.amazonaws.com"


@contextlib.contextmanager
def _refused_as(code: str) -> Iterator[None]:
    try:
        yield
    except ApiError as denied:
        raise ApiError(code, denied.message) from denied


@_refused_as("CloudHsmAccessDeniedException")
def to_create_cluster(
    estate: Estate, cluster_id: str, vpc_id: str, tags: Mapping[str, str]
) -> None:
    """The tags, the security group, and AWSServiceRoleForCloudHSM (F4.27)."""
    if tags:
        _demand(
            estate,
            "cloudhsm:TagResource",
            estate.arn("cloudhsm", f"cluster/{cluster_id}"),
            {
                **{f"aws:RequestTag/{key}": value for key, value in tags.items()},
                "aws:TagKeys": list(tags),
            },
        )
    _demand_group(estate, vpc_id)
    _demand(estate, "ec2:DescribeSubnets", "*")
    estate.iam.ensure_service_linked_role(CLOUDHSM)


@_refused_as("CloudHsmAccessDeniedException")
def to_create_hsm(estate: Estate, cluster: Cluster, subnet_id: str) -> None:
    """The security group's actions once more, and the network interface."""
    _demand_group(estate, cluster.vpc_id)
    _demand(estate, "ec2:DescribeSubnets", "*")
    _demand(estate, "ec2:DescribeNetworkInterfaces", "*")
    for resource in (
        "network-interface/*",
        f"subnet/{subnet_id}",
        f"security-group/{cluster.security_group}",
    ):
        _demand(estate, "ec2:CreateNetworkInterface", estate.arn("ec2", resource))
    _demand(estate, "ec2:DeleteNetworkInterface", estate.arn("ec2", "network-interface/*"))


@_refused_as("CloudHsmAccessDeniedException")
def to_delete_hsm(estate: Estate, hsm: Hsm) -> None:
    """The network interface."""
    _demand(
        estate,
        "ec2:DeleteNetworkInterface",
        estate.arn("ec2", f"network-interface/{hsm.eni_id}"),
    )


@_refused_as("CloudHsmAccessDeniedException")
def to_delete_cluster(estate: Estate, cluster: Cluster) -> None:
    """What the older reference lists: the newest lists nothing, but that is uncertain."""
    _demand(estate, "ec2:DeleteNetworkInterface", estate.arn("ec2", "network-interface/*"))
    _demand(
        estate,
        "ec2:DeleteSecurityGroup",
        estate.arn("ec2", f"security-group/{cluster.security_group}"),
    )


@_refused_as("AccessDeniedException")
def to_create_key_store(estate: Estate) -> None:
    """To see the cluster, and AWSServiceRoleForKeyManagementServiceCustomKeyStores (F4.26)."""
    _demand(estate, "cloudhsm:DescribeClusters", "*")
    estate.iam.ensure_service_linked_role(KEY_STORES)


@_refused_as("AccessDeniedException")
def to_create_key(estate: Estate) -> None:
    """To see the cluster (F5.6)."""
    _demand(estate, "cloudhsm:DescribeClusters", "*")


def _demand_group(estate: Estate, vpc_id: str) -> None:
    _demand(estate, "ec2:DescribeSecurityGroups", "*")
    for resource in ("security-group/*", f"vpc/{vpc_id}"):
        _demand(estate, "ec2:CreateSecurityGroup", estate.arn("ec2", resource))
    for action in (
        "ec2:AuthorizeSecurityGroupIngress",
        "ec2:AuthorizeSecurityGroupEgress",
        "ec2:RevokeSecurityGroupEgress",
    ):
        _demand(estate, action, estate.arn("ec2", "security-group/*"))


def _demand(
    estate: Estate, action: str, resource: str, context: Mapping[str, Any] | None = None
) -> None:
    estate.iam.authorize(action, resource, context or {})
