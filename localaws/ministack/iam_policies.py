"""Limits of IAM roles and policies, and which managed policies exist.

ministack takes policies of any size and managed policies of any ARN, and leaves out the permissions
boundary of a role that a stack creates. Limits:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from localaws.core.api_error import ApiError
from localaws.ministack import policy_grammar
from localaws.ministack.access import ministack
from localaws.ministack.partitions import partition
from localaws.ministack.resource_handlers import Created, Handlers, Props, handler_error

Record = dict[str, Any]
Response = tuple[int, dict[str, str], bytes]

# Characters without white space; of all inline policies of a role together.
MAX_INLINE = 10240
# Default of the adjustable quota.
MAX_TRUST = 2048
MAX_MANAGED_POLICY = 6144
# Managed policies of a role; default of the adjustable quota.
MAX_ATTACHED = 10

# AWS's managed policies that have been looked up.
_loaded: set[str] = set()

_iam = ministack("services.iam")
_evaluator = ministack("core.iam_evaluator")
_provisioners = ministack("services.cloudformation.provisioners")


def install() -> None:
    """Check roles and policies that stacks or requests create or change."""
    types: dict[str, Handlers] = _provisioners._RESOURCE_HANDLERS
    types["AWS::IAM::Role"].update(_role(types["AWS::IAM::Role"]))
    types["AWS::IAM::Policy"].update(_checked(types["AWS::IAM::Policy"], _check_inline_policy))
    types["AWS::IAM::ManagedPolicy"].update(
        _checked(types["AWS::IAM::ManagedPolicy"], _check_managed_policy)
    )
    actions = _iam._IAM_HANDLERS
    for action, check in (
        ("AttachRolePolicy", _check_attach),
        ("CreatePolicy", _check_create_policy),
        ("CreateRole", _check_create_role),
        ("PutRolePermissionsBoundary", _check_boundary),
        ("PutRolePolicy", _check_put),
        ("UpdateAssumeRolePolicy", _check_trust),
    ):
        actions[action] = _checking(action, check, actions[action])


# --- Limits ---


def size(document: Any) -> int:
    """The characters of a policy document as IAM counts them."""
    text = document if isinstance(document, str) else json.dumps(document)
    return len("".join(text.split()))


def check_document(document: Any) -> None:
    """Raise ApiError unless this is an identity policy."""
    problem = _evaluator.validate_policy_document(document)
    if problem:
        raise ApiError("MalformedPolicyDocument", problem)
    policy_grammar.check_identity(document)


def check_inline(role: str, policies: Mapping[str, Any]) -> None:
    """Raise ApiError unless a role may have these inline policies."""
    for document in policies.values():
        check_document(document)
    if sum(map(size, policies.values())) > MAX_INLINE:
        raise ApiError(
            "LimitExceeded",
            f"Maximum policy size of {MAX_INLINE} bytes exceeded for role {role}",
            409,
        )


def check_trust(document: Any) -> None:
    """Raise ApiError unless this is a trust policy of a permitted size."""
    if isinstance(document, str):
        try:
            json.loads(document)
        except ValueError:
            raise ApiError("MalformedPolicyDocument", "This policy contains invalid Json") from None
    if size(document) > MAX_TRUST:
        raise ApiError("LimitExceeded", f"Cannot exceed quota for ACLSizePerRole: {MAX_TRUST}", 409)
    policy_grammar.check_trust(document, (*_iam._roles, *_iam._users))


def check_attached(arns: Iterable[str]) -> None:
    """Raise ApiError unless managed policies exist and a role may have that many."""
    attached = list(arns)
    for arn in attached:
        _check_exists(arn)
    if len(attached) > MAX_ATTACHED:
        raise ApiError(
            "LimitExceeded", f"Cannot exceed quota for PoliciesPerRole: {MAX_ATTACHED}", 409
        )


def _check_exists(arn: str) -> None:
    prefix = f"arn:{partition()}:iam::aws:policy/"
    if arn.startswith(prefix) and arn not in _loaded:
        record = _managed_policy(arn, arn.removeprefix(prefix))
        if record:
            # ministack has some of them, with permissions of its own.
            _iam._aws_managed_policies[arn] = record
            _loaded.add(arn)
    if arn not in _loaded and arn not in _iam._policies:
        raise ApiError("NoSuchEntity", f"Policy {arn} does not exist or is not attachable.", 404)


def _managed_policy(arn: str, name: str) -> Record | None:
    """The record of one of AWS's managed policies, from moto's catalogue."""
    path, _, bare = name.rpartition("/")
    found = _catalogue().get(bare)
    if not found or found.get("Path", "/") != (f"/{path}/" if path else "/"):
        return None
    record: Record = _iam._make_aws_managed_record(name, json.dumps(found["Document"]))
    return {**record, "Arn": arn}


@functools.cache
def _catalogue() -> dict[str, Any]:
    from moto.iam.aws_managed_policies import aws_managed_policies_data

    catalogue: dict[str, Any] = json.loads(aws_managed_policies_data)
    return catalogue


# --- Stacks ---


def _documents(policies: Any) -> dict[str, Any]:
    return {policy["PolicyName"]: policy["PolicyDocument"] for policy in policies or []}


def _demand_distinct(policies: list[Props]) -> None:
    names = [policy["PolicyName"] for policy in policies]
    for name in sorted({name for name in names if names.count(name) > 1}):
        raise ApiError("InvalidInput", f"Duplicate policy names found: {name}")


def _role(original: Handlers) -> Handlers:
    original_create, original_update = original["create"], original["update"]

    def check(props: Props, name: str, others: Mapping[str, Any]) -> None:
        check_trust(props["AssumeRolePolicyDocument"])
        _demand_distinct(props.get("Policies") or [])
        check_inline(name, {**others, **_documents(props.get("Policies"))})
        boundary = props.get("PermissionsBoundary")
        check_attached(props.get("ManagedPolicyArns") or [])
        if boundary:
            _check_exists(boundary)

    def with_boundary(created: Created, props: Props) -> Created:
        _iam._roles[created[0]]["PermissionsBoundary"] = props.get("PermissionsBoundary") or ""
        return created

    def create(logical_id: str, props: Props, stack_name: str) -> Created:
        _handling(check, props, props.get("RoleName") or logical_id, {})
        return with_boundary(original_create(logical_id, props, stack_name), props)

    def update(name: str, old: Props, new: Props, stack_name: str, logical_id: str) -> Created:
        own = _documents(old.get("Policies"))
        inline = (_iam._roles.get(name) or {}).get("InlinePolicies") or {}
        others = {key: value for key, value in inline.items() if key not in own}
        _handling(check, new, name, others)
        return with_boundary(original_update(name, old, new, stack_name, logical_id), new)

    return {"create": create, "update": update}


def _checked(original: Handlers, check: Callable[[Props], None]) -> Handlers:
    original_create, original_update = original["create"], original["update"]

    def create(logical_id: str, props: Props, stack_name: str) -> Created:
        _handling(check, props)
        created: Created = original_create(logical_id, props, stack_name)
        return created

    def update(
        physical_id: str, old: Props, new: Props, stack_name: str, logical_id: str
    ) -> Created:
        _handling(check, new)
        updated: Created = original_update(physical_id, old, new, stack_name, logical_id)
        return updated

    return {"create": create, "update": update}


def _handling(check: Callable[..., None], *arguments: Any) -> None:
    """Check, and report an ApiError as a resource handler does."""
    try:
        check(*arguments)
    except ApiError as error:
        code = "NotFound" if error.code == "NoSuchEntity" else "InvalidRequest"
        problem = f"{error.message} (Service: Iam, Status Code: {error.status})"
        raise handler_error(problem, code) from error


def _check_inline_policy(props: Props) -> None:
    """AWS::IAM::Policy adds to the inline policies of existing roles."""
    name, document = props["PolicyName"], props["PolicyDocument"]
    check_document(document)
    for role in props.get("Roles") or []:
        _demand_role(role)
        check_inline(role, {**_iam._roles[role]["InlinePolicies"], name: document})


def _demand_role(name: str) -> None:
    if name not in _iam._roles:
        raise ApiError("NoSuchEntity", f"The role with name {name} cannot be found.", 404)


def _check_managed_policy(props: Props) -> None:
    for role in props.get("Roles") or []:
        _demand_role(role)
    check_document(props["PolicyDocument"])
    if size(props["PolicyDocument"]) > MAX_MANAGED_POLICY:
        raise ApiError(
            "LimitExceeded", f"Cannot exceed quota for PolicySize: {MAX_MANAGED_POLICY}", 409
        )


# --- API ---


def _checking(
    action: str, check: Callable[[Mapping[str, str]], None], handle: Callable[[Any], Response]
) -> Callable[[Any], Response]:
    def check_and_handle(params: Any) -> Response:
        try:
            check({name: _iam._p(params, name) for name in params})
        except ApiError as error:
            response: Response = _iam._error(error.status, error.code, error.message, ns="iam")
            return response
        return handle(params)

    return check_and_handle


def _check_create_role(params: Mapping[str, str]) -> None:
    check_trust(params.get("AssumeRolePolicyDocument", ""))
    _check_boundary(params)


def _check_create_policy(params: Mapping[str, str]) -> None:
    check_document(params.get("PolicyDocument", ""))


def _check_trust(params: Mapping[str, str]) -> None:
    check_trust(params.get("PolicyDocument", ""))


def _check_boundary(params: Mapping[str, str]) -> None:
    if params.get("PermissionsBoundary"):
        _check_exists(params["PermissionsBoundary"])


def _check_attach(params: Mapping[str, str]) -> None:
    role: Record = _iam._roles.get(params.get("RoleName")) or {}
    check_attached({*role.get("AttachedPolicies", []), params.get("PolicyArn", "")})


def _check_put(params: Mapping[str, str]) -> None:
    name, role = params.get("RoleName", ""), _iam._roles.get(params.get("RoleName"))
    if role is not None:
        policy = {params.get("PolicyName", ""): params.get("PolicyDocument", "")}
        check_inline(name, {**role["InlinePolicies"], **policy})
