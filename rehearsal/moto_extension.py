"""The same CloudHSM and key store model behind moto's mocked APIs, for unit tests.

    with mock_aws(), extended_moto(clock) as hsms:
        boto3.client("cloudhsmv2").create_cluster(...)
        clock.advance(193)
        hsms.region().degrade_hsm(...)

The network around it is moto's EC2, the log groups are in moto's Logs; the caller may do anything
but what is in `hsms.denied`. moto is touched in one place: methods are set on the classes that
answer for CloudHSM v2 and KMS, which look the method of an action up by its name.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest import mock

import boto3
from botocore.exceptions import ClientError, ConnectionClosedError
from moto.cloudhsmv2.responses import CloudHSMV2Response
from moto.core.utils import camelcase_to_underscores
from moto.kms.responses import KmsResponse

from rehearsal.api import ApiError
from rehearsal.faults import Faults
from rehearsal.hsm import CLOUDHSM_ACTIONS, KEY_STORE_ACTIONS, Region
from rehearsal.hsm.ports import Subnet
from rehearsal.timeline import TellsTime, Timeline

ACCOUNT = "123456789012"
PORTS = (2223, 2225)
# Subnets keep their first addresses for AWS; the last one is for broadcast.
FIRST_ADDRESS = 10


class MockedHsms:
    """The models behind the mocked APIs: one per account and Region, made when first asked for."""

    def __init__(self, clock: TellsTime, **arguments: Any) -> None:
        self.faults: Faults = arguments.pop("faults", None) or Faults()
        self.timeline: Timeline = arguments.pop("timeline", None) or Timeline(clock)
        # Actions that the caller may not do, such as "ec2:CreateNetworkInterface".
        self.denied: set[str] = set()
        # Services whose service-linked role there is.
        self.service_linked_roles: set[str] = set()
        self._clock = clock
        self._arguments = arguments
        self._regions: dict[tuple[str, str], Region] = {}

    def region(self, name: str = "us-east-1", account: str = ACCOUNT) -> Region:
        """The model of one account in one Region."""
        if (account, name) not in self._regions:
            self._regions[account, name] = Region(
                self._clock,
                MotoEc2(name),
                _Caller(self),
                MotoLogs(name),
                region=name,
                account=account,
                faults=self.faults,
                timeline=self.timeline,
                **self._arguments,
            )
        return self._regions[account, name]


class _Caller:
    """moto asks nobody for permission; this refuses what a test says is denied."""

    def __init__(self, hsms: MockedHsms) -> None:
        self._hsms = hsms

    def demand(self, action: str, resource: str, context: Mapping[str, Any]) -> None:
        if action in self._hsms.denied:
            raise ApiError(
                "AccessDenied", f"User is not authorized to perform: {action} on {resource}"
            )

    def ensure_service_linked_role(self, service: str) -> None:
        if service not in self._hsms.service_linked_roles:
            self.demand("iam:CreateServiceLinkedRole", "*", {"iam:AWSServiceName": service})
            self._hsms.service_linked_roles.add(service)


class MotoEc2:
    """The model's network in moto's EC2."""

    def __init__(self, region: str) -> None:
        self._ec2 = boto3.client("ec2", region_name=region)
        self._given: dict[str, int] = {}

    def subnet(self, subnet_id: str) -> Subnet | None:
        try:
            found: Subnet = self._ec2.describe_subnets(SubnetIds=[subnet_id])["Subnets"][0]
        except ClientError:
            return None
        return found

    def create_security_group(self, name: str, description: str, vpc_id: str) -> str:
        group_id: str = self._ec2.create_security_group(
            GroupName=name, Description=description, VpcId=vpc_id
        )["GroupId"]
        everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
        self._ec2.revoke_security_group_egress(GroupId=group_id, IpPermissions=[everything])
        itself = {
            "IpProtocol": "tcp",
            "FromPort": PORTS[0],
            "ToPort": PORTS[1],
            "UserIdGroupPairs": [{"GroupId": group_id}],
        }
        self._ec2.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[itself])
        self._ec2.authorize_security_group_egress(GroupId=group_id, IpPermissions=[itself])
        return group_id

    def delete_security_group(self, group_id: str) -> None:
        groups = {group["GroupId"]: group for group in self._groups()}
        if groups.pop(group_id, None) is None:
            return
        referring = [one for one, group in groups.items() if group_id in _referred_to(group)]
        carrying = self._ec2.describe_network_interfaces(
            Filters=[{"Name": "group-id", "Values": [group_id]}]
        )["NetworkInterfaces"]
        if referring or carrying:
            raise ApiError("DependencyViolation", f"{group_id} has a dependent object")
        self._ec2.delete_security_group(GroupId=group_id)

    def create_eni(
        self, subnet_id: str, group_id: str, description: str, ip: str | None = None
    ) -> tuple[str, str]:
        taken = {
            interface["PrivateIpAddress"]
            for interface in self._ec2.describe_network_interfaces(
                Filters=[{"Name": "subnet-id", "Values": [subnet_id]}]
            )["NetworkInterfaces"]
        }
        if ip in taken:
            raise ApiError("InvalidIPAddress.InUse", f"Address {ip} is in use.")
        interface = self._ec2.create_network_interface(
            SubnetId=subnet_id,
            Groups=[group_id],
            Description=description,
            PrivateIpAddress=ip or self._next_address(subnet_id, taken),
        )["NetworkInterface"]
        return interface["NetworkInterfaceId"], interface["PrivateIpAddress"]

    def delete_eni(self, eni_id: str) -> None:
        with contextlib.suppress(ClientError):
            self._ec2.delete_network_interface(NetworkInterfaceId=eni_id)

    def cluster_group_intact(self, group_id: str) -> bool:
        return any(
            all(
                any(_admits(rule, group_id) for rule in group[direction])
                for direction in ("IpPermissions", "IpPermissionsEgress")
            )
            for group in self._groups(group_id)
        )

    def client_may_reach(self, instance_id: str, group_id: str) -> bool:
        try:
            reservations = self._ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
        except ClientError:
            return False
        own = [group["GroupId"] for group in reservations[0]["Instances"][0]["SecurityGroups"]]
        out = [rule for group in self._groups(*own) for rule in group["IpPermissionsEgress"]]
        into = [rule for group in self._groups(group_id) for rule in group["IpPermissions"]]
        return any(_admits(rule, group_id) or _admits_all(rule) for rule in out) and any(
            _admits(rule, source) for rule in into for source in own
        )

    def _groups(self, *group_ids: str) -> list[Any]:
        """Those of the groups that exist; all of them if none is named."""
        found = self._ec2.describe_security_groups()["SecurityGroups"]
        return [group for group in found if not group_ids or group["GroupId"] in group_ids]

    def _next_address(self, subnet_id: str, taken: set[str]) -> str:
        """The next address: as in AWS, one that was given up is not the next to be given out."""
        subnet = self.subnet(subnet_id)
        network = ipaddress.ip_network(subnet["CidrBlock"] if subnet else "0.0.0.0/32")
        for offset in range(
            self._given.get(subnet_id, FIRST_ADDRESS - 1) + 1, network.num_addresses - 1
        ):
            if str(network[offset]) not in taken:
                self._given[subnet_id] = offset
                return str(network[offset])
        raise ApiError("InsufficientFreeAddressesInSubnet", f"{subnet_id} has no free address.")


class MotoLogs:
    """The model's log groups in moto's Logs."""

    def __init__(self, region: str) -> None:
        self._logs = boto3.client("logs", region_name=region)

    def ensure_log_group(self, name: str) -> None:
        with contextlib.suppress(self._logs.exceptions.ResourceAlreadyExistsException):
            self._logs.create_log_group(logGroupName=name)


@contextlib.contextmanager
def extended_moto(clock: TellsTime, **arguments: Any) -> Iterator[MockedHsms]:
    """Have moto answer for CloudHSM and key stores with the model; arguments are `Region`'s."""
    hsms = MockedHsms(clock, **arguments)
    answers = [(CloudHSMV2Response, action) for action in CLOUDHSM_ACTIONS]
    answers += [(KmsResponse, action) for action in KEY_STORE_ACTIONS]
    with contextlib.ExitStack() as undo:
        for kind, action in answers:
            method = camelcase_to_underscores(action)
            undo.enter_context(mock.patch.object(kind, method, _answer(hsms, action), create=True))
        yield hsms


