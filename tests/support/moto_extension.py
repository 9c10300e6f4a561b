"""moto, extended by the CloudHSM and key store model, for unit tests.

    with mock_aws(), extended_moto(clock) as hsms:
        boto3.client("cloudhsmv2").create_cluster(...)
        clock.advance(193)
        hsms.provider().degrade_hsm(...)

The model uses moto's EC2 and Logs; callers are allowed everything except `hsms.denied`. The only
patch to moto: the model's actions become methods of moto's CloudHSM v2 and KMS response classes,
which look up the method of an action by name.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from unittest import mock

import boto3
from botocore.exceptions import ConnectionClosedError
from moto.cloudhsmv2.responses import CloudHSMV2Response
from moto.core.utils import camelcase_to_underscores
from moto.ec2.exceptions import (
    InvalidInstanceIdError,
    InvalidNetworkInterfaceIdError,
    InvalidSubnetIdError,
)
from moto.ec2.models import ec2_backends
from moto.kms.responses import KmsResponse

from localaws.core.api_error import ApiError
from localaws.core.event_log import EventLog, TimeSource
from localaws.core.faults import Faults
from localaws.services.cloudhsmv2.interfaces import Subnet
from localaws.services.cloudhsmv2.provider import (
    CLOUDHSM_ACTIONS,
    KEY_STORE_ACTIONS,
    CloudHsmProvider,
)

ACCOUNT = "123456789012"
PORTS = (2223, 2225)
EVERYWHERE = "0.0.0.0/0"
# The first host number to assign; AWS reserves the first addresses of a subnet.
FIRST_ADDRESS = 10


class MockedHsms:
    """The models behind the mocked APIs, one per account and Region, created on first use."""

    def __init__(self, clock: TimeSource, **arguments: Any) -> None:
        self.faults: Faults = arguments.pop("faults", None) or Faults()
        self.event_log: EventLog = arguments.pop("event_log", None) or EventLog(clock)
        # Actions that callers are denied, such as "ec2:CreateNetworkInterface".
        self.denied: set[str] = set()
        # Services whose service-linked role exists.
        self.service_linked_roles: set[str] = set()
        self._clock = clock
        self._arguments = arguments
        self._providers: dict[tuple[str, str], CloudHsmProvider] = {}

    def provider(self, region: str = "us-east-1", account: str = ACCOUNT) -> CloudHsmProvider:
        """The model of one account in one Region."""
        if (account, region) not in self._providers:
            self._providers[account, region] = CloudHsmProvider(
                self._clock,
                MotoEc2(region, account),
                _Caller(self),
                MotoLogs(region),
                region=region,
                account=account,
                faults=self.faults,
                event_log=self.event_log,
                **self._arguments,
            )
        return self._providers[account, region]


class _Caller:
    """moto authorizes every request; this denies `MockedHsms.denied`."""

    def __init__(self, hsms: MockedHsms) -> None:
        self._hsms = hsms

    def authorize(self, action: str, resource: str, context: Mapping[str, Any]) -> None:
        if action in self._hsms.denied:
            raise ApiError(
                "AccessDenied", f"User is not authorized to perform: {action} on {resource}"
            )

    def ensure_service_linked_role(self, service: str) -> None:
        if service not in self._hsms.service_linked_roles:
            self.authorize("iam:CreateServiceLinkedRole", "*", {"iam:AWSServiceName": service})
            self._hsms.service_linked_roles.add(service)

    @contextlib.contextmanager
    def already_authorized(self) -> Iterator[None]:
        denied, self._hsms.denied = self._hsms.denied, set()
        yield
        self._hsms.denied = denied


class MotoEc2:
    """moto's EC2 for the model, by its objects, which is faster than by requests."""

    def __init__(self, region: str, account: str = ACCOUNT) -> None:
        self._ec2 = ec2_backends[account][region]
        self._assigned: dict[str, int] = {}

    def subnet(self, subnet_id: str) -> Subnet | None:
        try:
            found = self._ec2.get_subnet(subnet_id)
        except InvalidSubnetIdError:
            return None
        return {
            "SubnetId": found.id,
            "VpcId": found.vpc_id,
            "AvailabilityZone": found.availability_zone,
            "CidrBlock": found.cidr_block,
        }

    def create_security_group(self, name: str, description: str, vpc_id: str) -> str:
        group_id: str = self._ec2.create_security_group(name, description, vpc_id).id
        self._ec2.revoke_security_group_egress(group_id, "-1", "-1", "-1", [{"CidrIp": EVERYWHERE}])
        for authorize in (
            self._ec2.authorize_security_group_ingress,
            self._ec2.authorize_security_group_egress,
        ):
            authorize(group_id, "tcp", *PORTS, [], source_groups=[{"GroupId": group_id}])
        return group_id

    def delete_security_group(self, group_id: str) -> None:
        if self._ec2.get_security_group_from_id(group_id) is None:
            return
        referring = (
            rule
            for group in self._ec2.describe_security_groups()
            for rule in (*group.ingress_rules, *group.egress_rules)
            if group.id != group_id and _names(rule, group_id)
        )
        carrying = (
            interface
            for interface in self._ec2.get_all_network_interfaces()
            if group_id in _group_ids(interface.group_set)
        )
        if any(referring) or any(carrying):
            raise ApiError("DependencyViolation", f"{group_id} has a dependent object")
        self._ec2.delete_security_group(group_id=group_id)

    def create_eni(
        self, subnet_id: str, group_id: str, description: str, ip: str | None = None
    ) -> tuple[str, str]:
        taken = {
            interface.private_ip_address
            for interface in self._ec2.get_all_network_interfaces()
            if interface.subnet.id == subnet_id
        }
        if ip in taken:
            raise ApiError("InvalidIPAddress.InUse", f"Address {ip} is in use.")
        interface = self._ec2.create_network_interface(
            self._ec2.get_subnet(subnet_id),
            ip or self._next_address(subnet_id, taken),
            group_ids=[group_id],
            description=description,
        )
        return interface.id, interface.private_ip_address

    def delete_eni(self, eni_id: str) -> None:
        with contextlib.suppress(InvalidNetworkInterfaceIdError):
            self._ec2.delete_network_interface(eni_id)

    def cluster_group_intact(self, group_id: str) -> bool:
        group = self._ec2.get_security_group_from_id(group_id)
        return group is not None and all(
            any(_has_ports(rule) and _names(rule, group_id) for rule in rules)
            for rules in (group.ingress_rules, group.egress_rules)
        )

    def client_may_reach(self, instance_id: str, group_id: str, eni_id: str) -> bool:
        group = self._ec2.get_security_group_from_id(group_id)
        try:
            groups = self._ec2.get_instance(instance_id).security_groups
        except InvalidInstanceIdError:
            return False
        return (
            group is not None
            and any(
                _has_ports(rule) and (_names(rule, group_id) or _names_everywhere(rule))
                for one in groups
                for rule in one.egress_rules
            )
            and any(
                _has_ports(rule) and _names(rule, source)
                for rule in group.ingress_rules
                for source in _group_ids(groups)
            )
        )

    def _next_address(self, subnet_id: str, taken: set[str]) -> str:
        """The next free address; like AWS, not one that was just released."""
        subnet = self.subnet(subnet_id)
        network = ipaddress.ip_network(subnet["CidrBlock"] if subnet else "0.0.0.0/32")
        for offset in range(
            self._assigned.get(subnet_id, FIRST_ADDRESS - 1) + 1, network.num_addresses - 1
        ):
            if str(network[offset]) not in taken:
                self._assigned[subnet_id] = offset
                return str(network[offset])
        raise ApiError("InsufficientFreeAddressesInSubnet", f"{subnet_id} has no free address.")


