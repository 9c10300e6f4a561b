"""Compare inventories to find resources that a scenario leaves behind or loses."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]

# Service and section of the inventory, kind of resource, and key of its name.
SECTIONS = (
    ("cloudformation", "stacks", "stack", "name"),
    ("cloudhsm", "clusters", "cluster", "ClusterId"),
    ("kms", "key_stores", "key store", "CustomKeyStoreName"),
    ("kms", "keys", "key", "KeyId"),
    ("secretsmanager", None, "secret", None),
    ("logs", None, "log group", None),
    ("iam", "roles", "role", None),
    ("iam", "instance_profiles", "instance profile", None),
    ("ec2", "instances", "instance", "InstanceId"),
    ("ec2", "security_groups", "security group", "GroupId"),
    ("ec2", "network_interfaces", "network interface", "NetworkInterfaceId"),
    ("ssm", "documents", "document", None),
    ("ssm", "parameters", "parameter", None),
    ("lambda", None, "function", None),
    ("states", "machines", "state machine", None),
    ("states", "running", "execution", None),
    ("events", None, "rule", None),
    ("s3", None, "bucket", None),
)
_IDENTITY = re.compile(r"parameter /[^/]+/(cluster-[^/]+)/hsm-identity/.*")
# AWS lists deleted resources for a while.
DELETED = frozenset({"DELETED", "DELETE_COMPLETE", "terminated"})


def resources(inventory: Json) -> frozenset[str]:
    """Kind and name of every existing resource.

    Backups and the parameters about an HSM's identity are listed once per cluster.
    """
    found = {f"backup of {backup['ClusterId']}" for backup in inventory["cloudhsm"]["backups"]}
    for service, section, kind, key in SECTIONS:
        entries: Iterable[Any] = inventory[service]
        if section is not None:
            entries = inventory[service][section]
        found |= {f"{kind} {_name(entry, key)}" for entry in entries if not _is_deleted(entry)}
    return frozenset(_IDENTITY.sub(r"HSM identity of \1", name) for name in found)


def differences(found: Iterable[str], expected: Iterable[str]) -> list[str]:
    """Expected resources that are missing, then resources that should have been deleted."""
    return [
        *(f"{name} is missing" for name in sorted({*expected} - {*found})),
        *(f"{name} was not deleted" for name in sorted({*found} - {*expected})),
    ]


def _name(entry: Any, key: str | None) -> str:
    return str(entry if key is None or isinstance(entry, str) else entry[key])


def _is_deleted(entry: Any) -> bool:
    if not isinstance(entry, dict):
        return False
    return bool(DELETED & {str(entry.get(key)) for key in ("status", "State", "Status")})
