"""IAM decisions, checked on the resources that AWS checks and recorded in the decision log.

ministack checks a request on a single resource, often one where AWS has no resource level, and
never checks the roles of state machines, the SSM agent or a function's logs.
"""

from __future__ import annotations

import contextvars
import functools
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from localaws.core.api_error import ApiError
from localaws.ministack import authorization
from localaws.ministack.access import ministack
from localaws.ministack.authorization import Permission
from localaws.ministack.partitions import partition

if TYPE_CHECKING:
    from localaws.state import EmulatorState

# Service-linked roles by the service that assumes them (F4.26, F4.27).
SERVICE_LINKED_ROLES = {
    "cloudhsm.amazonaws.com": "AWSServiceRoleForCloudHSM",
    "cks.kms.amazonaws.com": "AWSServiceRoleForKeyManagementServiceCustomKeyStores",
}

_evaluator = ministack("core.iam_evaluator")
_actions = ministack("core.iam_actions")
_responses = ministack("core.responses")
_iam = ministack("services.iam")

# Of the current request: the caller's access key, the requested action, the permissions to check,
# the one that was denied, and the policies evaluated for it.
_authorized: contextvars.ContextVar[bool] = contextvars.ContextVar("authorized", default=False)
_caller: contextvars.ContextVar[str] = contextvars.ContextVar("caller", default="")
_requested: contextvars.ContextVar[str] = contextvars.ContextVar("requested", default="")
_required: contextvars.ContextVar[list[Permission] | None] = contextvars.ContextVar(
    "required", default=None
)
_denied: contextvars.ContextVar[Permission | None] = contextvars.ContextVar("denied", default=None)
_evaluated: contextvars.ContextVar[list[Any] | None] = contextvars.ContextVar(
    "evaluated", default=None
)


def install(emulator: EmulatorState) -> None:
    """Check every permission that a request requires, and record the decisions."""
    # Without --no-auth or with it, requests are authenticated.
    ministack("app").AUTH = True
    _actions.SERVICE_TO_IAM_NAMESPACE["cloudhsm"] = "cloudhsm"
    for service in ("servicecatalog", "servicequotas"):
        _actions.SERVICE_TO_IAM_NAMESPACE[service] = service
    _actions.extract_resource_arn = _collecting_permissions(_actions.extract_resource_arn)
    _actions.access_denied_response = _naming_permission(_actions.access_denied_response)
    _evaluator.evaluate = _remembering_evaluations(_evaluator.evaluate)
    _evaluator.enforce = _enforcing_all(emulator, _evaluator.enforce)
    _evaluator.parse_policy_document = _caching(_evaluator.parse_policy_document)


def _collecting_permissions(extract: Callable[..., str]) -> Callable[..., str]:
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
        required = authorization.required_permissions(
            action or "", _parameters(headers, body, query), _scope(region, account)
        )
        _required.set(required)
        if required:
            return required[0].resource
        return extract(service, method, path, headers, body, query, region, account)

    return extract_resource_arn


def _remembering_evaluations(evaluate: Callable[..., Any]) -> Callable[..., Any]:
    def evaluate_and_remember(context: Any, policies: Any, *limits: Any) -> Any:
        evaluated = _evaluated.get()
        if evaluated is not None:
            evaluated.append((context, policies))
        return evaluate(context, policies, *limits)

    return evaluate_and_remember


def _enforcing_all(emulator: EmulatorState, enforce: Callable[..., Any]) -> Callable[..., Any]:
    def enforce_all(
        access_key: str,
        action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: Mapping[str, Any] | None = None,
    ) -> Any:
        required = _required.get() or [Permission(action, resource_arn)]
        _required.set(None)
        if not required[0].behind:
            _caller.set(access_key)
            _requested.set(action)
        for permission in required:
            context = dict(service_context or {})
            if permission.action.startswith("cloudhsm:") and not _knows_resources(emulator):
                permission, context = replace(permission, resource="*", context={}), {}
            tags = _resource_tags(emulator, permission.resource)
            decide = functools.partial(
                enforce,
                access_key,
                permission.action,
                permission.action.partition(":")[0],
                region,
                permission.resource,
                {**context, **tags, **permission.context},
            )
            denial = _decide(emulator, permission, decide)
            if denial is not None:
                _denied.set(permission)
                return denial
        return None

    return enforce_all