def _answer(hsms: MockedHsms, action: str) -> Callable[[Any], Any]:
    """The method by which moto answers an action."""

    def answer(response: Any) -> Any:
        model = hsms.region(response.region, response.current_account)
        try:
            return json.dumps(model.call(action, json.loads(response.body or "{}")))
        except ApiError as refusal:
            if refusal.code == "ConnectionLost":
                raise ConnectionClosedError(endpoint_url=response.uri) from refusal
            body = json.dumps({"__type": refusal.code, "message": refusal.message})
            return body, {"status": refusal.status, "x-amzn-errortype": refusal.code}

    return answer


def _referred_to(group: Mapping[str, Any]) -> set[str]:
    return {
        pair["GroupId"]
        for rule in (*group["IpPermissions"], *group["IpPermissionsEgress"])
        for pair in rule["UserIdGroupPairs"]
    }


def _admits(rule: Mapping[str, Any], group_id: str) -> bool:
    """Whether a rule lets TCP 2223-2225 pass from or to a group."""
    return _has_ports(rule) and any(
        pair["GroupId"] == group_id for pair in rule["UserIdGroupPairs"]
    )


def _admits_all(rule: Mapping[str, Any]) -> bool:
    """Whether a rule lets TCP 2223-2225 pass from or to anywhere, as a new group's egress does."""
    return _has_ports(rule) and any(block["CidrIp"] == "0.0.0.0/0" for block in rule["IpRanges"])


def _has_ports(rule: Mapping[str, Any]) -> bool:
    if rule["IpProtocol"] == "-1":
        return True
    return bool(
        rule["IpProtocol"] == "tcp" and rule["FromPort"] <= PORTS[0] and rule["ToPort"] >= PORTS[1]
    )
