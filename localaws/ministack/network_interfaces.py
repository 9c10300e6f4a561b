"""EC2 network interfaces that instances and CloudHSM attach.

AWS rejects the deletion of an interface in use, which ministack allows.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import random
import threading
from collections.abc import Iterable

from localaws.core.api_error import ApiError
from localaws.core.clock import Clock
from localaws.ministack import security_groups
from localaws.ministack.access import ministack
from localaws.ministack.ec2_api import Params, Record, checked

# AWS reserves the first four addresses of a subnet and the last one.
RESERVED = 4

_ec2 = ministack("services.ec2")
_responses = ministack("core.responses")
_lock = threading.Lock()


def install() -> None:
    """Reject the deletion of an interface in use."""
    actions = _ec2._ACTION_MAP
    actions["DeleteNetworkInterface"] = checked(_check_detached, actions["DeleteNetworkInterface"])


def _check_detached(params: Params) -> None:
    interface = _ec2._network_interfaces.get(_ec2._p(params, "NetworkInterfaceId"))
    if interface and interface["Status"] == "in-use":
        raise ApiError(
            "InvalidParameterValue",
            f"Network interface '{interface['NetworkInterfaceId']}' is currently in use.",
        )


def attach(
    clock: Clock,
    subnet: Record,
    groups: Iterable[str],
    description: str,
    *,
    instance: str | None = None,
) -> Record:
    """Create a network interface attached to an instance, or to AWS itself."""
    now = dt.datetime.fromtimestamp(clock.now(), dt.UTC)
    with _lock:
        identifier = f"eni-{random.getrandbits(68):017x}"  # nosec B311 # an identifier
        record = {
            "NetworkInterfaceId": identifier,
            "SubnetId": subnet["SubnetId"],
            "VpcId": subnet["VpcId"],
            "AvailabilityZone": subnet["AvailabilityZone"],
            "Description": description,
            "OwnerId": _responses.get_account_id(),
            "Status": "in-use",
            "PrivateIpAddress": _free_address(subnet),
            "InterfaceType": "interface",
            "SourceDestCheck": True,
            "MacAddress": "02:00:00:00:00:01",
            "Groups": security_groups.references(groups),
            "Attachment": {
                "AttachmentId": f"eni-attach-{identifier[4:]}",
                "InstanceId": instance or "",
                "DeviceIndex": 0,
                "Status": "attached",
                "AttachTime": f"{now:%Y-%m-%dT%H:%M:%S}.000Z",
            },
        }
        _ec2._network_interfaces[identifier] = record
        return record


def _free_address(subnet: Record) -> str:
    """The lowest free address of the subnet, so that runs are reproducible."""
    network = ipaddress.ip_network(subnet["CidrBlock"])
    taken = {interface.get("PrivateIpAddress") for interface in _ec2._network_interfaces.values()}
    last = network.num_addresses - 1
    for number in range(RESERVED, last):
        if str(network[number]) not in taken:
            return str(network[number])
    raise ApiError(
        "InsufficientFreeAddressesInSubnet",
        f"There are not enough free addresses in subnet '{subnet['SubnetId']}'.",
    )
