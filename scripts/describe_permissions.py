"""Describes the permissions of the templates' IAM roles in Markdown: granted, restricted, used."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.markdown import cell, table
from scripts.templates import Template

# Parts of ARNs with wildcards, and the reason for each.
WILDCARDS = {
    r"execution:.*:\*": "any execution of a state machine of the stack: their names are hashes",
    r"(secret:|parameter).*/cluster-\*/.*": "the cluster's ID is not known yet",
    r"secret:.*-\?{6}": "Secrets Manager adds six characters to the name",
    r"cluster/\*": "the cluster's ID is not known when the role is created",
    r"instance/\*": "the client may have been replaced, or belongs to another stack",
    r"instance-profile/\*": "the client's instance profile is known only from the instance",
    r"key/\*": "the key of the client's volumes is not known; EC2 alone may use the grant",
    r"(network-interface|security-group)/\*": "CloudHSM creates it, with the caller's permissions",
    r"(subnet|vpc)/\*": "CloudHSM creates them there, with the caller's permissions",
    r"role/aws-service-role/[a-z.]+/\*": "the service names its service-linked role",
}
_STAR = re.compile(r"(?:Resource:|-) '\*' # (.+)$")
_PREFIX = re.compile(
    r"arn:\$\{AWS::Partition\}:[a-z0-9-]+:(?:\$\{AWS::Region\})?:\$\{AWS::AccountId\}:"
)
# Resources shown for a statement.
SHOWN = 3


def permissions(
    templates: dict[str, Template], sources: Mapping[str, str], uses: Mapping[str, Sequence[str]]
) -> str:
    """A row for each statement of each role of all templates."""
    return table(
        ("Role", "Statement", "Actions, and what used them", "Resources", "Condition", "Wildcards"),
        (
            (
                f"{Path(name).stem}: {role}",
                statement["Sid"],
                _actions(f"{Path(name).stem} {role} {statement['Sid']}", statement, uses),
                _resources(statement),
                _conditions(statement),
                _reasons(statement, stars(sources.get(name, "")).get((role, statement["Sid"]))),
            )
            for name, template in templates.items()
            for role, statement in statements(template)
        ),
    )


def statements(template: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each statement of each role's inline policies, with the role's logical ID."""
    for logical_id, resource in template["Resources"].items():
        if resource["Type"] == "AWS::IAM::Role":
            for policy in resource["Properties"].get("Policies", []):
                for statement in policy["PolicyDocument"]["Statement"]:
                    yield from ((logical_id, branch) for branch in _branches(statement))


def _branches(statement: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A conditional statement is {"Fn::If": [condition, statement or NoValue, ...]}."""
    for branch in statement.get("Fn::If", [None, statement])[1:]:
        if "Fn::If" in branch:
            yield from _branches(branch)
        elif branch != {"Ref": "AWS::NoValue"}:
            yield branch


def stars(source: str) -> dict[tuple[str, str], str]:
    """The comment beside a resource that is "*", by role and statement."""
    found, role, sid = {}, "", ""
    for line in source.splitlines():
        if resource := re.fullmatch(r"  (\w+):", line):
            role = resource[1]
        elif statement := re.search(r"- Sid: (\w+)", line):
            sid = statement[1]
        elif comment := _STAR.search(line):
            found[role, sid] = comment[1]
    return found


def unexplained(statement: dict[str, Any], star: str | None) -> list[str]:
    """The wildcards of a statement without a reason."""
    return [
        resource
        for resource in _texts(statement["Resource"])
        if set("*?") & set(resource) and not _reason(resource, star)
    ]


def _reasons(statement: dict[str, Any], star: str | None) -> str:
    reasons = [
        _reason(resource, star)
        for resource in _texts(statement["Resource"])
        if set("*?") & set(resource)
    ]
    return "; ".join(cell(reason) for reason in dict.fromkeys(reasons))


def _reason(resource: str, star: str | None) -> str:
    if resource == "*":
        return star or ""
    return next((why for part, why in WILDCARDS.items() if re.fullmatch(part, resource)), "")


def _actions(grant: str, statement: dict[str, Any], uses: Mapping[str, Sequence[str]]) -> str:
    actions = statement["Action"]
    by_runs: dict[str, list[str]] = {}
    for action in [actions] if isinstance(actions, str) else actions:
        by_runs.setdefault(_runs(uses.get(f"{grant} {action}", ())), []).append(f"`{action}`")
    return "; ".join(
        f"{', '.join(named)}{f': {runs}' if runs else ''}" for runs, named in by_runs.items()
    )


def _runs(names: Sequence[str]) -> str:
    return ", ".join(f"{name} more" if name.isdigit() else name for name in names)


def _resources(statement: dict[str, Any]) -> str:
    texts = list(_texts(statement["Resource"]))
    shown = [f"`{text}`" for text in texts[:SHOWN]]
    return ", ".join(shown) + (f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else "")


def _texts(resource: Any) -> Iterable[str]:
    """The ARNs of a statement, without the parts that all have; names of resources."""
    match resource:
        case list():
            for each in resource:
                yield from _texts(each)
        case {"Fn::If": [_, *branches]}:
            yield from _texts(branches)
        case {"Ref": "AWS::NoValue"}:
            pass
        case {"Ref": name} | {"Fn::GetAtt": [name, *_]}:
            yield name
        case {"Fn::Sub": [text, _]} | {"Fn::Sub": text}:
            yield _PREFIX.sub("", text).replace("${pSystem}-${pEnvPurpose}", "…")
        case _:
            yield str(resource)


def _conditions(statement: dict[str, Any]) -> str:
    """Operators and keys; of a conditional condition those of both branches."""
    given = statement.get("Condition", {})
    branches = given["Fn::If"][1:] if "Fn::If" in given else [given]
    found = [
        f"{operator} `{key}`"
        for condition in branches
        for operator, keys in condition.items()
        for key in keys
    ]
    return ", ".join(dict.fromkeys(found)) + (
        " (by pCloudHsmIamScope)" if len(branches) > 1 else ""
    )
