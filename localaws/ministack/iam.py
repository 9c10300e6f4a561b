"""IAM decisions: on the resources that AWS would check, recorded, and asked for by the model.

Otherwise in ministack: a request is checked on one resource only, often on one where AWS has no
resource level; state machines, the agent and the log of a function are never checked.
"""

from __future__ import annotations

import contextvars
import functools
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from localaws.core.api_error import ApiError
from localaws.ministack import authorization
from localaws.ministack.access import ministack

if TYPE_CHECKING:
    from localaws.state import EmulatorState

# Roles that a service makes for itself, by the service that assumes them (F4.26, F4.27).
SERVICE_LINKED_ROLES = {
    "cloudhsm.amazonaws.com": "AWSServiceRoleForCloudHSM",
    "cks.kms.amazonaws.com": "AWSServiceRoleForKeyManagementServiceCustomKeyStores",
}

_evaluator = ministack("core.iam_evaluator")
_actions = ministack("core.iam_actions")
_responses = ministack("core.responses")
_iam = ministack("services.iam")

# The access key and the action of the request being answered, and what its authorization has to
# look at.
_caller: contextvars.ContextVar[str] = contextvars.ContextVar("caller", default="")
_requested: contextvars.ContextVar[str] = contextvars.ContextVar("requested", default="")
_demands: contextvars.ContextVar[list[authorization.Demand] | None] = contextvars.ContextVar(
    "demands", default=None
)
_refused: contextvars.ContextVar[authorization.Demand | None] = contextvars.ContextVar(
    "refused", default=None
)
_evaluated: contextvars.ContextVar[list[Any] | None] = contextvars.ContextVar(
    "evaluated", default=None
)


def install(emulator: EmulatorState) -> None:
    """Check every demand of a request, and write down what was decided."""
    ministack("app").AUTH = emulator.auth
    _actions.SERVICE_TO_IAM_NAMESPACE["cloudhsm"] = "cloudhsm"
    extract, evaluate, enforce = (
        _actions.extract_resource_arn,
        _evaluator.evaluate,
        _evaluator.enforce,
    )

    def extract_resource_arn(
        service: str,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        query: Mapping[str, Any],
        region: str,
        account: str,
    ) -> str:
        action = _actions.extract_iam_action(service, method, path, headers, body, query)
        found = authorization.demands(
            action or "", _parameters(headers, body, query), _scope(region, account)
        )
        _demands.set(found)
        if found:
            return found[0].resource
        arn: str = extract(service, method, path, headers, body, query, region, account)
        return arn

    def evaluate_and_note(context: Any, policies: Any, *limits: Any) -> Any:
        seen = _evaluated.get()
        if seen is not None:
            seen.append((context, policies))
        return evaluate(context, policies, *limits)

    def enforce_all(
        access_key: str,
        action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: Mapping[str, Any] | None = None,
    ) -> Any:
        found = _demands.get() or [authorization.Demand(action, resource_arn)]
        _demands.set(None)
        if not found[0].behind:
            _caller.set(access_key)
            _requested.set(action)
        for demand in found:
            context = {**(service_context or {}), **_resource_tags(emulator, demand.resource)}
            decide = functools.partial(
                enforce,
                access_key,
                demand.action,
                demand.action.partition(":")[0],
                region,
                demand.resource,
                {**context, **demand.context},
            )
            denied = _decide(emulator, demand, decide)
            if denied is not None:
                _refused.set(demand)
                return denied
        return None

    respond = _actions.access_denied_response

    def respond_naming_the_demand(
        service: str, action: str, principal: str, *rest: Any, **named: Any
    ) -> Any:
        refused = _refused.get()
        if refused is not None and not named.get("error_code") and not named.get("message"):
            action = refused.action
            named["resource_arn"] = refused.resource
            named["message"] = _actions.identity_denial_message(
                action, principal, refused.resource, named.get("explicit_deny", False)
            )
        return respond(service, action, principal, *rest, **named)

    _actions.access_denied_response = respond_naming_the_demand
    _actions.extract_resource_arn = extract_resource_arn
    _evaluator.evaluate = evaluate_and_note
    _evaluator.enforce = enforce_all
    _evaluator.parse_policy_document = _remembering(_evaluator.parse_policy_document)


