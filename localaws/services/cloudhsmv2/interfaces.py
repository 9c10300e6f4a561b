"""What the model needs of other AWS services; ministack, moto or a test implements it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, NotRequired, Protocol, TypedDict


class Subnet(TypedDict):
    """The properties of a subnet that the model uses."""

    SubnetId: str
    VpcId: str
    AvailabilityZone: str
    CidrBlock: NotRequired[str]


class Ec2(Protocol):
    """EC2. Errors are `ApiError`s with EC2's own codes."""

    def subnet(self, subnet_id: str) -> Subnet | None:
        """The subnet; None if it does not exist."""

    def create_security_group(self, name: str, description: str, vpc_id: str) -> str:
        """Create a group that allows only TCP 2223-2225 from and to itself (F3.21); its id."""

    def delete_security_group(self, group_id: str) -> None:
        """Delete a group; idempotent.

        DependencyViolation if a rule of another group refers to it or an interface is in it.
        """

    def create_eni(
        self, subnet_id: str, group_id: str, description: str, ip: str | None = None
    ) -> tuple[str, str]:
        """Create a network interface; its id and IPv4 address.

        InvalidIPAddress.InUse if `ip` is in use, InsufficientFreeAddressesInSubnet if all are.
        """

    def delete_eni(self, eni_id: str) -> None:
        """Delete a network interface; idempotent."""

    def cluster_group_intact(self, group_id: str) -> bool:
        """Whether the group still allows TCP 2223-2225 from and to itself (F4.13)."""

    def client_may_reach(self, instance_id: str, group_id: str, eni_id: str) -> bool:
        """Whether an instance can connect to TCP 2223-2225 of an interface in this group."""


class Iam(Protocol):
    """The permissions of the current request's caller."""

    def authorize(self, action: str, resource: str, context: Mapping[str, Any]) -> None:
        """Raise IAM's ApiError unless the caller is allowed; context holds condition keys."""

    def ensure_service_linked_role(self, service: str) -> None:
        """Create the service's role if needed, which takes iam:CreateServiceLinkedRole."""

    def already_authorized(self) -> AbstractContextManager[None]:
        """Allow everything inside the block: AWS accepted the request earlier."""


class Logs(Protocol):
    """CloudWatch Logs, used with the service's own role."""

    def ensure_log_group(self, name: str) -> None:
        """Create the log group if it does not exist."""
