"""Inventories of the local AWS, as GET /inventory returns them."""

from __future__ import annotations

from typing import Any


def inventory(**services: Any) -> dict[str, Any]:
    """An inventory that is empty except for these services."""
    return {
        "cloudformation": {"stacks": []},
        "cloudhsm": {"clusters": [], "backups": []},
        "kms": {"key_stores": [], "keys": []},
        "secretsmanager": [],
        "logs": [],
        "iam": {"roles": [], "instance_profiles": []},
        "ec2": {"instances": [], "security_groups": [], "network_interfaces": []},
        "ssm": {"documents": [], "parameters": []},
        "lambda": [],
        "states": {"machines": [], "running": []},
        "events": [],
        "s3": [],
        **services,
    }