def _remembering(parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Parse each policy document once; every request is decided by the same few."""
    parsed = functools.cache(parse)

    def parse_once(document: Any) -> Any:
        return parsed(document) if isinstance(document, str) else parse(document)

    return parse_once


def _decide(
    emulator: EmulatorState, demand: authorization.Demand, enforce: Callable[[], Any]
) -> Any:
    """Let ministack decide, and write down who was allowed what, by which statement."""
    seen: list[Any] = []
    token = _evaluated.set(seen)
    try:
        denied = enforce()
    finally:
        _evaluated.reset(token)
    if seen:
        # The first evaluation is that of the caller's own policies.
        context, policies = seen[0]
        role = _role_of(context.principal_arn)
        if role:
            emulator.decisions.record(
                role,
                demand.action,
                demand.resource,
                denied is None,
                statement=_only_statement(context, policies),
                behind=demand.behind,
            )
    return denied


def _only_statement(context: Any, policies: Any) -> str | None:
    """The Sid of the statement that allows this, if exactly one does."""
    allowing = [
        statement.sid
        for policy in policies
        for statement in policy
        if _evaluator.evaluate(context, [[statement]]).decision == "Allow"
    ]
    return allowing[0] or None if len(allowing) == 1 else None


def _role_of(principal: str) -> str | None:
    return principal.split("/")[1] if ":assumed-role/" in principal else None


def _parameters(
    headers: Mapping[str, str], body: bytes, query: Mapping[str, Any]
) -> dict[str, Any]:
    """What a request says, whichever protocol it speaks."""
    if "x-amz-target" in headers:
        try:
            given = json.loads(body or b"{}")
        except ValueError:
            return {}
        return given if isinstance(given, dict) else {}
    return {
        name: value[0] if isinstance(value, list) and len(value) == 1 else value
        for name, value in query.items()
    }


def _scope(region: str, account: str) -> authorization.Scope:
    def secret_arn(name: str) -> str | None:
        _, secret = ministack("services.secretsmanager")._resolve(name)
        return secret["ARN"] if secret else None

    return authorization.Scope(region, account, secret_arn)


def _resource_tags(emulator: EmulatorState, arn: str) -> dict[str, str]:
    """The condition keys for a resource's tags that ministack does not know of."""
    parts = arn.split(":", 5)
    if len(parts) < 6:
        return {}
    service, resource = parts[2], parts[5]
    if service == "cloudhsm":
        region = emulator.hsms.get((parts[4], parts[3]))
        tags = region.tags_of(resource.partition("/")[2]) if region else {}
        return {f"aws:ResourceTag/{key}": value for key, value in tags.items()}
    if service == "ec2" and resource.startswith("instance/"):
        marks = ministack("services.ec2")._tags.get(resource.partition("/")[2], [])
        return {f"aws:ResourceTag/{tag['Key']}": tag["Value"] for tag in marks}
    if service == "secretsmanager":
        _, secret = ministack("services.secretsmanager")._resolve(arn)
        tags = {tag["Key"]: tag["Value"] for tag in (secret or {}).get("Tags", [])}
        return {f"secretsmanager:ResourceTag/{key}": value for key, value in tags.items()}
    return {}


# --- What a service asks of a role ---


def role_allows(
    emulator: EmulatorState,
    role: str,
    action: str,
    resource: str,
    *,
    behind: str | None = None,
) -> bool:
    """Whether a role, given by name or ARN, may do something by its own policies; noted."""
    if not emulator.auth:
        return True
    name, account = role.rsplit("/", 1)[-1], _responses.get_account_id()
    question = _evaluator.EvalContext(
        principal_arn=f"arn:aws:sts::{account}:assumed-role/{name}/rehearsal",
        principal_type="AssumedRole",
        principal_account=account,
        action=action,
        resource_arn=resource,
        region=_responses.get_region(),
    )
    policies = _evaluator._gather_role_policies(name, account)
    allowed: bool = _evaluator.evaluate(question, policies).decision == "Allow"
    statement = _only_statement(question, policies)
    emulator.decisions.record(name, action, resource, allowed, statement=statement, behind=behind)
    return allowed


def role_allows_all(
    emulator: EmulatorState, role: str, actions: Iterable[str], resource: str, *, behind: str
) -> bool:
    """Whether a role may do all of these; every one is asked, so that each is on record."""
    answers = [role_allows(emulator, role, action, resource, behind=behind) for action in actions]
    return all(answers)


def role_trusts(role: str, service: str, source: str) -> bool:
    """Whether a service may assume a role on behalf of a resource (its ARN)."""
    record = _iam._roles.get(role.rsplit("/", 1)[-1])
    if record is None:
        return False
    document = record["AssumeRolePolicyDocument"]
    trust = json.loads(document) if isinstance(document, str) else document
    return service_is_allowed(trust, service, "sts:AssumeRole", source)


def service_is_allowed(policy: Mapping[str, Any], service: str, action: str, source: str) -> bool:
    """Whether a resource's own policy lets a service act on it on behalf of another (its ARN)."""
    account = _responses.get_account_id()
    question = _evaluator.EvalContext(
        principal_arn=f"arn:aws:iam::{account}:service/{service}",
        principal_type="Service",
        principal_account=account,
        action=action,
        resource_arn="*",
        region=_responses.get_region(),
        service_context={"aws:sourceaccount": account, "aws:sourcearn": source},
    )
    statements = policy.get("Statement", [])
    applicable = [
        {**statement, "Resource": "*"}
        for statement in (statements if isinstance(statements, list) else [statements])
        if service in _services(statement)
    ]
    parsed = _evaluator.parse_policy_document({"Statement": applicable})
    return bool(_evaluator.evaluate(question, [parsed]).decision == "Allow")


def _services(statement: Mapping[str, Any]) -> list[str]:
    principal = statement.get("Principal")
    named = principal.get("Service", []) if isinstance(principal, dict) else principal
    return [named] if isinstance(named, str) else list(named or [])


class CallersRights:
    """What the caller of the current request may do besides (the model's port)."""

    def __init__(self, emulator: EmulatorState) -> None:
        self._emulator = emulator
        self._lock = threading.Lock()

    def authorize(self, action: str, resource: str, context: Mapping[str, Any]) -> None:
        """Raise ApiError, in IAM's words, unless the caller may; context is condition keys."""
        if not self._emulator.auth:
            return
        with _demanding(authorization.Demand(action, resource, context, _requested.get())):
            denied = _evaluator.enforce(
                _caller.get(), action, action.partition(":")[0], _responses.get_region(), resource
            )
        if denied is not None:
            principal = getattr(denied, "principal_arn", "")
            raise ApiError(
                "AccessDeniedException",
                _actions.identity_denial_message(
                    action, principal, resource, getattr(denied, "decision", "") == "Deny"
                ),
            )

    def ensure_service_linked_role(self, service: str) -> None:
        """Make the service's role if there is none, which takes iam:CreateServiceLinkedRole."""
        name, account = SERVICE_LINKED_ROLES[service], _responses.get_account_id()
        arn = f"arn:aws:iam::{account}:role/aws-service-role/{service}/{name}"
        with self._lock:
            if name in _iam._roles:
                return
            self.authorize("iam:CreateServiceLinkedRole", arn, {"iam:AWSServiceName": service})
            _iam._create_service_linked_role({"AWSServiceName": [service]})
            made = f"AWSServiceRoleFor{service.split('.')[0].capitalize()}"
            _iam._roles[name] = {**_iam._roles.pop(made), "RoleName": name, "Arn": arn}


@contextmanager
def _demanding(demand: authorization.Demand) -> Iterator[None]:
    token = _demands.set([demand])
    try:
        yield
    finally:
        _demands.reset(token)
