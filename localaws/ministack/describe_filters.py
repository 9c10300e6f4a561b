"""Filters of DescribeSecurityGroups and DescribeNetworkInterfaces.

ministack ignores most filters and so returns everything. We apply those below, leave tags to
ministack and reject all others.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from localaws.ministack.access import ministack
from localaws.ministack.ec2_api import (
    Action,
    Params,
    Record,
    Response,
    reject_unknown_filters,
    reporting_errors,
)
from localaws.ministack.security_groups import RULE_KEYS, peers

# The values of a record that a filter compares.
Values = Callable[[Record], Iterable[str]]

_ec2 = ministack("services.ec2")


def _peers_of(key: str) -> Values:
    return lambda group: itertools.chain.from_iterable(peers(rule) for rule in group.get(key) or [])


@dataclass(frozen=True)
class Listing:
    """A Describe action: its store in ministack, id parameter, result element and filters."""

    store: str
    identifier: str
    element: str
    filters: Mapping[str, Values]


LISTINGS = {
    "DescribeSecurityGroups": Listing(
        "_security_groups",
        "GroupId",
        "securityGroupInfo",
        {
            "group-id": lambda group: [group["GroupId"]],
            "group-name": lambda group: [group["GroupName"]],
            "vpc-id": lambda group: [group["VpcId"]],
            "ip-permission.group-id": _peers_of(RULE_KEYS["Ingress"]),
            "egress.ip-permission.group-id": _peers_of(RULE_KEYS["Egress"]),
        },
    ),
    "DescribeNetworkInterfaces": Listing(
        "_network_interfaces",
        "NetworkInterfaceId",
        "networkInterfaceSet",
        {
            "network-interface-id": lambda interface: [interface["NetworkInterfaceId"]],
            "group-id": lambda interface: [group["GroupId"] for group in interface["Groups"]],
            "subnet-id": lambda interface: [interface["SubnetId"]],
            "vpc-id": lambda interface: [interface["VpcId"]],
            "description": lambda interface: [interface["Description"]],
            "attachment.instance-id": lambda interface: [
                (interface.get("Attachment") or {}).get("InstanceId", "")
            ],
        },
    ),
}


def install() -> None:
    """Apply the filters of LISTINGS."""
    actions = _ec2._ACTION_MAP
    for name, listing in LISTINGS.items():
        actions[name] = _filtering(name, actions[name], listing)


def _filtering(name: str, action: Action, listing: Listing) -> Action:
    def describe(params: Params) -> Response:
        reject_unknown_filters(params, frozenset(listing.filters))
        filters = _ec2._parse_filters(params)
        applied = {each: set(filters[each]) for each in filters if each in listing.filters}
        if not applied:
            return action(params)
        requested = set(_ec2._parse_member_list(params, listing.identifier))
        matching = [
            identifier
            for identifier, record in getattr(_ec2, listing.store).items()
            if (not requested or identifier in requested)
            and all(set(listing.filters[each](record)) & applied[each] for each in applied)
        ]
        if not matching:
            empty: Response = _ec2._xml(200, f"{name}Response", f"<{listing.element}/>")
            return empty
        tags = {each: filters[each] for each in filters if each not in applied}
        return action(_request(params, listing.identifier, matching, tags))

    return reporting_errors(describe)


def _request(
    params: Params, identifier: str, ids: Iterable[str], tags: Mapping[str, Iterable[str]]
) -> Params:
    """The request for ministack: by ids and tags only."""
    request = {
        key: value
        for key, value in params.items()
        if not key.startswith((f"{identifier}.", "Filter."))
    }
    for number, (name, values) in enumerate(tags.items(), 1):
        request[f"Filter.{number}.Name"] = [name]
        for place, value in enumerate(values, 1):
            request[f"Filter.{number}.Value.{place}"] = [value]
    return {**request, **{f"{identifier}.{i}": [each] for i, each in enumerate(ids, 1)}}