class MotoLogs:
    """moto's Logs for the model."""

    def __init__(self, region: str) -> None:
        self._logs = boto3.client("logs", region_name=region)

    def ensure_log_group(self, name: str) -> None:
        with contextlib.suppress(self._logs.exceptions.ResourceAlreadyExistsException):
            self._logs.create_log_group(logGroupName=name)


@contextlib.contextmanager
def extended_moto(clock: TimeSource, **arguments: Any) -> Iterator[MockedHsms]:
    """Extend moto by the model; keyword arguments are `CloudHsmProvider`'s."""
    hsms = MockedHsms(clock, **arguments)
    actions = [(CloudHSMV2Response, action) for action in CLOUDHSM_ACTIONS]
    actions += [(KmsResponse, action) for action in KEY_STORE_ACTIONS]
    with contextlib.ExitStack() as undo:
        for kind, action in actions:
            method = camelcase_to_underscores(action)
            undo.enter_context(mock.patch.object(kind, method, _handler(hsms, action), create=True))
        yield hsms


def _handler(hsms: MockedHsms, action: str) -> Callable[[Any], Any]:
    """The method by which moto handles an action."""

    def handle(response: Any) -> Any:
        model = hsms.provider(response.region, response.current_account)
        try:
            return json.dumps(model.call(action, json.loads(response.body or "{}")))
        except ApiError as error:
            if error.code == "ConnectionLost":
                raise ConnectionClosedError(endpoint_url=response.uri) from error
            body = json.dumps({"__type": error.code, "message": error.message})
            return body, {"status": error.status, "x-amzn-errortype": error.code}

    return handle


def _group_ids(groups: Iterable[Any]) -> set[str]:
    return {group.id for group in groups}


def _names(rule: Any, group_id: str) -> bool:
    """Whether a rule allows traffic from or to this group."""
    return bool(rule.source_group.get("GroupId") == group_id)


def _names_everywhere(rule: Any) -> bool:
    """Whether a rule allows any address, like a new group's egress rule."""
    return bool(rule.cidr_ipv4 == EVERYWHERE)


def _has_ports(rule: Any) -> bool:
    """Whether a rule allows TCP 2223-2225."""
    if rule.ip_protocol == "-1":
        return True
    return bool(
        rule.ip_protocol == "tcp" and rule.from_port <= PORTS[0] and rule.to_port >= PORTS[1]
    )
