"""What exists, without the names that differ from run to run: for comparison with other runs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from localaws.client import LocalAws
from rehearsal.checks import leak_check
from rehearsal.drivers.stack import RETAINED_WITH_BACKUPS
from rehearsal.events import Event

Snapshot = Mapping[str, int]

# Created by services with their first resource and never deleted by them.
_SERVICE_ROLES = "role AWSServiceRoleFor"
_CLUSTER = re.compile(r"cluster-[0-9a-z]{8,}")
_ID = re.compile(r"\b(cluster|hsm|i|sg|eni|cks|key)-[0-9a-z]{8,}")
_SUFFIX = re.compile(r"-[0-9A-Z]{10,}$")
_KEY_STORE = re.compile(r"^key store .*")
_KEY = re.compile(r"^key [0-9a-f]{8}-[0-9a-f-]{27}$")


class Remains:
    """What the deleted clusters of a local AWS may leave, learned from its event log."""

    def __init__(self) -> None:
        self._were_active: set[str] = set()

    def learn(self, events: Iterable[Event]) -> None:
        """Take note of clusters that became ACTIVE."""
        self._were_active |= {
            str(event["subject"])
            for event in events
            if event["event"] == "ACTIVE" and _CLUSTER.fullmatch(str(event["subject"]))
        }

    def of(self, cluster_id: str) -> set[str]:
        """The names of resources that outlive this cluster."""
        names = (
            RETAINED_WITH_BACKUPS
            if cluster_id in self._were_active
            else ("log group /aws/cloudhsm/{cluster}",)
        )
        return {name.format(cluster=cluster_id) for name in names}


def snapshot(aws: LocalAws, remains: Remains) -> Snapshot:
    """The resources that exist, HSMs and rules, each with its number."""
    inventory = aws.admin.inventory()
    clusters = [each for each in inventory["cloudhsm"]["clusters"] if each["State"] != "DELETED"]
    alive = {str(each["ClusterId"]) for each in clusters}
    found = [
        name
        for name in leak_check.resources(inventory)
        if not name.startswith(_SERVICE_ROLES) and not _may_exist(name, alive, remains)
    ]
    found += [
        f"HSM {hsm['State']}"
        for cluster in clusters
        for hsm in cluster["Hsms"]
        if hsm["State"] != "DELETED"
    ]
    found += [f"key store {store['ConnectionState']}" for store in inventory["kms"]["key_stores"]]
    found += [f"client {each['State']}" for each in inventory["ec2"]["instances"]]
    found += ["rule"] * _rules(aws)
    return dict(sorted(Counter(map(_normalized, found)).items()))


def _may_exist(name: str, alive: set[str], remains: Remains) -> bool:
    cluster = _CLUSTER.search(name)
    if cluster and cluster[0] in alive:
        # AWS takes backups each day and with each change of the HSMs (F1.39).
        return name.startswith("backup of ")
    return bool(cluster and name in remains.of(cluster[0]))


def _rules(aws: LocalAws) -> int:
    groups = aws.client("ec2").describe_security_groups()["SecurityGroups"]
    return sum(
        len(rule["UserIdGroupPairs"])
        for group in groups
        for rule in (*group["IpPermissions"], *group["IpPermissionsEgress"])
    )


def _normalized(name: str) -> str:
    if name.startswith(("key store CONN", "key store DISC", "key store FAIL")):
        return name
    return _KEY.sub("key", _KEY_STORE.sub("key store", _SUFFIX.sub("-*", _ID.sub(r"\1-*", name))))


def differences(found: Snapshot, expected: Snapshot) -> list[str]:
    """What there is too much or too little of, one line each."""
    return [
        f"{name}: {found.get(name, 0)} instead of {expected.get(name, 0)}"
        for name in sorted({*found, *expected})
        if found.get(name, 0) != expected.get(name, 0)
    ]
