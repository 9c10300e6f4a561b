"""What IAM's policy simulator says that a principal may do.

It knows identity policies and the permissions boundary, but neither session policies nor resource
policies: https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from scripts.preflight.account import Account, Json


@dataclass(frozen=True)
class Denial:
    """An action that is not allowed on a resource; perhaps only for want of condition keys."""

    action: str
    resource: str
    is_explicit: bool
    unknown_keys: tuple[str, ...]


def denials(
    account: Account,
    principal: str,
    actions: Sequence[str],
    resource: str,
    context: Mapping[str, str],
) -> Iterator[Denial]:
    """The actions that the principal may not perform on one resource."""
    entries = [
        {"ContextKeyName": key, "ContextKeyType": "string", "ContextKeyValues": [value]}
        for key, value in context.items()
    ]
    for result in account.pages(
        "iam",
        "simulate_principal_policy",
        "EvaluationResults",
        PolicySourceArn=principal,
        ActionNames=list(actions),
        ResourceArns=[resource],
        ContextEntries=entries,
    ):
        decision = _decision(result)
        if decision != "allowed":
            yield Denial(
                result["EvalActionName"],
                resource,
                decision == "explicitDeny",
                tuple(sorted(_unknown_keys(result))),
            )


def _decision(result: Json) -> str:
    organization = result.get("OrganizationsDecisionDetail") or {}
    if organization.get("AllowedByOrganizations") is False:
        return "explicitDeny"
    return str(result["EvalDecision"])


def _unknown_keys(result: Json) -> set[str]:
    """Keys for specific resources are listed with these only."""
    keys = set(result.get("MissingContextValues") or [])
    for each in result.get("ResourceSpecificResults") or []:
        keys.update(each.get("MissingContextValues") or [])
    return keys
