"""SimulatePrincipalPolicy, by the policies and the boundary of a user or role.

ministack ignores condition keys that are missing, boundaries, and all resources but the first.
https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from xml.sax.saxutils import escape  # nosec B406 # only writes

from localaws.core.api_error import ApiError
from localaws.ministack import offered
from localaws.ministack.access import ministack

Params = Mapping[str, Any]
Response = tuple[int, dict[str, str], bytes]
Policies = list[list[Any]]
_DECISIONS = {"Allow": "allowed", "Deny": "explicitDeny"}
_OFFERED = ("PolicySourceArn", "ActionNames", "ResourceArns", "ContextEntries", "MaxItems")

_iam = ministack("services.iam")
_evaluator = ministack("core.iam_evaluator")
_responses = ministack("core.responses")


def install() -> None:
    """Replace SimulatePrincipalPolicy, and refuse SimulateCustomPolicy."""
    actions = _iam._IAM_HANDLERS
    actions["SimulatePrincipalPolicy"] = _reporting_errors(_simulate)
    actions["SimulateCustomPolicy"] = _reporting_errors(_refuse)


def _reporting_errors(action: Callable[[Params], Response]) -> Callable[[Params], Response]:
    def handle(params: Params) -> Response:
        try:
            return action(params)
        except ApiError as error:
            response: Response = _iam._error(error.status, error.code, error.message, ns="iam")
            return response

    return handle


def _refuse(params: Params) -> Response:
    raise offered.not_offered("iam:SimulateCustomPolicy")


def _simulate(params: Params) -> Response:
    for name in params:
        if name.partition(".")[0] not in (*_OFFERED, "Action", "Version"):
            raise offered.not_offered(f"the parameter {name} of iam:SimulatePrincipalPolicy")
    resources = list(_members(params, "ResourceArns.member.{}"))
    if len(resources) > 1:
        raise offered.not_offered("several ResourceArns of iam:SimulatePrincipalPolicy")
    arn = _iam._p(params, "PolicySourceArn")
    policies, limits = _policies_of(arn)
    results = "".join(
        _result(arn, action, (resources or ["*"])[0], policies, limits, _context(params))
        for action in _members(params, "ActionNames.member.{}")
    )
    response: Response = _iam._xml(
        200,
        "SimulatePrincipalPolicyResponse",
        f"<SimulatePrincipalPolicyResult><EvaluationResults>{results}</EvaluationResults>"
        "<IsTruncated>false</IsTruncated></SimulatePrincipalPolicyResult>",
        ns="iam",
    )
    return response


def _members(params: Params, form: str) -> Iterator[str]:
    number = 1
    while value := _iam._p(params, form.format(number)):
        yield value
        number += 1


def _context(params: Params) -> dict[str, Any]:
    """The condition keys of the request, in lower case."""
    context: dict[str, Any] = {}
    for number, name in enumerate(_members(params, "ContextEntries.member.{}.ContextKeyName"), 1):
        form = f"ContextEntries.member.{number}.ContextKeyValues.member.{{}}"
        values = list(_members(params, form))
        context[name.lower()] = values[0] if len(values) == 1 else values
    return context


def _policies_of(arn: str) -> tuple[Policies, list[Policies]]:
    """The identity policies and the boundary of a principal: neither root nor a session."""
    account = _responses.get_account_id()
    kind, _, name = arn.rpartition(":")[2].partition("/")
    name = name.rpartition("/")[2]
    stores = {"user": _iam._users, "role": _iam._roles}
    if ":iam::" not in arn or kind not in stores:
        raise ApiError("InvalidInput", f"Invalid Entity Arn: {arn} does not clearly define entity.")
    if stores[kind].get(name) is None:
        raise ApiError("NoSuchEntity", f"The {kind} with name {name} cannot be found.", 404)
    gather = {"user": _evaluator._gather_user_policies, "role": _evaluator._gather_role_policies}
    limits: list[Policies] = _evaluator._permissions_boundary(stores[kind], name, account)
    return gather[kind](name, account), limits


def _result(
    principal: str,
    action: str,
    resource: str,
    policies: Policies,
    limits: list[Policies],
    given: Mapping[str, Any],
) -> str:
    context = _evaluator.EvalContext(
        principal_arn=principal,
        principal_type="User" if ":user/" in principal else "AssumedRole",
        principal_account=_responses.get_account_id(),
        action=action,
        resource_arn=resource,
        # Only of the request: what it lacks is missing, not taken from the simulating request.
        region=given.get("aws:requestedregion"),
        source_ip=given.get("aws:sourceip"),
        secure_transport=given.get("aws:securetransport"),
        service_context={"aws:tagkeys": None, **given},
    )
    decided = _evaluator.evaluate(context, policies, *limits).decision
    decision = _DECISIONS.get(decided, "implicitDeny")
    absent = "".join(
        f"<member>{escape(key)}</member>"
        for key in sorted(_missing(context, [policies, *limits], given))
    )
    missing = f"<MissingContextValues>{absent}</MissingContextValues>"
    # "If you include a list of resources, then any missing context values are instead included
    # under the ResourceSpecificResults section."
    specific = (
        f"<ResourceSpecificResults><member><EvalResourceName>{escape(resource)}</EvalResourceName>"
        f"<EvalResourceDecision>{decision}</EvalResourceDecision>{missing}"
        "</member></ResourceSpecificResults>"
    )
    return (
        f"<member><EvalActionName>{escape(action)}</EvalActionName>"
        f"<EvalResourceName>{escape(resource)}</EvalResourceName>"
        f"<EvalDecision>{decision}</EvalDecision><MatchedStatements/>"
        f"{missing if resource == '*' else specific}</member>"
    )


def _missing(context: Any, layers: Iterable[Policies], given: Mapping[str, Any]) -> Iterator[str]:
    """The condition keys that the policies name and the request does not."""
    known = {"aws:principalarn", "aws:principalaccount", "aws:principaltype", *given}
    names = {
        key
        for policies in layers
        for statements in policies
        for statement in statements
        for keys in statement.conditions.values()
        for key in keys
    }
    return (key for key in names if key.lower() not in known)