def _naming_permission(respond: Callable[..., Any]) -> Callable[..., Any]:
    """Name the denied permission, which may differ from the requested action."""

    def access_denied_response(
        service: str, action: str, principal: str, *rest: Any, **named: Any
    ) -> Any:
        denied = _denied.get()
        if denied is not None and not named.get("error_code") and not named.get("message"):
            action = denied.action
            named["resource_arn"] = denied.resource
            named["message"] = _actions.identity_denial_message(
                action, principal, denied.resource, named.get("explicit_deny", False)
            )
        return respond(service, action, principal, *rest, **named)

    return access_denied_response


def _caching(parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Parse each policy document once; all requests are decided by the same few."""
    parsed = functools.cache(parse)

    def parse_once(document: Any) -> Any:
        return parsed(document) if isinstance(document, str) else parse(document)

    return parse_once


def _decide(emulator: EmulatorState, permission: Permission, enforce: Callable[[], Any]) -> Any:
    """Let ministack decide, and record the decision with the statement that allowed it."""
    evaluated: list[Any] = []
    token = _evaluated.set(evaluated)
    try:
        denial = enforce()
    finally:
        _evaluated.reset(token)
    if evaluated:
        # The first evaluation is that of the caller's identity policies.
        context, policies = evaluated[0]
        role = _role_of(context.principal_arn)
        if role:
            emulator.decisions.record(
                role,
                permission.action,
                permission.resource,
                denial is None,
                statement=_only_statement(context, policies),
                behind=permission.behind,
            )
    return denial


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
    """The parameters of a request in the JSON or query protocol."""
    if "x-amz-target" in headers:
        try:
            params = json.loads(body or b"{}")
        except ValueError:
            return {}
        return params if isinstance(params, dict) else {}
    return {
        name: value[0] if isinstance(value, list) and len(value) == 1 else value
        for name, value in query.items()
    }


def _scope(region: str, account: str) -> authorization.Scope:
    def secret_arn(name: str) -> str | None:
        _, secret = ministack("services.secretsmanager")._resolve(name)
        return secret["ARN"] if secret else None

    return authorization.Scope(region, account, secret_arn)


def _knows_resources(emulator: EmulatorState) -> bool:
    """Whether CloudHSM evaluates ARNs and tags (F5.3)."""
    return emulator.assumptions.resource_level_iam != "not-supported"


def _resource_tags(emulator: EmulatorState, arn: str) -> dict[str, str]:
    """Condition keys for the tags of a resource that ministack does not look up."""
    parts = arn.split(":", 5)
    if len(parts) < 6:
        return {}
    service, resource = parts[2], parts[5]
    if service == "cloudhsm":
        if emulator.assumptions.resource_level_iam == "arns-only":
            return {}
        provider = emulator.hsms.get((parts[4], parts[3]))
        tags = provider.tags_of(resource.partition("/")[2]) if provider else {}
        return {f"aws:ResourceTag/{key}": value for key, value in tags.items()}
    if service == "ec2" and resource.startswith(("instance/", "security-group/")):
        listed = ministack("services.ec2")._tags.get(resource.partition("/")[2], [])
        return {f"aws:ResourceTag/{tag['Key']}": tag["Value"] for tag in listed}
    if service == "secretsmanager":
        _, secret = ministack("services.secretsmanager")._resolve(arn)
        tags = {tag["Key"]: tag["Value"] for tag in (secret or {}).get("Tags", [])}
        return {f"secretsmanager:ResourceTag/{key}": value for key, value in tags.items()}
    return {}


# --- Roles that services assume ---


def role_allows(
    emulator: EmulatorState,
    role: str,
    action: str,
    resource: str,
    *,
    behind: str | None = None,
) -> bool:
    """Whether a role (name or ARN) allows an action by its own policies; recorded."""
    if not emulator.auth:
        return True
    name, account = role.rsplit("/", 1)[-1], _responses.get_account_id()
    context = _evaluator.EvalContext(
        principal_arn=f"arn:{partition()}:sts::{account}:assumed-role/{name}/localaws",
        principal_type="AssumedRole",
        principal_account=account,
        action=action,
        resource_arn=resource,
        region=_responses.get_region(),
    )
    policies = _evaluator._gather_role_policies(name, account)
    allowed: bool = _evaluator.evaluate(context, policies).decision == "Allow"
    statement = _only_statement(context, policies)
    emulator.decisions.record(name, action, resource, allowed, statement=statement, behind=behind)
    return allowed


def role_allows_all(
    emulator: EmulatorState, role: str, actions: Iterable[str], resource: str, *, behind: str
) -> bool:
    """Whether a role allows all of these actions; each is decided and recorded."""
    decisions = [role_allows(emulator, role, action, resource, behind=behind) for action in actions]
    return all(decisions)


def role_trusts(role: str, service: str, source: str) -> bool:
    """Whether a service may assume a role on behalf of a resource (its ARN)."""
    record = _iam._roles.get(role.rsplit("/", 1)[-1])
    if record is None:
        return False
    document = record["AssumeRolePolicyDocument"]
    trust = json.loads(document) if isinstance(document, str) else document
    return service_is_allowed(trust, service, "sts:AssumeRole", source)


def service_is_allowed(policy: Mapping[str, Any], service: str, action: str, source: str) -> bool:
    """Whether a resource policy allows a service an action on behalf of a resource (its ARN)."""
    account = _responses.get_account_id()
    context = _evaluator.EvalContext(
        principal_arn=f"arn:{partition()}:iam::{account}:service/{service}",
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
        if {service, *_regional(service)} & {*_services(statement)}
    ]
    parsed = _evaluator.parse_policy_document({"Statement": applicable})
    return bool(_evaluator.evaluate(context, [parsed]).decision == "Allow")


def _regional(service: str) -> list[str]:
    """The other principals of a service: Step Functions also has one in each Region."""
    # https://docs.aws.amazon.com/step-functions/latest/dg/procedure-create-iam-role.html
    if service != "states.amazonaws.com":
        return []
    return [f"states.{_responses.get_region()}.amazonaws.com"]


def _services(statement: Mapping[str, Any]) -> list[str]:
    """The services named as principals."""
    principal = statement.get("Principal")
    named = principal.get("Service", []) if isinstance(principal, dict) else principal
    return [named] if isinstance(named, str) else list(named or [])


class CallerPermissions:
    """What the caller of the current request may do; implements cloudhsmv2.interfaces.Iam."""

    def __init__(self, emulator: EmulatorState) -> None:
        self._emulator = emulator
        self._lock = threading.Lock()

    def authorize(self, action: str, resource: str, context: Mapping[str, Any]) -> None:
        """Raise ApiError with IAM's message unless the caller is allowed an action.

        `context` has condition keys.
        """
        if not self._emulator.auth or _authorized.get():
            return
        with _requiring(Permission(action, resource, context, _requested.get())):
            denial = _evaluator.enforce(
                _caller.get(), action, action.partition(":")[0], _responses.get_region(), resource
            )
        if denial is not None:
            principal = getattr(denial, "principal_arn", "")
            raise ApiError(
                "AccessDeniedException",
                _actions.identity_denial_message(
                    action, principal, resource, getattr(denial, "decision", "") == "Deny"
                ),
            )

    def ensure_service_linked_role(self, service: str) -> None:
        """Create the service's role unless it exists; requires iam:CreateServiceLinkedRole."""
        name, account = SERVICE_LINKED_ROLES[service], _responses.get_account_id()
        arn = f"arn:{partition()}:iam::{account}:role/aws-service-role/{service}/{name}"
        with self._lock:
            if name in _iam._roles:
                return
            self.authorize("iam:CreateServiceLinkedRole", arn, {"iam:AWSServiceName": service})
            _iam._create_service_linked_role({"AWSServiceName": [service]})
            # ministack derives another name from the service.
            created = f"AWSServiceRoleFor{service.split('.')[0].capitalize()}"
            _iam._roles[name] = {**_iam._roles.pop(created), "RoleName": name, "Arn": arn}

    @contextmanager
    def already_authorized(self) -> Iterator[None]:
        """Allow everything inside the block."""
        token = _authorized.set(True)
        try:
            yield
        finally:
            _authorized.reset(token)


@contextmanager
def _requiring(permission: Permission) -> Iterator[None]:
    token = _required.set([permission])
    try:
        yield
    finally:
        _required.reset(token)
