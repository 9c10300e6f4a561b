"""What a scenario's roles were allowed to do and did: for the table in docs/permissions.md."""

from __future__ import annotations

import json
import re

from localaws.client import ROOT, LocalAws

RECORDED = ROOT / "build" / "permissions"
# Kind of custom resource, role, statement and action.
Use = tuple[str, str, str, str]
_ROLE = re.compile(r"(.+)-(r[A-Za-z]+Role)-[0-9A-Z]+")


def used(aws: LocalAws) -> list[Use]:
    """Every action that one statement alone allowed a role of a stack."""
    kinds = {
        str(event["stack"]): str(event["type"])
        for event in aws.admin.event_log()
        if event["service"] == "cloudformation" and str(event.get("type")).startswith("Custom::")
    }
    uses = set()
    for decision in aws.admin.decisions():
        role = _ROLE.fullmatch(str(decision["principal"]))
        if role and role[1] in kinds and decision["allowed"] and decision["statement"]:
            uses.add((kinds[role[1]], role[2], decision["statement"], decision["action"]))
    return sorted(uses)


def record(name: str, aws: LocalAws) -> None:
    """Write a run's uses to a file that scripts.record_permissions reads."""
    RECORDED.mkdir(parents=True, exist_ok=True)
    (RECORDED / f"{name}.json").write_text(json.dumps(used(aws), indent=1))
