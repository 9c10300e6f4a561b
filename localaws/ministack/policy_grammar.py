"""The grammar of IAM policies, as moto's validators know it from AWS.

ministack takes unknown elements, operators, actions and principals, which then never match.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

import regex

from localaws.core.api_error import ApiError
from localaws.ministack.access import ministack

CODE = "MalformedPolicyDocument"
# Also the default of a policy without version, which moto refuses in both forms:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_version.html
OLD_VERSION, VERSION = "2008-10-17", "2012-10-17"
SERVICE = regex.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.amazonaws\.com(\.cn)?|\*")
SID = regex.compile("[0-9A-Za-z]*")
# Properties with the policy of the resource itself.
RESOURCE_POLICIES = {
    "AWS::KMS::Key": "KeyPolicy",
    "AWS::Logs::ResourcePolicy": "PolicyDocument",
    "AWS::S3::BucketPolicy": "PolicyDocument",
}
PRINCIPAL_TYPES = frozenset({"AWS", "CanonicalUser", "Federated", "Service"})
ENTITY = regex.compile(r"arn:[\w-]+:iam::(?P<account>\d{12}):(?:role|user)/(?:.*/)?(?P<name>[^/]+)")
ACCOUNT = regex.compile(r"\d{12}|arn:[\w-]+:iam::\d{12}:root")
ASSUMED = regex.compile(r"arn:[\w-]+:sts::\d{12}:(assumed-role|federated-user)/.+")

_responses = ministack("core.responses")


def check_identity(document: Any) -> None:
    """Raise ApiError unless IAM takes this as a policy of a role or user."""
    from moto.iam.policy_validation import IAMPolicyDocumentValidator

    policy = _read(document)
    for statement in _statements(policy):
        if {"Principal", "NotPrincipal"} & set(statement):
            raise ApiError(CODE, "Policy document should not specify a principal.")
    _validate(IAMPolicyDocumentValidator, policy)
    _check_sids(policy)


def check_trust(document: Any, names: Collection[str]) -> None:
    """Raise ApiError unless IAM takes this as a trust policy.

    `names` are those of the roles and users of this account.
    """
    from moto.iam.policy_validation import IAMTrustPolicyDocumentValidator

    policy = _read(document)
    for statement in _statements(policy):
        if not {"Principal", "NotPrincipal"} & set(statement):
            raise ApiError(CODE, "Missing required field Principal")
        if "Action" not in statement:
            raise ApiError(CODE, "AssumeRole policy must contain Action.")
    _validate(IAMTrustPolicyDocumentValidator, policy)
    _check_sids(policy)
    for kind, value in _principals(policy):
        if not _is_principal(kind, value, names):
            raise ApiError(CODE, f'Invalid principal in policy: "{kind.upper()}":"{value}"')


def check_resource(document: Any) -> None:
    """Raise ApiError unless this may be the policy of a resource such as a bucket or key."""
    from moto.iam.policy_validation import IAMPolicyDocumentValidator

    policy = _read(document)
    for statement in _statements(policy):
        if not {"Principal", "NotPrincipal"} & set(statement):
            raise ApiError(CODE, "Missing required field Principal")
    _validate(IAMPolicyDocumentValidator, policy)


def check_properties(kind: str, properties: Mapping[str, Any]) -> None:
    """Raise ApiError unless the resource policy in a resource's properties is one."""
    name = RESOURCE_POLICIES.get(kind)
    if not name or name not in properties:
        return
    document = properties[name]
    check_resource(document)
    if kind == "AWS::KMS::Key" and not properties.get("BypassPolicyLockoutSafetyCheck"):
        _demand_policy_administrator(_read(document))
    if kind == "AWS::S3::BucketPolicy":
        _demand_own_objects(_read(document), str(properties["Bucket"]))


def _demand_policy_administrator(policy: Mapping[str, Any]) -> None:
    """https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateKey.html"""
    for statement in _statements(policy):
        actions = statement.get("Action", [])
        for action in [actions] if isinstance(actions, str) else actions:
            if statement["Effect"] == "Allow" and fnmatchcase("kms:putkeypolicy", action.lower()):
                return
    raise ApiError(
        CODE, "The new key policy will not allow you to update the key policy in the future."
    )


def _demand_own_objects(policy: Mapping[str, Any], bucket: str) -> None:
    for statement in _statements(policy):
        resources = statement.get("Resource", [])
        for arn in [resources] if isinstance(resources, str) else resources:
            name = arn.rpartition(":::")[2].partition("/")[0]
            if arn != "*" and not fnmatchcase(bucket, name):
                raise ApiError(CODE, "Policy has invalid resource")


def _read(document: Any) -> dict[str, Any]:
    try:
        policy = json.loads(document) if isinstance(document, str) else document
    except ValueError:
        raise ApiError(CODE, "This policy contains invalid Json") from None
    if not isinstance(policy, dict) or not all(
        isinstance(each, dict) for each in _statements(policy)
    ):
        raise ApiError(CODE, "Syntax errors in policy.")
    return policy


def _check_sids(policy: Any) -> None:
    """Of IAM's own policies; those of resources may have other characters."""
    for statement in _statements(policy):
        if not SID.fullmatch(str(statement.get("Sid", ""))):
            raise ApiError(
                CODE,
                "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the "
                f"regular expression {SID.pattern}",
            )


def _statements(policy: Any) -> list[Any]:
    found = policy.get("Statement", []) if isinstance(policy, dict) else []
    return found if isinstance(found, list) else [found]


def _validate(validator: Callable[[str], Any], policy: Mapping[str, Any]) -> None:
    from moto.iam.exceptions import MalformedPolicyDocument

    version = policy.get("Version", OLD_VERSION)
    named = {**policy, "Version": VERSION if version == OLD_VERSION else version}
    try:
        validator(json.dumps(named)).validate()
    except MalformedPolicyDocument as problem:
        raise ApiError(CODE, str(problem.message)) from None


def _principals(policy: Any) -> Iterator[tuple[str, str]]:
    """The principals of a policy with their types; "*" alone is one of type AWS."""
    for statement in _statements(policy):
        for element in ("Principal", "NotPrincipal"):
            given = statement.get(element, {})
            for kind, values in (given if isinstance(given, dict) else {"AWS": given}).items():
                for value in values if isinstance(values, list) else [values]:
                    yield kind, str(value)


def _is_principal(kind: str, value: str, names: Collection[str]) -> bool:
    """Whether a principal can exist; services and other accounts' roles are not known here."""
    if kind == "Service":
        return SERVICE.fullmatch(value) is not None
    if kind != "AWS":
        return kind in PRINCIPAL_TYPES
    entity = ENTITY.fullmatch(value)
    if entity:
        return entity["account"] != _responses.get_account_id() or entity["name"] in names
    return value == "*" or bool(ACCOUNT.fullmatch(value) or ASSUMED.fullmatch(value))
