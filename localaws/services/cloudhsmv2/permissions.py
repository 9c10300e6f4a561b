"""Permissions that AWS requires of the caller beyond the action itself (F5.2, F5.4-F5.6, F5.10)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, ParamSpec

from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2.models import Cluster, Hsm
from localaws.services.cloudhsmv2.store import Store

# The services of AWSServiceRoleForCloudHSM (F4.27) and
# AWSServiceRoleForKeyManagementServiceCustomKeyStores (F4.26).
CLOUDHSM = "cloudhsm.amazonaws.com"
KEY_STORES = "cks.kms.amazonaws.com"


_Params = ParamSpec("_Params")
Check = Callable[Concatenate[Store, _Params], None]
# The operations that the checks below belong to.
CHECKED = frozenset(
    {
        "CreateCluster",
        "CreateHsm",
        "DeleteHsm",
        "ModifyCluster",
        "DeleteCluster",
        "CreateCustomKeyStore",
    }
)


class DryRunPassed(Exception):
    """In a dry run: the request is valid and its caller has all permissions (see Store.dry_run)."""


def _denied_as(code: str) -> Callable[[Check[_Params]], Check[_Params]]:
    """Give a check's denials this code, and end a dry run after it."""

    def decorate(check: Check[_Params]) -> Check[_Params]:
        @functools.wraps(check)
        def checked(store: Store, /, *args: _Params.args, **kwargs: _Params.kwargs) -> None:
            try:
                check(store, *args, **kwargs)
            except ApiError as denied:
                raise ApiError(code, denied.message) from denied
            if store.dry_run:
                raise DryRunPassed

        return checked

    return decorate


@_denied_as("CloudHsmAccessDeniedException")
def check_create_cluster(
    store: Store, cluster_id: str, vpc_id: str, tags: Mapping[str, str]
) -> None:
    """CreateCluster: tags, the security group and AWSServiceRoleForCloudHSM (F4.27)."""
    if tags:
        _check(
            store,
            "cloudhsm:TagResource",
            store.arn("cloudhsm", f"cluster/{cluster_id}"),
            {
                **{f"aws:RequestTag/{key}": value for key, value in tags.items()},
                "aws:TagKeys": list(tags),
            },
        )
    _check_security_group(store, vpc_id, "security-group/*")
    _check(store, "ec2:DescribeSubnets", "*")
    store.iam.ensure_service_linked_role(CLOUDHSM)


@_denied_as("CloudHsmAccessDeniedException")
def check_create_hsm(store: Store, cluster: Cluster, subnet_id: str) -> None:
    """CreateHsm: the security group again, and the network interface."""
    _check_security_group(store, cluster.vpc_id, f"security-group/{cluster.security_group}")
    _check(store, "ec2:DescribeSubnets", "*")
    _check(store, "ec2:DescribeNetworkInterfaces", "*")
    _check_disputed(store, "ec2:DescribeNetworkInterfaceAttribute")
    for resource in (
        "network-interface/*",
        f"subnet/{subnet_id}",
        f"security-group/{cluster.security_group}",
    ):
        _check(store, "ec2:CreateNetworkInterface", store.arn("ec2", resource))
    _check(store, "ec2:DeleteNetworkInterface", store.arn("ec2", "network-interface/*"))


@_denied_as("CloudHsmAccessDeniedException")
def check_delete_hsm(store: Store, hsm: Hsm) -> None:
    """DeleteHsm: the network interface."""
    _check_disputed(store, "ec2:DescribeNetworkInterfaceAttribute")
    _check(
        store,
        "ec2:DeleteNetworkInterface",
        store.arn("ec2", f"network-interface/{hsm.eni_id}"),
    )


@_denied_as("CloudHsmAccessDeniedException")
def check_modify_cluster(store: Store) -> None:
    """ModifyCluster: the subnets."""
    _check(store, "ec2:DescribeSubnets", "*")


@_denied_as("CloudHsmAccessDeniedException")
def check_delete_cluster(store: Store, cluster: Cluster) -> None:
    """DeleteCluster: as in the older reference; the newest lists none, which is uncertain."""
    _check(store, "ec2:DeleteNetworkInterface", store.arn("ec2", "network-interface/*"))
    _check(
        store,
        "ec2:DeleteSecurityGroup",
        store.arn("ec2", f"security-group/{cluster.security_group}"),
    )


@_denied_as("AccessDeniedException")
def check_create_key_store(store: Store) -> None:
    """CreateCustomKeyStore: the cluster and the service-linked role (F4.26)."""
    _check(store, "cloudhsm:DescribeClusters", "*")
    store.iam.ensure_service_linked_role(KEY_STORES)


@_denied_as("AccessDeniedException")
def check_create_key(store: Store) -> None:
    """CreateKey in a key store: the cluster (F5.6)."""
    _check(store, "cloudhsm:DescribeClusters", "*")


def _check_security_group(store: Store, vpc_id: str, group: str) -> None:
    """The cluster's group, which CloudHSM creates and gives its rules."""
    _check_disputed(store, "ec2:DescribeVpcs")
    _check(store, "ec2:DescribeSecurityGroups", "*")
    for resource in ("security-group/*", f"vpc/{vpc_id}"):
        _check(store, "ec2:CreateSecurityGroup", store.arn("ec2", resource))
    for action in (
        "ec2:AuthorizeSecurityGroupIngress",
        "ec2:AuthorizeSecurityGroupEgress",
        "ec2:RevokeSecurityGroupEgress",
    ):
        _check(store, action, store.arn("ec2", group))


def _check_disputed(store: Store, action: str) -> None:
    """An action that only the User Guide's example policy lists (F5.10)."""
    if store.assumptions.demands_disputed_ec2_actions:
        _check(store, action, "*")


def _check(
    store: Store, action: str, resource: str, context: Mapping[str, Any] | None = None
) -> None:
    store.iam.authorize(action, resource, context or {})
