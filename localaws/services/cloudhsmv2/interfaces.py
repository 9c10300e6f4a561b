"""What the model needs of the emulator around it; ministack, moto or a unit test supplies it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NotRequired, Protocol, TypedDict


class Subnet(TypedDict):
    """What the model wants to know of a subnet."""

    SubnetId: str
    VpcId: str
    AvailabilityZone: str
    CidrBlock: NotRequired[str]


class Ec2(Protocol):
    """The network. Refusals are `ApiError`s with EC2's own codes."""

    def subnet(self, subnet_id: str) -> Subnet | None:
        """The subnet, or None if there is none of that id."""

    def create_security_group(self, name: str, description: str, vpc_id: str) -> str:
        """Make a group that admits TCP 2223-2225 from and to itself alone (F3.21); its id."""

    def delete_security_group(self, group_id: str) -> None:
        """Delete it; nothing happens if it is gone already.

        DependencyViolation while another group's rule refers to it or an interface carries it.
        """

    def create_eni(
        self, subnet_id: str, group_id: str, description: str, ip: str | None = None
    ) -> tuple[str, str]:
        """Make a network interface and give its id and IPv4 address.

        InvalidIPAddress.InUse if `ip` is taken, InsufficientFreeAddressesInSubnet if all are.
        """

    def delete_eni(self, eni_id: str) -> None:
        """Delete it; nothing happens if it is gone already."""

    def cluster_group_intact(self, group_id: str) -> bool:
        """Whether the group still admits TCP 2223-2225 from and to itself (F4.13)."""

    def client_may_reach(self, instance_id: str, group_id: str) -> bool:
        """Whether an instance's groups let it open TCP 2223-2225 to what carries this group."""


class Iam(Protocol):
    """What the caller of the current request may do besides."""

    def authorize(self, action: str, resource: str, context: Mapping[str, Any]) -> None:
        """Raise ApiError, in IAM's words, unless the caller may; context is condition keys."""

    def ensure_service_linked_role(self, service: str) -> None:
        """Make the service's role if there is none, which takes iam:CreateServiceLinkedRole."""


class Logs(Protocol):
    """CloudWatch Logs, as a service uses it with its own role."""

    def ensure_log_group(self, name: str) -> None:
        """Make the group if there is none."""
