"""What an inventory holds, by name, so that it can be compared with an earlier one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]

# Where the inventory holds what, what a person calls it, and the key of its name.
HELD = (
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
# AWS goes on showing for a while what is gone.
GONE = frozenset({"DELETED", "DELETE_COMPLETE", "terminated"})


def things(inventory: Json) -> frozenset[str]:
    """Everything that exists, each as kind and name; backups count as those of their cluster."""
    found = {f"backup of {backup['ClusterId']}" for backup in inventory["cloudhsm"]["backups"]}
    for service, part, word, key in HELD:
        entries: Iterable[Any] = inventory[service] if part is None else inventory[service][part]
        found |= {f"{word} {_name(entry, key)}" for entry in entries if not _is_gone(entry)}
    return frozenset(found)


def _name(entry: Any, key: str | None) -> str:
    return str(entry if key is None or isinstance(entry, str) else entry[key])


def _is_gone(entry: Any) -> bool:
    if not isinstance(entry, dict):
        return False
    return bool(GONE & {str(entry.get(key)) for key in ("status", "State", "Status")})
